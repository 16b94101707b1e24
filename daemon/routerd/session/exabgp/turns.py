"""Turns: which peers run now, and how long the reactor sleeps until one has something to do."""

from __future__ import annotations

import math
import select
import time
from collections.abc import Mapping
from typing import Any

from routerd.core.deadlines import Deadlines
from routerd.session.exabgp.connection import Connection
from routerd.session.exabgp.peer import Peer

SWEEP = 0.25
"""Seconds between two looks at what is silent and has to be looked at: newcomers, and peers that take nothing."""
_REST = 5.0
"""Seconds that the reactor sleeps at most. Sockets wake it, and the timers of peers, which it knows."""

_BUSY = 0.01
"""Seconds that the reactor sleeps at most while a peer is between two steps."""

_INPUT = select.POLLIN | select.POLLPRI | select.POLLHUP | select.POLLERR


class Turns:
    """A peer has its turn when its socket has something, while it is busy, and when its timer is due. `reactor` has
    what else has sockets; `poller` is ExaBGP's, too."""

    def __init__(self, reactor: Any, poller: select.poll) -> None:
        self._reactor = reactor
        self._poller = poller
        self._next_sweep = 0.0
        self._dues = Deadlines[str]()  # of peers that are not busy, by name
        self._had_turn: set[str] = set()
        self._ready: set[str] = set()
        self._arrived: set[int] = set()  # file descriptors of newcomers that have said something
        self._watched: dict[str, Peer] = {}
        self._owners: dict[int, str] = {}  # file descriptor -> peer's name
        self._full: set[int] = set()  # file descriptors of which we hear when they take more

    # ----------------------------------------------------------------------------------------------- sockets

    def watch(self, peer: Peer) -> None:
        """Run a peer in every turn for as long as it is busy."""
        self._watched[peer.neighbor.name()] = peer

    def stir(self, peer: Peer) -> None:
        """A peer without a turn waits for another thing now."""
        self._had_turn.add(peer.neighbor.name())

    def adopt(self, peer: Peer) -> None:
        """Listen to a peer's new connection."""
        self._owners[peer.socket()] = peer.neighbor.name()
        self.poll(peer.socket())
        self.watch(peer)

    def poll(self, fd: int, *, output: bool = False) -> None:
        """Listen to a connection, or hear when it takes something at all."""
        self._poller.register(fd, select.POLLOUT if output else _INPUT)

    def unpoll(self, fd: int) -> None:
        """Listen to a connection no more."""
        self._poller.unregister(fd)

    def await_output(self, fd: int, *, wanted: bool) -> None:
        """Hear when a connection takes more, or do not any more."""
        if wanted:
            self._full.add(fd)
        elif fd in self._full:
            self._full.discard(fd)
            self.poll(fd)

    def release(self, fd: int) -> None:
        """Forget a connection that is about to be closed: poll would report its number for ever."""
        self._full.discard(fd)
        if self._owners.pop(fd, None) is not None:
            self.unpoll(fd)

    # ------------------------------------------------------------------------------------------------- turns

    def take(self, peers: Mapping[str, Peer], now: float) -> set[str]:
        """Give those that are no peers yet their turn, and return the names of the peers that have theirs now."""
        reactor = self._reactor
        arrived, self._arrived = self._arrived, set()
        reactor.pending.turn(arrived, now)
        reactor.dialler.turn(arrived, now)
        self._watched = {name: peer for name, peer in self._watched.items() if peers.get(name) is peer and peer.busy}
        ready, self._ready = self._ready, set()
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP
            Connection.expire(now)
            reactor.pending.sweep(now)
            reactor.listen_again()
        ready.update(self._dues.due(now))
        ready.update(self._watched)
        ready &= peers.keys()
        self._had_turn |= ready
        return ready

    def wait(self, peers: Mapping[str, Peer], *, sleep: bool) -> None:
        """Note which sockets have something; wait until one has, unless nobody is to `sleep`."""
        reactor = self._reactor
        timeout = math.ceil(1000 * self._rest(peers, time.monotonic())) if sleep else 0
        uplink = reactor.uplink.fds[0]
        interest = select.POLLIN | (select.POLLOUT if reactor.uplink.waiting else 0)
        if reactor.uplink.full:
            # the peers have to wait: only the parent can help, and their timers are served by the sweep
            poller = select.poll()
            poller.register(uplink, interest)
            poller.poll(timeout)
            reactor.listener.dialled = True
            return
        self._poller.register(uplink, interest)
        listening = reactor.listener.fds
        for fd in listening:
            self._poller.register(fd, select.POLLIN)
        for fd in self._full:  # every time: ExaBGP registers its peers for input alone after each of their turns
            self._poller.register(fd, _INPUT | select.POLLOUT)
        for fd, event in self._poller.poll(timeout):
            if event & select.POLLNVAL:
                self._poller.unregister(fd)  # a listening socket that was closed
            elif fd in self._owners:
                self._ready.add(self._owners[fd])
            elif fd in reactor.pending or fd in reactor.dialler:
                self._arrived.add(fd)
            elif fd in listening:
                reactor.listener.dialled = True

    def _rest(self, peers: Mapping[str, Peer], now: float) -> float:
        """Return for how many seconds nothing is to be done unless a socket has something."""
        for name in self._had_turn:
            peer = peers.get(name)
            self._dues.set(name, None if peer is None else max(peer.due, now + SWEEP))
        self._had_turn.clear()
        pending, dialler = self._reactor.pending, self._reactor.dialler
        if self._watched or pending.colliding:
            return _BUSY
        rest = SWEEP if pending.waiting or Connection.lingers() else _REST
        dues = (due for due in (self._dues.next, dialler.next) if due is not None)
        return max(0.0, min((rest, *(due - now for due in dues))))
