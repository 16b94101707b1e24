"""Whose is what in the kernel: routerd writes and removes what is its own, adopts it again, and nothing else."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from routerd.lab.waiting import until
from tests.daemon.harness import CONFIG, Network, Routerd, announcement, becomes, cli, node, node6, running
from tests.support.bgp import IPV4, IPV6, Client, Graceful, end_of_rib
from tests.support.netns import needs_root

pytestmark = needs_root

ELSEWHERE, ELSEWHERE6 = node(40), node6(40)
OWN = ("172.16.1.1", "172.16.1.2", "fd00:ac10::1")
TAKEN, TAKEN6 = "172.16.7.7", "fd00:ac10::7"
"""VIPs for which somebody else has a route of routerd's metric."""
BESIDE = "172.16.8.8"
"""A VIP for which somebody else has a route of another metric."""

Kernel = tuple[list[str], list[str]]


@pytest.fixture
def foreign(network: Network) -> Kernel:
    """Routes and nexthops of other people; what is returned must be there at any time."""
    network.router.ip("nexthop", "add", "id", "1", "via", ELSEWHERE, "dev", "eth0", "proto", "static")
    network.router.ip("nexthop", "add", "id", "2", "group", "1", "proto", "zebra")
    network.router.ip("nexthop", "add", "id", "70", "via", ELSEWHERE6, "dev", "eth0", "proto", "static")
    network.router.ip("route", "add", TAKEN, "via", ELSEWHERE, "metric", "20", "proto", "static")
    network.router.ip("route", "add", TAKEN6, "via", ELSEWHERE6, "metric", "20", "proto", "static")
    network.router.ip("route", "add", BESIDE, "via", ELSEWHERE, "metric", "10", "proto", "static")
    network.router.ip("route", "add", "172.16.9.9", "via", ELSEWHERE, "metric", "30", "proto", "bgp")
    network.router.ip("route", "add", "172.16.9.10", "nhid", "2", "metric", "20", "proto", "zebra")
    network.router.ip("-6", "route", "add", "fd00:ac10::9", "nhid", "70", "metric", "30", "proto", "bgp")
    return network.kernel()


@pytest.fixture
def daemon(network: Network, tmp_path: Path) -> Iterator[Routerd]:
    """A routerd that does not run yet."""
    made = Routerd(network.router, tmp_path)
    yield made
    made.kill()


async def announce(network: Network, clients: list[Client], *prefixes: str, number: int = 0) -> Client:
    """Dial in as a node with graceful restart and announce prefixes, each family to its end."""
    graceful = Graceful(time=60, families={IPV4: True, IPV6: True})
    client = await network.establish(number, graceful=graceful)
    clients.append(client)
    for version in (4, 6):
        own = [prefix for prefix in prefixes if (":" in prefix) == (version == 6)]
        if own:
            client.send(announcement(number, *own))
    client.send(end_of_rib(IPV4) + end_of_rib(IPV6))
    return client


def is_there(network: Network, wanted: Kernel) -> bool:
    return all(set(part) <= set(found) for part, found in zip(wanted, network.kernel(), strict=True))


async def test_what_is_foreign_is_never_touched(
    network: Network, foreign: Kernel, daemon: Routerd, clients: list[Client]
) -> None:
    daemon.start()
    assert network.kernel() == foreign
    await announce(network, clients, *OWN, TAKEN, TAKEN6, BESIDE)
    for prefix in (*OWN, BESIDE):
        await network.has(prefix, 0)
    assert is_there(network, foreign)
    assert daemon.stop() == 0
    assert is_there(network, foreign)
    assert network.legs(OWN[0]) == {node(0)}
    flush(network, daemon)
    assert network.kernel() == foreign


async def test_a_refused_route_is_told_and_tried_again(
    network: Network, foreign: Kernel, daemon: Routerd, clients: list[Client]
) -> None:
    daemon.start()
    await announce(network, clients, *OWN, TAKEN, TAKEN6, BESIDE)
    beside = {f"route {BESIDE}/32": f"a foreign route shadows it: protocol static, metric 10, via {ELSEWHERE}"}
    told = "the kernel refuses it: a foreign route to this prefix with metric 20 exists (errno 17)"
    await becomes(daemon.problems, {f"route {TAKEN}/32": told, f"route {TAKEN6}/128": told} | beside)
    shown = daemon.cli("status")
    assert shown.returncode == 1
    assert f"route {TAKEN}/32" in shown.stdout
    assert told in shown.stdout
    totals = daemon.peer(0)["totals"]
    assert (totals["accepted"], totals["in_fib"]) == (6, 4)
    detail = daemon.get(f"/v1/routes/{TAKEN}/32")
    assert not detail["in_fib"]
    assert "foreign route" in detail["refused"]
    assert detail["kernel"]["protocol"] == "static"
    for prefix in (*OWN, BESIDE):
        assert len(network.legs(prefix)) == 1

    network.router.ip("route", "del", TAKEN, "proto", "static")
    network.router.ip("route", "del", TAKEN6, "proto", "static")
    network.router.ip("route", "del", BESIDE, "proto", "static")
    await becomes(daemon.problems, {}, 40)
    assert network.legs(TAKEN) == {node(0)}
    assert network.legs(TAKEN6) == {node6(0)}
    assert daemon.cli("status").returncode == 0


async def test_one_refused_route_of_many_is_tried_again(
    network: Network, foreign: Kernel, daemon: Routerd, clients: list[Client]
) -> None:
    """Many are written in the background: the core hears of the refusal when all else is at rest."""
    daemon.start()
    client = await announce(network, clients)
    many = [f"172.16.{number >> 8}.{number & 255}" for number in range(5120, 8192)] + [TAKEN]
    client.send(b"".join(announcement(0, *many[start : start + 800]) for start in range(0, len(many), 800)))
    await becomes(lambda: set(daemon.problems()), {f"route {TAKEN}/32"})
    network.router.ip("route", "del", TAKEN, "proto", "static")
    await network.has(TAKEN, 0)  # long before the audit


async def test_a_node_that_comes_and_goes_does_not_hold_up_what_waited_for_it(
    network: Network, daemon: Routerd, clients: list[Client]
) -> None:
    daemon.start()
    await announce(network, clients, "172.16.1.1")
    await network.has("172.16.1.1", 0)
    daemon.kill()
    daemon.start()
    await announce(network, clients, "172.16.1.1", number=1)
    await becomes(
        lambda: {peer["address"]: peer["totals"]["accepted"] for peer in daemon.get("/v1/peers")},
        {node(0): 0, node(1): 1},
    )
    assert network.legs("172.16.1.1") == {node(0)}  # whose node has not spoken yet
    client = await network.establish(0)
    await becomes(lambda: daemon.peer(0)["state"], "established")
    await client.close()
    await network.has("172.16.1.1", 1)


async def test_a_restart_writes_nothing_but_what_has_changed(
    network: Network, foreign: Kernel, daemon: Routerd, clients: list[Client], tmp_path: Path
) -> None:
    daemon.start()
    for number in range(3):
        await announce(network, clients, *OWN, number=number)
    await announce(network, clients, "172.16.2.2", number=3)
    for prefix in OWN:
        await network.has(prefix, 0, 1, 2)
    await network.has("172.16.2.2", 3)
    await becomes(lambda: all(group["balanced"] for group in daemon.get("/v1/groups")), True)
    before = network.kernel()
    with monitored(network, tmp_path / "monitor") as written:
        assert daemon.stop() == 0
        daemon.start()
        assert network.kernel() == before
        for number in range(3):
            await announce(network, clients, *OWN, number=number)
        await becomes(lambda: sum(peer["totals"]["accepted"] for peer in daemon.get("/v1/peers")), 9)
        assert network.kernel() == before
        assert written() == []
        # The last node comes back without what it announced before: then, and not earlier, that is swept.
        await announce(network, clients, number=3)
        await becomes(lambda: network.route("172.16.2.2"), "")
    assert {prefix: len(network.legs(prefix)) for prefix in OWN} == dict.fromkeys(OWN, 3)
    gone = set(before[0]) - set(network.kernel()[0])
    assert all("172.16.2.2" in line or f"via {node(3)}" in line for line in gone), gone
    assert not set(network.kernel()[0]) - set(before[0])
    assert is_there(network, foreign)
    assert daemon.status()["fib"]["drift_mended"] == 0


async def test_a_killed_daemon_leaves_the_fib(network: Network, daemon: Routerd, clients: list[Client]) -> None:
    daemon.start()
    await announce(network, clients, *OWN)
    await network.has(OWN[2], 0)
    before = network.kernel()
    daemon.kill()
    assert network.kernel() == before
    daemon.start()
    assert network.kernel() == before
    assert daemon.status()["fib"]["routes"] == len(OWN)


async def test_flush_on_exit(network: Network, foreign: Kernel, daemon: Routerd, clients: list[Client]) -> None:
    daemon.start("--flush-on-exit")
    await announce(network, clients, *OWN, BESIDE)
    await network.has(BESIDE, 0)
    assert daemon.stop() == 0
    assert network.kernel() == foreign


async def test_what_others_take_away_is_mended(network: Network, tmp_path: Path, clients: list[Client]) -> None:
    with running(network.router, tmp_path, CONFIG.replace("[api]", "[fib]\naudit_interval = 1\n\n[api]")) as daemon:
        await announce(network, clients, *OWN)
        await network.has(OWN[2], 0)
        before = network.kernel()
        for prefix in OWN:
            network.router.ip("-6" if ":" in prefix else "-4", "route", "del", prefix, "proto", "bgp")
        await becomes(network.kernel, before)
        network.router.ip("nexthop", "flush")
        for prefix in OWN:
            await network.has(prefix, 0)
        assert daemon.status()["fib"]["drift_mended"] > 0
        await becomes(daemon.problems, {})


def flush(network: Network, daemon: Routerd) -> None:
    """Run `routerd flush` where the daemon runs."""
    with network.router.enter():
        done = cli("flush", "--config", str(daemon.config))
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""


@contextmanager
def monitored(network: Network, output: Path) -> Iterator[Callable[[], list[str]]]:
    """Listen to what is written to routes and nexthops; what is yielded returns it so far.

    What routerd tries out at its start, on its spare ids, is left out.
    """
    marks = itertools.count(900)

    def mark_seen() -> str:
        mark = str(next(marks))
        network.router.ip("nexthop", "add", "id", mark, "blackhole", "proto", "static")
        network.router.ip("nexthop", "del", "id", mark)
        return "" if f"Deleted id {mark} " in output.read_text() else "no mark seen"

    def written() -> list[str]:
        until(mark_seen, 5, "the monitor is up to date")
        lines = output.read_text().splitlines()
        return [line for line in lines if not re.search(r"\bid (9\d\d|9999999\d\d) ", line)]

    with output.open("w") as sink, network.router.spawn("ip", "-o", "monitor", "route", "nexthop", stdout=sink) as ip:
        try:
            until(mark_seen, 5, "the monitor listens")
            yield written
        finally:
            ip.kill()
