"""The view of the packets that nodes and groups carry: two readings of the kernel's counters, one after the other."""

from __future__ import annotations

from collections import Counter

from routerd.api.inspection import TrafficGroupView, TrafficMemberView, TrafficNodeView, TrafficView
from routerd.api.slices import Slices
from routerd.api.views.flow import names
from routerd.api.views.groups import first
from routerd.core.message import Gateway
from routerd.core.message.flow import Reading
from routerd.core.route import format_address
from routerd.core.router import Router

Carried = dict[int, dict[int, int]]
"""Packets between two readings: by group, by nexthop id."""


def carried(before: Reading, after: Reading) -> Carried:
    """Return how many packets came in between. The kernel counts from 0 when a group is written."""
    found: Carried = {}
    for group, now in after.packets.items():
        then = before.packets.get(group, now)
        same = then.keys() == now.keys() and all(now[id_] >= then[id_] for id_ in now)
        found[group] = {id_: now[id_] - then[id_] for id_ in now} if same else dict(now)
    return found


def traffic(router: Router, packets: Carried, after: Reading, seconds: float, limit: int) -> Slices[TrafficView]:
    """Return packets per second by node and by group, the busiest first, up to `limit` of each."""
    own = {group.id: group for group in list(router.fib.groups) if group.legs}
    nodes: Counter[Gateway] = Counter()
    totals: dict[int, int] = {}
    for id_, group in own.items():
        yield
        members = packets.get(id_, {})
        totals[id_] = sum(members.values())
        for nexthop, count in members.items():
            if gateway := after.gateways.get(nexthop):
                nodes[gateway] += count
        if len(group.legs) > 1:
            nodes.update(dict.fromkeys(group.legs, 0))
    yield
    busiest = sorted(own, key=lambda id_: (-totals[id_], id_))
    rows: list[TrafficGroupView] = []
    for id_ in busiest[:limit]:
        yield
        group, members = own[id_], packets.get(id_, {})
        rows.append(
            TrafficGroupView(
                id=id_,
                prefixes=first(group),
                prefixes_total=group.users,
                packets_per_second=totals[id_] / seconds,
                counted=id_ in packets,
                members=[
                    _member(router, gateway, members.get(router.fib.groups.nexthops.get(gateway, 0), 0), seconds)
                    for gateway in group.legs
                ],
            )
        )
    rows_of_nodes = _nodes(router, nodes, seconds)
    return TrafficView(
        seconds=seconds,
        packets_per_second=sum(totals.values()) / seconds,
        nodes=rows_of_nodes[:limit],
        nodes_total=len(rows_of_nodes),
        groups=rows,
        groups_total=len(own),
        uncounted=sum(id_ not in packets for id_ in own),
    )


def _nodes(router: Router, packets: Counter[Gateway], seconds: float) -> list[TrafficNodeView]:
    """Return a row for each node, whatever its gateways, the busiest first."""
    found: dict[str, TrafficNodeView] = {}
    for gateway in sorted(packets, key=lambda gateway: (len(gateway.address), gateway.address)):
        member = _member(router, gateway, packets[gateway], seconds)
        row = found.setdefault(
            member["name"], TrafficNodeView(name=member["name"], gateways=[], packets_per_second=0.0)
        )
        row["gateways"].append(member["gateway"])
        row["packets_per_second"] += member["packets_per_second"]
    return sorted(found.values(), key=lambda row: -row["packets_per_second"])


def _member(router: Router, gateway: Gateway, count: int, seconds: float) -> TrafficMemberView:
    address = format_address(gateway.address) if gateway.address else "foreign"
    return TrafficMemberView(
        name=", ".join(names(router, gateway)) or address, gateway=address, packets_per_second=count / seconds
    )
