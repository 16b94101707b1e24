"""Purges: what is stale goes slice by slice, so that a large table, or many peers at once, hold up nothing else."""

from __future__ import annotations

from routerd.core.rib.peer import Peer
from routerd.core.route import Family, Prefix

SLICE = 4096
"""Prefixes that are purged at once, if they share path sets. A peer costs as much as `EACH` of them, however few it
has, and so does a path set."""
EACH = 16


class Purges:
    """The peers of whose paths some are to go; true while there are any."""

    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}
        self._room = SLICE // EACH

    def __bool__(self) -> bool:
        while self._peers:
            address, peer = next(iter(self._peers.items()))
            if peer.adj_rib_in.purging:
                return True
            del self._peers[address]
        return False

    def add(self, peer: Peer) -> None:
        """The Adj-RIB-In of this peer may have something to purge."""
        self._peers[peer.address] = peer

    def ask(self, peer: Peer, family: Family | None = None) -> None:
        """Have what is stale of a peer go, of one family or all."""
        peer.adj_rib_in.purge(family)
        self.add(peer)

    def cost(self, sets: int) -> None:
        """The last slice changed so many path sets: the next one is larger where they are few, and smaller else."""
        self._room = min(SLICE, 2 * self._room) if EACH * sets <= self._room else SLICE // EACH

    def slice(self) -> dict[tuple[str, ...], list[Prefix]]:
        """Take a bounded part of it out of the Adj-RIBs-In; return the prefixes by all the peers that lose them: that
        is one step for a prefix."""
        losers: dict[Prefix, tuple[str, ...]] = {}
        room = self._room
        while room > 0 and self:
            address, peer = next(iter(self._peers.items()))
            purged = peer.adj_rib_in.purge_slice(room)
            room -= EACH + len(purged)
            if room <= 0 and not losers:
                return {(address,): purged}
            for prefix in purged:
                losers[prefix] = (*losers.get(prefix, ()), address)
        together: dict[tuple[str, ...], list[Prefix]] = {}
        for prefix, peers in losers.items():
            together.setdefault(peers, []).append(prefix)
        return together
