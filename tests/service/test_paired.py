"""What is told of a pair: events that are few, since when groups differ, figures, and the seed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from routerd.api.endpoints import Failure
from routerd.api.views.pair import STATES
from routerd.core.pair.accord import Agreement
from routerd.service.paired import PATIENCE, Paired
from tests.support.core import Simulation
from tests.support.pair import Counts, FakePair, agreed
from tests.support.slices import whole

ROUTER = Simulation().router
EQUAL, DIFFERS = agreed("x", 1), agreed("x", 1, 1024, 5, 2, 0, state="differs")


def paired(pair: FakePair, **more: Any) -> Paired:
    return Paired(ROUTER, pair, "gw2", **{"set_seed": None, "counts": Counts(), **more})


def test_what_differs_for_a_moment_is_no_event_and_what_stays_so_is_one() -> None:
    pair = FakePair(DIFFERS)
    watched = paired(pair)
    told: list[tuple[float, str]] = []

    def during(begin: int, end: int, *groups: Agreement, up: bool = True) -> None:
        pair.groups, pair.up = list(groups), up
        told.extend((now, event.name) for now in range(begin, end) for event in watched.look(float(now)))

    during(0, 100, DIFFERS)
    assert told == [], "before they ever agreed, the problem says so"
    during(100, 105, EQUAL)
    during(105, 110, DIFFERS)
    during(110, 120, EQUAL)
    assert told == [(100, "pair agrees again")]
    during(120, 200, DIFFERS)
    during(200, 210, EQUAL)
    assert told[1:] == [(121 + PATIENCE, "pair differs"), (200, "pair agrees again")]
    during(210, 220, EQUAL, up=False)
    during(220, 230, EQUAL)
    assert told[3:] == [(220, "pair agrees again")]


def test_problems_say_since_when_groups_differ() -> None:
    pair = FakePair(EQUAL)
    watched = paired(pair)
    watched.look(0.0)
    pair.groups = [DIFFERS]
    watched.look(5.0)
    assert [each["what"][-10:] for each in whole(watched.problems(65.0))][:1] == [", for 60 s"]
    pair.groups = [EQUAL]
    assert whole(watched.problems(66.0)) == []


def test_the_figures() -> None:
    pair = FakePair(EQUAL, DIFFERS)
    watched = paired(pair)
    found = whole(watched.figures())
    assert (found.partner, found.up) == ("gw2", True)
    assert found.groups == dict.fromkeys(STATES, 0) | {"equal": 1, "differs": 1}
    assert (found.differing, found.conflicts, found.last_agreed, found.channel.octets_received) == (5, 2, 0.0, 4)
    pair.groups = [EQUAL]
    assert abs(whole(watched.figures()).last_agreed - time.time()) < 5


async def test_the_seed_is_set_if_one_asks() -> None:
    async def set_seed() -> tuple[str, str]:
        return "random", "5f0c"

    async def refused() -> tuple[str, str]:
        raise OSError(30, "Read-only file system")

    answer = await paired(FakePair(), set_seed=set_seed).set_seed("root")
    assert answer == {"changed": True, "before": "random", "after": "5f0c"}
    with pytest.raises(Failure, match="Read-only file system"):
        await paired(FakePair(), set_seed=refused).set_seed("root")

    async def keyless() -> tuple[str, str]:
        raise ValueError("/nowhere/key: No such file or directory")

    with pytest.raises(Failure, match="made of the key, and there is none: key_file /nowhere/key: No such file"):
        await paired(FakePair(), set_seed=keyless).set_seed("root")
