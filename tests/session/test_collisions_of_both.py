"""Both sides dial at once (RFC 4271 section 6.8): one session comes of it, whoever is first, without a detour."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from routerd.config.model import Config
from routerd.core.message import SessionDown, SessionUp
from routerd.core.route import parse_address
from routerd.session.exabgp.dial import Dial
from routerd.session.exabgp.dialler import PRECEDENCE, Dialler
from routerd.session.frames import RawUpdate
from tests.session.harness import Running, configuration, free_port, speaking
from tests.support import bgp

PEERS = 28
"""Of either order of the identifiers: with each way of both speakers they make two of every pattern."""
ROUTER_ID = "10.0.0.100"
PEER_ADDRESS = "127.0.0.2"
GRACEFUL = bgp.Graceful(families={bgp.IPV4: True, bgp.IPV6: True})
CEASE = bgp.notification(6, 7)


class Node:
    """A node with two connections: "theirs" the router has dialled, "own" it has dialled itself.

    One that `follows` RFC 4271 section 6.8 closes what has to go; another one leaves that to the router.
    """

    def __init__(self, identifier: str, *, follows: bool) -> None:
        self.dominates = tuple(map(int, identifier.split("."))) > tuple(map(int, ROUTER_ID.split(".")))
        self.follows = follows
        self.connections: dict[str, bgp.Client] = {}
        self.states: dict[str, str] = {}
        self.delays: dict[str, float] = {}
        self.changed = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def serve(self, name: str, client: bgp.Client, delay: float) -> None:
        """Bring a connection as far as it goes. What we say takes `delay` seconds to the router."""
        self.connections[name], self.states[name], self.delays[name] = client, "sent", delay
        self._say(name, client.hello)
        try:
            while self.states[name] != "closed":
                kind, _ = await client.next()
                if kind == bgp.OPEN:
                    self._opened(name)
                elif kind == bgp.KEEPALIVE and self.states[name] == "confirm":
                    self.states[name] = "established"
                    if self.follows:
                        self._end(_other(name))
                elif kind == bgp.NOTIFICATION:
                    self._end(name)
                self.changed.set()
        except bgp.ClosedError:
            self.states[name] = "closed"
            self.changed.set()

    def _opened(self, name: str) -> None:
        other = self.states.get(_other(name), "")
        if self.follows and other == "established":
            self._end(name)
        elif self.follows and other == "confirm":
            self._end("theirs" if self.dominates else "own")
        if self.states[name] == "sent":
            self.states[name] = "confirm"
            self._say(name, bgp.message(bgp.KEEPALIVE))

    def _say(self, name: str, data: bytes) -> None:
        asyncio.get_running_loop().call_later(self.delays[name], self.connections[name].send, data)

    def _end(self, name: str) -> None:
        if self.states.get(name, "closed") != "closed":
            self.states[name] = "closed"
            self._say(name, CEASE)

    async def settled(self) -> str:
        """Wait until one connection is a session and the other one is gone; return which."""
        async with asyncio.timeout(12):
            while sorted(self.states.values()) != ["closed", "established"]:
                self.changed.clear()
                await self.changed.wait()
        return next(name for name, state in self.states.items() if state == "established")


def _other(name: str) -> str:
    return "own" if name == "theirs" else "theirs"


def address(number: int) -> str:
    """Return the address of a node."""
    return f"127.0.2.{number}"


def identifier(number: int) -> str:
    """Return the identifier of a node: of one half they are below the router's, of the other half above."""
    return f"10.0.0.{number}" if number <= PEERS else f"10.0.1.{number}"


def peers(port: int) -> list[dict[str, Any]]:
    """Return the peers: their port is the node's."""
    return [
        {"name": f"n{i}", "address": address(i), "group": "nodes", "connect": True, "port": port}
        for i in range(1, 2 * PEERS + 1)
    ]


PATTERNS = tuple(itertools.product((True, False), ((0.0, 0.0), (0.05, 0.0), (0.0, 0.05), (0.2, 0.0), (0.0, 0.2))))
"""Whether the node follows the RFC; the seconds that its words take on the router's connection, and on its own."""


async def collide(running: Running, listener: bgp.Listener, number: int) -> tuple[Node, str]:
    """Have the node and the router dial each other; return whose connection is the session."""
    follows, (late_theirs, late_own) = PATTERNS[number % len(PATTERNS)]
    node = Node(identifier(number), follows=follows)
    theirs = await listener.accept(30)
    own = await bgp.connect(
        "127.0.0.1", running.port, source=address(number), router_id=identifier(number), graceful=GRACEFUL
    )
    serving = [node.serve("theirs", theirs, late_theirs), node.serve("own", own, late_own)]
    node.tasks = [asyncio.create_task(each) for each in serving]
    winner = await node.settled()
    await running.until(lambda: address(number) in [up.peer for up in running.all(SessionUp)])
    node.connections[winner].send(bgp.end_of_rib())
    await running.until(lambda: address(number) in [update.peer for update in running.all(RawUpdate)])
    return node, winner


@pytest.mark.parametrize("graceful", [False, True], ids=["plain", "graceful restart"])
async def test_one_session_comes_of_two_connections(graceful: bool) -> None:
    """With graceful restart the second connection could be taken for a restart of the node."""
    port, numbers = free_port(), range(1, 2 * PEERS + 1)
    with ExitStack() as stack:
        listeners = [
            stack.enter_context(bgp.Listener(address(n), port, router_id=identifier(n), graceful=GRACEFUL))
            for n in numbers
        ]
        config = configuration(free_port(), {"graceful_restart": graceful}, peers=peers(port))
        async with speaking(config) as running:
            found = await asyncio.gather(*map(collide, itertools.repeat(running), listeners, numbers))
            assert [down for down in running.all(SessionDown) if down.notification is None] == []
            assert sorted(up.peer for up in running.all(SessionUp)) == sorted(map(address, numbers))
            assert {winner for _, winner in found} == {"own", "theirs"}
            assert running.speaker.state.dialled == {}
            for node, winner in found:
                assert node.states == {winner: "established", _other(winner): "closed"}
                for task in node.tasks:
                    task.cancel()
                await asyncio.gather(*node.tasks, return_exceptions=True)
                for client in node.connections.values():
                    await client.close()


def one(identifier: str, port: int) -> tuple[Config, bgp.Listener]:
    """Return a configuration with one peer that is dialled, and the peer."""
    return configuration(free_port(), peers=peers(port)[:1]), bgp.Listener(address(1), port, router_id=identifier)


async def both(running: Running, listener: bgp.Listener, identifier: str) -> tuple[bgp.Client, bgp.Client]:
    """Return the router's connection, on which its OPEN has come, and the node's, on which its OPEN has gone."""
    theirs = await listener.accept()
    await theirs.expect(bgp.OPEN)
    own = await bgp.connect("127.0.0.1", running.port, source=address(1), router_id=identifier)
    own.introduce()
    return theirs, own


async def test_a_connection_that_the_node_has_given_up_does_not_win() -> None:
    """With the higher identifier it would, were it not closed behind its OPEN: the node wants the other one."""
    config, listener = one("10.0.1.1", free_port())
    with listener:
        async with speaking(config) as running:
            theirs = await listener.accept()
            await theirs.expect(bgp.OPEN)
            pid = running.speaker.state.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)  # it hears of both at once
            with socket.create_connection(("127.0.0.1", running.port), source_address=(address(1), 0)) as own:
                own.sendall(bgp.open_message(router_id="10.0.1.1"))
            os.kill(pid, signal.SIGCONT)
            theirs.introduce()
            await theirs.expect(bgp.KEEPALIVE)
            theirs.send(bgp.message(bgp.KEEPALIVE))
            await running.expect(SessionUp)
            await theirs.close()


async def test_what_has_waited_is_let_in_when_the_routers_own_fails() -> None:
    """Without a further connection."""
    config, listener = one("10.0.0.1", free_port())
    with listener:
        async with speaking(config) as running:
            theirs, own = await both(running, listener, "10.0.0.1")
            with pytest.raises(TimeoutError):
                await own.expect(bgp.OPEN, 0.3)
            await theirs.close()
            await own.expect(bgp.OPEN, 1.0)
            own.send(bgp.message(bgp.KEEPALIVE))
            await running.expect(SessionUp)
            await own.close()


@pytest.mark.parametrize("own_identifier", ["10.0.0.1", "10.0.0.200"])
async def test_two_routers_dial_each_other(own_identifier: str) -> None:
    """Both wait with their OPEN for that of who has dialled, and dial; also when one comes back."""
    here, there = free_port(), free_port()
    first = configuration(here, peers=[_router(PEER_ADDRESS, there, "127.0.0.1")])
    second = configuration(there, peers=[_router("127.0.0.1", here, PEER_ADDRESS)])
    router = second.router.model_copy(
        update={"asn": 65001, "router_id": own_identifier, "listen": (PEER_ADDRESS,), "port": there}
    )
    second = second.model_copy(update={"router": router})
    async with speaking(first) as one_side, speaking(second) as other_side:
        for number in (1, 2):
            if number > 1:
                pid = other_side.speaker.state.pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
            sides = (one_side, other_side)
            for side in sides:
                await side.expect(SessionUp)
                assert len(side.all(SessionUp)) == number
                assert side.speaker.state.dialled == {}


def _router(address: str, port: int, local: str) -> dict[str, Any]:
    return {
        "name": "router", "address": address, "group": "nodes", "connect": True, "port": port, "local_address": local,
    }  # fmt: skip


class Dialled:
    """A reactor around a dialler that waits for its peer's OPEN."""

    def __init__(self, router_id: str, asn: int) -> None:
        self.config = SimpleNamespace(router=SimpleNamespace(router_id=router_id, asn=asn))
        self.dialler = Dialler(self)
        dial = Dial(SimpleNamespace(address="10.0.0.2"), None)  # type: ignore[arg-type]
        dial.proto, dial.connected = SimpleNamespace(), 100.0  # type: ignore[assignment]
        self.dialler._dials["10.0.0.2"] = dial

    def peer_at(self, _: str) -> object:
        """Return a peer without a session."""
        return SimpleNamespace(proto=None)

    def precedes(self, router_id: str, asn: int, now: float = 100.0) -> bool:
        """Tell whether the router's connection does."""
        opened = SimpleNamespace(router_id=parse_address(router_id), asn=asn)
        return self.dialler.precedes("10.0.0.2", opened, now)  # type: ignore[arg-type]


def test_whose_connection_comes_first() -> None:
    """The higher identifier's, as a number; of equal ones the higher AS's (RFC 6286 section 2.3); not for ever."""
    router = Dialled("10.0.0.100", 65000)
    assert router.precedes("10.0.0.99", 4200000000)
    assert router.precedes("9.255.255.255", 1)
    assert not router.precedes("10.0.0.101", 1)
    assert not router.precedes("192.0.2.1", 1)
    assert router.precedes("10.0.0.100", 64999)
    assert not router.precedes("10.0.0.100", 65001)
    assert router.precedes("10.0.0.99", 1, 100.0 + PRECEDENCE - 0.1)
    assert not router.precedes("10.0.0.99", 1, 100.0 + PRECEDENCE)
    assert not router.dialler.precedes("10.0.0.3", SimpleNamespace(), 100.0)  # type: ignore[arg-type]
