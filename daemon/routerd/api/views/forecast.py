"""What another configuration would do, as the core foresees it."""

from __future__ import annotations

from collections.abc import Sequence

from routerd.api.models import (
    ChangedGroupsView,
    ChangedGroupView,
    ChangedRoutesView,
    ChangedRouteView,
    ForecastView,
    JudgedPathView,
    JudgedView,
    MovedBucketsView,
    ToldView,
)
from routerd.core.fib.forecast import Part
from routerd.core.fib.model import Legs
from routerd.core.message import Gateway
from routerd.core.rib.export_forecast import Said
from routerd.core.rib.forecast import FIRST, Forecast, Verdict
from routerd.core.rib.policy import Reject, is_link_local
from routerd.core.route import format_address, format_prefix
from routerd.core.wanted import Wanted


def forecast(
    found: Forecast, said: Sequence[Said], parts: Sequence[Part], buckets: MovedBucketsView, routes_now: int
) -> ForecastView:
    """Return what is foreseen: of paths, routes, what peers are told, groups, and buckets with flows."""
    return ForecastView(
        paths=[
            JudgedView(
                before=_verdict(before),
                after=_verdict(after),
                count=sample.total,
                first=[JudgedPathView(prefix=format_prefix(prefix), peer=peer.name) for prefix, peer in sample],
            )
            for (before, after), sample in sorted(found.verdicts.items(), key=lambda item: -item[1].total)
        ],
        unnamed=found.unnamed,
        unasked=found.unasked,
        routes=[
            ChangedRoutesView(
                fate=fate.value,
                count=sample.total,
                first=[
                    ChangedRouteView(prefix=format_prefix(prefix), before=_hops(before), after=_hops(after))
                    for prefix, before, after in sample
                ],
            )
            for fate, sample in found.routes.items()
            if sample.total
        ],
        routes_now=routes_now,
        told=[
            ToldView(
                peer_group=each.group,
                peers=each.peers,
                what=telling.value,
                count=sample.total,
                first=list(map(format_prefix, sample)),
            )
            for each in said
            for telling, sample in each.prefixes.items()
            if sample.total
        ],
        groups=_groups(parts),
        buckets=buckets,
    )


def _verdict(verdict: Verdict) -> str:
    return "accepted" if verdict is Reject.NONE else verdict.text


def _hops(wanted: Wanted) -> list[str]:
    """Return the next hops, with their weights where some are to get more than others."""
    if not wanted.weights:
        return [_name(gateway) for gateway in wanted.members]
    return [f"{_name(gateway)} weight {share}" for gateway, share in wanted.shares.items()]


def _groups(parts: Sequence[Part]) -> ChangedGroupsView:
    return ChangedGroupsView(
        changed=len({part.group for part in parts if part.after and not part.afresh}),
        anew=len({part.group for part in parts if part.after and part.afresh}),
        emptied=len({part.group for part in parts if not part.after}),
        first=[
            ChangedGroupView(
                id=part.group,
                prefixes=part.prefixes,
                before=_legs(part.before),
                after=_legs(part.after),
                anew=part.afresh and bool(part.after),
            )
            for part in parts[:FIRST]
        ],
    )


def _legs(legs: Legs) -> dict[str, int]:
    return {_name(gateway): weight for gateway, weight in legs.items()}


def _name(gateway: Gateway) -> str:
    """Return a gateway's address, with the interface's index where it means something on one link only."""
    scope = f"%{gateway.ifindex}" if is_link_local(gateway.address) else ""
    return format_address(gateway.address) + scope
