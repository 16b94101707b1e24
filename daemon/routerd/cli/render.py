"""Tables for people. Everything shown comes from the API's views."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from routerd.api.models import (
    DrainView,
    GroupMemberView,
    GroupView,
    PathView,
    PeerView,
    RouteDetailView,
    RoutesView,
    StatusView,
)

_STATE_STYLE = {"established": "green", "stale": "yellow", "waiting": "red"}
_SHOWN_GROUPS = 10
_FOLDING = ("Reason", "Members", "Next hops", "Lost at")


def duration(seconds: float) -> str:
    """Write a duration as FRR does: `00:01:05`, from a day on `1d02h03m`."""
    whole = int(seconds)
    days, rest = divmod(whole, 86400)
    hours, minutes = rest // 3600, rest // 60 % 60
    return f"{days}d{hours:02}h{minutes:02}m" if days else f"{hours:02}:{minutes:02}:{rest % 60:02}"


def _table(*columns: str, right: Iterable[str] = ()) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    numeric = set(right)
    for column in columns:
        table.add_column(column, justify="right" if column in numeric else "left", no_wrap=column not in _FOLDING)
    return table


def status(view: StatusView) -> RenderableType:
    """The one screen: is all well?"""
    fib, speaker = view["fib"], view["speaker"]
    up = sum(peer["state"] == "established" for peer in view["peers"])
    verdict = "[green]all is well[/]" if view["ok"] else f"[red]{len(view['problems'])} problem(s)[/]"
    head = Text.from_markup(
        f"[bold]routerd[/] {view['version']}  AS{view['asn']}  router id {view['router_id']}  "
        f"up {duration(view['uptime_seconds'])}  {verdict}"
    )
    writing = f", {fib['unwritten']} being written" if fib["unwritten"] else ""
    running = f"pid {speaker['pid']}" if speaker["running"] else "[red]not running[/]"
    facts = Text.from_markup(
        f"speaker  ExaBGP {running}, {speaker['restarts']} restarts\n"
        f"peers    {up} of {len(view['peers'])} established\n"
        f"RIB      {view['prefixes']} prefixes, {view['paths']} paths\n"
        f"FIB      {fib['routes']} routes, {fib['groups']} groups, {fib['nexthops']} nexthops, "
        f"{fib['refused']} refused, {fib['drift_mended']} drift mended{writing}\n"
        f"sysctl   {_sysctls(view)}"
    )
    parts: list[RenderableType] = [head, facts, Text(), peers(view["peers"]), Text()]
    parts.append(groups(view["groups"][:_SHOWN_GROUPS]))
    if len(view["groups"]) > _SHOWN_GROUPS:
        parts.append(Text(f"... and {len(view['groups']) - _SHOWN_GROUPS} more: routerd groups"))
    for problem in view["problems"]:
        line = f"\n[red]problem[/]  {escape(problem['where'])}: {escape(problem['what'])}"
        parts.append(Text.from_markup(line))
        parts.append(Text.from_markup(f"[dim]     do[/]  {escape(problem['remedy'])}"))
    return Group(*parts)


def _sysctls(view: StatusView) -> str:
    wrong = [sysctl["name"] for sysctl in view["sysctls"] if not sysctl["ok"]]
    policy = next(
        (s["current"] for s in view["sysctls"] if s["name"] == "net.ipv4.fib_multipath_hash_policy"), "unknown"
    )
    if wrong:
        return f"[red]{len(wrong)} not as wanted[/]: {', '.join(wrong)}"
    return f"{len(view['sysctls'])} as wanted (fib_multipath_hash_policy = {policy})"


def peers(views: list[PeerView]) -> RenderableType:
    """A row a peer, with the columns that FRR's operators look for, and In FIB, which they miss there."""
    numbers = ("Recv", "Acc", "Rej", "In FIB", "Stale", "Sent")
    table = _table("Peer", "AS", "State", "For", *numbers, "Reason", right=("AS", "For", *numbers))
    for peer in views:
        totals = peer["totals"]
        style = _STATE_STYLE[peer["state"]]
        reasons = [peer["reason"], *(f"{n} rejected: {why}" for why, n in peer["rejected_by_reason"].items())]
        table.add_row(
            escape(_named(peer)),
            str(peer["asn"] or "-"),
            f"[{style}]{_state(peer)}[/]",
            duration(peer["since_seconds"]),
            *(str(totals[key]) for key in ("received", "accepted", "rejected", "in_fib", "stale", "advertised")),
            escape("; ".join(reason for reason in reasons if reason)),
        )
    return table if views else Text("no peers: none is configured, and no session of a range came up yet")


def drain(view: DrainView) -> RenderableType:
    """How far a drain has come."""
    if not view["drain"]:
        return Text(f"{view['name']} is not drained")
    left = f"{view['buckets']} buckets in {view['groups']} groups still carry flows"
    parts = ["empty: no flow is left, it can be shut down" if view["empty"] else left]
    if view["sole"]:
        parts.append(f"{view['sole']} prefixes have no other next hop")
    return Text(f"{view['name']} is drained (by the {view['drain']}); {'; '.join(parts)}")


def _state(peer: PeerView) -> str:
    marks = [mark for mark, on in (("silent", peer["silent"]), ("drained", peer["drain"])) if on]
    return ", ".join([peer["state"], *marks])


def _named(peer: PeerView) -> str:
    return peer["address"] if peer["dynamic"] else f"{peer['name']} {peer['address']}"


def _leg(member: GroupMemberView) -> str:
    others = [name for name in member["peers"] if name != member["gateway"]]
    names = f" ({', '.join(others)})" if others else ""
    return escape(f"{member['gateway']} dev {member['interface']} weight {member['weight']}{names}")


def groups(views: list[GroupView]) -> RenderableType:
    """A row a nexthop group, a line a leg."""
    table = _table("Group", "Type", "Buckets", "Prefixes", "Members", right=("Group", "Buckets", "Prefixes"))
    for group in views:
        table.add_row(
            str(group["id"]),
            group["type"],
            str(group["buckets"] or "-"),
            str(group["prefixes"]),
            "\n".join(map(_leg, group["members"])),
        )
    return table if views else Text("no nexthop groups: nothing is in the FIB")


def routes(view: RoutesView) -> RenderableType:
    """A row a prefix."""
    table = _table("Prefix", "Group", "In FIB", "Paths", "Best", "Next hops", right=("Group", "Paths"))
    for route in view["routes"]:
        table.add_row(
            route["prefix"],
            str(route["group_id"] or "-"),
            "yes" if route["in_fib"] else "[red]no[/]",
            str(route["paths"]),
            escape(route["best_peer"]) or "-",
            ", ".join(route["next_hops"]) or "-",
        )
    shown = len(view["routes"])
    more = Text(f"{shown} of {view['total']} prefixes") if shown < view["total"] else Text()
    return Group(table, more) if view["total"] else Text("no prefixes")


def route(view: RouteDetailView) -> RenderableType:
    """All paths to a prefix, which won, why each other lost, and what the kernel has."""
    paths = _table(
        "", "Peer", "Next hop", "Dev", "AS path", "Origin", "MED", "Pref", "Lost at", right=("MED", "Pref")
    )
    for path in view["paths"]:
        paths.add_row(
            _mark(path),
            escape(path["name"]),
            path["next_hop"] or "-",
            path["interface"] or "-",
            path["as_path"] or "-",
            path["origin"],
            "-" if path["med"] is None else str(path["med"]),
            "-" if path["local_pref"] is None else str(path["local_pref"]),
            escape(path["lost_at"]),
        )
    kernel = view["kernel"]
    lines: list[RenderableType] = [
        Text.from_markup(f"[bold]{view['prefix']}[/]   > best  = multipath  s stale"),
        paths,
    ]
    group = f"group {view['group_id']}" if view["group_id"] is not None else "no group"
    lines.append(Text(f"\nrouterd  {group}: {', '.join(map(_leg, view['members'])) or 'no members'}"))
    if kernel["present"]:
        legs = ", ".join(map(_leg, kernel["members"])) or "none"
        head = f"proto {kernel['protocol']} metric {kernel['metric']} nhid {kernel['nexthop_id']}"
        lines.append(Text(f"kernel   {head}: {legs}"))
    else:
        lines.append(Text("kernel   has no route to it"))
    if view["refused"]:
        lines.append(Text.from_markup(f"[red]refused[/]  {escape(view['refused'])}"))
    return Group(*lines)


def _mark(path: PathView) -> str:
    return (">" if path["best"] else "=" if path["multipath"] else " ") + ("s" if path["stale"] else "")
