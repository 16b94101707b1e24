"""Tables for people: each function returns the lines of a view, for a screen. What is shown comes from the API."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from routerd.cli.screen import Column, Screen

if TYPE_CHECKING:  # what stands behind them takes as long to load as all the rest of a command
    from routerd.api.models import (
        DrainView,
        EventLoopView,
        ForeignBgpView,
        GroupMemberView,
        GroupView,
        PairStateView,
        PathView,
        PeerView,
        RouteDetailView,
        RoutesView,
        RouteView,
        ShutdownView,
        StatusView,
    )

_STATES = {"established": "green", "stale": "yellow", "waiting": "red", "shutdown": "yellow"}
_SHOWN_GROUPS = 10


def duration(seconds: float) -> str:
    """Write a duration as FRR does: `00:01:05`, from a day on `1d02h03m`."""
    whole = int(seconds)
    days, rest = divmod(whole, 86400)
    hours, minutes = rest // 3600, rest // 60 % 60
    return f"{days}d{hours:02}h{minutes:02}m" if days else f"{hours:02}:{minutes:02}:{rest % 60:02}"


def count(number: int, noun: str) -> str:
    """Write a number and what it counts: `1 prefix`, `2 prefixes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}es" if noun[-1] == "x" else f"{number} {noun}s"


def status(screen: Screen, view: StatusView, *, first: bool = False) -> list[str]:
    """The one screen: is all well? Problems come last, where the eye is, or `first`, where the bottom may be cut."""
    fib, speaker = view["fib"], view["speaker"]
    up = sum(peer["state"] == "established" for peer in view["peers"])
    verdict, colour = ("all is well", "green") if view["ok"] else (count(len(view["problems"]), "problem"), "red")
    writing = f", {fib['unwritten']} being written" if fib["unwritten"] else ""
    running = f"pid {speaker['pid']}" if speaker["running"] else "not running"
    who = f" {view['version']}  AS{view['asn']}  router id {view['router_id']}  up {duration(view['uptime_seconds'])}"
    telling = sorted(view["groups"], key=lambda group: not group["unbalanced"])
    wide = len("routerd" + who + "  " + verdict) > screen.width
    lines = [
        screen.paint("routerd", "bold") + who + ("\n" if wide else "  ") + screen.paint(verdict, colour),
        f"speaker  ExaBGP {running}, {count(speaker['restarts'], 'restart')}",
        f"peers    {up} of {len(view['peers'])} established{_shut(view)}",
        *_drained(screen, view),
        *(line for each in view["shutdowns"] for line in screen.paragraph(_shutdown(each), "shutdown ", "yellow")),
        f"RIB      {count(view['prefixes'], 'prefix')}, {count(view['paths'], 'path')}",
        *screen.paragraph(
            f"{count(fib['routes'], 'route')}, {count(fib['groups'], 'group')}{_remarks(view)}, "
            f"{count(fib['nexthops'], 'nexthop')}, "
            f"{fib['refused']} refused, {fib['drift_mended']} drift mended{writing}",
            "FIB      ",
        ),
        *(screen.paragraph(_foreign(fib["foreign_bgp"]), "foreign  ") if any(fib["foreign_bgp"].values()) else []),
        *screen.paragraph(_sysctls(view), "sysctl   "),
        *([] if view["pair"] is None else _pair(screen, view["pair"])),
        f"loop     {_event_loop(view['event_loop'])}",
        *(_problems(screen, view) if first else []),
        "",
        *peers(screen, view["peers"]),
        "",
        *groups(screen, telling[:_SHOWN_GROUPS]),
    ]
    if len(view["groups"]) > _SHOWN_GROUPS:
        lines.append(f"... and {len(view['groups']) - _SHOWN_GROUPS} more: routerd groups")
    return lines if first else lines + _problems(screen, view)


def _drained(screen: Screen, view: StatusView) -> list[str]:
    order = view["drained"]
    if order is None:
        return []
    text = f"this router, by {order['by']}, {moment(order['time'])}: others are preferred; routerd undrain --self"
    return screen.paragraph(text, "drained  ", "yellow")


def moment(time_: float) -> str:
    """Write a time in seconds since 1970 as the operator's clock has it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(time_))


def _shut(view: StatusView) -> str:
    return f", {len(view['shutdowns'])} shut down" if view["shutdowns"] else ""


def _shutdown(view: ShutdownView) -> str:
    who = view["address"] if view["name"] == view["address"] else f"{view['name']} {view['address']}"
    return f"{who} {shutdown(view)}"


def shutdown(view: ShutdownView) -> str:
    """Say who has shut a peer down, when, and what it is told."""
    return f"by {view['by']}, {moment(view['time'])}" + (f': "{view["text"]}"' if view["text"] else "")


def _problems(screen: Screen, view: StatusView) -> list[str]:
    lines: list[str] = []
    for problem in view["problems"]:
        lines += ["", *screen.paragraph(f"{problem['where']}: {problem['what']}", "problem  ", "red")]
        lines += screen.paragraph(problem["remedy"], "     do  ", "dim")
    return lines


def _pair(screen: Screen, view: PairStateView) -> list[str]:
    """Say whether the other router is heard, and how many groups lead to the same nodes there."""
    heard = "heard" if view["up"] else "not heard"
    reason = f" ({view['reason']})" if view["reason"] else ""
    leads = ", this router leads" if view["leads"] and view["up"] else ""
    groups = "groups" if view["up"] else "groups, as last heard"
    states = ", ".join(f"{number} {state}" for state, number in view["groups"].items()) or "none"
    said = f"{view['partner']} {heard} for {duration(view['since_seconds'])}{reason}{leads}; {groups}: {states}"
    return screen.paragraph(said, "pair     ", "" if view["agrees"] else "red")


def _event_loop(view: EventLoopView) -> str:
    """Say how long all else had to wait for one thing; within 20 ms is as it should be."""
    long = sum(number for number, bound in zip(view["counts"], [0.0, *view["bounds"]], strict=True) if bound >= 0.02)
    return f"at most {1000 * view['longest_seconds']:.0f} ms at a stretch, {count(long, 'time')} over 20 ms"


def _foreign(view: ForeignBgpView) -> str:
    """Another daemon's routes look much like routerd's in `ip route`: say that they are there, and whose they are."""
    more = ", ..." if view["routes"] > len(view["first"]) else ""
    named = f": {', '.join(view['first'])}{more}" if view["first"] else ""
    return f"{view['routes']} routes, {view['nexthops']} nexthops of protocol bgp, not routerd's{named}"


def _sysctls(view: StatusView) -> str:
    wrong = [sysctl["name"] for sysctl in view["sysctls"] if not sysctl["ok"]]
    policy = next(
        (s["current"] for s in view["sysctls"] if s["name"] == "net.ipv4.fib_multipath_hash_policy"), "unknown"
    )
    if wrong:
        return f"{len(wrong)} not as wanted: {', '.join(wrong)}"
    return f"{len(view['sysctls'])} as wanted (fib_multipath_hash_policy = {policy})"


def peers(screen: Screen, views: list[PeerView]) -> list[str]:
    """A row a peer, with the columns that FRR's operators look for, and In FIB, which they miss there."""
    if not views:
        return ["no peers: none is configured, and no session of a range came up yet"]
    numbers = ("Recv", "Acc", "Rej", "In FIB", "Stale", "Sent")
    columns = [Column("Peer"), Column("AS", right=True), Column("State"), Column("For", right=True)]
    columns += [Column(title, right=True) for title in numbers]
    kinds = ("received", "accepted", "rejected", "in_fib", "stale", "advertised")
    rows = [
        [
            peer["address"] if peer["dynamic"] else f"{peer['name']} {peer['address']}",
            str(peer["asn"] or "-"),
            peer["state"],
            duration(peer["since_seconds"]),
            *(str(dict(peer["totals"])[kind]) for kind in kinds),
            "; ".join(_reasons(peer)),
        ]
        for peer in views
    ]
    return screen.table([*columns, Column("Reason", fold=True, below="text")], rows, _STATES)


def _reasons(peer: PeerView) -> list[str]:
    marks = [
        "silent" if peer["silent"] else "",
        f"shut down {shutdown(peer['shutdown'])}" if peer["shutdown"] else "",
        f"drained by the {peer['drain']}" if peer["drain"] else "",
        f"{peer['leaving']} leaving: GRACEFUL_SHUTDOWN" if peer["leaving"] else "",
        peer["reason"],
    ]
    marks += [f"{count} rejected: {why}" for why, count in peer["rejected_by_reason"].items()]
    return [mark for mark in marks if mark]


def drain(screen: Screen, view: DrainView) -> list[str]:
    """How far a drain has come."""
    if view["drain"]:
        buckets = f"{count(view['buckets'], 'bucket')} in {count(view['groups'], 'group')}"
        left = f"{buckets} still {'carries' if view['buckets'] == 1 else 'carry'} flows"
        if not view["buckets"]:
            left = "no flow is left where other nodes take over"
        parts = ["empty: no flow is left, it can be shut down" if view["empty"] else left]
        if view["sole"]:
            parts.append(alone(view))
        return screen.paragraph(f"{view['name']} is drained (by the {view['drain']}); {'; '.join(parts)}")
    ended = "is no longer drained: it gets its share again as flows end" if view["changed"] else "is not drained"
    return screen.paragraph(f"{view['name']} {ended}")


def alone(view: DrainView) -> str:
    """Tell of the prefixes that a drained node has for itself."""
    return f"{count(view['sole'], 'prefix')} {'has' if view['sole'] == 1 else 'have'} no other next hop"


def _leg(member: GroupMemberView) -> str:
    others = [name for name in member["peers"] if name != member["gateway"]]
    names = f" ({', '.join(others)})" if others else ""
    buckets = "" if member["buckets"] is None else f" buckets {member['buckets']}"
    return f"{member['gateway']} dev {member['interface']} weight {member['weight']}{buckets}{names}"


def _remarks(view: StatusView) -> str:
    """Say how many groups got fewer buckets than others, and how many are not balanced yet."""
    small, uneven = view["fib"]["small_groups"], sum(bool(group["unbalanced"]) for group in view["groups"])
    said = [f"{small} of fewer buckets"] * bool(small) + [f"{uneven} not balanced yet"] * bool(uneven)
    return f" ({', '.join(said)})" if said else ""


def _unbalanced(group: GroupView | RouteDetailView) -> list[str]:
    """Say why a group is not balanced, and until when if that is known."""
    if not group["unbalanced"]:
        return []
    seconds = group["balanced_in_seconds"]
    when = "" if seconds is None else f" for {seconds:.0f} s"
    return [f"not balanced yet{when}: {group['unbalanced']}"]


def groups(screen: Screen, views: list[GroupView]) -> list[str]:
    """A row a nexthop group, a line a leg."""
    if not views:
        return ["no nexthop groups: nothing is in the FIB"]
    columns = [Column("Group", right=True), Column("Type"), Column("Buckets", right=True)]
    columns += [Column("Prefixes", below="titled"), Column("Members", below="lines")]
    rows = [
        [
            str(group["id"]),
            group["type"],
            str(group["buckets"] or "-"),
            _prefixes(group),
            [*map(_leg, group["members"]), *_unbalanced(group)],
        ]
        for group in views
    ]
    return screen.table(columns, rows, {})


def _prefixes(group: GroupView) -> str:
    """Name the VIP that has a group for itself, or the first of those that share it and how many more there are."""
    more = group["prefixes"] - 1
    return (group["first"][0] if group["first"] else "-") + (f" +{more}" if more > 0 else "")


def routes(screen: Screen, view: RoutesView) -> list[str]:
    """A row a prefix."""
    if not view["total"]:
        return ["no prefixes"]
    columns = [Column("Prefix"), Column("Group", right=True), Column("In FIB"), Column("Paths", right=True)]
    columns += [Column("Best", below="titled"), Column("Next hops", fold=True, below="titled")]
    rows = [
        [
            route["prefix"],
            str(route["group_id"] or "-"),
            _in_fib(route),
            str(route["paths"]),
            route["best_peer"] or "-",
            ", ".join(route["next_hops"]) or "-",
        ]
        for route in view["routes"]
    ]
    shown = len(view["routes"])
    more = [f"{shown} of {view['total']} prefixes"] if shown < view["total"] else []
    return [*screen.table(columns, rows, {"no": "red"}), *more]


def _in_fib(route: RouteView) -> str:
    if route["local"]:
        return "local"  # the router's own network: others look after its route
    return "yes" if route["in_fib"] else "no"


def _megabits(octets: float | None) -> str:
    return "-" if octets is None else f"{octets * 8 / 1e6:g}"


def route(screen: Screen, view: RouteDetailView) -> list[str]:
    """All paths to a prefix, which won, why each other lost, and what the kernel has."""
    columns = [
        Column("   Peer"),
        Column("Next hop", below="titled"),
        Column("Dev"),
        Column("AS path", below="titled"),
    ]
    columns += [Column("Origin"), Column("MED", right=True), Column("Pref", right=True)]
    tagged = any(path["communities"] for path in view["paths"])
    columns += [Column("Communities", fold=True, below="titled")] * tagged
    weighted = any(path["link_bandwidth"] is not None for path in view["paths"])
    columns += [Column("Mbit/s", right=True)] * weighted
    columns += [Column("Lost at", fold=True, below="titled")]
    rows = [
        [
            f"{_mark(path):2} {path['name']}",
            path["next_hop"] or "-",
            path["interface"] or "-",
            path["as_path"] or "-",
            path["origin"],
            "-" if path["med"] is None else str(path["med"]),
            "-" if path["local_pref"] is None else str(path["local_pref"]),
            *[" ".join(path["communities"])] * tagged,
            *[_megabits(path["link_bandwidth"])] * weighted,
            path["lost_at"],
        ]
        for path in view["paths"]
    ]
    kernel = view["kernel"]
    group = f"group {view['group_id']}" if view["group_id"] is not None else "no group"
    parts = [("proto", kernel["protocol"]), ("metric", kernel["metric"]), ("nhid", kernel["nexthop_id"])]
    found = " ".join(f"{key} {value}" for key, value in parts if value not in (None, ""))
    return [
        f"{screen.paint(view['prefix'], 'bold')}   > best  = multipath  s stale",
        *(screen.table(columns, rows, {}) if rows else ["nobody announces it"]),
        "",
        *_legs(screen, f"routerd  {group}", view["members"]),
        *(line for why in _unbalanced(view) for line in screen.paragraph(why, " " * 9)),
        *(
            _legs(screen, f"kernel   {found}", kernel["members"])
            if kernel["present"]
            else ["kernel   has no route to it"]
        ),
        *(screen.paragraph(view["refused"], "refused  ", "red") if view["refused"] else []),
    ]


def _legs(screen: Screen, head: str, members: list[GroupMemberView]) -> list[str]:
    return [head, *(line for member in members for line in screen.paragraph(_leg(member), " " * 9))]


def _mark(path: PathView) -> str:
    return (">" if path["best"] else "=" if path["multipath"] else " ") + ("s" if path["stale"] else "")
