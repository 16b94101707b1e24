"""`routerd pair` and its sisters: what is printed, and the exit code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.__main__ import COMMANDS
from routerd.cli import flow, pair
from routerd.cli.arguments import UsageError
from routerd.cli.client import Client
from routerd.cli.fleet import render, site
from routerd.cli.render import _pair
from routerd.cli.screen import Screen
from routerd.telemetry.mqtt import topics
from routerd.telemetry.mqtt.topics import Topic
from tests.cli.test_render import PAIR

SCREEN = Screen(80, colours=False)
WELL = PAIR | {
    "ok": True, "up": True, "reason": "", "complete": True, "differences": [], "agreed_seconds": 0.0,
    "groups": {"equal": 42}, "differing": 0, "conflicts": 0, "off": 0, "total": 0, "first": [],
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What was asked of the daemon; its answer is PAIR, or WELL if all groups were asked for."""
    found: list[tuple[str, Any]] = []

    def get(_: Client, resource: str, **query: Any) -> Any:
        found.append((resource, query))
        return WELL if query else PAIR

    def request(_: Client, method: str, resource: str) -> Any:
        found.append((method, resource))
        return {"changed": True, "before": "random", "after": "5f0c"}

    monkeypatch.setattr(Client, "get", get)
    monkeypatch.setattr(Client, "request", request)
    return found


def ran(**options: bool) -> int:
    given = {"whole": False, "watch": False, "set_seed": False, "as_json": False, **options}
    return COMMANDS["pair"].function(socket="none", **given)


def test_the_exit_code_says_whether_flows_would_break(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert ran() == 3
    assert "they do not agree" in capsys.readouterr().out
    assert ran(whole=True) == 0
    assert "they agree" in capsys.readouterr().out
    assert asked == [("/v1/pair", {}), ("/v1/pair", {"all": 1})]
    ran(as_json=True)
    assert json.loads(capsys.readouterr().out) == PAIR


def test_the_seed_is_set_and_what_that_does_is_said(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(set_seed=True) == 0
    assert asked == [("POST", "/v1/pair/seed")]
    said = " ".join(capsys.readouterr().out.split())
    assert "is the pair's now: 5f0c, and was random. Each flow through this router is hashed anew, once" in said
    assert ran(set_seed=True, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["changed"]
    with pytest.raises(UsageError):
        ran(set_seed=True, watch=True)


def test_a_pair_that_agrees_takes_few_lines() -> None:
    assert pair.lines(SCREEN, WELL)[:5] == [  # type: ignore[arg-type]
        "pair     with gw2: they agree",
        "channel  up for 115d17h46m",
        "leads    gw1",
        "groups   42 equal",
        "buckets  0 lead elsewhere there, 0 of them busy on both; 0 held here by flows",
    ]


def test_each_leads_for_itself_while_they_do_not_hear_each_other() -> None:
    away: Any = WELL | {"up": False, "ok": False, "reason": "no answer"}
    assert "leads    gw1, for itself alone" in pair.lines(SCREEN, away)
    state: Any = {"partner": "gw2", "since_seconds": 9.0, "leads": True, "agrees": False, "groups": {"equal": 2}}
    assert _pair(SCREEN, state | {"up": True, "reason": ""}) == [
        "pair     gw2 heard for 00:00:09, this router leads; groups: 2 equal"
    ]
    assert _pair(SCREEN, state | {"up": False, "reason": "no answer"}) == [
        "pair     gw2 not heard for 00:00:09 (no answer); groups, as last heard: 2 equal",
    ]


def test_where_a_flow_would_go_by_the_partner() -> None:
    view: Any = {"router": "gw2", "gateway": "192.0.2.1", "peers": ["w1"], "same": True, "doubts": []}
    assert flow._partner(SCREEN, view) == ["partner  gw2 sends it to 192.0.2.1 (w1), the same node"]
    assert "another node" in flow._partner(SCREEN, view | {"same": False})[0]
    assert flow._partner(SCREEN, view | {"same": None, "gateway": "", "peers": [], "doubts": ["why"]}) == [
        "partner  gw2 sends it to unknown",
        "but      why",
    ]
    assert flow._partner(SCREEN, None) == []


def test_the_fleet_shows_of_each_router_whether_its_pair_agrees() -> None:
    said = {
        "gw1": {"partner": "gw2", "up": True, "agrees": True, "leads": True, "groups": {"equal": 1}},
        "gw2": {"partner": "gw1", "up": True, "agrees": False},
        "gw3": {"partner": "gw4", "up": False, "agrees": False},
        "gw4": None,
        "gw5": "nonsense",
    }
    messages = {
        Topic("ams", router, "summary"): topics.encode({"boot": "1", "time": 1.0, "pair": each})
        for router, each in said.items()
    }
    view = site.view(site.read(messages), 1.0, "ams")
    assert [each["pair"] for each in view["routers"]] == ["agrees", "differs", "down", "", ""]
    lines = render.site(SCREEN, view, 1.0)
    assert "Pair" in lines[2]
    assert next(line for line in lines if "agrees" in line).startswith("gw1")
    alone = site.view(site.read({key: each for key, each in messages.items() if key.router == "gw4"}), 1.0, "ams")
    assert "Pair" not in render.site(SCREEN, alone, 1.0)[2]
