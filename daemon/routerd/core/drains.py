"""The operator's drains: the gateways of drained peers keep their flows and get no new ones.

They leave a group once it has no flow of theirs left. The router's own drain asks peers to prefer other ways, and
changes nothing about forwarding. So does a router of a pair that came up empty, until it has what the partner has:
whoever is asked that has no other way goes on with this one.
"""

from __future__ import annotations

from routerd.core.fib.fib import Fib
from routerd.core.message import DrainSelf, Effect, Event, Gateway, InspectGroups
from routerd.core.rib.rib import Rib

INTERVAL = 5.0
"""Seconds, at most, between looks at groups whose drained members keep buckets that may carry no flow."""
JOINING = 60.0
"""Seconds, at most, for which a router that came up empty leaves traffic to its partner."""


class Drains:
    """Which peers are drained, by address: `peers`; `own` is the order that drains the router itself. It is `joining`
    while it leaves traffic to its partner. Times are monotonic seconds."""

    def __init__(self, rib: Rib, fib: Fib, now: float) -> None:
        self._rib = rib
        self._fib = fib
        self.peers: set[str] = set()
        self.own: DrainSelf | None = None
        self._look_at = now
        self._join_until: float | None = None

    def set(self, peer: str, *, on: bool) -> None:
        """Drain a peer, or let it have flows again."""
        (self.peers.add if on else self.peers.discard)(peer)
        self.apply()

    def set_own(self, order: DrainSelf) -> None:
        """Drain the router itself, or end that: all peers are told anew, slice by slice."""
        self.own = order if order.on else None
        self._tell()

    @property
    def joining(self) -> bool:
        """Whether the partner may have flows of which this router knows nothing yet."""
        return self._join_until is not None

    def join(self, now: float) -> list[Effect]:
        """This router is one of a pair, and came up empty."""
        self._join_until = now + JOINING
        self._tell()
        return [Event("joins its pair", {"at_most": JOINING})]

    def joined(self, now: float, *, agrees: bool) -> list[Effect]:
        """End that if the two agree, or have not for too long."""
        if self._join_until is None or (not agrees and now < self._join_until):
            return []
        self._join_until = None
        self._tell()
        return [Event("joined its pair", {"agrees": agrees}, level="info" if agrees else "warning")]

    def _tell(self) -> None:
        self._rib.advertising.drain(self._rib.peers.values(), on=self.own is not None or self.joining)

    def apply(self) -> None:
        """Hold the groups to the drains: peers may lead elsewhere now."""
        drained = [self._rib.peers[address] for address in self.peers if address in self._rib.peers]
        self._fib.drain(set[Gateway]().union(*map(self._rib.gateways_of, drained)))

    @property
    def timer(self) -> float | None:
        """When `look` or `joined` has something to do."""
        times = (self._look_at if self._fib.groups.clinging else None, self._join_until)
        return min((time for time in times if time is not None), default=None)

    def look(self, now: float) -> list[Effect]:
        """Ask, now and then, which drained members carry no flow any more."""
        if not self._fib.groups.clinging or now < self._look_at:
            return []
        self._look_at = now + min(INTERVAL, max(1.0, self._fib.groups.shape.idle_timer / 4))
        return [InspectGroups(tuple(self._fib.groups.clinging))]
