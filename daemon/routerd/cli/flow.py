"""`routerd flow`: the node that a flow reaches, for a screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from routerd.cli.arguments import UsageError
from routerd.cli.commands import ask
from routerd.cli.render import count, duration
from routerd.cli.screen import Column, Screen

if TYPE_CHECKING:
    from routerd.api.inspection import (
        FlowAnswerView,
        FlowBucketView,
        FlowChangeView,
        FlowPartnerView,
        FlowPathView,
        FlowView,
    )
    from routerd.api.models import GroupMemberView

_NONE = {
    "local": "none: the router itself is the destination",
    "no route": "none: the kernel has no route for it",
    "not ours": "unknown: the route is not routerd's",
    "unknown": "one of those below: the kernel cannot tell which",
}
_HEAD = frozenset(("time", "event"))


def show(source: str, destination: str, socket: str, as_json: bool, **options: str | None) -> int:
    """Ask, and print the answer."""
    (first, first_port), (second, second_port) = endpoint(source), endpoint(destination)
    answer = ask(
        socket,
        as_json,
        lines,
        "/v1/flow",
        source=first,
        destination=second,
        source_port=first_port or None,
        destination_port=second_port or None,
        **options,
    )
    return 0 if answer["found"] == "node" else 3


def endpoint(text: str) -> tuple[str, int]:
    """Return address and port, 0 without one, of `10.0.0.9:80`, `[fd00::9]:80`, or an address alone."""
    if text.startswith("["):
        address, closed, rest = text[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else "0"
        valid = bool(closed) and rest[:1] in ("", ":")
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
        valid = True
    else:
        address, port, valid = text, "0", True
    if not valid or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{text[:60]!r} is no address with a port: write 10.0.0.9:40000 or [fd00::9]:40000")
    return address, int(port)


def lines(screen: Screen, view: FlowAnswerView) -> list[str]:
    """Which node, and why that one."""
    node = view["node"]
    told = _NONE[view["found"]] if node is None else _node(node)
    colour = "red" if node is None else "green" if view["certain"] else "yellow"
    head = [f"{screen.paint('flow', 'bold')}     {_flow(view['flow'])}", *screen.paragraph(told, "node     ", colour)]
    facts = [line for name, text in _facts(view) for line in screen.paragraph(text, f"{name:8} ")]
    doubts = [line for doubt in view["doubts"] for line in screen.paragraph(doubt, "but      ", "yellow")]
    return [*head, *facts, *doubts, *_partner(screen, view["partner"]), *_members(screen, view)]


def _flow(flow: FlowView) -> str:
    source = _end(flow["source"], flow["source_port"])
    destination = _end(flow["destination"], flow["destination_port"])
    came = f", in by {flow['interface']}" if flow["interface"] else ""
    return f"{flow['protocol']} {source} -> {destination}{came}"


def _end(address: str, port: int | None) -> str:
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _node(node: GroupMemberView) -> str:
    others = [name for name in node["peers"] if name != node["gateway"]]
    names = f" ({', '.join(others)})" if others else ""
    return f"{node['gateway']} dev {node['interface']}{names}"


def _facts(view: FlowAnswerView) -> Iterator[tuple[str, str]]:
    route = view["route"]
    if route is None:
        return
    table = "" if route["table"] == 254 else f" table {route['table']}"
    nhid = "" if route["nexthop_id"] is None else f" nhid {route['nexthop_id']}"
    yield "route", f"{route['prefix']} proto {route['protocol']} metric {route['metric']}{table}{nhid}"
    if view["group_type"]:
        members = count(len(view["members"]), "member")
        yield "group", f"{route['nexthop_id']} {view['group_type']}, {members}, hash_policy {view['hash_policy']}"
    if view["bucket"]:
        yield "bucket", _bucket(view["bucket"])
    for path in view["paths"] if view["node"] else []:
        yield "path", _path(path)
    if view["changed"]:
        yield "changed", _changed(view["changed"])
    elif route["own"]:
        yield "changed", "not since routerd started"


def _partner(screen: Screen, view: FlowPartnerView | None) -> list[str]:
    """Say where the flow would go by the other router of the pair."""
    if view is None:
        return []
    others = [name for name in view["peers"] if name != view["gateway"]]
    node = (view["gateway"] or "unknown") + (f" ({', '.join(others)})" if others else "")
    verdict = {None: "", True: ", the same node", False: ", another node: the flow breaks if it comes there"}
    said = f"{view['router']} sends it to {node}{verdict[view['same']]}"
    told = screen.paragraph(said, "partner  ", "red" if view["same"] is False else "")
    return told + [line for each in view["doubts"] for line in screen.paragraph(each, "but      ", "yellow")]


def _bucket(bucket: FlowBucketView) -> str:
    if bucket["index"] is None:
        return f"one of {bucket['candidates']} of {bucket['of']} that others use at this moment, too"
    idle = "" if bucket["idle_seconds"] is None else f", idle for {bucket['idle_seconds']:.1f} s before this question"
    return f"{bucket['index']} of {bucket['of']}{idle}"


def _path(path: FlowPathView) -> str:
    stale = ", stale" if path["stale"] else ""
    return f"of {path['name']}, next hop {path['next_hop']}, AS path {path['as_path'] or '-'}{stale}"


def _changed(change: FlowChangeView) -> str:
    named = [(", ".join(each["peers"]) or each["gateway"], each["what"]) for each in change["members"]]
    words = {"joined": "joined", "left": "left", "weight": "has another share"}
    said = [f"{name} {words[what]}" for name, what in named] or ["the group was made"]
    cause = change["cause"]
    about = " ".join(f"{name}={value}" for name, value in cause.items() if name not in _HEAD)
    why = f": {cause['event']} {about}".rstrip() if cause else ""
    return f"{duration(change['seconds'])} ago, {', '.join(said)}{why}"


def _members(screen: Screen, view: FlowAnswerView) -> list[str]:
    if view["node"] is not None or not view["members"]:
        return []
    columns = [Column("Member"), Column("Share", right=True), Column("Buckets", right=True)]
    rows = [
        [_node(each["member"]), f"{100 * each['share']:.1f} %", str(each["member"]["buckets"] or "-")]
        for each in view["members"]
    ]
    return ["", *screen.table(columns, rows, {})]
