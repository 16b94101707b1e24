"""`routerd top`: packets by node and by VIP, again and again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from routerd.cli.arguments import UsageError
from routerd.cli.client import ApiError, Client
from routerd.cli.commands import lines_of, watched
from routerd.cli.output import fail, write
from routerd.cli.screen import Column, Screen

if TYPE_CHECKING:
    from routerd.api.inspection import TrafficGroupView, TrafficNodeView, TrafficView

LEAST, MOST = 0.2, 5.0
"""Seconds to count."""


def show(socket: str, as_json: bool, *, once: bool, interval: float, limit: int) -> int:
    """Count, and print, until Ctrl-C or once."""
    if not LEAST <= interval <= MOST:
        raise UsageError(f"--interval is {LEAST:g} to {MOST:g} seconds, not {interval:g}")

    def look() -> Any:
        return Client(socket).get("/v1/traffic", milliseconds=round(interval * 1000), limit=limit)

    if not once:
        return watched(look, lines, as_json)
    try:
        answer = look()
        write(json.dumps(answer, indent=2) if as_json else "\n".join(lines_of(lines, answer)))
    except ApiError as error:
        raise fail(error, as_json) from error
    return 0


def lines(screen: Screen, view: TrafficView) -> list[str]:
    """Nodes, then VIPs, the busiest first."""
    if not view["groups_total"]:
        return ["no nexthop groups: nothing is in the FIB"]
    total = view["packets_per_second"]
    head = f"{rate(total)} packets/s over {view['seconds']:.1f} s"
    nodes = [[_who(node), rate(node["packets_per_second"]), _part(node, total)] for node in view["nodes"]]
    shares = [Column("Packets/s", right=True), Column("Share", right=True)]
    groups = [[_prefixes(group), *_group(group), _members(group)] for group in view["groups"]]
    columns = [Column("VIP"), *shares[:1], Column("Members", fold=True, below="text")]
    return [
        screen.paint(head, "bold"),
        "",
        *(screen.table([Column("Node"), *shares], nodes, {}) if nodes else []),
        *_more(view["nodes"], view["nodes_total"], "nodes"),
        "",
        *screen.table(columns, groups, {}),
        *_more(view["groups"], view["groups_total"], "groups"),
        *_uncounted(screen, view),
    ]


def _more(shown: list[Any], total: int, what: str) -> list[str]:
    return [f"... and {total - len(shown)} more {what}: --limit"] if len(shown) < total else []


def _uncounted(screen: Screen, view: TrafficView) -> list[str]:
    if not view["uncounted"]:
        return []
    text = f"not in these numbers: {view['uncounted']} groups of one member, whose packets the kernel does not count"
    return screen.paragraph(text)


def rate(number: float) -> str:
    """Write packets per second in four characters or five: `0`, `12`, `3400`, `51k`, `1.2M`."""
    for unit, size in (("", 1.0), ("k", 1e3), ("M", 1e6)):
        if number < 9999.5 * size:
            return f"{number / size:.1f}{unit}" if 0 < number / size < 9.95 else f"{number / size:.0f}{unit}"
    return f"{number / 1e9:.1f}G"


def _who(node: TrafficNodeView) -> str:
    others = [gateway for gateway in node["gateways"] if gateway != node["name"]]
    return " ".join([node["name"], *others])


def _part(node: TrafficNodeView, total: float) -> str:
    return f"{100 * node['packets_per_second'] / total:.1f} %" if total else "-"


def _prefixes(group: TrafficGroupView) -> str:
    first = group["prefixes"][0] if group["prefixes"] else f"group {group['id']}"
    more = group["prefixes_total"] - 1
    return f"{first} +{more}" if more > 0 else first


def _group(group: TrafficGroupView) -> list[str]:
    return [rate(group["packets_per_second"]) if group["counted"] else "-"]


def _members(group: TrafficGroupView) -> str:
    if not group["counted"]:
        return ", ".join(member["name"] for member in group["members"])
    return ", ".join(f"{member['name']} {rate(member['packets_per_second'])}" for member in group["members"])
