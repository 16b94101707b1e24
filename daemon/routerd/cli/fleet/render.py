"""The table of a site, and how far a drain has come on its routers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routerd.cli.render import count, duration
from routerd.cli.screen import Column, Screen

_STATES = {
    "agrees": "green",
    "differs": "red",
    "up": "green",
    "silent": "yellow",
    "down": "red",
    "drained": "green",
    "failed": "red",
}


def site(screen: Screen, view: Mapping[str, Any], now: float) -> list[str]:
    """All routers, and what is wrong."""
    routers, found = view["routers"], view["differences"]
    up = sum(router["state"] == "up" for router in routers)
    verdict, colour = ("all is well", "green") if view["ok"] else (count(len(found), "problem"), "red")
    columns = [
        Column("Router"),
        Column("State"),
        Column("Since", right=True),
        Column("Peers", right=True),
        Column("VIPs", right=True),
        Column("Routes", right=True),
        Column("Problems", right=True),
        Column("Drift", right=True),
        Column("Version", below="titled"),
        Column("Configuration", below="titled"),
    ]
    paired = any(router["pair"] for router in routers)
    columns[4:4] = [Column("Pair")] * paired
    rows = [_row(router, now, paired=paired) for router in routers]
    return [
        f"{screen.paint('site', 'bold')} {view['site']}  {up} of {count(len(routers), 'router')} up  "
        f"{screen.paint(verdict, colour)}",
        "",
        *screen.table(columns, rows, _STATES),
        *([""] if found else []),
        *(line for each in found for line in screen.paragraph(each["what"], f"{each['kind']}  ", "yellow")),
    ]


def _row(router: Mapping[str, Any], now: float, *, paired: bool) -> list[str]:
    left = f"+{router['vips_left_out']}" if router["vips_left_out"] else ""
    return [
        router["name"],
        router["state"],
        duration(max(0.0, now - router["since"])) if router["since"] else "unknown",
        f"{router['peers_up']}/{router['peers']}",
        *[router["pair"] or "-"] * paired,
        f"{router['vips']}{left}",
        str(router["routes"]),
        str(router["problems"]),
        str(router["drift_mended"]),
        router["version"],
        router["configuration"],
    ]


def drain(screen: Screen, view: Mapping[str, Any]) -> list[str]:
    """A drain on the routers of a site."""
    columns = [Column("Router"), Column("State"), Column("Buckets", right=True), Column("", fold=True)]
    rows = []
    for each in view["routers"]:
        state = "failed" if each["error"] else each["state"]
        buckets = "" if each["buckets"] is None else str(each["buckets"])
        rows.append([each["name"], state, buckets, each["error"] or each["note"]])
    return [f"{screen.paint(view['node'], 'bold')}  {view['verdict']}", "", *screen.table(columns, rows, _STATES)]
