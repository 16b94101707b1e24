"""The routers of a site, made of what they have told, whatever that is."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.cli.fleet import command, render, site
from routerd.cli.fleet.orders import Orders
from routerd.cli.fleet.reader import Reader
from routerd.cli.fleet.site import Heard
from routerd.cli.screen import Screen
from routerd.lab.waiting import until
from routerd.telemetry.mqtt import topics
from routerd.telemetry.mqtt.access import Access
from routerd.telemetry.mqtt.broker import connection
from routerd.telemetry.mqtt.topics import Topic
from tests.support.mosquitto import mosquitto, needs_mosquitto

NOW = 10_000.0
KEYS = st.sampled_from([
    "boot", "time", "state", "peers", "up", "all", "vips", "told", "left_out", "problems", "count", "first", "where",
    "what", "next_hops", "gateway", "drain", "version", "hash_seed", "prefix",
])  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5),
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
    json.dumps(view, allow_nan=False)
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


def test_a_clock_that_is_wrong_is_no_silence() -> None:
    """Where summaries were heard as they were told; and none that came is silence, whatever the clocks say."""
    slow = told("gw1", heard=NOW - 1000)
    for heard, found in (
        (Heard(5.0, -1000.0), ["clock"]),
        (Heard(500.0, 0.0), ["router"]),
        (Heard(5.0, 0.0), []),
        (Heard(500.0, None), ["router"]),
    ):
        view = site.view(site.read(slow, {"gw1": heard}), NOW, "ams")
        assert [each["kind"] for each in view["differences"]] == found
    (what,) = site.view(site.read(told("gw1", heard=NOW + 3600)), NOW, "ams")["differences"]
    assert what["what"] == "the clock of gw1 is 3600 s ahead of the one here: set both (NTP)"


def test_what_a_reader_hears_is_timed_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("routerd.cli.fleet.reader.time.monotonic", lambda: now[0])
    monkeypatch.setattr("routerd.cli.fleet.reader.time.time", lambda: NOW)
    reader = Reader(Access("mqtt://b"), "ams")
    reader.messages |= told("gw1") | told("gw2")
    reader._began = now[0]
    reader._note("gw1", topics.encode({"time": NOW - 50}))
    reader._note("gw2", b"{")
    now[0] += site.SILENT
    assert reader.heard() == {"gw1": Heard(site.SILENT, -50.0)}
    now[0] += 1
    assert reader.heard() == {"gw1": Heard(site.SILENT + 1, -50.0), "gw2": Heard(site.SILENT + 1, None)}


def test_no_escape_reaches_the_terminal() -> None:
    evil = "\x9b31m\x1b[2J"
    vip = {"next_hops": [{"gateway": evil, "peers": [evil]}], "prefix": evil}
    messages = told("gw" + evil, version=evil) | told("gw2")
    messages |= {
        Topic("ams", "gw" + evil, "vip", evil): topics.encode(vip),
        Topic("ams", "gw" + evil, "peer", evil): topics.encode({"state": "established", "drain": "operator"}),
        Topic("ams", "gw" + evil, evil, evil): b"{",
        Topic("ams", "gw2", "summary"): topics.encode({"time": NOW, "vips": {"told": 0}}),
    }
    view = site.view(site.read(messages), NOW, "ams")
    assert {"vip", "node", "message"} <= {each["kind"] for each in view["differences"]}
    assert all(line.isprintable() for line in render.site(Screen(80, colours=False), view, NOW))


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


@needs_mosquitto
async def test_a_request_that_the_broker_does_not_take_is_no_matter_of_the_key(tmp_path: Path) -> None:
    """Nobody waits for its answer."""
    kinds = (topics.BIRTH, topics.AVAILABILITY)
    allowed = "".join(f"topic write {Topic('ams', 'gw1', kind)}\n" for kind in kinds)
    (tmp_path / "acl").write_text(f"topic read #\n{allowed}")
    with mosquitto(tmp_path, more=f"allow_anonymous true\nacl_file {tmp_path}/acl") as broker:
        access = Access(broker.url)
        async with connection(access, None) as router:
            for topic, payload in told("gw1", drains=True).items():
                await router.publish(str(topic), payload, retain=True)
            reader = Reader(access, "ams")
            async with reader.open(all_of_it=False) as asking:
                orders = Orders(reader, asking, "ams", b"0123456789abcdef", "me")
                answers = await orders.give(await orders.begin(reachable=False), "look", "w1")
    topic = Topic("ams", "gw1", topics.REQUEST)
    assert answers == {"gw1": {"error": f"the broker does not let this user write {topic} (Not authorized)"}}


def test_who_has_no_name_may_ask_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert command._user() == f"uid {os.getuid()}"


STUCK = """
import signal, socket, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a script's background jobs ignore
socket.getaddrinfo = lambda *_, **__: time.sleep(60)  # it is this that hangs: a condition would never come
from routerd.__main__ import main
main()
"""


@pytest.mark.parametrize("options", [[], ["--watch"]], ids=["once", "watch"])
def test_ctrl_c_does_not_wait_for_a_name_server(options: list[str]) -> None:
    words = [sys.executable, "-c", STUCK, "fleet", "--broker", "mqtt://broker.example.net", *options]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as running:
        try:
            stuck = Path(f"/proc/{running.pid}/task")
            until(lambda: "" if len(list(stuck.iterdir())) > 1 else "one thread", 20, "a name is asked for")
            running.send_signal(signal.SIGINT)
            assert running.wait(5) == 130
            assert running.stderr is not None
            assert running.stderr.read() == ""
        finally:
            running.kill()
