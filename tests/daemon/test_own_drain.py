"""`routerd health`, and `routerd drain --self` on the real daemon: what asks whether traffic shall come here."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.daemon.harness import CONFIG, Network, Routerd, announcement, becomes, cli, node, running
from tests.support import bgp
from tests.support.bgp import Client
from tests.support.netns import needs_root

pytestmark = needs_root

VIP, ALONE = "172.16.1.1/32", "172.16.1.2/32"
GRACEFUL_SHUTDOWN = bytes.fromhex("c00804ffff0000")
"""The attribute COMMUNITIES with nothing else (RFC 1997, RFC 8326 section 5)."""


def configuration(directory: Path) -> str:
    text = CONFIG.replace('["networks"]', '["networks", "learned"]')
    return f'{text}\n[drain]\nstate_file = "{directory}/drains.json"\n'


def health(daemon: Routerd, *words: str) -> tuple[int, str]:
    done = daemon.cli("health", *words)
    assert bool(done.stdout) is (done.returncode == 0)
    assert bool(done.stderr) is (done.returncode != 0)
    return done.returncode, (done.stdout or done.stderr).rstrip("\n")


def latest(client: Client) -> dict[bool, int]:
    """Count what a peer has heard, prefix by prefix the last word of each: with GRACEFUL_SHUTDOWN, and without."""
    said: dict[bytes, bool] = {}
    for kind, body in client.heard:
        if kind == bgp.UPDATE:
            length = int.from_bytes(body[2:4], "big")
            attributes, rest = body[4 : 4 + length], body[4 + length :]
            while rest:
                octets = 1 + (rest[0] + 7) // 8
                said[rest[:octets]] = GRACEFUL_SHUTDOWN in attributes
                rest = rest[octets:]
    found = list(said.values())
    return {on: found.count(on) for on in (True, False) if on in found}


async def test_health_has_one_reason_at_a_time(network: Network, tmp_path: Path) -> None:
    nowhere = cli("health", "--socket", str(tmp_path / "routerd.sock"))
    assert (nowhere.returncode, nowhere.stdout) == (1, "")
    assert "routerd is not running" in nowhere.stderr
    with running(network.router, tmp_path, configuration(tmp_path)) as daemon:
        assert health(daemon) == (1, "routerd: no node in the FIB, at least 1 wanted")
        assert health(daemon, "--at-least", "0") == (0, "ok: 0 nodes in the FIB")
        async with await network.establish(0) as first, await network.establish(1) as second:
            first.send(announcement(0, VIP) + announcement(0, "fd00:ac10::1/128") + bgp.end_of_rib())
            await network.has(VIP, 0)
            assert health(daemon) == (0, "ok: 1 node in the FIB")  # of two addresses
            assert health(daemon, "--at-least", "2") == (1, "routerd: 1 node in the FIB, at least 2 wanted")
            second.send(announcement(1, VIP) + bgp.end_of_rib())
            await network.has(VIP, 0, 1)
            assert health(daemon, "--at-least", "2") == (0, "ok: 2 nodes in the FIB")
            answer = json.loads(daemon.cli("health", "--json").stdout)
            assert (answer["nodes"], answer["drained"]) == (2, False)
            daemon.kill()
            assert health(daemon)[0] == 1
            daemon.start()
            assert health(daemon, "--at-least", "2") == (0, "ok: 2 nodes in the FIB")  # adopted, before they are back


async def test_a_drain_of_the_router_is_told_to_all_and_outlives_a_kill(
    network: Network, tmp_path: Path, clients: list[Client]
) -> None:
    with running(network.router, tmp_path, configuration(tmp_path)) as daemon:
        for number in range(3):
            clients.append(await network.establish(number))
        clients[0].send(announcement(0, VIP) + bgp.end_of_rib())
        clients[1].send(announcement(1, VIP) + bgp.end_of_rib())
        await network.has(VIP, 0, 1)
        await becomes(lambda: latest(clients[2]), {False: 2})
        group = network.nhid(VIP)
        assert health(daemon)[0] == 0
        done = daemon.cli("drain", "--self")
        assert done.returncode == 0
        assert re.fullmatch(
            r"this router is drained \(by root \(uid 0, pid \d+\), [-\d]+ [:\d]+\); 3 peers are (being )?told routes "
            r"with GRACEFUL_SHUTDOWN; routerd health fails\n",
            done.stdout,
        )
        await becomes(lambda: latest(clients[2]), {True: 2})
        assert "router drained" in daemon.log.read_text()
        for each in clients:
            assert bgp.NOTIFICATION not in {kind for kind, _ in each.heard}
        assert (network.nhid(VIP), network.legs(VIP)) == (group, {node(0), node(1)})
        code, why = health(daemon, "--at-least", "0")
        assert code == 1
        assert re.search(r"it is drained by root \(uid 0, pid \d+\); routerd undrain --self ends that", why)
        assert daemon.status()["drained"] is not None
        assert "drained  this router, by root" in daemon.cli("status").stdout
        assert json.loads(daemon.cli("drain", "--self", "--json").stdout)["changed"] is False
        daemon.kill()
        daemon.start()
        clients += [await network.establish(0), await network.establish(2)]
        clients[-2].send(announcement(0, VIP) + bgp.end_of_rib())
        await becomes(lambda: latest(clients[-1]), {True: 2})
        assert health(daemon)[0] == 1
        assert "is no longer drained" in daemon.cli("undrain", "--self").stdout
        await becomes(lambda: latest(clients[-1]), {False: 2})
        assert health(daemon)[0] == 0
        assert daemon.status()["drained"] is None
        assert "this router is not drained" in daemon.cli("undrain", "--self").stdout
        daemon.kill()
        daemon.start()
        assert daemon.status()["drained"] is None


async def test_who_waits_hears_what_still_flows(network: Network, tmp_path: Path, clients: list[Client]) -> None:
    with running(network.router, tmp_path, configuration(tmp_path)) as daemon:
        for number in range(2):
            clients.append(await network.establish(number))
            clients[number].send(announcement(number, VIP) + bgp.end_of_rib())
        await network.has(VIP, 0, 1)
        network.nodes.ip("route", "add", VIP, "via", "10.0.0.1")
        with packets(network):
            done = await asyncio.to_thread(daemon.cli, "drain", "--self", "--wait", "--timeout", "1")
            assert done.returncode == 1
            assert re.search(
                r"after 1 s there are still \S+ packets/s \(172\.16\.1\.1/32 \S+\); it stays drained", done.stderr
            )
        clients[0].send(announcement(0, ALONE))
        await network.has(ALONE, 0)
        done = await asyncio.to_thread(daemon.cli, "drain", "--self", "--wait", "--timeout", "20")
        assert done.returncode == 3
        assert "the kernel does not count the packets of 1 group of one member" in done.stderr


async def test_a_drain_that_cannot_be_kept_is_a_problem(network: Network, tmp_path: Path) -> None:
    (tmp_path / "drains.router.json").write_text("[]")
    with running(network.router, tmp_path, configuration(tmp_path)) as daemon:
        where = "drain of this router"
        assert "this router is not drained, whatever was before the start" in daemon.problems()[where]
        assert daemon.cli("undrain", "--self").returncode == 0
        assert where not in daemon.problems()
        (tmp_path / "drains.router.json").unlink()
        (tmp_path / "drains.router.json").mkdir()
        done = daemon.cli("drain", "--self")
        assert done.returncode == 0
        assert "not stored, a restart of routerd forgets it" in done.stderr
        assert "it will not outlive a restart of routerd" in daemon.problems()[where]


@contextmanager
def packets(network: Network) -> Iterator[None]:
    """Send packets to the VIP through the router, some hundreds a second."""
    over = threading.Event()
    with network.nodes.enter():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind((node(5), 0))

    def send() -> None:
        while not over.wait(0.003):
            sender.sendto(b"", ("172.16.1.1", 9))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        sender.close()
