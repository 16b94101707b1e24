"""ROUTE-REFRESHes: each family is announced again piece by piece, so that a large table holds up nothing else."""

from __future__ import annotations

from routerd.core.message import Advertise
from routerd.core.rib.adj_rib_out import AdjRibsOut
from routerd.core.route import Family, Prefix

PIECE = 4096
"""Prefixes that are looked at for a piece."""


class Refreshes:
    """Who has asked for what, answered one after the other: only the first has its prefixes listed."""

    def __init__(self, adj_ribs_out: AdjRibsOut) -> None:
        self._told = adj_ribs_out
        self._asked: dict[tuple[str, Family], None] = {}
        self._left: list[Prefix] | None = None

    def __bool__(self) -> bool:
        return bool(self._asked)

    def ask(self, peer: str, family: Family) -> None:
        """A peer asks for a family; if it is being answered already, it is from the start."""
        self._drop(peer, family)
        self._asked[peer, family] = None

    def drop(self, peer: str) -> None:
        """The session ended."""
        for family in Family:
            self._drop(peer, family)

    def _drop(self, peer: str, family: Family) -> None:
        if next(iter(self._asked), None) == (peer, family):
            self._left = None
        self._asked.pop((peer, family), None)

    def piece(self) -> Advertise:
        """Return the next piece. What has changed since the peer asked is said as it is now."""
        peer, family = next(iter(self._asked))
        if self._left is None:
            self._left = self._told.prefixes(peer)
        some = self._left[-PIECE:]
        del self._left[-PIECE:]
        if not self._left:
            self._drop(peer, family)
        return self._told.again(peer, family, some)
