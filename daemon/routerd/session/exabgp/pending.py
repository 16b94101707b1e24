"""Connections that have not sent an OPEN yet, or whose OPEN has to wait for the session that stands.

Anybody may dial from a node's address: a port scan, a pod that is masqueraded, a second speaker. None of them may
touch the node's session, so a newcomer stands aside until it has sent an OPEN that is valid for the peer. Only then
do we send ours: this is the DelayOpen of RFC 4271 section 8.1.1, with NOTIFICATIONs without an OPEN.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from exabgp.bgp.message import Notify
from exabgp.reactor.network.error import LostConnection

from routerd.core.message import Open
from routerd.session.exabgp.connection import Connection
from routerd.session.exabgp.greeting import read_open
from routerd.session.open import OpenError

OPEN_WAIT = 10.0
"""Seconds until a connection must have sent its OPEN, and be let in."""

PER_ADDRESS = 4
IN_ALL = 1024
"""Connections that may wait; beyond that the oldest ones leave, for a speaker sends its OPEN at once."""


@dataclass(slots=True, eq=False)
class Newcomer:
    """A connection that stands aside, until `deadline`; `opened` is its OPEN once that came and was valid."""

    connection: Connection
    deadline: float
    opened: Open | None = None
    probing: bool = False


class Pending:
    """The connections that stand aside. `reactor` judges their OPENs and takes them in."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._newcomers: dict[int, Newcomer] = {}  # file descriptor -> newcomer, oldest first
        self._colliding: set[int] = set()

    @property
    def colliding(self) -> bool:
        """Whether a valid OPEN waits for another connection to prove that it lives."""
        return bool(self._colliding)

    @property
    def waiting(self) -> bool:
        """Whether any connection stands aside."""
        return bool(self._newcomers)

    def __contains__(self, fd: int) -> bool:
        return fd in self._newcomers

    def add(self, connection: Connection, now: float) -> None:
        """Have a connection wait for its OPEN."""
        same = [each for each in self._newcomers.values() if each.connection.peer == connection.peer]
        if len(same) >= PER_ADDRESS:
            self._make_room(same[0], PER_ADDRESS, now)
        elif len(self._newcomers) >= IN_ALL:
            self._make_room(next(iter(self._newcomers.values())), IN_ALL, now)
        self._newcomers[connection.fd()] = Newcomer(connection, now + OPEN_WAIT)
        self._reactor.turns.poll(connection.fd())

    def _make_room(self, oldest: Newcomer, limit: int, now: float) -> None:
        """Have the oldest one leave, unless it goes by itself at a last look: closed, or let in."""
        fd = oldest.connection.fd()
        self._look(oldest, now)
        if self._newcomers.get(fd) is oldest:
            self._refuse(oldest, Notify(6, 5, b""), f"more than {limit} connections without an OPEN")

    def turn_away(self, address: str, notify: Any) -> None:
        """End all connections from an address."""
        for newcomer in list(self._newcomers.values()):
            if newcomer.connection.peer == address:
                self._refuse(newcomer, notify, "")

    def turn(self, ready: Iterable[int], now: float) -> None:
        """Look at the newcomers whose sockets have something, and at those that wait for another connection."""
        for fd in {*ready, *self._colliding}:
            if (newcomer := self._newcomers.get(fd)) is not None:
                self._look(newcomer, now)

    def sweep(self, now: float) -> None:
        """Look at all of them, and end those that took too long."""
        for newcomer in list(self._newcomers.values()):
            fd = newcomer.connection.fd()
            self._look(newcomer, now)
            if newcomer.deadline <= now and self._newcomers.get(fd) is newcomer:
                if newcomer.opened is None:
                    self._refuse(newcomer, Notify(4, 0, b""), f"no OPEN within {OPEN_WAIT:g} s")
                else:
                    self._collided(newcomer)

    def _look(self, newcomer: Newcomer, now: float) -> None:
        """Look at a newcomer; what there is no memory for costs it its connection, and no other one anything."""
        fd = newcomer.connection.fd()
        try:
            self._examine(newcomer, now)
        except MemoryError:
            if self._newcomers.get(fd) is newcomer:
                self._refuse(newcomer, Notify(6, 8, b""), "out of memory")
            newcomer.connection.close()

    def _examine(self, newcomer: Newcomer, now: float) -> None:
        try:
            if newcomer.opened is None:
                newcomer.opened = read_open(newcomer.connection, self._reactor.judge)
            if newcomer.opened is None:
                return
            if newcomer.connection.hung_up:  # it may be one that has lost a collision on the peer's side
                raise LostConnection("closed by the peer")
        except LostConnection:
            self._release(newcomer)
            newcomer.connection.close()
            self._reactor.dialler.hurry(newcomer.connection.peer, now)
        except OpenError as error:
            self._refuse(newcomer, Notify(2, error.subcode, error.data), str(error))
        except Notify as notify:
            self._refuse(newcomer, notify, "")
        else:
            self._meet(newcomer, now)

    def _meet(self, newcomer: Newcomer, now: float) -> None:
        """Let a newcomer with a valid OPEN in, unless another connection of the peer keeps its place.

        An established session does while it lives. A KEEPALIVE tells: the kernel of a node that has lost the session,
        because it was power-cycled, answers with a reset; that of a node which has it acknowledges.
        """
        connection, opened = newcomer.connection, newcomer.opened
        assert opened is not None
        peer = self._reactor.peer_at(connection.peer)
        if self._reactor.dialler.precedes(connection.peer, opened, now):
            self._wait(newcomer)
        elif peer is None or peer.yields_to(opened):
            self._release(newcomer)
            self._reactor.admit(connection, opened)
        elif not peer.established():
            self._collided(newcomer)
        elif not newcomer.probing:
            self._wait(newcomer)
            newcomer.probing = peer.probe(now)
        elif peer.proto.connection.acknowledged:
            self._collided(newcomer)

    def _wait(self, newcomer: Newcomer) -> None:
        """Wait for another connection; what this one sends meanwhile is read when it is let in."""
        fd = newcomer.connection.fd()
        if fd not in self._colliding:
            self._colliding.add(fd)
            self._reactor.turns.unpoll(fd)

    def _collided(self, newcomer: Newcomer) -> None:
        """Another connection of the peer keeps its place (RFC 4271 section 6.8)."""
        assert newcomer.opened is not None
        why = f"another connection of the peer stands; this one's AS is {newcomer.opened.asn}"
        self._refuse(newcomer, Notify(6, 7, b""), why)

    def _refuse(self, newcomer: Newcomer, notify: Any, why: str) -> None:
        self._release(newcomer)
        self._reactor.refuse(newcomer.connection, notify, why)

    def _release(self, newcomer: Newcomer) -> None:
        """Forget a newcomer, before its file descriptor is closed or given to its peer."""
        fd = newcomer.connection.fd()
        del self._newcomers[fd]
        if fd in self._colliding:
            self._colliding.discard(fd)
        else:
            self._reactor.turns.unpoll(fd)
