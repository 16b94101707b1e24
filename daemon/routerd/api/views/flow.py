"""The view of a flow: the node that it reaches, by which route, group, bucket and path, and what nobody can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from typing import NamedTuple

from routerd.api.inspection import (
    FlowAnswerView,
    FlowBucketView,
    FlowChangeView,
    FlowMemberView,
    FlowPartnerView,
    FlowPathView,
    FlowRouteView,
    FlowView,
)
from routerd.api.models import GroupMemberView
from routerd.api.views import forwarding
from routerd.core.message import PROTOCOLS, RTPROT_BGP, Gateway
from routerd.core.message.flow import FIVE_TUPLE, INNER_L3, L3, L4, Flow, FlowMember, Way
from routerd.core.rib.foreign import network_of
from routerd.core.route import LOCAL, Address, Path, Prefix, format_address, format_as_path, format_prefix
from routerd.core.router import Router


class Place(NamedTuple):
    """Where a flow is here: in a group, in a bucket of it, if it is known, and with a node."""

    group: int
    bucket: int | None
    node: Gateway | None


Partner = Callable[[Place], FlowPartnerView]
"""Tells where a flow would go by the other router of the pair."""
NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}
_MAIN = 254
_POLICIES = {L3: "l3", L4: "l4", INNER_L3: "2", FIVE_TUPLE: "five-tuple"}
_PORTS = "the node depends on both ports: write SRC:PORT DST:PORT"
_HASHED = (
    "a packet that carries the hash of its sender's socket or of a network card (skb->l4_hash) goes by that, and "
    'nobody can ask for it; with hash_policy = "five-tuple" no packet does'
)
_LABEL = "for IPv6 the policy l3 hashes the flow label, too, which the client chooses for each of its connections"
_OTHER_HASH = (
    "when it is asked about IPv6 the kernel hashes the five-tuple in another way than for packets, and its seed is "
    "secret: one of the members"
)
_OWN = "the router itself is the source: its sockets may keep a way that they had before"


def expected(router: Router, destination: Address) -> tuple[Prefix | None, int]:
    """Return the most specific of routerd's routes to an address, and its group's id; 0 if there is none."""
    for bits in range(len(destination) * 8, -1, -1):
        prefix = network_of(destination, bits)
        group = router.fib.routes.get(prefix)
        if group is not None and group.legs:
            return prefix, group.id
    return None, 0


def answer(
    router: Router,
    flow: Flow,
    way: Way,
    now: float,
    changed: FlowChangeView | None,
    *,
    partner: Partner | None = None,
) -> FlowAnswerView:
    """Return what the kernel said about a flow, beside what the router knows of it, and what `partner` does."""
    prefix, group = expected(router, flow.destination)
    own = bool(way.nexthop) and way.nexthop == group and way.table == _MAIN and way.protocol == RTPROT_BGP
    # With IPv6 the kernel may name another prefix that has led to the same nexthop: its cache is the nexthop's.
    route = _route(way, prefix if own else way.prefix, own=own)
    chosen = next((each for each in way.members if each.nexthop == way.chosen), None)
    doubts = [way.error] if way.error else [] if way.local else list(_doubts(flow, way, own=own))
    node = None if chosen is None else _member(router, chosen)
    return FlowAnswerView(
        flow=_flow(flow, way),
        found=_found(way, own=own, known=node is not None),
        certain=node is not None and not doubts,
        doubts=doubts,
        node=node,
        hash_policy=_POLICIES.get(way.policy, str(way.policy)),
        route=None if way.local or way.error else route,
        group_type="" if not way.members else "resilient" if way.buckets else "hash-threshold",
        bucket=_bucket(way),
        members=[FlowMemberView(member=_member(router, each), share=_share(way, each)) for each in way.members],
        paths=list(_paths(router, prefix, None if chosen is None else chosen.gateway, now)) if own and prefix else [],
        changed=changed if own else None,
        partner=None if partner is None or chosen is None or not own else _partner(way, chosen, partner),
    )


def _partner(way: Way, chosen: FlowMember, partner: Partner) -> FlowPartnerView:
    return partner(Place(way.nexthop, None if way.bucket is None else way.bucket.number, chosen.gateway))


def _found(way: Way, *, own: bool, known: bool) -> str:
    if way.local:
        return "local"
    if way.error:
        return "no route"
    if not own:
        return "not ours"
    return "node" if known else "unknown"


def _doubts(flow: Flow, way: Way, *, own: bool) -> Iterator[str]:
    """Yield why the answer may not be what packets do."""
    if not own:
        place = "" if way.table == _MAIN else f", of table {way.table}, to which a rule leads it"
        yield f"the route is not routerd's{place}: it is of protocol {_protocol(way.protocol)}, metric {way.metric}"
    if len(way.members) < 2:
        return  # whatever the hash is
    if not way.interface:
        yield _OWN
    if not flow.is_whole(way.policy):
        yield _PORTS
    if way.policy == L4:
        yield _HASHED
    elif not flow.is_exact(way.policy):
        yield _LABEL if way.policy in (L3, INNER_L3) else _OTHER_HASH


def _flow(flow: Flow, way: Way) -> FlowView:
    names = {number: name for name, number in NUMBERS.items()}
    return FlowView(
        source=str(ip_address(bytes(flow.source))),
        source_port=flow.source_port or None,
        destination=str(ip_address(bytes(flow.destination))),
        destination_port=flow.destination_port or None,
        protocol=names.get(flow.protocol, str(flow.protocol)),
        interface=way.interface,
    )


def _route(way: Way, prefix: Prefix | None, *, own: bool) -> FlowRouteView:
    return FlowRouteView(
        prefix="default" if prefix is None else format_prefix(prefix),
        table=way.table,
        protocol=_protocol(way.protocol),
        metric=way.metric,
        nexthop_id=way.nexthop or None,
        own=own,
    )


def _protocol(number: int) -> str:
    return PROTOCOLS.get(number, str(number))


def _bucket(way: Way) -> FlowBucketView | None:
    found = way.bucket
    if found is None:
        return None
    return FlowBucketView(index=found.number, candidates=found.candidates, of=way.buckets, idle_seconds=found.idle)


def _share(way: Way, member: FlowMember) -> float:
    if way.buckets:
        return member.buckets / way.buckets
    return member.weight / sum(each.weight for each in way.members)


def _member(router: Router, member: FlowMember) -> GroupMemberView:
    gateway = member.gateway
    return GroupMemberView(
        nexthop_id=member.nexthop,
        gateway="" if gateway is None else format_address(gateway.address),
        interface="" if gateway is None else router.rib.nexthops.name_of(gateway.ifindex),
        weight=member.weight,
        buckets=member.buckets,
        peers=names(router, gateway),
    )


def names(router: Router, gateway: Gateway | None) -> list[str]:
    """Return the names of the peers that lead to a gateway."""
    return [] if gateway is None else [peer.name for peer in router.rib.leads.peers(gateway)]


def _paths(router: Router, prefix: Prefix, gateway: Gateway | None, now: float) -> Iterator[FlowPathView]:
    """Yield the winners' paths to the prefix that lead to a gateway, or to any if it is None."""
    paths = router.rib.loc_rib.paths_of(prefix)
    for path in forwarding.winners(router, router.rib.loc_rib.decision(paths)):
        resolution = None if path.peer == LOCAL else router.rib.resolve(path)
        if resolution is not None and gateway in (None, resolution.gateway):
            yield _path(router, prefix, path, now)


def _path(router: Router, prefix: Prefix, path: Path, now: float) -> FlowPathView:
    peer = router.rib.peers.get(path.peer)
    return FlowPathView(
        peer=path.peer,
        name=path.peer if peer is None else peer.name,
        next_hop=format_address(path.attributes.next_hop) if path.attributes.next_hop else "",
        as_path=format_as_path(path.attributes.as_path),
        since_seconds=now - path.since,
        stale=peer is not None and prefix in peer.adj_rib_in.stale,
    )


def concerned(router: Router, gateways: Iterable[Gateway]) -> set[str]:
    """Return what events about these gateways may name: the gateways, and names and addresses of their peers."""
    found: set[str] = set()
    for gateway in gateways:
        found.add(format_address(gateway.address))
        for peer in router.rib.leads.peers(gateway):
            found |= {peer.name, peer.address}
    return found
