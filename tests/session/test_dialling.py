"""The router dials: peers that are there, are away, say no, or say nothing; and what the operator is told."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from routerd.config.model import Config
from routerd.core.message import SessionDown, SessionUp
from routerd.session.backoff import RESTARTING
from routerd.session.configuration import pack_config, unpack_config
from routerd.session.exabgp.dialler import CONNECT_WAIT, Dialler
from routerd.session.frames import Dialling, Down, RawUpdate
from tests.session.harness import Running, configuration, free_port, speaking
from tests.session.test_speaker_daemons import namespaces
from tests.support import bgp
from tests.support.netns import needs_root

PEER = "127.0.0.2"


def dialling(port: int, group: dict[str, Any] | None = None, **peer: Any) -> Config:
    """Return a configuration with a peer that is dialled."""
    return configuration(free_port(), group, peers=[_peer(port, **peer)])


def _peer(port: int, **peer: Any) -> dict[str, Any]:
    return {"name": "upstream", "address": PEER, "group": "nodes", "connect": True, "port": port} | peer


async def state(running: Running, words: str, peer: str = PEER) -> str:
    """Wait until the operator is told something about dialling; return all of it."""
    await running.until(lambda: words in told(running, peer))
    return told(running, peer)


def told(running: Running, peer: str = PEER) -> str:
    """Return what the operator is told."""
    found = running.speaker.state.dialled.get(peer)
    return "" if found is None else found.state


async def established(running: Running, listener: bgp.Listener) -> bgp.Client:
    """Return the next connection from the router once it is a session."""
    client = await listener.accept()
    before = len(running.all(SessionUp))
    await client.establish()
    await running.until(lambda: len(running.all(SessionUp)) > before)
    return client


async def test_a_peer_that_only_listens_has_a_session() -> None:
    port = free_port()
    with bgp.Listener(PEER, port) as listener:
        async with speaking(dialling(port, local_address="127.0.0.1")) as running:
            client = await listener.accept()
            assert client.sock.getpeername()[0] == "127.0.0.1"
            await client.expect(bgp.OPEN)  # ours comes first: the peer may be one that waits for it
            assert "waits for its OPEN" in await state(running, f"connected to {PEER} port {port} from 127.0.0.1")
            client.introduce()
            await client.expect(bgp.KEEPALIVE)
            client.send(bgp.message(bgp.KEEPALIVE) + bgp.end_of_rib())
            up = await running.expect(SessionUp)
            assert (up.peer, up.local, up.dynamic) == (PEER, "127.0.0.1", False)
            assert (await running.expect(RawUpdate)).generation == up.generation
            assert running.speaker.state.dialled == {}
            assert [kind for kind, _ in client.heard].count(bgp.OPEN) == 1
            await client.close()


async def test_a_peer_in_the_routers_own_as_is_dialled() -> None:
    port = free_port()
    with bgp.Listener(PEER, port, asn=64512) as listener:
        async with speaking(dialling(port, {"remote_as": "internal", "graceful_restart": True})) as running:
            await (await established(running, listener)).close()


@pytest.mark.alone
async def test_a_lost_session_is_dialled_again_soon() -> None:
    port = free_port()
    with bgp.Listener(PEER, port) as listener:
        async with speaking(dialling(port)) as running:
            client = await established(running, listener)
            lost = time.monotonic()
            await client.close()
            again = await established(running, listener)
            assert 0.7 < time.monotonic() - lost < 3
            await again.close()


@pytest.mark.alone
async def test_a_peer_that_is_away_is_dialled_until_it_is_back() -> None:
    port = free_port()
    async with speaking(dialling(port)) as running:
        await state(running, f"{PEER} port {port} refuses the connection")
        again = running.speaker.state.dialled[PEER].again_at
        assert again is not None
        assert again > time.monotonic()
        with bgp.Listener(PEER, port) as listener:
            client = await listener.accept()
            said = await state(running, "waits for its OPEN; the last attempt: ")
            assert said.endswith(f"{PEER} port {port} refuses the connection: nobody listens there")
            await client.establish()
            await running.expect(SessionUp)
            await client.close()
        assert running.speaker.state.refusals == ()  # nobody has dialled in


async def test_who_dials_in_need_not_be_dialled() -> None:
    port = free_port()
    async with speaking(dialling(port)) as running:
        await state(running, "refuses")
        async with await bgp.connect("127.0.0.1", running.port, source=PEER) as client:
            await client.establish()
            await running.expect(SessionUp)
            assert running.speaker.state.dialled == {}
            with bgp.Listener(PEER, port) as listener, pytest.raises(TimeoutError):
                await listener.accept(1.2)


async def test_a_connection_that_came_to_nothing_has_the_peer_dialled_at_once() -> None:
    """Somebody is there: a back-off that has grown counts no more."""
    port = free_port()
    async with speaking(dialling(port)) as running:
        await running.until(lambda: _left(running) > 2, 15)
        with bgp.Listener(PEER, port) as listener:
            await (await bgp.connect("127.0.0.1", running.port, source=PEER)).close()
            begun = time.monotonic()
            client = await listener.accept()
            assert time.monotonic() - begun < 1.5
            await client.close()


def _left(running: Running, peer: str = PEER) -> float:
    found = running.speaker.state.dialled.get(peer)
    return 0.0 if found is None or found.again_at is None else found.again_at - time.monotonic()


@needs_root
async def test_a_power_cycled_node_that_was_dialled_is_back_at_once() -> None:
    """Its kernel says that it has lost the session; graceful restart alone would not tell that from a collision."""
    port, graceful = free_port(), bgp.Graceful(families={bgp.IPV4: True, bgp.IPV6: True})
    with bgp.Listener(PEER, port, graceful=graceful) as listener:
        async with speaking(dialling(port, {"graceful_restart": True})) as running:
            client = await established(running, listener)
            first = await running.expect(SessionUp)
            await client.vanish()
            async with await bgp.connect("127.0.0.1", running.port, source=PEER, graceful=graceful) as back:
                await back.establish()
                second = await running.expect(SessionUp)
                down = await running.expect(SessionDown)
                assert (down.generation, down.notification) == (first.generation, None)
                assert second.generation > first.generation


SAYINGS = (
    (bgp.open_message(asn=64512), "NOTIFICATION 2/2 sent: Bad Peer AS (got AS 64512, expected any but 64512", True),
    (bgp.message(bgp.KEEPALIVE), "NOTIFICATION 5/1 sent", True),
    (bgp.notification(6, 5), "NOTIFICATION 6/5 received: Connection Rejected", True),
    (bgp.notification(2, 2), "NOTIFICATION 2/2 received", True),
    (bgp.notification(6, 7), "NOTIFICATION 6/7 received", False),
    (b"", "ends the connection before its OPEN", False),
)
"""What a peer says in place of a valid OPEN, what the operator reads, and whether it is left alone for a while."""


async def test_a_peer_that_says_no_is_dialled_later() -> None:
    """And the operator reads what it said, or what is wrong with it."""
    port = free_port()

    async def answer(listener: bgp.Listener, peer: str, what: tuple[bytes, str, bool]) -> None:
        said, words, slow = what
        async with await listener.accept() as client:
            client.send(said)
            if said:
                await client.flushed()
            if "received" not in words and said:
                await client.expect(bgp.NOTIFICATION)
        await state(running, words, peer)
        assert (_left(running, peer) > 5) == slow
        if slow:  # what comes to nothing on the peer's side changes nothing about that
            await (await bgp.connect("127.0.0.1", running.port, source=peer)).close()
            with pytest.raises(TimeoutError):
                await listener.accept(1.1)

    addresses = [f"127.0.0.{host}" for host in range(2, 2 + len(SAYINGS))]
    config = configuration(free_port(), peers=[_peer(port, address=each, name=f"n{each}n") for each in addresses])
    with ExitStack() as stack:
        listeners = [stack.enter_context(bgp.Listener(each, port)) for each in addresses]
        async with speaking(config) as running:
            cases = zip(listeners, addresses, SAYINGS, strict=True)
            await asyncio.gather(*(answer(*case) for case in cases))
            assert sorted(each.address for each in running.speaker.state.refusals) == addresses


async def test_a_reset_after_the_open_is_no_session() -> None:
    port = free_port()
    with bgp.Listener(PEER, port) as listener:
        async with speaking(dialling(port)) as running:
            client = await listener.accept()
            client.introduce()
            await client.expect(bgp.KEEPALIVE)
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            await client.close()
            await state(running, "connection lost")
            assert not running.all(SessionUp)
            await (await established(running, listener)).close()


async def test_a_source_address_that_is_not_there_is_named() -> None:
    async with speaking(dialling(free_port(), local_address="192.0.2.77")) as running:
        await state(running, f"this router has no address 192.0.2.77 to dial {PEER} from")


async def test_dialling_is_switched_on_and_off_without_a_reset() -> None:
    port = free_port()
    on = dialling(port)
    off = on.model_copy(update={"peers": (on.peers[0].model_copy(update={"connect": False}),)})
    elsewhere = on.model_copy(
        update={"peers": (on.peers[0].model_copy(update={"port": free_port(), "local_address": "127.0.0.9"}),)}
    )
    with bgp.Listener(PEER, port) as listener:
        async with speaking(off) as running:
            with pytest.raises(TimeoutError):
                await listener.accept(0.5)
            running.speaker.reconfigure(on)
            client = await established(running, listener)
            for config in (off, on, elsewhere, off, on):
                running.speaker.reconfigure(config)
                client.send(bgp.end_of_rib())
                await running.expect(RawUpdate)
            running.speaker.reconfigure(off)
            await client.close()
            await running.expect(SessionDown)
            with pytest.raises(TimeoutError):
                await listener.accept(1.1)
            assert running.speaker.state.dialled == {}
            running.speaker.reconfigure(on)
            await (await established(running, listener)).close()


async def test_a_change_while_the_open_is_awaited_has_the_peer_dialled_anew() -> None:
    port = free_port()
    with bgp.Listener(PEER, port) as listener:
        config = dialling(port)
        async with speaking(config) as running:
            client = await listener.accept()
            await client.expect(bgp.OPEN)
            group = config.peer_groups["nodes"].model_copy(update={"hold_time": 33})
            running.speaker.reconfigure(config.model_copy(update={"peer_groups": {"nodes": group}}))
            assert (await client.expect(bgp.NOTIFICATION))[1] == b"\6\6"
            again = await listener.accept()
            assert (await again.expect(bgp.OPEN))[1][3:5] == b"\0\x21"
            await client.close()
            await again.close()


@needs_root
@pytest.mark.parametrize("peer", ["10.9.0.2", "fd00:9::2"])
@pytest.mark.parametrize(
    "group", [{"password": "secret", "ttl_security": True}, {"multihop": 7}], ids=["guarded", "far"]
)
async def test_what_a_connection_has_to_be(peer: str, group: dict[str, Any]) -> None:
    """TCP MD5 and the TTL are as on a connection that the peer has opened."""
    config = dialling(1790, group, address=peer)
    config = config.model_copy(update={"router": config.router.model_copy(update={"listen": ("0.0.0.0", "::")})})
    with namespaces() as (router, node), router.enter():
        with node.enter():
            local = peer.removesuffix("2") + "1"
            listener = bgp.Listener(peer, 1790, password=(local, "secret") if "password" in group else None)
        level, ttl, least = (41, 16, 73) if ":" in peer else (0, 2, 21)
        if "ttl_security" in group:
            listener.sock.setsockopt(level, ttl, 255)
            listener.sock.setsockopt(level, least, 255)
        with listener:
            async with speaking(config) as running:
                client = await established(running, listener)
                assert (await running.expect(SessionUp)).local == local
                await client.close()


@needs_root
async def test_a_peer_that_is_too_far_away_is_not_reached() -> None:
    """Its SYN-ACK has a TTL that says so."""
    config = dialling(1790, {"ttl_security": True}, address="10.9.0.2")
    with namespaces() as (router, node), router.enter():
        with node.enter():
            listener = bgp.Listener("10.9.0.2", 1790)
        with listener:
            async with speaking(config) as running:
                await state(running, "connecting to 10.9.0.2", "10.9.0.2")
                with pytest.raises(TimeoutError):
                    await listener.accept(1.1)


class Silence:
    """A reactor around a dialler whose peer says nothing."""

    def __init__(self, config: Config) -> None:
        self.config = unpack_config(pack_config(config))
        self.said: list[Dialling] = []
        self.uplink = SimpleNamespace(dialling=self.said.append)
        self.turns = self
        self.polled: set[int] = set()
        self.shut: dict[str, bytes] = {}

    def peer_at(self, _: str) -> Any:
        """Return a peer without a session."""
        return SimpleNamespace(proto=None, stopping=lambda: False)

    def poll(self, fd: int, *, output: bool = False) -> None:
        """Note what is listened to."""
        self.polled.add(fd)

    def unpoll(self, fd: int) -> None:
        """Note that it is not any more."""
        self.polled.remove(fd)


def test_a_syn_without_an_answer_is_given_up() -> None:
    port = free_port()
    reactor = Silence(dialling(port))
    dialler = Dialler(reactor)
    with bgp.Listener(PEER, port) as listener, socket.create_connection((PEER, port)):
        listener.sock.listen(0)  # it has no room for another one: the kernel drops the SYN
        dialler.configure(reactor.config, 100.0)
        assert dialler.next == 100.0
        dialler.turn([], 100.0)
        assert (dialler.next, len(reactor.polled)) == (100.0 + CONNECT_WAIT, 1)
        dialler.turn([], 100.0 + CONNECT_WAIT)
        assert reactor.polled == set()
        assert reactor.said[-1].state.startswith("no answer from 127.0.0.2 port")
        assert reactor.said[-1].failed
        assert dialler.next is not None
        assert 110.7 < dialler.next <= 111.0
        for _ in range(20):
            dialler.turn([], dialler.next)
        assert dialler.next is not None
        assert len(reactor.polled) <= 1
        dialler.drop(PEER, dialler.next)


def test_an_answer_in_time_counts_though_nobody_has_looked() -> None:
    port = free_port()
    reactor = Silence(dialling(port))
    dialler = Dialler(reactor)
    dialler.configure(reactor.config, 100.0)
    dialler.turn([], 100.0)
    dialler.turn([], 100.0 + CONNECT_WAIT)
    assert reactor.said[-1].state == f"{PEER} port {port} refuses the connection: nobody listens there"


def test_a_peer_that_restarts_gracefully_is_not_waited_for_long() -> None:
    """Else its stale paths might go while it is back already, and the router has not looked."""
    reactor = Silence(dialling(free_port()))
    dialler, gaps = Dialler(reactor), []
    dialler.configure(reactor.config, 0.0)
    dialler.ended(PEER, Down(PEER, "connection lost", None, True), 100.0, 0.0, awaited=100)
    while (now := dialler.next or math.inf) < 300:
        dialler.turn([], now)  # a SYN, or its end
        if not reactor.polled:
            gaps.append((now, (dialler.next or math.inf) - now))
    dialler.drop(PEER, 300.0)  # on a busy machine the kernel may not have answered the last SYN yet
    assert max(gap for when, gap in gaps if when < 100) <= RESTARTING
    assert max(gap for when, gap in gaps if when >= 100) > 8


def test_without_its_key_no_peer_is_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that takes no TCP MD5 key must not leave the session without one."""
    monkeypatch.setattr("routerd.session.exabgp.dial.md5sig", lambda *_: b"no key")
    port = free_port()
    reactor = Silence(dialling(port, {"password": "secret"}))
    dialler = Dialler(reactor)
    with bgp.Listener(PEER, port) as listener:
        dialler.configure(reactor.config, 1.0)
        dialler.turn([], 1.0)
        assert reactor.polled == set()
        assert reactor.said[-1].state == f"no connection to {PEER} port {port}: Invalid argument"
        with pytest.raises(BlockingIOError):
            listener.sock.accept()


def test_a_dial_is_given_up_with_its_peer() -> None:
    reactor = Silence(dialling(free_port()))
    dialler = Dialler(reactor)
    dialler.configure(reactor.config, 1.0)
    dialler.turn([], 1.0)
    dialler.configure(reactor.config._replace(peers=()), 2.0)
    assert (reactor.polled, dialler.next, reactor.said[-1]) == (set(), None, Dialling(PEER, ""))
