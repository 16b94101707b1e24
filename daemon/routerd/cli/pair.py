"""`routerd pair`: the other router of the pair, and where the two do not agree."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from routerd.cli.arguments import UsageError
from routerd.cli.client import ApiError, Client
from routerd.cli.commands import INTERVAL, ask, lines_of, watched
from routerd.cli.output import fail, write
from routerd.cli.render import count, duration
from routerd.cli.screen import Column, Screen

if TYPE_CHECKING:
    from routerd.api.models.pair import PairGroupView, PairRouterView, PairView, SeedView

_STATES = {
    "equal": "green",
    "differs": "red",
    "other nodes": "red",
    "only here": "red",
    "only there": "red",
    "other size": "red",
    "not told": "yellow",
}
_SEEDS = {"random": "random", "": "cannot be set"}


def show(socket: str, as_json: bool, *, whole: bool, watch: bool, set_seed: bool) -> int:
    """Ask, and print the answer; return the exit code."""
    if set_seed:
        if whole or watch:
            raise UsageError("--set-seed goes with neither --all nor --watch")
        return _set_seed(socket, as_json)
    query = {"all": 1} if whole else {}
    if watch:
        return watched(lambda: Client(socket).get("/v1/pair", **query), lines, as_json, INTERVAL)
    return 0 if ask(socket, as_json, lines, "/v1/pair", **query)["ok"] else 3


def _set_seed(socket: str, as_json: bool) -> int:
    try:
        answer = Client(socket).request("POST", "/v1/pair/seed")
        write(json.dumps(answer, indent=2) if as_json else "\n".join(lines_of(seed_lines, answer)))
    except ApiError as error:
        raise fail(error, as_json) from error
    return 0


def seed_lines(screen: Screen, view: SeedView) -> list[str]:
    """What became of the seed."""
    if not view["changed"]:
        return screen.paragraph(f"the seed is the pair's already: {view['after']}")
    before = _SEEDS.get(view["before"], view["before"])
    return screen.paragraph(
        f"the seed is the pair's now: {view['after']}, and was {before}. Each flow through this router is hashed "
        "anew, once: those that go to another node by that break"
    )


def lines(screen: Screen, view: PairView) -> list[str]:
    """Both routers, how many groups are equal, and those that are not."""
    verdict, colour = ("they agree", "green") if view["ok"] else ("they do not agree", "red")
    there = view["there"]
    elsewhere = f"{view['differing']} lead elsewhere there, {view['conflicts']} of them busy on both"
    return [
        *screen.paragraph(f"with {view['partner']}: {verdict}", "pair     ", colour),
        *screen.paragraph(_channel(view), "channel  "),
        *screen.paragraph(view["leads"] + ("" if view["up"] else ", for itself alone"), "leads    "),
        *screen.paragraph(_groups(view), "groups   "),
        *screen.paragraph(f"{elsewhere}; {view['off']} held here by flows", "buckets  "),
        "",
        *_routers(screen, [view["here"], *([] if there is None else [there])]),
        *(line for each in view["differences"] for line in screen.paragraph(each, "but      ", "yellow")),
        *_table(screen, view),
    ]


def _channel(view: PairView) -> str:
    lasted = duration(view["since_seconds"])
    if not view["up"]:
        never = ", never heard since this router started" if view["there"] is None else ""
        return f"down for {lasted}{never}: {view['reason'] or 'nobody answers'}"
    return f"up for {lasted}" + ("" if view["complete"] else ", not all groups are told yet")


def _groups(view: PairView) -> str:
    states = ", ".join(f"{number} {state}" for state, number in view["groups"].items()) or "none"
    agreed = view["agreed_seconds"]
    if view["groups"].keys() <= {"equal"} and agreed == 0:
        return states
    return f"{states}; all equal " + ("never yet" if agreed is None else f"{duration(agreed)} ago")


def _routers(screen: Screen, routers: list[PairRouterView]) -> list[str]:
    columns = [Column("Router"), Column("Version"), Column("Kernel"), Column("Hash policy"), Column("Seed")]
    rows = [
        [
            each["router"],
            each["version"],
            each["kernel"],
            each["hash_policy"],
            _SEEDS.get(each["hash_seed"], each["hash_seed"]),
        ]
        for each in routers
    ]
    return screen.table(columns, rows, {"random": "red", "cannot be set": "red"})


def _table(screen: Screen, view: PairView) -> list[str]:
    if not view["first"]:
        return []
    columns = [Column("Group"), Column("State"), Column("nhid", right=True)]
    columns += [Column(each, right=True) for each in ("Buckets", "Differing", "Conflicts", "Off")]
    rows = [
        [
            _name(group),
            group["state"],
            str(group["nexthop_id"] or "-"),
            *(str(number) for number in (group["buckets"], group["differing"], group["conflicts"], group["off"])),
        ]
        for group in view["first"]
    ]
    shown = len(rows)
    more = [f"{shown} of {count(view['total'], 'group')}: --all shows all"] if shown < view["total"] else []
    return ["", *screen.table(columns, rows, _STATES), *more]


def _name(group: PairGroupView) -> str:
    """Return a group's name for people: its prefix, and how many more it serves."""
    if not group["prefix"]:
        return group["key"]
    return group["prefix"] + (f" and {group['prefixes'] - 1} more" if group["prefixes"] > 1 else "")
