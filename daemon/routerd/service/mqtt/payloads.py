"""What a router says of itself, as JSON has it. docs/mqtt.md shows each."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from routerd.api.models import PairStateView, ProblemView
from routerd.api.views.groups import members
from routerd.api.views.peers import drain_of, state_of
from routerd.core.gateway_health import Reason
from routerd.core.rib.peer import Peer
from routerd.core.route import Prefix, format_prefix
from routerd.core.router import Router

PROBLEMS, DRAINED = 10, 100
"""Problems, and drained peers, that a summary names at most."""
HOPS, PEERS = 256, 4
"""Next hops that a VIP names at most, and peers of each."""


def peer(router: Router, of: Peer, epoch: float) -> dict[str, Any]:
    """Return how a peer is; `epoch` is the clock's time when the monotonic one was 0."""
    up = of.session
    shut = of.address in router.rib.peers.shut
    return {
        "name": of.name,
        "address": of.address,
        "group": of.group_name,
        "asn": None if of.last is None else of.last.received.asn,
        "state": "shutdown" if shut else state_of(of),
        "since": round(epoch + of.since, 3),
        "reason": of.last_fault if up is not None else of.reason or "has not dialled in",
        "families": [] if up is None else sorted(f.label for f in up.received.families & up.sent.families),
        "prefixes": accepted(router, of),
        "drain": drain_of(router, of),
        "silent": not router.rib.gateways_of(of).isdisjoint(router.health.having(Reason.SILENT)),
    }


def accepted(router: Router, of: Peer) -> int:
    """Return how many of a peer's prefixes are accepted."""
    return sum(router.rib.loc_rib.hops.get(of.address, {}).values())


def vip(router: Router, prefix: Prefix) -> dict[str, Any] | None:
    """Return where the packets to a host route go; None if there is no such route any more."""
    group = router.fib.routes.get(prefix)
    if group is None:
        return None
    legs = [
        {
            "gateway": leg["gateway"],
            "interface": leg["interface"],
            "weight": leg["weight"],
            "peers": leg["peers"][:PEERS],
        }
        for leg in members(router, group)
    ]
    refused = router.fib.refused.get(prefix)
    return {
        "prefix": format_prefix(prefix),
        "group": group.id,
        "count": len(legs),
        "next_hops": sorted(legs, key=lambda leg: str(leg["gateway"]))[:HOPS],
        "in_fib": bool(legs) and refused is None and router.synchronised,
        "refused": "" if refused is None else refused[1],
    }


def pair(state: PairStateView | None) -> dict[str, Any] | None:
    """Return how the router stands with the other one of its pair; None without one."""
    if state is None:
        return None
    return {
        "partner": state["partner"],
        "up": state["up"],
        "leads": state["leads"],
        "agrees": state["agrees"],
        "groups": state["groups"],
    }


def summary(router: Router, problems: Collection[ProblemView], unwritten: int) -> dict[str, Any]:
    """Return the router in numbers, and what is wrong; costs what there are peers and groups."""
    peers = list(router.rib.peers.values())
    drained = [router.rib.peers[each].name for each in sorted(router.drains.peers) if each in router.rib.peers]
    return {
        "ok": not problems,
        "problems": {"count": len(problems), "first": list(problems)[:PROBLEMS]},
        "peers": {"up": sum(each.session is not None for each in peers), "all": len(peers)},
        "prefixes": len(router.rib.loc_rib.table),
        "paths": sum(sum(hops.values()) for hops in list(router.rib.loc_rib.hops.values())),
        "routes": router.fib.installed,
        "groups": len(router.fib.groups.by_id),
        "buckets": router.fib.groups.buckets,
        "unwritten": unwritten,
        "refused": len(router.refusals),
        "drift_mended": router.reconciliation.drift_mended,
        "drained": drained[:DRAINED],
    }
