"""Reconciliation: the kernel is compared with the model, and what differs is mended under the same ids.

The first dump is adopted as it is. Later links, nexthops and groups are read after every notification about them,
routes are followed by their notifications, and an audit compares all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from routerd.core.fib.adopt import adopt
from routerd.core.fib.drift import Mended, mend_changes, mend_objects, mend_routes
from routerd.core.fib.fib import Fib
from routerd.core.fib.model import in_order
from routerd.core.gateways import Gateways
from routerd.core.message import (
    Effect,
    Event,
    ForeignBgp,
    KernelDump,
    KernelObjects,
    NexthopChange,
    RouteAudit,
    RouteChange,
    RoutesChanged,
)
from routerd.core.planning import Planning
from routerd.core.retries import Retries
from routerd.core.rib.rib import Rib
from routerd.core.route import format_address
from routerd.core.wanted import Wanted


class Reconciliation:
    """Takes over what was read from the kernel; planning is to follow, by `Planning.settle`.

    `foreign_bgp` is what others have there with the marks of BGP, `drift_mended` counts what was not as it should be,
    and `drift` the same by kind, route by route.
    """

    def __init__(self, rib: Rib, fib: Fib, planning: Planning, gateways: Gateways, retries: Retries) -> None:
        self._rib = rib
        self._fib = fib
        self._planning = planning
        self._gateways = gateways
        self._retries = retries
        self.foreign_bgp = ForeignBgp()
        self.drift_mended = 0
        self.drift: Counter[str] = Counter()

    def adopt(self, dump: KernelDump, now: float) -> list[Effect]:
        """The first dump: adopt what is there. From now on the kernel may be written."""
        self.foreign_bgp = dump.foreign_bgp
        self._rib.network_changed(dump.interfaces, dump.foreign, [*dump.nexthops, *dump.groups])
        self._rib.readdressing.finish()
        effects = self._planning.program(adopt(self._fib, dump, now))
        self._planning.synchronised = True
        if self._fib.groups.by_id:
            for gateway in in_order(self._fib.awaiting.gateways):
                peer = format_address(gateway.address)
                self._planning.changed(self._rib.guard_peer(peer, now))
                self._rib.lifecycle.await_peer(peer, now)
            routes, groups = len(self._fib.routes), len(self._fib.groups.by_id)
            effects.append(Event("adopted", {"routes": routes, "groups": groups}))
        table = self._rib.loc_rib.table
        self._rib.reconsideration.tell_all()
        self._planning.reconsider()
        self._fib.want([prefix for prefix in self._fib.routes if prefix not in table], Wanted(()))
        return effects

    def objects(self, dump: KernelObjects, now: float) -> list[Effect]:
        """Something changed in the kernel: bring links, nexthop objects and groups in line."""
        up = {interface.index for interface in dump.interfaces if interface.up}
        known = self._gateways.known
        down = {gateway for gateway in known if gateway.ifindex not in up}
        restarting = self._gateways.restarting(down)
        self._rib.links_changed(dump.interfaces)
        self._rib.network_changed(dump.interfaces, objects=[*dump.nexthops, *dump.groups])
        effects = self._gateways.links_down(down, restarting, now)
        retrying = self._retries.objects()
        # Compare before anything is revived: the dump is older than that.
        effects += self._retries.deletions()
        effects += self._mended(mend_objects(self._fib, dump, now), drift=not retrying)
        self._gateways.links_up(up, now)
        self._retries.nexthops()
        effects += self._gateways.reach()
        self._gateways.revive()
        self._planning.reconsider()
        self._retries.routes()
        return effects

    def audited(self, audit: RouteAudit) -> list[Effect]:
        """The routes were compared with the model; try again, too, those that the kernel has refused."""
        self.foreign_bgp = audit.foreign_bgp
        self._rib.foreign_corrected(audit.foreign, [*_foreign(audit.since)])
        refused = self._retries.refusals.deletions
        unknown = {prefix: id for prefix, id in audit.unknown.items() if prefix not in refused}
        effects = self._retries.deletions()
        effects += self._mended(mend_routes(self._fib, replace(audit, unknown=unknown)), drift=True)
        effects += self._gateways.reach()
        self._planning.reconsider()
        self._retries.routes()
        return effects

    def routes(self, message: RoutesChanged) -> tuple[list[Effect], bool]:
        """Others changed routes: mend routerd's own, and follow the ways to next hops. Tell, too, whether there is
        anything to plan."""
        effects = self._mended(mend_changes(self._fib, message.changes, self._rib.config.fib.metric), drift=True)
        news = self._rib.foreign_changed(_foreign(message.changes))
        if news:
            effects += self._gateways.reach()
            self._planning.reconsider()
        routes = (change for change in message.changes if isinstance(change, RouteChange))
        free = [route.prefix for route in routes if route.deleted and route.prefix in self._fib.refused]
        self._retries.routes(free)
        return effects, bool(news or free)

    def _mended(self, mended: Mended, *, drift: bool) -> list[Effect]:
        wrong, operations = mended
        effects = self._planning.program(operations)
        if wrong and drift:
            self.drift_mended += len(wrong)
            kinds = Counter[str]()
            for each in wrong:
                kinds[each.kind] += each.size
            self.drift += kinds
            found = "; ".join(each.text for each in wrong[:10])
            effects.append(Event("drift mended", {"found": found, **kinds}, level="warning"))
        return effects


def _foreign(changes: Iterable[RouteChange | NexthopChange]) -> Iterator[RouteChange | NexthopChange]:
    """Pass over what was done to routes that are routerd's by their marks."""
    for change in changes:
        if not isinstance(change, RouteChange) or not change.own:
            yield change
