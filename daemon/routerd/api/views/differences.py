"""The view of what the kernel has otherwise than wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from routerd.api.inspection import DifferencesView, DifferenceView
from routerd.api.slices import Slices
from routerd.api.views.order import in_order
from routerd.core.fib.differences import Differences, Expected, Group
from routerd.core.message import PROTOCOLS, Gateway, KernelDump
from routerd.core.refusals import Refusals
from routerd.core.route import Prefix, format_address, format_prefix

Names = Mapping[int, str]
"""Interfaces by index."""


def differences(
    wanted: Expected, found: KernelDump, differing: Differences, limit: int, *, refusals: Refusals, unwritten: int
) -> Slices[DifferencesView]:
    """Return the differences in words, up to `limit` of them."""
    names = {interface.index: interface.name for interface in found.interfaces}
    rows = list(islice(_objects(differing, refusals, names), limit))
    for prefix in (yield from in_order(differing.routes, 0, limit - len(rows))):
        rows.append(_route(prefix, differing.routes[prefix], wanted, found))
    return DifferencesView(
        same=not differing.total,
        routes=len(wanted.routes),
        nexthops=len(wanted.nexthops),
        groups=len(wanted.groups),
        unwritten=unwritten,
        total=differing.total,
        differences=rows,
    )


def _objects(differing: Differences, refusals: Refusals, names: Names) -> Iterator[DifferenceView]:
    for id_, (want, has) in sorted(differing.nexthops.items()):
        refused = refusals.nexthops.get(want) if want is not None else refusals.deletions.get(id_)
        there = _gateway(has, names) if has is not None or want is not None else "something without a gateway"
        yield _row("nexthop", str(id_), _gateway(want, names), there, "" if refused is None else refused.text)
    for id_, (wanted, there_is) in sorted(differing.groups.items()):
        refused = refusals.groups.get(id_) or refusals.deletions.get(id_)
        why = "" if refused is None else refused.text
        yield _row("group", str(id_), _group(wanted, names), _group(there_is, names), why)


def _route(prefix: Prefix, ids: tuple[int, int], wanted: Expected, found: KernelDump) -> DifferenceView:
    want, has = ids
    refused = wanted.refused.get(prefix)
    should = f"group {want}" if want else "a route" if refused else ""
    there = f"group {has}" if has else _foreign(prefix, found)
    return _row("route", format_prefix(prefix), should, there, "" if refused is None else f"refused: {refused[1]}")


def _foreign(prefix: Prefix, found: KernelDump) -> str:
    others = found.foreign.get(prefix)
    if not others:
        return ""
    return f"a route of protocol {PROTOCOLS.get(others[0].protocol, others[0].protocol)}, metric {others[0].metric}"


def _gateway(gateway: Gateway | None, names: Names) -> str:
    if gateway is None:
        return ""
    if not gateway.address:
        return "another object"
    return f"{format_address(gateway.address)} dev {names.get(gateway.ifindex, gateway.ifindex)}"


def _group(group: Group | None, names: Names) -> str:
    if group is None:
        return ""
    legs = ", ".join(f"{_gateway(gateway, names)} weight {weight}" for gateway, weight in group.legs.items())
    return f"{group.buckets} buckets: {legs}" if group.buckets else legs


def _row(kind: str, name: str, wanted: str, kernel: str, why: str) -> DifferenceView:
    return DifferenceView(kind=kind, name=name, wanted=wanted, kernel=kernel, why=why)
