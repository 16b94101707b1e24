"""ROUTE-REFRESHes: each family is announced again piece by piece, so that a large table holds up nothing else."""

from __future__ import annotations

from routerd.core.deadlines import Deadlines
from routerd.core.message import Advertise
from routerd.core.rib.adj_rib_out import AdjRibsOut
from routerd.core.route import Family, Prefix

PIECE = 4096
"""Prefixes that are looked at for a piece."""
INTERVAL = 1.0
"""Seconds between two answers to a peer for a family: 23 octets ask for a whole table."""

_Request = tuple[str, Family]


class Refreshes:
    """Who has asked for what (RFC 2918 section 4), answered one after the other: only the first has its prefixes
    listed. Times are monotonic seconds."""

    def __init__(self, adj_ribs_out: AdjRibsOut) -> None:
        self._told = adj_ribs_out
        self._asked: dict[_Request, None] = {}
        self._left: list[Prefix] | None = None
        self._repeated = False
        """Whether the first has been asked for again since its answer began."""
        self._answered: dict[_Request, float] = {}
        self._waiting = Deadlines[_Request]()

    def __bool__(self) -> bool:
        return bool(self._asked)

    @property
    def next(self) -> float | None:
        """When the next of those is due that wait because they were answered just before."""
        return self._waiting.next

    def ask(self, peer: str, family: Family, now: float) -> None:
        """A peer asks for a family: all requests within an interval have one answer."""
        request = peer, family
        if request in self._asked:
            self._repeated |= self._left is not None and request == next(iter(self._asked))
        elif request in self._answered and now < (again_at := self._answered[request] + INTERVAL):
            self._waiting.set(request, again_at)
        else:
            self._asked[request] = None

    def begin(self, now: float) -> None:
        """Have those answered that have waited long enough."""
        self._asked.update(dict.fromkeys(self._waiting.due(now)))

    def drop(self, peer: str) -> None:
        """The session ended."""
        for family in Family:
            self._end((peer, family))
            self._answered.pop((peer, family), None)
            self._waiting.set((peer, family), None)

    def _end(self, request: _Request) -> None:
        if request == next(iter(self._asked), None):
            self._left, self._repeated = None, False
        self._asked.pop(request, None)

    def piece(self, now: float) -> Advertise:
        """Return the next piece. What has changed since the peer asked is said as it is now."""
        request = peer, family = next(iter(self._asked))
        if self._left is None:
            self._left = self._told.prefixes(peer)
        some = self._left[-PIECE:]
        del self._left[-PIECE:]
        if not self._left:
            self._answered[request] = now
            self._waiting.set(request, now + INTERVAL if self._repeated else None)
            self._end(request)
        return self._told.again(peer, family, some)
