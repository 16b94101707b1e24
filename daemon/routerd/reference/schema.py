"""JSON Schema (draft 2020-12) of what the commands print with --json, made of the API's views."""

from __future__ import annotations

import json
from typing import Any, TypedDict

from routerd.api import inspection, models
from routerd.api.models.pair import PairView, SeedView
from routerd.api.openapi import schema_of
from routerd.cli.fleet.views import FleetDrainView, SiteView


class ErrorView(TypedDict):
    """What a command prints with --json that failed."""

    ok: bool
    """false."""
    error: str


class CheckedView(TypedDict):
    """`routerd check --json`."""

    ok: bool
    problems: list[str]
    warnings: list[str]


class VersionsView(TypedDict):
    """`routerd version --json`: of this program, and of the daemon, if one runs; else there is an `error`."""

    client: str
    daemon: models.VersionView | None


PRINTED: dict[str, Any] = {
    "status": models.StatusView,
    "peers": list[models.PeerView],
    "peer": inspection.PeerDetailView,
    "routes": models.RoutesView,
    "route": models.RouteDetailView,
    "groups": list[models.GroupView],
    "flow": inspection.FlowAnswerView,
    "fib": inspection.DifferencesView,
    "pair": PairView | SeedView,
    "top": inspection.TrafficView,
    "health": models.HealthView,
    "drain": models.DrainView | models.RouterDrainView,
    "undrain": models.DrainView | models.RouterDrainView,
    "clear": models.ClearView,
    "shutdown": models.OrderView,
    "enable": models.OrderView,
    "fleet": SiteView | FleetDrainView,
    "log": models.LogView,
    "events": models.EventView,
    "check": CheckedView,
    "diff": models.ReloadView,
    "reload": models.ReloadView,
    "confirm": models.ReloadView,
    "rollback": models.ReloadView,
    "config": list[models.HistoryView],
    "version": VersionsView,
}
"""What each command prints: one document, or with --watch, --follow and the like one in each line."""


def document() -> dict[str, Any]:
    """Return the schemas as definitions: a command's under its name, such as `#/$defs/status`."""
    views: dict[str, Any] = {}
    failed = schema_of(ErrorView, views, "#/$defs/")
    commands = {
        name: {"title": f"routerd {name} --json", "anyOf": [schema_of(view, views, "#/$defs/"), failed]}
        for name, view in PRINTED.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What the commands of routerd print with --json, by command",
        "$defs": commands | views,
    }


def text() -> str:
    """Return the document as it is written."""
    return json.dumps(document(), indent=1) + "\n"
