"""The view of the peers.

Counts come from the path sets, of which there are few, and never from a walk over all prefixes. What may be long is
made in slices.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from routerd.api.models import FamilyCounts, PeerView
from routerd.api.slices import Slices
from routerd.api.views import forwarding, groups
from routerd.api.views.shutdowns import shutdown_of
from routerd.core.gateway_health import Reason
from routerd.core.rib.decision import is_leaving
from routerd.core.rib.peer import Peer
from routerd.core.route import Family, Path, family_of, format_address
from routerd.core.router import Router

Counts = dict[Family, dict[str, int]]
_AT_ONCE = 8192
"""Prefixes that are looked at between two interruptions, where little is done with each."""
_KINDS = ("received", "accepted", "rejected", "in_fib", "stale", "advertised")


def peers(router: Router, now: float, group_counts: groups.Counts = groups.unread) -> Slices[list[PeerView]]:
    """Return every peer: those of the configuration in its order, then the dynamic ones by address."""
    counts, leaving = yield from count(router)
    buckets = yield from groups.buckets(router, group_counts)
    place = {static.address: number for number, static in enumerate(router.config.peers)}
    found = list(router.rib.peers.values())
    found.sort(key=lambda peer: (place.get(peer.address, len(place)), len(peer.packed), peer.packed))
    views: list[PeerView] = []
    for peer in found:
        rows = counts[peer.address]
        yield from complete(router, peer, rows)
        view = _peer(router, peer, rows, now, dynamic=peer.address not in place)
        view["leaving"] = leaving[peer.address]
        view["buckets"] = sum(buckets[gateway] for gateway in router.rib.gateways_of(peer))
        views.append(view)
    return views


def count(router: Router) -> Slices[tuple[defaultdict[str, Counts], Counter[str]]]:
    """Count prefixes by peer and family, accepted and in the FIB, over path sets and paths; and those, by peer, that
    are announced with GRACEFUL_SHUTDOWN."""
    found: defaultdict[str, Counts] = defaultdict(lambda: {f: dict.fromkeys(_KINDS, 0) for f in Family})
    leaving: Counter[str] = Counter()
    loc_rib = router.rib.loc_rib
    in_fib: Counter[Path] = Counter()
    for paths in list(loc_rib.sets()):
        yield
        if not paths.users:
            continue  # it has gone meanwhile, and so have its peers perhaps
        decision = loc_rib.decision(paths)
        for path in forwarding.winners(router, decision) if decision.members else ():
            in_fib[path] += paths.users
    for prefix in list(router.fib.refused):
        yield
        decision = loc_rib.decision(loc_rib.paths_of(prefix))
        for path in forwarding.winners(router, decision) if decision.members else ():
            in_fib[path] -= 1
    for path, users in list(loc_rib.users.items()):
        yield
        row = found[path.peer][Family.IPV4 if len(path.attributes.next_hop) == 4 else Family.IPV6]
        row["accepted"] += users
        row["in_fib"] += max(in_fib[path], 0) if router.synchronised else 0
        leaving[path.peer] += users if is_leaving(path) else 0
    return found, leaving


def complete(router: Router, peer: Peer, rows: Counts) -> Slices[None]:
    """Add what the peer itself knows to its row of `count`."""
    if peer.adj_rib_in.rejected:
        for (family, _), number in peer.adj_rib_in.rejected.counts().items():
            rows[family]["rejected"] += number
    stale = list(peer.adj_rib_in.stale)
    for start in range(0, len(stale), _AT_ONCE):
        yield
        for family, number in Counter(map(family_of, stale[start : start + _AT_ONCE])).items():
            rows[family]["stale"] += number
    for family, row in rows.items():
        row["received"] = row["accepted"] + row["rejected"]
        row["advertised"] = router.rib.advertising.adj_ribs_out.count(peer.address, family)
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
        state="shutdown" if peer.address in router.rib.peers.shut else state_of(peer),
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
    return "operator" if peer.address in router.drains.peers else ""


def drained_groups(router: Router, peer: Peer) -> tuple[list[tuple[int, int]], int]:
    """Return (group id, nexthop id) wherever the peer is a member among others, and the number of prefixes that
    have nobody else."""
    shared, sole = [], 0
    gateways = router.rib.gateways_of(peer)
    for group in dict.fromkeys(group for gateway in gateways for group in router.fib.groups.having(gateway)):
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
