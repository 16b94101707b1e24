"""Introductions: which peers with a session have not said yet all that they announce."""

from __future__ import annotations

from collections.abc import Iterator

from routerd.core.deadlines import Deadlines
from routerd.core.rib.peer import Peer
from routerd.core.route import Family


class Introductions:
    """The peers that are introducing themselves: until End-of-RIB, or until one that sends none has fallen silent.

    Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}
        self._silences = Deadlines[str]()
        """When to look whether a peer that sends no End-of-RIB has said all: each UPDATE puts that off."""

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._peers.values())

    def begin(self, peer: Peer) -> None:
        """A session of the peer is up. One that carries no family that the router speaks has nothing to say."""
        if not peer.pending_eor:
            return
        self._peers[peer.address] = peer
        self._silences.set(peer.address, peer.silence_ends)

    def end(self, peer: Peer) -> None:
        """The session is over, or all is said."""
        self._peers.pop(peer.address, None)
        self._silences.set(peer.address, None)

    def heard(self, peer: Peer, families: frozenset[Family]) -> None:
        """The peer has said all of these families."""
        peer.pending_eor -= families
        if not peer.pending_eor:
            self.end(peer)

    @property
    def next(self) -> float | None:
        """When `silent` may have something to tell."""
        return self._silences.next

    def silent(self, now: float) -> list[Peer]:
        """Return those that send no End-of-RIB and have fallen silent; they have said all."""
        found: list[Peer] = []
        for peer in (self._peers[address] for address in self._silences.due(now)):
            ends = peer.silence_ends
            if ends is not None and ends <= now:
                found.append(peer)
            else:
                self._silences.set(peer.address, ends)
        return found

    @property
    def over(self) -> bool:
        """Whether the router's End-of-RIB need not wait for any of them: they restart, too, and wait for ours
        (RFC 4724 section 4.1)."""
        ups = (peer.session for peer in self)
        graceful = (up.received.graceful_restart for up in ups if up is not None)
        return all(each is not None and each.restarting for each in graceful)
