"""The routers of a site, made of what they have told, whatever that is."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from routerd.cli.fleet import render, site
from routerd.cli.screen import Screen
from routerd.telemetry.mqtt import topics
from routerd.telemetry.mqtt.topics import Topic

NOW = 10_000.0
KEYS = st.sampled_from([
    "boot", "time", "state", "peers", "up", "all", "vips", "told", "left_out", "problems", "count", "first", "where",
    "what", "next_hops", "gateway", "drain", "version", "hash_seed", "prefix",
])  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
TOPICS = st.builds(
    Topic, st.just("ams"), st.sampled_from(["gw1", "gw2"]),
    st.sampled_from(["birth", "availability", "summary", "peer", "vip", "other"]), st.sampled_from(["", "w1"]),
)  # fmt: skip


@given(
    st.dictionaries(TOPICS, st.binary(max_size=20) | JSON.map(lambda said: json.dumps(said).encode()), max_size=12)
)
def test_nothing_that_is_told_breaks_the_table(messages: dict[Topic, bytes]) -> None:
    view = site.view(site.read(messages), NOW, "ams")
    json.dumps(view)
    render.site(Screen(80, colours=False), view, NOW)


def told(router: str, boot: str = "1", state: str = "online", heard: float = NOW, **more: Any) -> dict[Topic, bytes]:
    said = {
        "birth": {"boot": boot, **more},
        "availability": {"boot": boot, "state": state},
        "summary": {"boot": boot, "time": heard},
    }
    return {Topic("ams", router, kind): topics.encode(payload) for kind, payload in said.items()}


def kinds(messages: dict[Topic, bytes]) -> list[str]:
    return [each["kind"] for each in site.view(site.read(messages), NOW, "ams")["differences"]]


def test_all_is_well() -> None:
    assert kinds(told("gw1") | told("gw2")) == []


def test_an_old_will_says_nothing_of_a_new_life() -> None:
    """A broker may notice late that a connection is dead."""
    late = told("gw1") | {
        Topic("ams", "gw1", "availability"): topics.encode({"boot": "0", "state": "offline"}),
    }
    assert kinds(late) == []
    assert kinds(told("gw1", state="offline")) == ["router"]


def test_who_is_online_and_says_nothing_is_silent() -> None:
    (row,) = site.view(site.read(told("gw1", heard=NOW - 1000)), NOW, "ams")["routers"]
    assert (row["state"], row["since"]) == ("silent", NOW - 1000)


def test_a_vip_that_one_router_may_have_left_out_is_no_difference() -> None:
    """Nor is it one that was not heard, for the broker dropped it: that is said instead."""
    vip = {
        Topic("ams", "gw1", "vip", "v"): topics.encode({"prefix": "v", "next_hops": [{"gateway": "a", "peers": []}]})
    }
    counts = {"vips": {"told": 1, "left_out": 0}}
    first = told("gw1") | {Topic("ams", "gw1", "summary"): topics.encode({"time": NOW, **counts})} | vip
    for second, found in (
        ({"told": 0, "left_out": 0}, ["vip"]),
        ({"told": 0, "left_out": 5}, []),
        ({"told": 3, "left_out": 0}, ["message"]),
    ):
        summary = {Topic("ams", "gw2", "summary"): topics.encode({"time": NOW, "vips": second})}
        assert kinds(first | told("gw2") | summary) == found


def test_a_table_fits_a_terminal() -> None:
    messages = told("gw1", version="1.0.0", configuration="5f0c8a11d2e4") | told("a-router-of-a-longer-name")
    view = site.view(site.read(messages), NOW, "ams")
    assert max(map(len, render.site(Screen(80, colours=False), view, NOW))) <= 80
