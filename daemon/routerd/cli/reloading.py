"""The commands about the daemon's configuration: what a file would change, and changing it. Each returns the exit
code."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from routerd.cli.client import TIMEOUT, ApiError, Client
from routerd.cli.foreseeing import foreseen
from routerd.cli.output import fail, write
from routerd.cli.screen import Column, Screen

if TYPE_CHECKING:
    from routerd.api.models import ChangeView, HistoryView, ReloadView

CHANGING = 60.0
"""Seconds that a change may take: to check thousands of peers takes some."""

_IMPACTS = {"live": "green", "session reset": "yellow", "restart": "red"}


def diff(file: str | None, socket: str, as_json: bool) -> int:
    """What would change if the daemon took a file.

    Key by key, with the sessions that would be reset, and by a dry run on what the router has: paths that would be
    judged otherwise, routes and groups that would change, flows that would move. Nothing is changed by it. Exit code
    0 if nothing would change, 1 if something would.
    """
    answer = _ask("GET", "/v1/config/diff", socket, as_json, path=_absolute(file))
    _show(answer, as_json)
    return 1 if answer["changes"] else 0


def reload(file: str | None, confirm: int, socket: str, as_json: bool) -> int:
    """Have the daemon take a file, all of it or nothing.

    Only sessions whose own parameters differ are reset; what their nodes announced stays meanwhile. A file with an
    error, or with a key that takes a restart, changes nothing.
    """
    answer = _ask(
        "POST", "/v1/config/reload", socket, as_json, path=_absolute(file), confirm=confirm if confirm else None
    )
    _show(answer, as_json)
    return 0


def confirm(socket: str, as_json: bool) -> int:
    """Have the configuration stay that `reload --confirm` has put in force."""
    answer = _ask("POST", "/v1/config/confirm", socket, as_json)
    write(json.dumps(answer, indent=2) if as_json else "confirmed")
    return 0


def rollback(number: int, socket: str, as_json: bool) -> int:
    """Go back to the configuration before the last change, or to one of the history.

    The file stays as it is; a restart of routerd does not bring it back before it says something else.
    """
    _show(_ask("POST", "/v1/config/rollback", socket, as_json, number=number if number else None), as_json)
    return 0


def config(what: str, socket: str, as_json: bool) -> int:
    """Which configurations ran, since when, by whom, and what they changed."""
    answer = _ask("GET", "/v1/config/history", socket, as_json)
    write(json.dumps(answer, indent=2) if as_json else "\n".join(_past(Screen.of_stdout(), answer)))
    return 0


def _absolute(file: str | None) -> str | None:
    """The daemon has another working directory."""
    return None if file is None else os.path.abspath(file)


def _ask(method: str, resource: str, socket: str, as_json: bool, **query: str | int | None) -> Any:
    try:
        return Client(socket, TIMEOUT if method == "GET" else CHANGING).request(method, resource, **query)
    except ApiError as error:
        raise fail(error, as_json) from error


def _show(answer: ReloadView, as_json: bool) -> None:
    write(json.dumps(answer, indent=2) if as_json else "\n".join(_changes(Screen.of_stdout(), answer)))


def _changes(screen: Screen, view: ReloadView) -> list[str]:
    if not view["changes"]:
        return ["nothing changes" if not view["applied"] else "nothing has changed"]
    lines = _table(screen, view["changes"])
    for each in view["resets"]:
        verb = "is reset" if view["applied"] else "would be reset"
        lines += screen.paragraph(f"the session of {each['peer']} {verb}: {', '.join(each['keys'])}")
    if view["forecast"] is not None:
        lines += foreseen(screen, view["forecast"])
    elif view["unforeseen"]:
        lines += screen.paragraph(f"what it does to routes and flows is not foreseen: {view['unforeseen']}")
    if view["confirm_seconds"] is not None:
        lines += screen.paragraph(f"taken back in {view['confirm_seconds']:.0f} s unless confirmed: routerd confirm")
    return lines


def _table(screen: Screen, changes: list[ChangeView]) -> list[str]:
    rows = [
        (each["key"], each["before"] or "-", each["after"] or "-", each["impact"], each["why"]) for each in changes
    ]
    columns = (
        Column("Key"),
        Column("Before", fold=True),
        Column("After", fold=True),
        Column("Impact"),
        Column("", fold=True, below="text"),
    )
    return screen.table(columns, rows, _IMPACTS)


def _past(screen: Screen, views: list[HistoryView]) -> list[str]:
    if not views:
        return ["nothing is kept yet"]
    rows = [
        (
            str(each["number"]),
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each["time"])),
            each["by"] + ("" if each["confirmed"] else " (not confirmed)"),
            [f"{change['key']}: {change['before'] or '-'} -> {change['after'] or '-'}" for change in each["changes"]],
        )
        for each in views
    ]
    columns = (Column("No", right=True), Column("Since"), Column("By", fold=True), Column("Changes", below="lines"))
    return screen.table(columns, rows, {})
