"""What the works see in the kernel: tables, flows, lost packets and route messages, each on routes made by hand."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from benchmarks.contenders.contender import BenchError
from benchmarks.fib import SAMPLE, Fib
from benchmarks.flows import Flows
from benchmarks.net import Site, node, site
from benchmarks.packets import stream
from benchmarks.route_messages import counted
from benchmarks.subsets import wanted
from benchmarks.tables import right

from tests.support.netns import needs_root

pytestmark = needs_root

VIPS = 4


def _nothing() -> None:
    """There is no daemon to look after."""


@pytest.fixture
def place() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture
def fib(place: Site) -> Iterator[Fib]:
    found = Fib(place.router)
    yield found
    found.close()


def _route(place: Site, vip: int, *nodes: int, weight: int = 1) -> None:
    """Lead a VIP to nodes; `weight` is the first one's."""
    hops = (f"nexthop via {node(n)} weight {1 if i else weight}" for i, n in enumerate(nodes))
    place.router.ip(f"route replace 20.0.0.{vip} {' '.join(hops)}")


def test_a_table_is_right_when_every_route_has_its_own_legs(place: Site, fib: Fib) -> None:
    for vip in range(VIPS):
        _route(place, vip, vip, vip + 1, vip + 2)
    table = wanted([{vip, vip + 1, vip + 2} for vip in range(VIPS)])
    assert right(fib, table, _nothing, patience=1.0, even=True) <= time.monotonic()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ((1, 1, 2), "1 of 4 routes are wrong; number 1 has"),
        ((1, 1, 2, 3, 4), "1 of 4 routes are wrong; number 1 has"),
        ((9, 1, 2), "1 of 4 routes are wrong; number 9 has"),
    ],
    ids=["a leg too few", "a leg too many", "a route too many"],
)
def test_a_table_that_is_wrong_in_one_route_is_not_right(
    place: Site, fib: Fib, command: tuple[int, ...], said: str
) -> None:
    for vip in range(VIPS):
        _route(place, vip, vip, vip + 1, vip + 2)
    _route(place, *command)
    with pytest.raises(BenchError, match=said):
        right(fib, wanted([{vip, vip + 1, vip + 2} for vip in range(VIPS)]), _nothing, patience=0.5)


def test_a_route_that_should_be_gone_is_not_right(place: Site, fib: Fib) -> None:
    _route(place, 0, 0)
    with pytest.raises(BenchError, match="1 of 1 routes are wrong; number 0 has"):
        right(fib, wanted([()]), _nothing, patience=0.5)


def test_only_who_asks_for_even_weights_minds_others(place: Site, fib: Fib) -> None:
    """But for routes of which the watcher itself has asked for the way: to the kernel that is a flow."""
    _route(place, 0, 0, 1, weight=9)
    table = wanted([{0, 1}])
    right(fib, table, _nothing, patience=1.0)
    right(fib, table, _nothing, patience=1.0, even=True)
    fib.asked.clear()
    many = 2 * SAMPLE
    for vip in range(many):
        _route(place, vip, 0, 1, weight=9 if vip == 1 else 1)
    with pytest.raises(BenchError, match=f"1 of {many} routes are wrong; number 1 has .*even=False"):
        right(fib, wanted([{0, 1}] * many), _nothing, patience=0.5, even=True)


def test_a_flow_that_was_led_elsewhere_for_a_moment_is_broken(place: Site) -> None:
    _route(place, 0, 0, 1)
    _route(place, 1, 2)
    flows = Flows(place, range(2), 16)
    assert flows.look() == 0
    _route(place, 0, 0)
    moved = flows.look()
    assert 0 < moved < 16
    _route(place, 0, 0, 1)
    assert flows.look() == moved
    place.router.ip("route delete 20.0.0.1")
    assert flows.look() == moved + 16
    flows.close()


def test_packets_that_find_no_route_are_lost(place: Site) -> None:
    for vip in range(VIPS):
        _route(place, vip, vip)
    with stream(place, range(VIPS), 2, 1_000) as finish:
        time.sleep(0.5)
        report = finish()
    assert report.sent > 100
    assert report.lost == 0
    with stream(place, range(VIPS), 2, 1_000) as finish:
        time.sleep(0.5)
        place.router.ip("route delete 20.0.0.0")
        time.sleep(0.5)
        report = finish()
    assert report.sent / VIPS * 0.1 < report.lost < report.sent / VIPS


def test_route_messages_are_counted_by_route(place: Site) -> None:
    with counted(place.router) as messages:
        _route(place, 3, 0)
        _route(place, 3, 0, 1)
        place.router.ip("route add 30.0.0.1 via " + node(0), "route delete 20.0.0.3")
        assert messages() == {3: 3}
        assert messages() == {}
