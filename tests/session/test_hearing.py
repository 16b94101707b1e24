"""What an established peer says is heard without a turn of its session's: nothing is lost or out of order by that."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from exabgp.bgp.message import NOP, Notify, Update
from exabgp.bgp.message import Notification as ExaNotification
from exabgp.logger import log
from exabgp.protocol.family import AFI
from exabgp.reactor.network.error import LostConnection

from routerd.core.message import Notification, RouteRefresh, SessionDown, SessionUp
from routerd.session.exabgp.connection import READ, Connection
from routerd.session.exabgp.peer import Peer
from routerd.session.exabgp.protocol import Protocol
from routerd.session.frames import Kind, RawUpdate, frame
from tests.session.harness import configuration, free_port, speaking
from tests.session.test_speaker import dial
from tests.support import bgp

UPDATE = bgp.update(bgp.attributes("127.0.0.2", [65001]), ["172.16.0.1/32"])
KEEPALIVE = bgp.message(bgp.KEEPALIVE)
RANGE = {"peers": [], "dynamic_peers": [{"range": "127.0.1.0/24", "group": "nodes", "limit": 9}]}


async def test_keepalives_alone_keep_a_session_and_are_answered_in_time() -> None:
    async with speaking(configuration(free_port(), {"hold_time": 3})) as running, await dial(running) as node:
        before, loop = len(node.heard), asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.sleep(7)  # what is counted is how many come in a time
        said = [kind for kind, _ in node.heard[before:]]
        assert set(said) == {bgp.KEEPALIVE}
        assert 5 <= len(said) <= loop.time() - begun + 1
        assert not running.all(SessionDown)


@pytest.mark.parametrize("message", [UPDATE, KEEPALIVE])
async def test_what_is_no_whole_message_does_not_renew_the_hold_timer(message: bytes) -> None:
    """It comes octet by octet, so that the socket speaks all the time."""
    async with speaking(configuration(free_port(), {"hold_time": 3})) as running:
        node = await bgp.connect("127.0.0.1", running.port, source="127.0.0.2")
        await node.establish(keepalive=False)
        await running.expect(SessionUp)
        begun = asyncio.get_running_loop().time()
        with contextlib.suppress(OSError):
            for octet in message[:-1]:
                node.send(bytes([octet]))
                await asyncio.sleep(4.5 / len(message))  # the node's pace
                if running.all(SessionDown):
                    break
        down = await running.expect(SessionDown)
        assert down.notification == Notification(True, 4, 0)
        assert 2.9 < asyncio.get_running_loop().time() - begun < 4.6
        assert not running.all(RawUpdate)
        await node.close()


async def test_messages_of_all_kinds_keep_their_order() -> None:
    refresh = bgp.message(bgp.ROUTE_REFRESH, b"\0\1\0\1")
    async with speaking(configuration(free_port())) as running, await dial(running) as node:
        up = await running.expect(SessionUp)
        parts = [(UPDATE * 3, 3), (KEEPALIVE, 0), (UPDATE, 1), (refresh, -1), (refresh, -1), (UPDATE, 1)]
        stream = b"".join(part for part, _ in parts) * 50
        for size in (len(stream), 4096, 37):
            running.heard.clear()
            for at in range(0, len(stream), size):
                node.send(stream[at : at + size])
                await asyncio.sleep(0)
            await running.until(lambda: len(running.heard) == 350)
            once = [RawUpdate] * 4 + [RouteRefresh] * 2 + [RawUpdate]
            assert [type(each) for each in running.heard] == once * 50
            assert {each.generation for each in running.all(RawUpdate)} == {up.generation}


@pytest.mark.parametrize(
    ("bad", "codes"),
    [
        (b"\xff" * 15 + b"\0\0\x13\4", (1, 1)),
        (bgp.MARKER + b"\0\x14\4\0", (1, 2)),
        (bgp.MARKER + b"\0\x12\2", (1, 2)),
        (bgp.MARKER + b"\xff\xff\2", (1, 2)),
        (bgp.MARKER + b"\0\x13\x09", (1, 3)),
        (bgp.open_message(), (5, 3)),
    ],
)
async def test_what_ends_the_session_behind_updates_is_answered(bad: bytes, codes: tuple[int, int]) -> None:
    async with speaking(configuration(free_port())) as running, await dial(running) as node:
        await running.expect(SessionUp)
        node.send(UPDATE * 5 + KEEPALIVE + UPDATE + bad + UPDATE)
        down = await running.expect(SessionDown)
        assert down.notification is not None
        assert (down.notification.sent, down.notification.code, down.notification.subcode) == (True, *codes)
        assert (await node.expect(bgp.NOTIFICATION))[1][:2] == bytes(codes)


@pytest.mark.parametrize("reset", [False, True])
async def test_the_end_of_the_connection_right_behind_updates(reset: bool) -> None:
    async with speaking(configuration(free_port())) as running:
        node = await dial(running)
        await running.expect(SessionUp)
        if reset:
            node.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        node.sock.send(UPDATE * 5)
        await node.close()
        down = await running.expect(SessionDown, 1)
        assert down.reason == f"connection lost: {'Connection reset by peer' if reset else 'closed by the peer'}"


async def test_who_floods_starves_nobody() -> None:
    async with (
        speaking(configuration(free_port(), {"hold_time": 3}, **RANGE)) as running,
        await dial(running, "127.0.1.1") as loud,
        await dial(running, "127.0.1.2") as quiet,
    ):
        loop, before = asyncio.get_running_loop(), len(quiet.heard)
        begun = loop.time()
        while loop.time() < begun + 7:
            loud.send(UPDATE * 2000)
            await loud.flushed()
            await asyncio.sleep(0)
            running.heard[:] = [each for each in running.heard if not isinstance(each, RawUpdate)]
        assert sum(kind == bgp.KEEPALIVE for kind, _ in quiet.heard[before:]) >= 5
        stranger = await bgp.connect("127.0.0.1", running.port, source="127.0.0.9")
        assert (await stranger.expect(bgp.NOTIFICATION))[1] == b"\6\3"
        await stranger.close()
        assert {down.peer for down in running.all(SessionDown)} <= {"127.0.0.9"}


# ------------------------------------------------------------------------------------------------- inside the child


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[socket.socket, Connection]]:
    """A peer's end of a TCP connection, and ours."""
    monkeypatch.setattr(log, "debug", staticmethod(lambda *_: None))
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as far:
        near, _ = listener.accept()
        near.setblocking(False)
        with near:
            yield far, Connection(AFI.ipv4, "127.0.0.1", "127.0.0.1", near)


def session(connection: Connection) -> tuple[Protocol, list[bytes]]:
    """Return an established session, and the frames that it passes up."""
    frames: list[bytes] = []
    proto = object.__new__(Protocol)
    proto.connection, proto.generation = connection, 7
    uplink = SimpleNamespace(full=False, updates=frames.extend)
    timer = SimpleNamespace(last_read=0)
    proto.peer = SimpleNamespace(reactor=SimpleNamespace(uplink=uplink), established=lambda: True, recv_timer=timer)
    return proto, frames


def arrive(far: socket.socket, data: bytes, connection: Connection) -> None:
    far.sendall(data)
    while not connection.readable():
        pass


def test_updates_ahead_of_a_malformed_message_count(ends: tuple[socket.socket, Connection]) -> None:
    far, connection = ends
    proto, frames = session(connection)
    arrive(far, UPDATE * 5 + KEEPALIVE + UPDATE + bgp.MARKER + b"\0\x14\4\0" + UPDATE, connection)
    assert not proto.hear()
    assert frames == [frame(Kind.UPDATE, 7, UPDATE[19:])] * 6
    with pytest.raises(Notify) as raised:
        next(proto.read_message())
    assert (raised.value.code, raised.value.subcode) == (1, 2)
    assert len(frames) == 6


def test_who_says_much_at_once_is_given_a_turn(ends: tuple[socket.socket, Connection]) -> None:
    """There may be more, and what comes from one peer together goes up together."""
    far, connection = ends
    proto, frames = session(connection)
    count = READ // len(UPDATE) + 1
    arrive(far, UPDATE * count, connection)
    while int.from_bytes(fcntl.ioctl(connection.fd(), termios.FIONREAD, bytes(4)), sys.byteorder) < READ:
        pass
    assert not proto.hear()
    assert len(frames) == count - 1
    assert next(proto.read_message()).TYPE == Update.TYPE
    assert len(frames) == count


def test_a_message_that_needs_a_turn_waits_for_it(ends: tuple[socket.socket, Connection]) -> None:
    far, connection = ends
    proto, frames = session(connection)
    arrive(far, UPDATE + bgp.notification(6, 2, b"why") + UPDATE, connection)
    assert not proto.hear()
    assert proto.peer.recv_timer.last_read > 0
    assert len(frames) == 1
    with pytest.raises(ExaNotification) as raised:
        next(proto.read_message())
    assert (raised.value.code, raised.value.subcode) == (6, 2)


def test_half_a_message_renews_nothing(ends: tuple[socket.socket, Connection]) -> None:
    far, connection = ends
    proto, frames = session(connection)
    arrive(far, UPDATE[:-1], connection)
    assert proto.hear()
    assert (frames, proto.peer.recv_timer.last_read) == ([], 0)
    arrive(far, UPDATE[-1:], connection)
    assert proto.hear()
    assert len(frames) == 1
    assert proto.peer.recv_timer.last_read > 0


def test_a_parent_that_is_behind_leaves_peers_unread_but_not_what_was_read(
    ends: tuple[socket.socket, Connection],
) -> None:
    far, connection = ends
    proto, frames = session(connection)
    refresh = bgp.message(bgp.ROUTE_REFRESH, b"\0\1\0\1")
    arrive(far, refresh + UPDATE, connection)
    refreshes: list[bytes] = []
    uplink = proto.peer.reactor.uplink
    uplink.refresh = lambda _, body: refreshes.append(body)
    assert not proto.hear()
    uplink.full = True
    assert next(proto.read_message()).TYPE == Update.TYPE
    assert refreshes == [refresh[19:]]
    messages = proto.read_message()
    assert next(messages).TYPE == Update.TYPE
    assert len(frames) == 1
    arrive(far, UPDATE, connection)
    proto.peer.recv_timer.last_read = 0
    assert not proto.hear()
    assert next(messages).TYPE == NOP.TYPE
    assert len(frames) == 1
    assert proto.peer.recv_timer.last_read > 0, "its bytes wait: it is alive"


def test_how_a_connection_was_lost_is_said_again(ends: tuple[socket.socket, Connection]) -> None:
    """The kernel tells once: who hears of it first is not who ends the session."""
    far, connection = ends
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()
    for _ in range(2):
        with pytest.raises(LostConnection, match="Connection reset by peer"):
            connection.receive()


def test_who_says_what_there_is_no_memory_for_loses_the_session_alone() -> None:
    def no_memory() -> bool:
        raise MemoryError

    said: list[tuple[int, int]] = []
    peer = SimpleNamespace(
        proto=SimpleNamespace(hear=no_memory),
        busy=False,
        cease=lambda notify, _: said.append((notify.code, notify.subcode)),
    )
    assert not Peer.hear(peer)  # type: ignore[arg-type]
    assert said == [(6, 8)]
