"""Turns: which peers run now, and how long the reactor sleeps until one has something to do."""

from __future__ import annotations

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

_END = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_INPUT = select.EPOLLIN | select.EPOLLPRI | _END


class Turns:
    """A peer has its turn when its socket has something that it takes one for, while it is busy, and when its hold
    timer is due. `reactor` has what else has sockets. ExaBGP's own poll object is not used: the kernel would look at
    all sockets each time."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._poller = select.epoll()
        self.poll(reactor.uplink.fds[0])
        self._next_sweep = 0.0
        self._dues = Deadlines[str]()  # of peers that are not busy, by name
        self._had_turn: set[str] = set()
        self._ready: set[str] = set()
        self._arrived: set[int] = set()  # file descriptors of newcomers that have said something
        self._watched: dict[str, Peer] = {}
        self._full: set[int] = set()  # file descriptors of which we hear when they take more
        self._owners: dict[int, str] = {}  # file descriptor -> peer's name

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
        """Listen to a socket, or hear when it takes something at all. The kernel forgets one that is closed, if no
        copy of it lives on."""
        self._poller.register(fd, select.EPOLLOUT if output else _INPUT)

    def unpoll(self, fd: int) -> None:
        """Listen to a connection no more."""
        self._poller.unregister(fd)

    def await_output(self, fd: int, *, wanted: bool) -> None:
        """Hear also when a connection, or the uplink, takes more, or do not any more."""
        if wanted != (fd in self._full):
            self._full ^= {fd}
            self._poller.modify(fd, _INPUT | (select.EPOLLOUT if wanted else 0))

    def release(self, fd: int) -> None:
        """Forget a connection that is about to be closed."""
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
        for name in self._dues.due(now):
            if (peer := peers.get(name)) is not None:
                (self._had_turn if peer.tend(now) else ready).add(name)
        ready.update(self._watched)
        ready &= peers.keys()
        self._had_turn |= ready
        return ready

    def wait(self, peers: Mapping[str, Peer], *, sleep: bool) -> None:
        """Note which sockets have something; wait until one has, unless nobody is to `sleep`.

        What a peer says all day is heard here, and waited on: there is nothing else to do in the loop then.
        """
        now = time.monotonic()
        until = now + self._rest(peers, now) if sleep else now
        while self._look(peers, until - now):
            now = time.monotonic()
            if now >= until:
                return

    def _look(self, peers: Mapping[str, Peer], timeout: float) -> bool:
        """Wait for so many seconds until sockets have something; tell whether all that came is dealt with."""
        reactor, uplink = self._reactor, self._reactor.uplink
        if uplink.full:
            # the peers have to wait: only the parent can help, and their timers are served by the sweep
            poller = select.poll()
            poller.register(uplink.fds[0], select.POLLIN | select.POLLOUT)
            uplink.called = any(event & ~select.POLLOUT for _, event in poller.poll(1000 * timeout))
            reactor.listener.dialled = True
            return False
        self.await_output(uplink.fds[0], wanted=uplink.waiting)
        speaking: list[str] = []
        others = ended = False
        for fd, event in self._poller.poll(timeout):
            if (name := self._owners.get(fd)) is not None:
                if event == select.EPOLLIN:
                    speaking.append(name)
                else:
                    self._ready.add(name)
                    ended |= bool(event & _END)
                continue
            others = True
            if fd == uplink.fds[0]:
                uplink.called = bool(event & ~select.EPOLLOUT)
            elif fd in reactor.pending or fd in reactor.dialler:
                self._arrived.add(fd)
            else:
                reactor.listener.dialled = True
        if ended:
            return False  # a lost session comes first; what others say shows again
        for name in speaking:
            if (peer := peers.get(name)) is None or not peer.hear():
                self._ready.add(name)
        return bool(speaking) and not others and not self._ready

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
