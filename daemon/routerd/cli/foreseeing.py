"""What a change of the configuration does to paths, routes, groups and flows, as `diff` and `reload` print it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routerd.cli.render import count
from routerd.cli.screen import Column, Screen

if TYPE_CHECKING:
    from routerd.api.models import ChangedGroupsView, ChangedRouteView, ForecastView, MovedBucketsView, ToldView

_FATES = {"comes": "come", "goes": "go", "moves": "lead elsewhere"}


def foreseen(screen: Screen, view: ForecastView) -> list[str]:
    """Return the lines of a forecast; the last one is about flows."""
    lines: list[str] = []
    if view["paths"]:
        rows = [
            (
                str(each["count"]),
                each["before"],
                each["after"],
                _first(each["count"], [f"{path['prefix']} of {path['peer']}" for path in each["first"]]),
            )
            for each in view["paths"]
        ]
        columns = (
            Column("Paths", right=True),
            Column("Judged", fold=True),
            Column("Then", fold=True),
            Column("First", fold=True, below="titled"),
        )
        lines += ["", *screen.table(columns, rows, {})]
    if view["routes"]:
        changed = [
            (str(each["count"]), _FATES[each["fate"]], _first(each["count"], list(map(_route, each["first"]))))
            for each in view["routes"]
        ]
        heads = (Column("Routes", right=True), Column("Then"), Column("First", fold=True, below="titled"))
        lines += ["", *screen.table(heads, changed, {"go": "yellow"})]
    if view["told"]:
        told = [
            (str(each["count"]), each["what"], _peers(each), _first(each["count"], each["first"]))
            for each in view["told"]
        ]
        titles = (
            Column("Prefixes", right=True),
            Column("Are"),
            Column("To"),
            Column("First", fold=True, below="titled"),
        )
        lines += ["", *screen.table(titles, told, {})]
    lines.append("")
    if view["unnamed"]:
        lines += screen.paragraph(
            f"{view['unnamed']} rejected paths are not kept by name: their nodes are asked to announce them again,"
            " and what comes of these is not known"
        )
    if view["unasked"]:
        lines += screen.paragraph(
            f"{view['unasked']} rejected paths are not kept by name, and their nodes cannot be asked (no ROUTE-"
            "REFRESH): they stay rejected until they are announced again"
        )
    if not view["routes"]:
        lines += screen.paragraph(f"routes: none of {view['routes_now']} changes")
    if not view["told"]:
        lines += screen.paragraph("peers are told nothing")
    lines += screen.paragraph(_groups(view["groups"]))
    return lines + _buckets(screen, view["buckets"])


def _first(number: int, examples: list[str]) -> str:
    more = number - len(examples)
    return "; ".join(examples) + (f"; {more} more" if more > 0 else "")


def _route(route: ChangedRouteView) -> str:
    before, after = ", ".join(route["before"]), ", ".join(route["after"])
    return f"{route['prefix']}: {before or 'none'} -> {after or 'none'}"


def _peers(told: ToldView) -> str:
    return f"{told['peers']} of {told['peer_group']}"


def _groups(view: ChangedGroupsView) -> str:
    counts = (view["changed"], "change members"), (view["anew"], "are made anew"), (view["emptied"], "lose routes")
    said = [f"{number} {what}" for number, what in counts if number]
    return f"groups: {', '.join(said) or 'none changes members'}"


def _buckets(screen: Screen, view: MovedBucketsView) -> list[str]:
    """Tell of flows. That none moves is said only if it is known of all."""
    unsure = bool(view["unread"] or view["unseen"])
    colour = "red" if view["moving"] else "yellow" if unsure else "green"
    looked = f" of {view['busy']} in {count(view['groups'], 'group')}" if view["groups"] else ""
    lines = [screen.paint(f"buckets with flows that move: {view['moving']}{looked}", colour)]
    for each in view["unseen"]:
        lines += screen.paragraph(f"flows of {count(each['groups'], 'group')} besides: not known: {each['why']}")
    if view["unread"]:
        unread = count(view["unread"], "group")
        lines += screen.paragraph(f"flows of {unread} besides: not known: there was no time to look")
    return lines
