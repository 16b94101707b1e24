"""`routerd clear`, `shutdown` and `enable` on the real daemon: what peers hear, and what becomes of their routes."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.harness import CLI, CONFIG, Network, Routerd, announcement, becomes, node, running
from tests.daemon.harness import network as links
from tests.support import bgp
from tests.support.bgp import Client, Graceful
from tests.support.netns import needs_root

pytestmark = needs_root

VIP, OTHER = "172.16.1.1/32", "172.16.1.2/32"
NAMED = f'\n[[peers]]\nname = "w1"\naddress = "{node(1)}"\ngroup = "nodes"\n'
NARROW = '\n[[dynamic_peers]]\nrange = "10.0.0.112/28"\ngroup = "nodes"\nlimit = 1\n'
LAST = 112 - 65
"""The first node of the narrow range."""
RESTARTS = Graceful(families={bgp.IPV4: True, bgp.IPV6: True})
SOFT = Graceful(notification=True, families={bgp.IPV4: True, bgp.IPV6: True})
TEXT = 'disk swap, back at 15:00 — call "Éva"'


def configuration(directory: Path) -> str:
    return CONFIG + NAMED + NARROW + f'\n[drain]\nstate_file = "{directory}/drains.json"\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Network, Routerd]]:
    directory = tmp_path_factory.mktemp("daemon")
    with links() as made, running(made.router, directory, configuration(directory)) as daemon:
        yield made, daemon


@pytest.fixture
def network(place: tuple[Network, Routerd]) -> Network:
    return place[0]


@pytest.fixture
def daemon(place: tuple[Network, Routerd]) -> Iterator[Routerd]:
    """The one daemon of these tests; at the end of each nobody is shut down, and no route is left."""
    network, daemon = place
    daemon.log.write_text("")
    yield daemon
    for view in daemon.status()["shutdowns"]:
        order(daemon, "enable", view["address"])
    for peer in daemon.get("/v1/peers"):
        if peer["state"] == "stale":
            order(daemon, "shutdown", peer["address"])
            order(daemon, "enable", peer["address"])
    waited = time.monotonic() + 5
    while "nhid" in network.router.ip("route", "show") and time.monotonic() < waited:
        time.sleep(0.02)


def problems(daemon: Routerd) -> dict[str, str]:
    """Return the problems but that w1 never came, and that the nodes of other tests have gone."""
    return {
        where: what for where, what in daemon.problems().items() if where not in ("peer w1", "range 10.0.0.112/28")
    }


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
    [(None, bytes([6, 4])), (RESTARTS, bytes([6, 4])), (SOFT, bytes([6, 4]))],
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


async def test_a_peer_that_is_reset_keeps_its_place_in_the_range(daemon: Routerd, network: Network) -> None:
    async with await announces(network, LAST, VIP) as client:
        order(daemon, "clear", node(LAST))
        await client.closed()
    assert (await refused(network, LAST + 1))[:2] == bytes([6, 5])
    async with await announces(network, LAST, VIP):
        await becomes(lambda: daemon.peer(LAST)["state"], "established")
    order(daemon, "shutdown", node(LAST + 1))  # what is past of it is forgotten


async def test_a_peer_that_is_shut_down_gives_its_place_free(daemon: Routerd, network: Network) -> None:
    async with await announces(network, LAST, VIP, graceful=SOFT) as client:
        order(daemon, "shutdown", node(LAST))
        await client.closed()
    async with await announces(network, LAST + 1, VIP):
        await becomes(lambda: daemon.peer(LAST + 1)["state"], "established")


async def test_soft_in_asks_for_all_again(daemon: Routerd, network: Network) -> None:
    async with await announces(network, 0, VIP) as client, await announces(network, 2, OTHER, refresh=False) as old:
        before = [daemon.peer(number)["sessions"] for number in (0, 2)]
        assert order(daemon, "clear", node(0), "--soft", "in")["refreshed"] is True
        asked = {(await client.expect(bgp.ROUTE_REFRESH))[1] for _ in range(2)}
        assert asked == {bytes([0, 1, 0, 1]), bytes([0, 2, 0, 1])}
        assert order(daemon, "clear", node(2), "--soft", "in")["refreshed"] is False
        assert "it has no ROUTE-REFRESH" in daemon.cli("clear", node(2), "--soft", "in").stdout
        await becomes(lambda: len(lines(daemon, "clear")), 3)
        assert [daemon.peer(number)["sessions"] for number in (0, 2)] == before
        assert not any(kind in (bgp.ROUTE_REFRESH, bgp.NOTIFICATION) for kind, _ in old.heard)
        assert network.legs(VIP) == {node(0)}
        assert network.legs(OTHER) == {node(2)}


async def test_soft_out_says_all_again(daemon: Routerd, network: Network) -> None:
    async with await announces(network, 0, VIP) as client:
        await becomes(lambda: [body for kind, body in client.heard if kind == bgp.UPDATE and len(body) > 20])
        (first,) = [body for kind, body in client.heard if kind == bgp.UPDATE and len(body) > 20]
        before = daemon.peer(0)["sessions"]
        order(daemon, "clear", node(0), "--soft", "out")
        await becomes(lambda: client.heard.count((bgp.UPDATE, first)), 2)
        assert daemon.peer(0)["sessions"] == before


# --------------------------------------------------------------------------------------------------------- shutdown


@pytest.mark.parametrize("graceful", [RESTARTS, SOFT], ids=["graceful restart", "N bit"])
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
        for _ in range(5):
            assert await refused(network, 1) == told(TEXT)
        peer, status = daemon.peer(1), daemon.status()
        assert (peer["state"], peer["totals"]["stale"]) == ("shutdown", 0)
        assert peer["shutdown"] is not None
        assert problems(daemon) == {}
        assert daemon.problems().keys() <= {"range 10.0.0.112/28"}  # not even w1, which is not there
        assert status["shutdowns"] == [peer["shutdown"]]
        (refusal,) = status["refusals"]
        assert (refusal["address"], refusal["notification"], refusal["count"]) == (node(1), "6/2 sent", 5)
        assert len(lines(daemon, "no session: the peer is shut down")) == 1
        assert not lines(daemon, "no session")
        shown = " ".join(daemon.cli("status").stdout.split())
        assert " established, 1 shut down" in shown
        assert f"shutdown w1 {node(1)} by {peer['shutdown']['by']}" in shown
        assert TEXT in shown
        assert TEXT in " ".join(daemon.cli("peers").stdout.split())
        assert order(daemon, "enable", node(1))["changed"] is True
        assert daemon.status()["refusals"] == []
    async with await announces(network, 1, VIP):
        assert daemon.peer(1)["shutdown"] is None


async def test_a_shutdown_outlives_a_kill_and_a_reload(daemon: Routerd, network: Network) -> None:
    """The node of the range never came: it is shut down all the same."""
    for name in ("w1", node(2)):
        assert daemon.cli("shutdown", name, "rack 7", "moves").returncode == 0
    assert await refused(network, 2) == told("rack 7 moves")
    assert daemon.peer(2)["state"] == "shutdown"
    config = daemon.config.read_text()
    for text in (config.replace(NAMED, ""), config.replace('"w1"', '"w2"')):  # one of the range, then of another name
        daemon.config.write_text(text)
        assert daemon.cli("reload").returncode == 0
        assert await refused(network, 1) == told("rack 7 moves")
    daemon.config.write_text(config)
    assert {view["name"] for view in daemon.status()["shutdowns"]} == {"w2", node(2)}
    assert daemon.cli("enable", "w2").stdout == f"w2 {node(1)} may have a session again\n"
    assert daemon.cli("enable", "w2").stdout == f"w2 {node(1)} is not shut down\n"
    before = daemon.status()["shutdowns"]
    daemon.kill()
    daemon.start()
    assert daemon.status()["shutdowns"] == before
    assert await refused(network, 2) == told("rack 7 moves")
    async with await announces(network, 1, VIP):
        assert daemon.peer(1)["state"] == "established"


async def test_shutdown_takes_out_what_is_left_of_a_node_that_is_away(daemon: Routerd, network: Network) -> None:
    async with await announces(network, 0, VIP, graceful=RESTARTS):
        pass
    await becomes(lambda: daemon.peer(0)["state"], "stale")
    assert network.legs(VIP) == {node(0)}
    assert order(daemon, "shutdown", node(0))["ended"] is False
    await becomes(lambda: network.route(VIP), "", 2)
    assert problems(daemon) == {}


async def test_nobody_waits_for_a_node_that_is_shut_down(daemon: Routerd, network: Network) -> None:
    """After a restart, of one that was shut down before (a crash between the file and the kernel), or is now."""
    async with await announces(network, 0, VIP), await announces(network, 3, OTHER):
        daemon.kill()
    file = daemon.config.parent / "drains.shutdowns.json"
    file.write_text(json.dumps({node(0): {"by": "somebody", "time": 0.0, "text": ""}}))
    daemon.start()
    await becomes(lambda: network.route(VIP), "", 2)
    await becomes(lambda: daemon.peer(3)["reason"], "has not returned since routerd started")
    assert network.legs(OTHER) == {node(3)}
    assert order(daemon, "shutdown", node(3))["ended"] is False
    await becomes(lambda: network.route(OTHER), "", 2)
    assert problems(daemon) == {}


async def test_shutdown_again_says_so_and_another_text_takes_its_place(daemon: Routerd, network: Network) -> None:
    done = daemon.cli("shutdown", "w1", "one")
    assert done.stdout == f"w1 {node(1)} is shut down: it gets no session, until routerd enable w1\n"
    for words in ((), ("one",)):
        assert "is shut down already, by root" in daemon.cli("shutdown", "w1", *words).stdout
        assert await refused(network, 1) == told("one")
    assert daemon.cli("shutdown", "w1", "--json", "two", "words").returncode == 0  # options stand anywhere
    assert await refused(network, 1) == told("two words")


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
    daemon.config.write_text(text)
    assert [view["address"] for view in daemon.status()["shutdowns"]] == [node(2)]
    assert order(daemon, "enable", node(2))["changed"] is True
    assert daemon.status()["shutdowns"] == []
    assert daemon.cli("reload").returncode == 0


async def test_a_file_that_is_damaged_or_cannot_be_written(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "routerd-test", disk], check=True)
    file = disk / "drains.shutdowns.json"
    file.write_text('{"10.0.0.65": {"by": "x"')
    try:
        with links() as made, running(made.router, tmp_path, configuration(disk)) as daemon:
            (what,) = problems(daemon).values()
            assert "no peer is shut down, whatever was before the start" in what
            assert f"it is kept as {file.with_suffix('.damaged')}" in what
            order(daemon, "enable", "w1")
            assert problems(daemon) == {}
            with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(b"x" * 1024)
            done = daemon.cli("shutdown", node(0), "x")
            reason = f"{file} cannot be written: No space left on device"
            assert done.returncode == 0
            assert done.stderr == f"routerd: not stored, a restart of routerd forgets it: {reason}\n"
            assert problems(daemon) == {"shutdowns": f"they will not outlive a restart of routerd: {reason}"}
            assert await refused(made, 0) == told("x")
            (disk / "filler").unlink()
            await becomes(lambda: problems(daemon), {})
            assert list(json.loads(file.read_text())) == [node(0)]
    finally:
        subprocess.run(["umount", disk], check=True)
