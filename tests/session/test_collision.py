"""Connections beside a session: none of them touches it, but for the one that takes its place by right."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios

import pytest

from routerd.core.message import Notification, SessionDown, SessionUp
from routerd.session.exabgp.pending import OPEN_WAIT, PER_ADDRESS
from routerd.session.frames import RawUpdate
from tests.session.harness import ROUTER_AS, Running, configuration, free_port, speaking
from tests.support import bgp
from tests.support.netns import needs_root

NODE = "127.0.0.2"
RANGE = {"peers": [], "dynamic_peers": [{"range": "127.0.1.0/24", "group": "nodes", "limit": 2}]}
GRACEFUL = {"graceful_restart": True}
KEEPS = bgp.Graceful(families={bgp.IPV4: True, bgp.IPV6: True})
COLLISION = b"\6\7"


async def connect(running: Running, source: str = NODE, **options: object) -> bgp.Client:
    """Return a connection on which nothing has been said."""
    return await bgp.connect("127.0.0.1", running.port, source=source, **options)  # type: ignore[arg-type]


async def dial(running: Running, source: str = NODE, **options: object) -> bgp.Client:
    """Return a client whose session is established."""
    node = await connect(running, source, **options)
    before = len(running.all(SessionUp))
    await node.establish()
    await running.until(lambda: len(running.all(SessionUp)) > before)
    return node


async def lives(running: Running, node: bgp.Client) -> None:
    """Check that a session is there and takes UPDATEs, and that none has ended."""
    node.send(bgp.end_of_rib())
    await running.expect(RawUpdate)
    up = running.all(SessionUp)[-1]
    assert [down for down in running.all(SessionDown) if down.generation == up.generation] == []


OTHER_WORDS = (
    ("HTTP", b"GET / HTTP/1.0\r\nHost: router\r\n\r\n", b"\1\1"),
    ("KEEPALIVE", bgp.message(bgp.KEEPALIVE), b"\5\1\4"),
    ("UPDATE", bgp.update(), b"\5\1\2"),
    ("no type", bgp.open_message()[:18] + b"\x09", b"\1\3\x09"),
    ("too long", bgp.MARKER + b"\x10\1\1", b"\1\2\x10\1"),  # 4097 bytes
    ("AS", bgp.open_message(asn=ROUTER_AS), b"\2\2"),
    ("identifier", bgp.open_message(router_id="0.0.0.0"), b"\2\3"),
    ("hold time", bgp.open_message(hold=2), b"\2\6"),
    ("version", bgp.open_message()[:19] + b"\3" + bgp.open_message()[20:], b"\2\1\0\4"),
)
"""What a newcomer says instead of a valid OPEN, and the answer."""


def unread(node: bgp.Client) -> int:
    """Return how many bytes wait to be read by a client."""
    (count,) = struct.unpack("=i", fcntl.ioctl(node.sock, termios.FIONREAD, bytes(4)))
    return int(count)


@pytest.mark.parametrize("graceful", [False, True], ids=["plain", "graceful restart"])
async def test_a_newcomer_without_a_valid_open_is_answered(graceful: bool) -> None:
    config = configuration(free_port(), {"graceful_restart": graceful})
    async with speaking(config) as running, await dial(running, graceful=KEEPS if graceful else None) as node:
        for what, said, answer in OTHER_WORDS:
            async with await connect(running) as other:
                other.send(said)
                assert (await other.expect(bgp.NOTIFICATION))[1] == answer, what
                await other.closed()
        await lives(running, node)
        await running.until(lambda: sum(e.count for e in running.speaker.state.refusals) == len(OTHER_WORDS))


async def test_a_connection_that_closes_at_once_is_nothing() -> None:
    async with speaking(configuration(free_port())) as running, await dial(running) as node:
        for _ in range(20):
            await (await connect(running)).close()
        await lives(running, node)
        assert running.speaker.state.refusals == ()
        assert len(running.all(SessionDown)) == 0


async def test_an_established_session_is_kept() -> None:
    """RFC 4271 section 6.8, whatever the identifiers are."""
    async with speaking(configuration(free_port())) as running, await dial(running, router_id="10.0.0.2") as node:
        for identifier in ("10.0.0.1", "10.0.0.2", "10.0.0.200"):
            async with await connect(running, router_id=identifier) as other:
                other.introduce()
                assert (await other.expect(bgp.NOTIFICATION))[1] == COLLISION
                await other.closed()
        await lives(running, node)
        await running.until(lambda: [each.count for each in running.speaker.state.refusals] == [3])


async def test_a_session_without_a_family_in_graceful_restart_is_kept() -> None:
    config = configuration(free_port(), GRACEFUL)
    async with speaking(config) as running, await dial(running, graceful=bgp.Graceful(families={})) as node:
        async with await connect(running) as other:
            other.introduce()
            assert (await other.expect(bgp.NOTIFICATION))[1] == COLLISION
        await lives(running, node)


async def test_another_speaker_replaces_no_graceful_session() -> None:
    """With another identifier it is no restart of the node's speaker."""
    async with speaking(configuration(free_port(), GRACEFUL)) as running, await dial(running, graceful=KEEPS) as node:
        async with await connect(running, router_id="10.0.0.77", graceful=KEEPS) as other:
            other.introduce()
            assert (await other.expect(bgp.NOTIFICATION))[1] == COLLISION
        await lives(running, node)


@pytest.mark.parametrize("source", [NODE, "127.0.1.9"], ids=["static", "dynamic"])
async def test_a_restarted_node_replaces_its_graceful_session(source: str) -> None:
    """RFC 4724 section 5: the old connection ends without a NOTIFICATION, for both sides."""
    config = configuration(free_port(), GRACEFUL, dynamic_peers=RANGE["dynamic_peers"])
    async with speaking(config) as running, await dial(running, source, graceful=KEEPS) as old:
        first = await running.expect(SessionUp)
        async with await dial(running, source, graceful=KEEPS) as new:
            second = await running.expect(SessionUp)
            await old.closed()
            assert bgp.NOTIFICATION not in [kind for kind, _ in old.heard]
            (down,) = running.all(SessionDown)
            assert (down.generation, down.notification) == (first.generation, None)
            assert (second.generation > first.generation, second.dynamic) == (True, source != NODE)
            await lives(running, new)


async def test_of_two_connections_before_the_session_the_newer_one_stays() -> None:
    """A speaker that dials again has given up the older connection; one with a lower identifier is another."""
    config = configuration(free_port())
    async with speaking(config) as running, await connect(running, router_id="10.0.0.2") as first:
        first.introduce()
        await first.expect(bgp.OPEN)
        async with await connect(running, router_id="10.0.0.1") as lower:
            lower.introduce()
            assert (await lower.expect(bgp.NOTIFICATION))[1] == COLLISION
        async with await dial(running, router_id="10.0.0.2") as again:
            assert (await first.expect(bgp.NOTIFICATION))[1] == COLLISION
            await lives(running, again)


async def test_an_open_in_pieces_is_an_open() -> None:
    async with speaking(configuration(free_port())) as running, await connect(running) as node:
        for byte in bgp.open_message() + bgp.message(bgp.KEEPALIVE):
            node.send(bytes([byte]))
            await asyncio.sleep(0)
        await running.expect(SessionUp)
        await lives(running, node)


async def test_connections_without_an_open_are_few_and_do_not_count() -> None:
    """They take no place of the range, the oldest of an address leave, and all end after a while."""
    async with speaking(configuration(free_port(), **RANGE)) as running:
        silent = [await connect(running, f"127.0.1.{host}") for host in (1, 2, 3, 4)]
        crowd = [await connect(running, "127.0.1.9") for _ in range(PER_ADDRESS + 2)]
        for early in crowd[:2]:
            assert (await early.expect(bgp.NOTIFICATION))[1] == b"\6\5"
        async with await dial(running, "127.0.1.9") as node, await dial(running, "127.0.1.8"):
            await running.expect(SessionUp)
            await running.expect(SessionUp)
            for late in (*silent, *crowd[3:]):
                assert (await late.expect(bgp.NOTIFICATION, OPEN_WAIT + 5))[1] == b"\4\0"
                await late.closed()
            await lives(running, node)
        assert {down.peer for down in running.all(SessionDown)} <= {f"127.0.1.{host}" for host in (1, 2, 3, 4, 8, 9)}
        for each in (*silent, *crowd):
            await each.close()


async def test_a_newcomer_does_not_feed_the_hold_timer() -> None:
    """It says a lot, and the session that says nothing ends on time."""
    async with speaking(configuration(free_port(), {"hold_time": 3})) as running:
        node = await connect(running)
        await node.establish(keepalive=False)
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with await connect(running) as other:
            while not node.heard or node.heard[-1][0] != bgp.NOTIFICATION:
                other.send(b"\xff")
                await asyncio.sleep(0.1)
                assert loop.time() - started < 20
        assert node.heard[-1] == (bgp.NOTIFICATION, b"\4\0")
        await running.until(lambda: Notification(True, 4, 0) in [d.notification for d in running.all(SessionDown)])
        await node.close()


@needs_root
@pytest.mark.parametrize(("source", "hold"), [(NODE, 90), ("127.0.1.9", 0)], ids=["static", "dynamic, no hold time"])
async def test_a_power_cycled_node_is_back_at_once(source: str, hold: int) -> None:
    """Its kernel does not know the old connection, and says so when it is asked: no hold time locks it out."""
    config = configuration(free_port(), dynamic_peers=RANGE["dynamic_peers"])
    async with speaking(config) as running:
        old = await dial(running, source, hold=hold)
        first = await running.expect(SessionUp)
        await old.vanish()
        async with await dial(running, source, hold=hold) as new:
            second = await running.expect(SessionUp)
            down = await running.expect(SessionDown)
            assert (down.generation, down.notification) == (first.generation, None)
            assert second.generation > first.generation
            await lives(running, new)


async def test_a_session_that_proves_nothing_keeps_its_place() -> None:
    """Its node takes nothing more, and may be alive: the newcomer leaves when its time is over, the session stays."""
    async with speaking(configuration(free_port())) as running, await dial(running, hold=90) as node:
        up = await running.expect(SessionUp)
        node.reading.clear()
        running.speaker.send(up.peer, up.generation, bgp.update(bgp.attributes("127.0.0.1", [1] * 200)) * 20_000)
        await running.until(lambda: unread(node))
        async with await connect(running) as other:
            other.introduce()
            assert (await other.expect(bgp.NOTIFICATION, OPEN_WAIT + 5))[1] == COLLISION
            node.reading.set()
        await lives(running, node)
