"""Peers on their way from one update group to another: what they hear otherwise is worked out and told in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from routerd.core.message import Advertise
from routerd.core.rib.export import Told
from routerd.core.rib.update_group import Bests, UpdateGroup
from routerd.core.route import Attributes, Prefix

PIECE = 2048
"""Prefixes that are looked at for a piece."""
_UNKNOWN: Told = (Attributes(), "")
"""Equal to nothing that is told: routes have a next hop."""


class Regrouping:
    """The way of `peers` from a `source`, a group or another way that they leave halfway, into a group, which may not
    be filled yet. Peers that leave together share a way, until it is `begun`.

    First comes what they have heard, then what they have not. What changes meanwhile all members of the group hear at
    once: said twice, it does no harm.
    """

    def __init__(self, source: UpdateGroup | Regrouping, group: UpdateGroup) -> None:
        self.peers: dict[str, None] = {}
        self.source = source
        self.group = group
        self.begun = False
        self._before: dict[Prefix, Told] = {}
        self._left: list[Prefix] | None = None
        self._rest: list[Prefix] | None = None

    def begin(self) -> None:
        """All that leave together have left: what they have heard is what the source has told by now."""
        if not self.begun:
            self.begun, self._before = True, self.source.told()

    def told(self) -> dict[Prefix, Told]:
        """Return what peers have heard that leave halfway: one or the other, and it is to be said anew."""
        return dict.fromkeys((*self._before, *self.group.told()), _UNKNOWN)

    def piece(
        self, every: Callable[[UpdateGroup], list[Prefix]], bests: Callable[[Iterable[Prefix]], Bests]
    ) -> list[Advertise]:
        """Return what the peers are to hear of the next prefixes, those of `every` that have a place in the group."""
        if self._left is None:
            self._left = list(self._before)
        if not self._left and self._rest is None:
            self._rest = self._left = every(self.group)
        some = self._left[-PIECE:]
        del self._left[-PIECE:]
        if self._rest is not None:
            some = [prefix for prefix in some if prefix not in self._before]
        self.group.take(bests(some))
        difference = self.group.compared(self._before, some)
        told = ((peer, *difference.heard_by(peer)) for peer in self.peers)
        return [
            Advertise(peer, withdrawn, announced) for peer, withdrawn, announced in told if withdrawn or announced
        ]

    @property
    def over(self) -> bool:
        """Whether all is said, or nobody is left to hear it."""
        return not self.peers or (not self._left and self._rest is not None)
