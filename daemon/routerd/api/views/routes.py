"""The view of the routes: pages of the table, and all that is known of one prefix."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain

from routerd.api.choosing import ALL, Choice
from routerd.api.models import KernelRouteView, PathView, RouteDetailView, RoutesView, RouteView
from routerd.api.slices import Slices
from routerd.api.views import forwarding, groups
from routerd.api.views.filters import chosen
from routerd.api.views.order import in_order
from routerd.core.rib.decision import Decision
from routerd.core.rib.foreign import network_of
from routerd.core.rib.link_bandwidth import bandwidth_of
from routerd.core.rib.loc_rib import PathSet
from routerd.core.rib.peer import Peer
from routerd.core.route import LOCAL, Address, Path, Prefix, format_address, format_as_path, format_prefix
from routerd.core.router import Router


def routes(
    router: Router, offset: int, limit: int, peer: str | None = None, choice: Choice = ALL
) -> Slices[RoutesView | None]:
    """Return a page of prefixes, as `in_order` sorts them; `peer` (name or address) keeps only its own, and `choice`
    those that meet it. None if there is no such peer."""
    tables: list[Collection[Prefix]] = [router.rib.loc_rib.table]
    mine: list[Peer] | None = None
    if peer is not None:
        mine = [p for p in router.rib.peers.values() if peer in (p.name, p.address)]
        tables = [table for p in mine for table in (p.adj_rib_in.stale, p.adj_rib_in.accepted)]
        if peer == LOCAL:
            tables.append(router.rib.networks.prefixes)
        if not tables:
            return None
    if choice != ALL:
        tables = [(yield from chosen(router, tables, mine, choice))]
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
        best_peer="" if best is None else _name_of(router, best.peer),
    )


def route(
    router: Router, prefix: Prefix, kernel: KernelRouteView, now: float, counts: groups.Counts = groups.unread
) -> RouteDetailView | None:
    """Return all that is known of one prefix, None when nobody announces it and the kernel has none."""
    paths = router.rib.loc_rib.paths_of(prefix)
    rows = [*_paths(router, prefix, paths), *_rejected(router, prefix)]
    group = router.fib.routes.get(prefix)
    if not rows and group is None and not kernel["present"]:
        return None
    errno, text = router.fib.refused.get(prefix, (0, ""))
    shown = None if group is None else groups.view(router, group, counts(group.id), now)
    return RouteDetailView(
        prefix=format_prefix(prefix),
        paths=rows,
        group_id=None if group is None else group.id,
        members=[] if shown is None else shown["members"],
        balanced_in_seconds=None if shown is None else shown["balanced_in_seconds"],
        unbalanced="" if shown is None else shown["unbalanced"],
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
        name=_name_of(router, path.peer),
        next_hop=format_address(attributes.next_hop) if attributes.next_hop else "",
        interface="" if resolution is None else router.rib.nexthops.name_of(resolution.gateway.ifindex),
        as_path=format_as_path(attributes.as_path),
        origin=attributes.origin.name,
        med=attributes.med,
        local_pref=attributes.local_pref,
        communities=[f"{community >> 16}:{community & 0xFFFF}" for community in attributes.communities],
        link_bandwidth=bandwidth_of(attributes),
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


def _name_of(router: Router, address: str) -> str:
    """Return the name of a peer; an address without one is its own."""
    peer = router.rib.peers.get(address)
    return address if peer is None else peer.name
