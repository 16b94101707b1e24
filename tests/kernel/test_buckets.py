"""Which buckets carry flows, of those that the kernel has given to other members a moment ago."""

from __future__ import annotations

import time

from routerd.core.message import Gateway
from routerd.core.route import parse_address
from routerd.kernel.buckets import Buckets

GROUP = 100
IDLE = 60.0
NODES = [Gateway(parse_address(f"10.0.0.{i}"), 2) for i in range(1, 101)]


def idle(since: float) -> list[float]:
    """Return for how long each of 200 buckets is idle, of which every second one moved then, and nobody used it."""
    return [time.monotonic() - since, 2 * IDLE] * len(NODES)


def test_what_a_hundred_members_give_to_one_that_joins_is_not_in_use() -> None:
    buckets, began = Buckets(), time.monotonic()
    buckets.written(GROUP, began)
    buckets.moved(GROUP, {node: [2 * index] for index, node in enumerate(NODES)})
    assert buckets.used(idle(began), GROUP, IDLE) == set()


def test_what_a_member_had_that_was_lost_is_not_in_use_and_what_others_give_is() -> None:
    buckets, began = Buckets(), time.monotonic()
    buckets.lost(NODES[0], began)
    buckets.moved(GROUP, {node: [2 * index] for index, node in enumerate(NODES)})
    assert buckets.used(idle(began), GROUP, IDLE) == set(range(2, 200, 2))
