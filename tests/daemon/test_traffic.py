"""What clients notice of a killed speaker, and of a killed routerd: nothing. GoBGP nodes with Cilium's settings."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from routerd.lab.daemon import LAB_CONFIG
from routerd.lab.laboratory import Laboratory, laboratory
from routerd.lab.topology import standard
from routerd.lab.traffic import requests, steady_requests
from routerd.lab.waiting import until
from routerd.lab.web import Tally
from tests.daemon.harness import alive
from tests.support.netns import needs_root

pytestmark = needs_root

VIP, VIP6 = standard().vips


@pytest.fixture(scope="module")
def lab() -> Iterator[Laboratory]:
    with laboratory(standard("gobgp"), LAB_CONFIG.read_text()) as made:
        made.daemon.start()
        for name in made.speakers:
            made.boot(name)
        for vip in made.topology.vips:
            made.wait_for_next_hops(vip, list(made.speakers), 30)
        made.wait_for_balance(30)  # weights are part of what is looked at
        yield made


@pytest.fixture
def names(lab: Laboratory) -> list[str]:
    return list(lab.speakers)


@contextmanager
def unharmed(lab: Laboratory) -> Iterator[None]:
    """Make requests and look at the routes all the time; no request fails and no look shows anything else.

    The nexthop ids are part of what is looked at, and after the end they are what they were.
    """
    router, seen, over = lab.fabric.router, set[tuple[str, str]](), threading.Event()

    def look() -> tuple[str, str]:
        return (
            router.run("ip", "-4", "route", "show", "proto", "bgp"),
            router.run("ip", "-6", "route", "show", "proto", "bgp"),
        )

    def watch() -> None:
        while not over.is_set():
            seen.add(look())

    before, nexthops = look(), _nexthops(lab)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with steady_requests(lab.fabric.client, VIP) as finish, steady_requests(lab.fabric.client, VIP6) as finish6:
            yield
            tallies = (finish(), finish6())
    finally:
        over.set()
        watcher.join()
    assert seen == {before}
    for tally in tallies:
        _assert_all_answered(tally, list(lab.speakers))
    assert _nexthops(lab) == nexthops


def _nexthops(lab: Laboratory) -> list[str]:
    shown = lab.fabric.router.run("ip", "nexthop", "show")
    return sorted(re.sub(r"unbalanced_time \S+ ", "", shown).splitlines())


def _assert_all_answered(tally: Tally, names: list[str]) -> None:
    assert (tally["failed"], tally["retried"]) == (0, 0), tally["last_error"]
    assert set(tally["answers"]) == set(names)


def _speaker(lab: Laboratory) -> Any:
    status = lab.daemon.status()
    return status["speaker"] if status else None


@pytest.mark.parametrize("vip", [VIP, VIP6])
def test_one_clients_requests_spread_over_the_nodes(lab: Laboratory, names: list[str], vip: str) -> None:
    tally = requests(lab.fabric.client, vip, 100)
    _assert_all_answered(tally, names)
    assert min(tally["answers"].values()) >= 10


def test_a_killed_speaker_is_not_noticed(lab: Laboratory, names: list[str]) -> None:
    before = _speaker(lab)
    with unharmed(lab):
        os.kill(before["pid"], signal.SIGKILL)
        until(lambda: "" if (_speaker(lab) or {}).get("restarts") else "no restart", 10, "a new speaker")
        lab.wait_for_sessions(names, 40)
        _wait_until_all_is_well(lab)
    after = _speaker(lab)
    assert after["pid"] != before["pid"]
    assert "SIGKILL" in after["reason"]


def test_a_killed_routerd_is_not_noticed(lab: Laboratory, names: list[str]) -> None:
    child = _speaker(lab)["pid"]
    with unharmed(lab):
        lab.daemon.process.signal(signal.SIGKILL)
        until(lambda: "it lives" if lab.daemon.process.running else "", 5, "routerd is dead")
        lab.daemon.kill()
        until(lambda: f"{child} lives" if alive(child) else "", 5, "the speaker ends with its parent")
        lab.daemon.start()
        lab.wait_for_sessions(names, 40)
        _wait_until_all_is_well(lab)
    status = lab.daemon.status()
    assert status is not None
    assert status["fib"]["drift_mended"] == 0


def _wait_until_all_is_well(lab: Laboratory) -> None:
    """Nothing is stale any more, and there are no problems."""

    def missing() -> str:
        status = lab.daemon.status()
        if status is None:
            return "no answer"
        stale = sum(peer["totals"]["stale"] for peer in status["peers"])
        accepted = sum(peer["totals"]["accepted"] for peer in status["peers"])
        problems = "; ".join(problem["what"] for problem in status["problems"])
        return problems or ("" if not stale and accepted == 12 else f"{stale} stale, {accepted} accepted")

    until(missing, 20, "all is well")
