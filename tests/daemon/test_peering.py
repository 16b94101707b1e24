"""`routerd clear`, `shutdown` and `enable` on the real daemon: what peers hear, and what becomes of their routes."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.harness import CLI, CONFIG, Network, Routerd, announcement, becomes, node, running
from tests.support import bgp
from tests.support.bgp import Client, Graceful
from tests.support.netns import needs_root

pytestmark = needs_root

VIP, OTHER = "172.16.1.1/32", "172.16.1.2/32"
NAMED = f'\n[[peers]]\nname = "w1"\naddress = "{node(1)}"\ngroup = "nodes"\n'
RESTARTS = Graceful(families={bgp.IPV4: True, bgp.IPV6: True})
SOFT = Graceful(notification=True, families={bgp.IPV4: True, bgp.IPV6: True})
TEXT = 'disk swap, back at 15:00 – call "Éva"'


def configuration(directory: Path, more: str = NAMED) -> str:
    return CONFIG + more + f'\n[drain]\nstate_file = "{directory}/drains.json"\n'


@pytest.fixture
def daemon(network: Network, tmp_path: Path) -> Iterator[Routerd]:
    with running(network.router, tmp_path, configuration(tmp_path)) as made:
        yield made


async def announces(network: Network, number: int, *prefixes: str, **options: Any) -> Client:
    """Return a node whose session is up, and whose announcements are in the kernel."""
    client = await network.establish(number, **options)
    client.send(announcement(number, *prefixes) + bgp.end_of_rib() + bgp.end_of_rib(bgp.IPV6))
    for prefix in prefixes:
        await network.has(prefix, number)
    return client


def order(daemon: Routerd, *words: str) -> dict[str, Any]:
    """Give an order, and return what the API answered."""
    done = daemon.cli(*words, "--json")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


async def refused(network: Network, number: int) -> bytes:
    """Dial in as a node that gets no session, and return the NOTIFICATION."""
    async with await network.connect(number) as client:
        client.introduce()
        _, body = await client.expect(bgp.NOTIFICATION)
        await client.closed()
        return body


def told(text: str) -> bytes:
    """Return a Cease/2 with a Shutdown Communication (RFC 9003 section 2)."""
    return bytes([6, 2, len(text.encode())]) + text.encode()


def lines(daemon: Routerd, event: str) -> list[dict[str, Any]]:
    found = (json.loads(line) for line in daemon.log.read_text().splitlines())
    return [line for line in found if line["event"] == event]


# ------------------------------------------------------------------------------------------------------------ clear


@pytest.mark.parametrize(
    ("graceful", "said"),
    [(None, bytes([6, 4])), (RESTARTS, bytes([6, 4])), (SOFT, bytes([6, 9, 6, 4]))],
    ids=["no graceful restart", "graceful restart", "N bit"],
)
async def test_clear_resets_and_what_the_node_announced_stays(
    daemon: Routerd, network: Network, graceful: Graceful | None, said: bytes
) -> None:
    async with await announces(network, 0, VIP, OTHER, graceful=graceful) as client:
        before = network.kernel()
        answer = order(daemon, "clear", node(0))
        assert (answer["session"], answer["stale_seconds"]) == (True, 120)
        assert await client.expect(bgp.NOTIFICATION) == (bgp.NOTIFICATION, said)
        await client.closed()
    await becomes(lambda: daemon.peer(0)["state"], "stale")
    assert "Administrative Reset" in daemon.peer(0)["reason"]
    assert network.kernel() == before
    async with await network.establish(0, graceful=graceful) as client:
        assert network.kernel() == before
        client.send(announcement(0, VIP) + bgp.end_of_rib() + bgp.end_of_rib(bgp.IPV6))
        await becomes(lambda: network.route(OTHER), "")  # it was not announced again
        await network.has(VIP, 0)
        (line,) = lines(daemon, "clear")
        assert re.fullmatch(r"root \(uid 0, pid \d+\)", line["by"])
        done = daemon.cli("clear", node(0))
        assert "is reset; what it has announced stays until it is back, for 120 s at most" in done.stdout


async def test_clear_of_a_peer_without_a_session_says_so(daemon: Routerd) -> None:
    done = daemon.cli("clear", "w1")
    assert (done.returncode, done.stdout) == (0, f"w1 {node(1)} has no session: there is nothing to clear\n")
    assert order(daemon, "clear", "w1", "--soft", "in")["session"] is False


async def test_a_peer_that_is_reset_keeps_its_place_in_the_range(network: Network, tmp_path: Path) -> None:
    text = configuration(tmp_path, "").replace('group = "nodes"\n', 'group = "nodes"\nlimit = 1\n')
    with running(network.router, tmp_path, text) as daemon:
        async with await announces(network, 0, VIP) as client:
            order(daemon, "clear", node(0))
            await client.closed()
        assert (await refused(network, 2))[:2] == bytes([6, 5])
        async with await announces(network, 0, VIP):
            assert daemon.peer(0)["state"] == "established"


async def test_soft_in_asks_for_all_again(daemon: Routerd, network: Network) -> None:
    async with await announces(network, 0, VIP) as client, await announces(network, 2, OTHER, refresh=False) as old:
        assert order(daemon, "clear", node(0), "--soft", "in")["refreshed"] is True
        asked = {(await client.expect(bgp.ROUTE_REFRESH))[1] for _ in range(2)}
        assert asked == {bytes([0, 1, 0, 1]), bytes([0, 2, 0, 1])}
        assert order(daemon, "clear", node(2), "--soft", "in")["refreshed"] is False
        assert "it has no ROUTE-REFRESH" in daemon.cli("clear", node(2), "--soft", "in").stdout
        await becomes(lambda: len(lines(daemon, "clear")), 3)
        assert {daemon.peer(number)["sessions"] for number in (0, 2)} == {1}
        assert not any(kind in (bgp.ROUTE_REFRESH, bgp.NOTIFICATION) for kind, _ in old.heard)
        await network.has(VIP, 0)
        await network.has(OTHER, 2)


async def test_soft_out_says_all_again(daemon: Routerd, network: Network) -> None:
    async with await announces(network, 0, VIP) as client:
        await becomes(lambda: [body for kind, body in client.heard if kind == bgp.UPDATE and len(body) > 30])
        (first,) = [body for kind, body in client.heard if kind == bgp.UPDATE and len(body) > 30]
        order(daemon, "clear", node(0), "--soft", "out")
        await becomes(lambda: client.heard.count((bgp.UPDATE, first)), 2)
        assert daemon.peer(0)["sessions"] == 1


# --------------------------------------------------------------------------------------------------------- shutdown


@pytest.mark.parametrize("graceful", [None, RESTARTS, SOFT], ids=["no graceful restart", "graceful restart", "N bit"])
async def test_shutdown_ends_the_session_and_takes_the_routes_out(
    daemon: Routerd, network: Network, graceful: Graceful | None
) -> None:
    async with await announces(network, 1, VIP, graceful=graceful) as client, await announces(network, 0, OTHER):
        answer = order(daemon, "shutdown", "w1", TEXT)
        assert (answer["address"], answer["changed"], answer["ended"], answer["unstored"]) == (
            node(1),
            True,
            True,
            "",
        )
        assert answer["shutdown"]["text"] == TEXT
        _, body = await client.expect(bgp.NOTIFICATION)
        assert body == (bytes([6, 9]) if graceful is SOFT else b"") + told(TEXT)
        await client.closed()
        await becomes(lambda: network.route(VIP), "", 2)
        await network.has(OTHER, 0)
        for _ in range(20):
            assert await refused(network, 1) == told(TEXT)
        peer, status = daemon.peer(1), daemon.status()
        assert (peer["state"], peer["totals"]["stale"]) == ("shutdown", 0)
        assert (status["ok"], status["problems"]) == (True, [])
        assert status["shutdowns"] == [peer["shutdown"]]
        (refusal,) = status["refusals"]
        assert (refusal["address"], refusal["notification"], refusal["count"]) == (node(1), "6/2 sent", 20)
        assert len(lines(daemon, "no session: the peer is shut down")) == 1
        assert not lines(daemon, "no session")
        shown = " ".join(daemon.cli("status").stdout.split())
        assert "1 of 2 established, 1 shut down" in shown
        assert f"shutdown w1 {node(1)} by {peer['shutdown']['by']}" in shown
        assert TEXT in shown
        assert TEXT in " ".join(daemon.cli("peers").stdout.split())
        assert order(daemon, "enable", node(1))["changed"] is True
        assert daemon.status()["refusals"] == []
    async with await announces(network, 1, VIP):
        assert daemon.peer(1)["shutdown"] is None


async def test_a_shutdown_outlives_a_kill_and_a_reload_and_what_is_not_there(
    daemon: Routerd, network: Network
) -> None:
    """The second node of the range never came: it is shut down all the same."""
    async with await announces(network, 0, VIP):
        for name in ("w1", node(2), "fd00::0:102"):
            done = daemon.cli("shutdown", name, "rack 7", "moves")
            assert done.returncode == (1 if ":" in name else 0), done.stderr
            if ":" in name:
                assert "no peer has the address fd00::102, and it is in none of the ranges" in done.stderr
        assert await refused(network, 2) == told("rack 7 moves")
        config = daemon.config.read_text()
        daemon.config.write_text(config.replace(NAMED, NAMED.replace('"w1"', '"w2"')))
        assert daemon.cli("reload").returncode == 0
        assert {view["name"] for view in daemon.status()["shutdowns"]} == {"w2", node(2)}
        assert await refused(network, 1) == told("rack 7 moves")
        before = daemon.status()["shutdowns"]
        daemon.kill()
    daemon.start()
    assert daemon.status()["shutdowns"] == before
    assert [await refused(network, number) for number in (1, 2)] == [told("rack 7 moves")] * 2
    assert daemon.cli("enable", "w2").stdout == f"w2 {node(1)} may dial in again\n"
    assert daemon.cli("enable", "w2").stdout == f"w2 {node(1)} is not shut down\n"
    order(daemon, "enable", node(2))
    daemon.kill()
    daemon.start()
    async with await announces(network, 1, VIP), await announces(network, 2, OTHER):
        assert daemon.status()["shutdowns"] == []


@pytest.mark.parametrize("away", ["within graceful restart", "since the router's restart"])
async def test_shutdown_of_a_node_that_is_away_takes_out_what_is_left_of_it(
    daemon: Routerd, network: Network, away: str
) -> None:
    async with await announces(network, 0, VIP, graceful=RESTARTS):
        if "router" in away:
            daemon.kill()
    if "router" in away:
        daemon.start()
        await becomes(lambda: daemon.peer(0)["reason"], "has not returned since routerd started")
    else:
        await becomes(lambda: daemon.peer(0)["state"], "stale")
    await network.has(VIP, 0)
    assert order(daemon, "shutdown", node(0))["ended"] is False
    await becomes(lambda: network.route(VIP), "", 2)
    assert daemon.problems() == {}


async def test_a_node_that_was_shut_down_while_the_router_was_away_is_not_waited_for(
    network: Network, tmp_path: Path
) -> None:
    """As after a crash between the file and the kernel."""
    with running(network.router, tmp_path, configuration(tmp_path)) as daemon:
        async with await announces(network, 0, VIP, graceful=RESTARTS):
            daemon.kill()
        order = {node(0): {"by": "somebody", "time": 0.0, "text": ""}}
        (tmp_path / "drains.shutdowns.json").write_text(json.dumps(order))
        await network.has(VIP, 0)
        daemon.start()
        await becomes(lambda: network.route(VIP), "", 2)
        assert daemon.problems() == {}


async def test_shutdown_again_says_so_and_another_text_takes_its_place(daemon: Routerd, network: Network) -> None:
    done = daemon.cli("shutdown", "w1", "one")
    assert done.stdout == f"w1 {node(1)} is shut down: it gets no session, until routerd enable w1\n"
    for words in ((), ("one",)):
        assert "is shut down already, by root" in daemon.cli("shutdown", "w1", *words).stdout
        assert await refused(network, 1) == told("one")
    assert order(daemon, "shutdown", "w1", "two")["changed"] is True
    assert await refused(network, 1) == told("two")


@pytest.mark.parametrize("connected", [True, False], ids=["before its OPEN", "between OPEN and KEEPALIVE"])
async def test_a_connection_that_is_about_to_be_a_session_ends_too(
    daemon: Routerd, network: Network, connected: bool
) -> None:
    async with await network.connect(1) as client:
        if not connected:
            client.introduce()
            await client.expect(bgp.OPEN)
        else:
            await becomes(lambda: _connections(network))
        order(daemon, "shutdown", "w1", "no")
        assert (await client.expect(bgp.NOTIFICATION))[1] == told("no")
        await client.closed()


def _connections(network: Network) -> bool:
    return node(1) in network.router.run("ss", "-Hnt", "state", "established")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("é" * 127 + "xy", "the text has 256 octets in UTF-8, and a peer is told 255 at most (RFC 9003)"),
        ("x" * 20000, "the text has 20000 octets in UTF-8, and a peer is told 255 at most (RFC 9003)"),
        ("a\nb", "the text has a control character, U+000A; write one line"),
        ("\x1b[2J", "the text has a control character, U+001B; write one line"),
        (b"caf\xe9", "the text is not UTF-8"),
    ],
)
def test_a_text_that_cannot_be_sent_is_refused(daemon: Routerd, text: str | bytes, why: str) -> None:
    command = [*CLI, "shutdown", "w1", text, "--socket", str(daemon.socket)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"routerd: {why}\n")
    assert daemon.status()["shutdowns"] == []


async def test_the_longest_text_and_odd_characters(daemon: Routerd, network: Network) -> None:
    longest = "é" * 127 + "x"
    order(daemon, "shutdown", "w1", longest)
    assert await refused(network, 1) == told(longest)
    order(daemon, "shutdown", "w1", "a\u202eb & c=d+e %41")
    assert await refused(network, 1) == told("a\u202eb & c=d+e %41")
    assert "a\\u202eb & c=d+e %41" in daemon.cli("status").stdout
    assert "\u202e" not in daemon.cli("status").stdout + daemon.cli("peers").stdout + daemon.log.read_text()


@pytest.mark.parametrize("command", ["clear", "shutdown", "enable"])
def test_a_peer_that_nobody_knows(daemon: Routerd, command: str) -> None:
    for name, why in (
        ("w9", "no peer has the name or address w9"),
        ("10.9.9.9", "no peer has the address 10.9.9.9, and it is in none of the ranges"),
        ("*", "no peer has the name or address *"),
    ):
        done = daemon.cli(command, name)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"routerd: {why}\n")


def test_a_peer_that_left_the_configuration_can_be_enabled(daemon: Routerd) -> None:
    order(daemon, "shutdown", node(2))
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace("10.0.0.64/26", "10.0.0.96/27"))
    assert daemon.cli("reload").returncode == 0
    assert [view["address"] for view in daemon.status()["shutdowns"]] == [node(2)]
    assert order(daemon, "enable", node(2))["changed"] is True
    assert daemon.status()["shutdowns"] == []


async def test_a_shutdown_that_cannot_be_stored_is_told(network: Network, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "routerd-test", disk], check=True)
    try:
        with running(network.router, tmp_path, configuration(disk)) as daemon:
            with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(b"x" * 1024)
            done = daemon.cli("shutdown", node(0), "x")
            reason = f"{disk / 'drains.shutdowns.json'} cannot be written: No space left on device"
            assert done.returncode == 0
            assert done.stderr == f"routerd: not stored, a restart of routerd forgets it: {reason}\n"
            assert daemon.problems() == {"shutdowns": f"they will not outlive a restart of routerd: {reason}"}
            assert await refused(network, 0) == told("x")
            (disk / "filler").unlink()
            await becomes(daemon.problems, {})
            assert list(json.loads((disk / "drains.shutdowns.json").read_text())) == [node(0)]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_damaged_file_of_shutdowns_is_set_aside(network: Network, tmp_path: Path) -> None:
    file = tmp_path / "drains.shutdowns.json"
    file.write_text('{"10.0.0.65": {"by": "x"')
    with running(network.router, tmp_path, configuration(tmp_path)) as daemon:
        problems = daemon.problems()
        assert "no peer is shut down, whatever was before the start" in problems["shutdowns"]
        assert f"it is kept as {file.with_suffix('.damaged')}" in problems["shutdowns"]
        order(daemon, "enable", "w1")
        assert "shutdowns" not in daemon.problems()
