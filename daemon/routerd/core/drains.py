"""The operator's drains: the gateways of drained peers keep their flows and get no new ones.

They leave a group once it has no flow of theirs left. The router's own drain asks peers to prefer other ways, and
changes nothing about forwarding.
"""

from __future__ import annotations

from routerd.core.fib.fib import Fib
from routerd.core.message import DrainSelf, Effect, Gateway, InspectGroups
from routerd.core.rib.rib import Rib

INTERVAL = 5.0
"""Seconds, at most, between looks at groups whose drained members keep buckets that may carry no flow."""


class Drains:
    """Which peers are drained, by address: `peers`; `own` is the order that drains the router itself. Times are
    monotonic seconds."""

    def __init__(self, rib: Rib, fib: Fib, now: float) -> None:
        self._rib = rib
        self._fib = fib
        self.peers: set[str] = set()
        self.own: DrainSelf | None = None
        self._look_at = now

    def set(self, peer: str, *, on: bool) -> None:
        """Drain a peer, or let it have flows again."""
        (self.peers.add if on else self.peers.discard)(peer)
        self.apply()

    def set_own(self, order: DrainSelf) -> None:
        """Drain the router itself, or end that: all peers are told anew, slice by slice."""
        self.own = order if order.on else None
        self._rib.advertising.drain(self._rib.peers.values(), on=order.on)

    def apply(self) -> None:
        """Hold the groups to the drains: peers may lead elsewhere now."""
        drained = [self._rib.peers[address] for address in self.peers if address in self._rib.peers]
        if not drained and not self._fib.groups.draining:
            return
        gateways = set[Gateway]().union(*map(self._rib.gateways_of, drained))
        if gateways != self._fib.groups.draining:
            self._fib.drain(gateways)

    @property
    def timer(self) -> float | None:
        """When `look` has something to do."""
        return self._look_at if self._fib.groups.clinging else None

    def look(self, now: float) -> list[Effect]:
        """Ask, now and then, which drained members carry no flow any more."""
        if not self._fib.groups.clinging or now < self._look_at:
            return []
        self._look_at = now + min(INTERVAL, max(1.0, self._fib.groups.shape.idle_timer / 4))
        return [InspectGroups(tuple(self._fib.groups.clinging))]
