"""The Adj-RIBs-Out: which peer hears what, by update group."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from routerd.core.message import Advertise
from routerd.core.rib.export import Exporter
from routerd.core.rib.peer import Peer
from routerd.core.rib.regrouping import Regrouping
from routerd.core.rib.update_group import Bests, UpdateGroup, by_attributes
from routerd.core.route import Address, Family, Prefix, family_of

Key = tuple[str, tuple[str, ...], bool, tuple[tuple[Family, Address], ...], int, bool]
"""Peer group, what it is told, eBGP or not, the router's address by family, a number that is another one when
routerd's own networks are others, and whether the router is drained: peers with the same key hear the same."""


class AdjRibsOut:
    """What all peers with a session were told. `prefixes` lists what there is to be told, learned routes or not, and
    `bests` yields the best paths of prefixes. It is true while peers are on their way to another update group.

    While the router is `draining` they hear that other ways are better: `move` is to follow when that changes.
    """

    def __init__(
        self, asn: int, prefixes: Callable[[bool], list[Prefix]], bests: Callable[[Iterable[Prefix]], Bests]
    ) -> None:
        self.draining = False
        self._asn = asn
        self._prefixes = prefixes
        self._bests = bests
        self._moves: list[Regrouping] = []
        self._moving: dict[str, Regrouping] = {}
        self._groups: dict[Key, UpdateGroup] = {}
        self._of: dict[str, Key] = {}
        self._version = 0

    def __bool__(self) -> bool:
        return bool(self._moves)

    def reconfigure(self, asn: int) -> None:
        """The router has another AS, id or other networks: `move` is to follow for each peer with a session."""
        self._asn = asn
        self._version += 1

    def start(self, peer: Peer, next_hops: dict[Family, Address]) -> Advertise:
        """A session came up: return all that the peer hears, and the ends of its RIBs."""
        self.stop(peer.address)
        group = self._join(peer, next_hops)
        if len(group.members) == 1 or any(move.group is group for move in self._moves):
            group.take(self._bests(self._every(group)))  # its End-of-RIB says that this is all
        return Advertise(peer.address, (), group.whole(peer.address), tuple(sorted(peer.pending_eor)))

    def stop(self, peer: str) -> None:
        """A session ended."""
        key = self._of.pop(peer, None)
        if (move := self._moving.pop(peer, None)) is not None:
            del move.peers[peer]
        if key is not None:
            group = self._groups[key]
            del group.members[peer]
            if not group.members:
                del self._groups[key]

    def move(self, peer: Peer, next_hops: dict[Family, Address]) -> None:
        """The router's addresses on the peer's link changed, perhaps, or what it may hear: have it told of that."""
        if self._key(peer, next_hops) == self._of[peer.address]:
            return
        halfway, left = self._moving.get(peer.address), self._groups[self._of[peer.address]]
        source = left if halfway is None else halfway
        self.stop(peer.address)
        group = self._join(peer, next_hops)
        together = (move for move in self._moves if move.source is source and move.group is group and not move.begun)
        if (move := next(together, None)) is None:
            move = Regrouping(source, group)
            self._moves.append(move)
        move.peers[peer.address] = None
        self._moving[peer.address] = move

    def begin(self) -> None:
        """All are on their way that leave now."""
        for move in self._moves:
            move.begin()

    def piece(self) -> list[Advertise]:
        """Return a bounded part of what peers on their way are to hear."""
        move = self._moves[0]
        told = move.piece(self._every, self._bests)
        if move.over:
            del self._moves[0]
            for peer in move.peers:
                del self._moving[peer]
        return told

    def _every(self, group: UpdateGroup) -> list[Prefix]:
        return [*self._prefixes(group.learned), *group.defaults]

    def change(self, bests: Bests) -> list[Advertise]:
        """Learned routes have other best paths: tell the peers that hear of them."""
        told: list[Advertise] = []
        for group in self._groups.values():
            if not group.learned:
                continue
            bests = [*bests]  # each group goes through them
            difference = group.take(bests)
            for peer in group.members:
                withdrawn, announced = difference.heard_by(peer)
                if withdrawn or announced:
                    told.append(Advertise(peer, withdrawn, announced))
        return told

    def hears(self, peer: str) -> bool:
        """Tell whether a peer has a session, so that it hears anything at all."""
        return peer in self._of

    def prefixes(self, peer: str) -> list[Prefix]:
        """Return all prefixes that the peer's update group hears."""
        return self._groups[self._of[peer]].prefixes()

    def again(self, peer: str, family: Family, prefixes: list[Prefix]) -> Advertise:
        """Return anew what a peer hears of those of these prefixes that are of a family."""
        wanted = [prefix for prefix in prefixes if family_of(prefix) is family]
        return Advertise(peer, (), by_attributes(self._groups[self._of[peer]].heard(peer, wanted)))

    def place_of(self, peer: str) -> tuple[Key, UpdateGroup] | None:
        """Return a peer's update group, and what it has in common; None without a session."""
        key = self._of.get(peer)
        return None if key is None else (key, self._groups[key])

    def count(self, peer: str, family: Family) -> int:
        """Return how many prefixes of a family a peer hears; 0 without a session."""
        key = self._of.get(peer)
        return 0 if key is None else self._groups[key].count(peer, family)

    def _key(self, peer: Peer, next_hops: dict[Family, Address]) -> Key:
        addresses = tuple(sorted(next_hops.items()))
        return peer.group_name, peer.group.advertise, peer.external, addresses, self._version, self.draining

    def _join(self, peer: Peer, next_hops: dict[Family, Address]) -> UpdateGroup:
        key = self._of[peer.address] = self._key(peer, next_hops)
        if key not in self._groups:
            exporter = Exporter(
                peer.group, self._asn, external=peer.external, next_hops=next_hops, draining=self.draining
            )
            self._groups[key] = UpdateGroup(exporter)
        group = self._groups[key]
        group.members[peer.address] = None
        return group
