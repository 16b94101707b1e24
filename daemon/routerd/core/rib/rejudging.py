"""What peers have announced is judged again when the rules are others: at once if it is little, else in slices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from routerd.core.message import Effect, Refresh, SessionUp
from routerd.core.rib.importing import Importer
from routerd.core.rib.loc_rib import Change
from routerd.core.rib.peer import Peer
from routerd.core.route import Prefix

SLICE = 512
"""Prefixes that are judged again at once. A peer costs as much as `EACH` of them, however few it has."""
EACH = 16


class Rejudging:
    """The peers whose announcements are to be judged again; true while there are any."""

    def __init__(self, peers: Mapping[str, Peer], importer: Importer, effects: list[Effect]) -> None:
        self._peers = peers
        self._importer = importer
        self._effects = effects
        self._left: dict[str, list[Prefix] | None] = {}
        """What is left to be judged again of each peer; None before it is begun."""
        self._anew: set[str] = set()
        """The peers of which all is to be judged once more, when that has been."""
        self._asked_later: set[str] = set()
        """The peers that are to announce all again once they are judged."""

    def __bool__(self) -> bool:
        return bool(self._left)

    def ask(self, peers: Iterable[Peer]) -> None:
        """Have all judged again that these peers announced; `slice` does the work."""
        for peer in peers:
            peer.forget_paths()
            if self._left.setdefault(peer.address, None) is not None:
                self._anew.add(peer.address)  # not at once: however often one is asked, all has its turn

    def anew(self, peer: Peer) -> list[Change]:
        """Have all judged again that a peer announced, and have it announce all again then: what is judged already is
        no new path when it comes again."""
        self.ask([peer])
        self._asked_later.add(peer.address)
        return self.slice()

    def slice(self) -> list[Change]:
        """Judge a bounded part again."""
        changes: list[Change] = []
        room = SLICE
        while self._left and room > 0:
            address, left = next(iter(self._left.items()))
            peer = self._peers.get(address)
            if peer is None:
                del self._left[address]
                self._anew.discard(address)
                self._asked_later.discard(address)
                continue
            if left is None:
                left = self._left[address] = self._heard(peer)
            some = left[-room:]
            del left[-room:]
            if not left:
                del self._left[address]
                if address in self._anew:
                    self._anew.discard(address)
                    self._left[address] = None
            room -= EACH + len(some)
            changes += self._importer.judge_again(peer, some)
            if address not in self._left and address in self._asked_later:
                self._asked_later.discard(address)
                if peer.session is not None:
                    self._ask_again(peer, peer.session)
        return changes

    def at_once(self, peers: Iterable[Peer]) -> list[Change]:
        """Judge all again that these peers announced."""
        changes: list[Change] = []
        for peer in peers:
            if peer.session is not None:
                peer.forget_paths()
                changes += self._importer.judge_again(peer, self._heard(peer))
        return changes

    def _heard(self, peer: Peer) -> list[Prefix]:
        """Return what can be judged again, and ask for the rest."""
        rib = peer.adj_rib_in
        if peer.session is not None and rib.rejected.beyond:
            self._ask_again(peer, peer.session)
        return [*rib.accepted, *rib.rejected.kept, *rib.stale]

    def _ask_again(self, peer: Peer, session: SessionUp) -> None:
        """Have the peer announce all again, because not all that was rejected is known by name (RFC 2918). One that
        cannot is judged anew only when it says more by itself."""
        if session.received.route_refresh and session.sent.route_refresh:
            peer.adj_rib_in.rejected.beyond.clear()
            families = tuple(sorted(session.received.families & session.sent.families))
            self._effects.append(Refresh(peer.address, families))
