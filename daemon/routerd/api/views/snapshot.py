"""Views of the core's state, as the API answers them. Pure: state in, plain dicts out.

Counts come from the path sets, of which there are few, and never from a walk over all prefixes. What may be long is
made in slices.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from itertools import chain

from routerd.api.models import (
    FamilyCounts,
    FibView,
    ForeignBgpView,
    KernelRouteView,
    PathView,
    PeerView,
    RouteDetailView,
    RoutesView,
    RouteView,
)
from routerd.api.slices import Slices
from routerd.api.views import forwarding, groups
from routerd.api.views.order import in_order
from routerd.api.views.shutdowns import shutdown_of
from routerd.core.gateway_health import Reason
from routerd.core.rib.decision import Decision, is_leaving
from routerd.core.rib.foreign import network_of
from routerd.core.rib.loc_rib import PathSet
from routerd.core.rib.peer import Peer
from routerd.core.route import (
    LOCAL,
    Address,
    Family,
    Path,
    Prefix,
    family_of,
    format_address,
    format_as_path,
    format_prefix,
)
from routerd.core.router import Router

Counts = dict[Family, dict[str, int]]
_AT_ONCE = 8192
"""Prefixes that are looked at between two interruptions, where little is done with each."""
_KINDS = ("received", "accepted", "rejected", "in_fib", "stale", "advertised")


def name_of(router: Router, address: str) -> str:
    """Return the name of a peer; an address without one is its own."""
    peer = router.rib.peers.get(address)
    return address if peer is None else peer.name


# ---------------------------------------------------------------------------------------------------------- peers


def peers(router: Router, now: float, group_counts: groups.Counts = groups.unread) -> Slices[list[PeerView]]:
    """Return every peer: those of the configuration in its order, then the dynamic ones by address."""
    counts, leaving = yield from _count(router)
    buckets = yield from groups.buckets(router, group_counts)
    place = {static.address: number for number, static in enumerate(router.config.peers)}
    found = list(router.rib.peers.values())
    found.sort(key=lambda peer: (place.get(peer.address, len(place)), len(peer.packed), peer.packed))
    views: list[PeerView] = []
    for peer in found:
        rows = counts[peer.address]
        yield from _complete(router, peer, rows)
        view = _peer(router, peer, rows, now, dynamic=peer.address not in place)
        view["leaving"] = leaving[peer.address]
        view["buckets"] = sum(buckets[gateway] for gateway in router.rib.gateways_of(peer))
        views.append(view)
    return views


def _count(router: Router) -> Slices[tuple[defaultdict[str, Counts], Counter[str]]]:
    """Count prefixes by peer and family, accepted and in the FIB, over path sets; and those, by peer, that are
    announced with GRACEFUL_SHUTDOWN."""
    found: defaultdict[str, Counts] = defaultdict(lambda: {f: dict.fromkeys(_KINDS, 0) for f in Family})
    leaving: Counter[str] = Counter()
    for paths in list(router.rib.loc_rib.sets()):
        yield
        if not paths.users:
            continue  # it has gone meanwhile, and so have its peers perhaps
        decision = router.rib.loc_rib.decision(paths)
        winners = set(forwarding.winners(router, decision)) if decision.members else set()
        for path in paths.paths:
            family = Family.IPV4 if len(path.attributes.next_hop) == 4 else Family.IPV6
            row = found[path.peer][family]
            row["accepted"] += paths.users
            row["in_fib"] += paths.users if path in winners and router.synchronised else 0
            leaving[path.peer] += paths.users if is_leaving(path) else 0
    for prefix in list(router.fib.refused):
        yield
        decision = router.rib.loc_rib.decision(router.rib.loc_rib.paths_of(prefix))
        for path in forwarding.winners(router, decision) if decision.members else ():
            found[path.peer][family_of(prefix)]["in_fib"] -= 1
    return found, leaving


def _complete(router: Router, peer: Peer, rows: Counts) -> Slices[None]:
    """Add what the peer itself knows."""
    for (family, _), count in peer.adj_rib_in.rejected.counts().items():
        rows[family]["rejected"] += count
    stale = list(peer.adj_rib_in.stale)
    for start in range(0, len(stale), _AT_ONCE):
        yield
        for family, count in Counter(map(family_of, stale[start : start + _AT_ONCE])).items():
            rows[family]["stale"] += count
    for family, row in rows.items():
        row["received"] = row["accepted"] + row["rejected"]
        row["advertised"] = router.rib.adj_ribs_out.count(peer.address, family)
    yield


def _family_counts(row: dict[str, int]) -> FamilyCounts:
    return FamilyCounts(
        received=row["received"],
        accepted=row["accepted"],
        rejected=row["rejected"],
        in_fib=max(row["in_fib"], 0),
        stale=row["stale"],
        advertised=row["advertised"],
    )


def _peer(router: Router, peer: Peer, counts: Counts, now: float, *, dynamic: bool) -> PeerView:
    up, last = peer.session, peer.last
    remote = peer.group.remote_as
    configured = remote if isinstance(remote, int) else router.config.router.asn if remote == "internal" else None
    totals = {kind: sum(row[kind] for row in counts.values()) for kind in _KINDS}
    families = [] if up is None else sorted(f.label for f in up.received.families & up.sent.families)
    return PeerView(
        name=peer.name,
        address=peer.address,
        group=peer.group_name,
        asn=configured if last is None else last.received.asn,
        router_id=None if last is None else format_address(last.received.router_id),
        dynamic=dynamic,
        state="shutdown" if peer.address in router.rib.shut else state_of(peer),
        reason=_reason(peer),
        since_seconds=now - peer.since,
        sessions=peer.sessions,
        hold_time=None if up is None else min(up.received.hold_time, up.sent.hold_time),
        families=families,
        totals=_family_counts(totals),
        by_family={family.label: _family_counts(row) for family, row in counts.items()},
        rejected_by_reason={reason.text: n for reason, n in sorted(peer.adj_rib_in.rejections().items())},
        faults=peer.faults,
        silent=not router.rib.gateways_of(peer).isdisjoint(router.health.having(Reason.SILENT)),
        drain=drain_of(router, peer),
        leaving=0,
        buckets=0,
        shutdown=shutdown_of(router, peer.address),
    )


def drain_of(router: Router, peer: Peer) -> str:
    """Return who drains the peer: the operator, or nobody."""
    return "operator" if peer.address in router.drained else ""


def drained_groups(router: Router, peer: Peer) -> tuple[list[tuple[int, int]], int]:
    """Return (group id, nexthop id) wherever the peer is a member among others, and the number of prefixes that
    have nobody else."""
    shared, sole = [], 0
    gateways = router.rib.gateways_of(peer)
    for group in router.fib.groups:
        mine = gateways.intersection(group.legs)
        if mine and mine == group.legs.keys():
            sole += group.users
        elif mine:
            shared += [(group.id, router.fib.groups.nexthops[gateway]) for gateway in mine]
    return shared, sole


def state_of(peer: Peer) -> str:
    """Return the state that `status` shows of a peer that is not shut down: established, stale or waiting."""
    if peer.session is not None:
        return "established"
    return "stale" if peer.adj_rib_in.stale and not peer.adj_rib_in.purging else "waiting"


def _reason(peer: Peer) -> str:
    if peer.session is None:
        return peer.reason or "has not dialled in"
    if peer.group.accept is None:
        return "(no accept policy)"
    return peer.last_fault


# ------------------------------------------------------------------------------------------------------------ fib


def fib(router: Router, unwritten: int) -> FibView:
    """Return the kernel's side in numbers."""
    return FibView(
        synchronised=router.synchronised,
        routes=router.fib.installed,
        nexthops=len(router.fib.groups.nexthops),
        groups=sum(1 for group in router.fib.groups if group.legs),
        buckets=router.fib.groups.buckets,
        bucket_budget=router.config.fib.bucket_budget,
        small_groups=sum(1 for group in router.fib.groups if 0 < group.buckets < router.config.fib.buckets),
        unwritten=unwritten,
        refused=len(router.refusals),
        drift_mended=router.drift_mended,
        foreign_bgp=ForeignBgpView(
            routes=router.foreign_bgp.routes,
            nexthops=router.foreign_bgp.nexthops,
            first=[format_prefix(prefix) for prefix in router.foreign_bgp.first],
        ),
    )


# --------------------------------------------------------------------------------------------------------- routes


def routes(router: Router, offset: int, limit: int, peer: str | None = None) -> Slices[RoutesView | None]:
    """Return a page of prefixes, as `in_order` sorts them; `peer` (name or address) keeps only its own. None if there
    is no such peer."""
    tables: list[Collection[Prefix]] = [router.rib.loc_rib.table]
    if peer is not None:
        mine = [p.adj_rib_in for p in router.rib.peers.values() if peer in (p.name, p.address)]
        tables = [table for rib in mine for table in (rib.stale, rib.accepted)]
        if peer == LOCAL:
            tables.append(router.rib.networks)
        if not tables:
            return None
    total = sum(map(len, tables))
    page: list[RouteView] = []
    for prefix in (yield from in_order(chain(*tables), offset, limit)):
        yield
        page.append(_route(router, prefix, router.rib.loc_rib.paths_of(prefix)))
    return RoutesView(total=total, routes=page)


def _route(router: Router, prefix: Prefix, paths: PathSet) -> RouteView:
    decision = router.rib.loc_rib.decision(paths)
    best = next(iter(forwarding.winners(router, decision)), None)
    group = router.fib.routes.get(prefix)
    return RouteView(
        prefix=format_prefix(prefix),
        local=best is not None and best.peer == LOCAL,
        group_id=None if group is None else group.id,
        in_fib=group is not None and bool(group.legs),
        paths=len(paths.paths),
        next_hops=[format_address(gateway.address) for gateway in forwarding.members(router, decision)],
        best_peer="" if best is None else name_of(router, best.peer),
    )


def route(router: Router, prefix: Prefix, kernel: KernelRouteView) -> RouteDetailView | None:
    """Return all that is known of one prefix, None when nobody announces it and the kernel has none."""
    paths = router.rib.loc_rib.paths_of(prefix)
    rows = [*_paths(router, prefix, paths), *_rejected(router, prefix)]
    group = router.fib.routes.get(prefix)
    if not rows and group is None and not kernel["present"]:
        return None
    errno, text = router.fib.refused.get(prefix, (0, ""))
    return RouteDetailView(
        prefix=format_prefix(prefix),
        paths=rows,
        group_id=None if group is None else group.id,
        members=[] if group is None else groups.members(router, group),
        in_fib=group is not None and bool(group.legs),
        refused=f"{text or 'refused by the kernel'} (errno {errno})" if errno else "",
        kernel=kernel,
    )


def covering(router: Router, prefix: Prefix) -> str:
    """Return the most specific prefix of the Loc-RIB that `prefix` lies within; empty if there is none."""
    for length in range(prefix[0] - 1, -1, -1):
        wider = network_of(Address(prefix[1:]), length)
        if wider in router.rib.loc_rib.table:
            return format_prefix(wider)
    return ""


def _paths(router: Router, prefix: Prefix, paths: PathSet) -> Iterator[PathView]:
    decision = router.rib.loc_rib.decision(paths)
    order = {path: rank for rank, path in enumerate(forwarding.winners(router, decision))}
    for path in sorted(paths.paths, key=lambda path: (order.get(path, len(order)), path.peer)):
        peer = router.rib.peers.get(path.peer)
        stale = peer is not None and prefix in peer.adj_rib_in.stale
        yield _path(router, path, decision, stale=stale)


def _path(router: Router, path: Path, decision: Decision | None, *, stale: bool, rejected: str = "") -> PathView:
    attributes = path.attributes
    resolution = None if path.peer == LOCAL else router.rib.resolve(path)
    winners = () if decision is None else forwarding.winners(router, decision)
    best = path in winners[:1]
    lost = decision.lost.get(path) if decision is not None and not best else None
    out = forwarding.why_out(router, path) if decision is not None and path in decision.multipath else ""
    return PathView(
        peer=path.peer,
        name=name_of(router, path.peer),
        next_hop=format_address(attributes.next_hop) if attributes.next_hop else "",
        interface="" if resolution is None else router.rib.nexthops.name_of(resolution.gateway.ifindex),
        as_path=format_as_path(attributes.as_path),
        origin=attributes.origin.name,
        med=attributes.med,
        local_pref=attributes.local_pref,
        communities=[f"{community >> 16}:{community & 0xFFFF}" for community in attributes.communities],
        stale=stale,
        best=best,
        multipath=path in winners,
        lost_at=rejected or out or ("" if lost is None else lost.text),
    )


def _rejected(router: Router, prefix: Prefix) -> Iterator[PathView]:
    for peer in router.rib.peers.values():
        entry = peer.adj_rib_in.rejected.kept.get(prefix)
        if entry is not None:
            yield _path(router, entry[0], None, stale=False, rejected=f"rejected: {entry[1].text}")
