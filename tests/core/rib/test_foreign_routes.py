"""Routes of others as the kernel tells of them: what it deletes is found, be it told a little differently.

`tests/kernel/test_foreign.py` holds the same to the kernel itself.
"""

from __future__ import annotations

from typing import Any

import pytest

from routerd.core.message import ForeignRoute, Gateway, KernelNexthop, Leg, NexthopChange, RouteChange
from routerd.core.rib.foreign import ForeignTable
from routerd.core.route import parse_address, parse_prefix


def on_link(interface: int, *, protocol: int = 4, metric: int = 100) -> ForeignRoute:
    """Return a route without a gateway."""
    return ForeignRoute(1, protocol, metric, 0, (Leg(None, interface),))


def via(gateway: str, *, metric: int = 100) -> ForeignRoute:
    return ForeignRoute(1, 4, metric, 0, (Leg(parse_address(gateway), 2),))


def through(nexthop: int) -> ForeignRoute:
    return ForeignRoute(1, 4, 0, nexthop, ())


@pytest.mark.parametrize("prefix", ["10.5.0.0/16", "fd05::/32"])
@pytest.mark.parametrize(
    ("deleted", "left"),
    [
        pytest.param(on_link(2), [on_link(3), on_link(2, metric=200)], id="the first"),
        pytest.param(on_link(3), [on_link(2), on_link(2, metric=200)], id="the second"),
        pytest.param(on_link(9), [on_link(3), on_link(2, metric=200)], id="told otherwise: the first of its metric"),
        pytest.param(on_link(2, metric=200), [on_link(2), on_link(3)], id="another metric"),
        pytest.param(on_link(2, metric=300), [on_link(2), on_link(3), on_link(2, metric=200)], id="unknown"),
    ],
)
def test_a_route_without_a_gateway_is_deleted(prefix: str, deleted: ForeignRoute, left: list[ForeignRoute]) -> None:
    table, key = ForeignTable(), parse_prefix(prefix)
    table.replace_routes({key: (on_link(2), on_link(3), on_link(2, metric=200))})
    table.apply(RouteChange(key, deleted, deleted=True))
    assert list(table.routes[key]) == left


def test_the_last_route_takes_its_prefix_along() -> None:
    table, key = ForeignTable(), parse_prefix("fd05::/32")
    table.apply(RouteChange(key, via("fd00::2")))
    assert list(table.matches(parse_address("fd05::1"))) == [(32, via("fd00::2"))]
    table.apply(RouteChange(key, via("fd00::2"), deleted=True))
    assert table.routes == {}


def test_legs_of_an_ipv6_route_are_told_one_by_one() -> None:
    """The kernel keeps routes with gateways and the same metric as one with several legs."""
    table, key = ForeignTable(), parse_prefix("fd05::/32")
    both = ForeignRoute(1, 4, 100, 0, (*via("fd00::2").legs, *via("fd00::3").legs))
    table.replace_routes({key: (both,)})
    table.apply(RouteChange(key, via("fd00::2"), deleted=True))
    assert table.routes[key] == (via("fd00::3"),)
    table.apply(RouteChange(key, on_link(2), deleted=True))
    assert table.routes[key] == (via("fd00::3"),)


@pytest.mark.parametrize("prefix", ["10.5.0.0/16", "fd05::/32"])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_route_stands_where_it_stood_when_its_nexthop_object_changes(prefix: str, at: int) -> None:
    """The kernel tells of each route that leads there, as if it replaced the first of its metric."""
    table, key = ForeignTable(), parse_prefix(prefix)
    routes = [on_link(2, metric=0), on_link(3, metric=0)]
    routes.insert(at, through(9))
    table.replace_routes({key: tuple(routes)})
    table.apply(NexthopChange(9, KernelNexthop(9, 4, Gateway(parse_address("10.0.0.2"), 2))))
    table.apply(RouteChange(key, through(9), replaces=True))
    assert list(table.routes[key]) == routes


def test_a_correction_counts_less_than_what_was_told_since() -> None:
    table = ForeignTable()
    keys = [parse_prefix(f"10.{number}.0.0/16") for number in range(6)]
    table.replace_routes(dict.fromkeys(keys[:4], (on_link(2),)))
    found = {keys[0]: (), keys[1]: (on_link(3),), keys[2]: (), keys[4]: (on_link(4),), keys[5]: (through(9),)}
    since = [RouteChange(keys[2], on_link(5)), RouteChange(keys[4], on_link(4), deleted=True), NexthopChange(9, None)]
    assert table.correct(found, since) == keys[:2]
    assert table.routes == {keys[1]: (on_link(3),), keys[2]: (on_link(2),), keys[3]: (on_link(2),)}
    assert table.correct({keys[5]: (through(9),)}, []) == [keys[5]]


def test_a_nexthop_that_is_gone_is_remembered_where_a_correction_was_passed_over() -> None:
    """The kernel has deleted a route along with it and told nothing; then the id is used again."""
    table, key = ForeignTable(), parse_prefix("10.5.0.0/16")
    table.replace_objects([KernelNexthop(9, 4, None)])
    table.replace_routes({key: (through(9), on_link(2, metric=200))})
    table.apply(NexthopChange(9, None))
    table.correct({key: (on_link(2, metric=200),)}, [RouteChange(key, on_link(3, metric=300))])
    table.apply(NexthopChange(9, KernelNexthop(9, 4, None, 3)))
    assert table.routes[key] == (on_link(2, metric=200),)


def test_nexthops_that_are_gone_are_forgotten_once_nothing_can_lead_there() -> None:
    table, key = ForeignTable(), parse_prefix("10.5.0.0/16")
    table.replace_objects([KernelNexthop(9, 4, None), KernelNexthop(10, 4, None)])
    table.replace_routes({key: (through(9),)})
    for id_ in (9, 10):
        table.apply(NexthopChange(id_, None))
    table.correct({key: ()}, [NexthopChange(10, None)])
    assert table._deleted == {10}
    table.correct({}, [])
    assert not table._deleted


def test_lengths_come_and_go_with_their_prefixes() -> None:
    table, address = ForeignTable(), parse_address("10.5.5.5")
    texts = ("10.0.0.0/8", "10.5.0.0/16", "10.6.0.0/16", "0.0.0.0/0", "fd00::/16")
    table.replace_routes({parse_prefix(text): (on_link(2),) for text in texts})
    assert [bits for bits, _ in table.matches(address)] == table._lengths[4] == [16, 8]
    table.correct({parse_prefix("10.5.0.0/16"): (), parse_prefix("10.5.5.0/24"): (on_link(3),)}, [])
    assert table._lengths == {4: [24, 16, 8], 16: [16]}
    for text in ("10.6.0.0/16", "10.6.0.0/16", "10.5.5.0/24", "fd00::/16"):
        table.apply(RouteChange(parse_prefix(text), on_link(2), deleted=True))
    assert table._lengths == {4: [8], 16: []}
    assert table._counts == {4: {8: 1, 0: 1}, 16: {}}


FIRST, SECOND, THIRD = on_link(2), on_link(3), on_link(4)
LOWER, HIGHER = on_link(2, metric=50), on_link(2, metric=200)


@pytest.mark.parametrize(
    ("change", "after"),
    [
        pytest.param({"route": THIRD}, [THIRD, FIRST, SECOND], id="added: before those of its metric"),
        pytest.param({"route": THIRD, "appended": True}, [FIRST, SECOND, THIRD], id="appended"),
        pytest.param({"route": SECOND}, [FIRST, SECOND], id="known already"),
        pytest.param({"route": SECOND, "appended": True}, [FIRST, SECOND], id="known already, and appended"),
        pytest.param({"route": THIRD, "replaces": True}, [THIRD, SECOND], id="in place of the first"),
        pytest.param({"route": FIRST, "replaces": True}, [FIRST, SECOND], id="in place of itself, or known already"),
        pytest.param({"route": SECOND, "replaces": True}, [SECOND], id="in place of the first, and as the second"),
    ],
)
def test_the_first_of_several_ipv4_routes_is_used_and_so_their_order_counts(
    change: dict[str, Any], after: list[ForeignRoute]
) -> None:
    table, key = ForeignTable(), parse_prefix("10.5.0.0/16")
    table.replace_routes({key: (LOWER, FIRST, SECOND, HIGHER)})
    table.apply(RouteChange(key, **change))
    assert list(table.routes[key]) == [LOWER, *after, HIGHER]


@pytest.mark.parametrize("prefix", ["10.5.0.0/16", "fd05::/32"])
@pytest.mark.parametrize("replaces", [True, False])
def test_a_route_of_another_metric_stands_by_its_metric(prefix: str, *, replaces: bool) -> None:
    table, key = ForeignTable(), parse_prefix(prefix)
    for route in (FIRST, HIGHER, LOWER):
        table.apply(RouteChange(key, route, replaces=replaces))
    assert table.routes[key] == (LOWER, FIRST, HIGHER)


BOTH = ForeignRoute(1, 4, 100, 0, (*via("fd00::2").legs, *via("fd00::3").legs))


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        pytest.param([FIRST, SECOND], {"route": THIRD}, [FIRST, SECOND, THIRD], id="added: behind the others"),
        pytest.param([FIRST, SECOND], {"route": FIRST}, [FIRST, SECOND], id="known already"),
        pytest.param(
            [FIRST, SECOND], {"route": THIRD, "replaces": True}, [THIRD, SECOND], id="in place of the first"
        ),
        pytest.param(
            [FIRST, SECOND], {"route": SECOND, "replaces": True}, [SECOND], id="in place of the first, known"
        ),
        pytest.param([via("fd00::2")], {"route": BOTH}, [BOTH], id="another leg: told as one with both"),
        pytest.param([FIRST, via("fd00::2")], {"route": BOTH}, [FIRST, BOTH], id="another leg, beside one without"),
        pytest.param([FIRST], {"route": BOTH}, [FIRST, BOTH], id="the first with a gateway"),
        pytest.param([BOTH], {"route": FIRST}, [BOTH, FIRST], id="one without a gateway beside it"),
        pytest.param(
            [BOTH], {"route": via("fd00::4"), "replaces": True}, [via("fd00::4")], id="in place of all legs"
        ),
        pytest.param([FIRST], {"route": BOTH, "replaces": True}, [BOTH], id="in place of one without a gateway"),
        pytest.param([FIRST, BOTH], {"route": THIRD, "replaces": True}, [THIRD, BOTH], id="of the same sort, if any"),
    ],
)
def test_ipv6_routes_with_gateways_are_one_route_and_others_stand_apart(
    before: list[ForeignRoute], change: dict[str, Any], after: list[ForeignRoute]
) -> None:
    table, key = ForeignTable(), parse_prefix("fd05::/32")
    table.replace_routes({key: (LOWER, *before, HIGHER)})
    table.apply(RouteChange(key, **change))
    assert list(table.routes[key]) == [LOWER, *after, HIGHER]


def test_a_route_whose_last_leg_is_deleted_is_gone_and_others_of_its_metric_stay() -> None:
    table, key = ForeignTable(), parse_prefix("fd05::/32")
    table.replace_routes({key: (FIRST, BOTH)})
    for gateway in ("fd00::2", "fd00::9", "fd00::3"):
        table.apply(RouteChange(key, via(gateway), deleted=True))
    assert table.routes[key] == (FIRST,)


@pytest.mark.parametrize("told", ["by a dump", "by notifications"])
def test_an_object_that_is_made_again_under_its_id_leads_nowhere_where_the_old_one_did(told: str) -> None:
    """The kernel has deleted the routes along with it, and tells of IPv6 routes alone."""
    table, key, other = ForeignTable(), parse_prefix("10.5.0.0/16"), parse_prefix("10.6.0.0/16")
    here = KernelNexthop(9, 4, Gateway(parse_address("10.0.0.1"), 2))
    table.replace_objects([here])
    led = ForeignRoute(1, 4, 100, 9, ())
    table.replace_routes({key: (led, HIGHER), other: (led,)})
    for objects in ([], [here]):
        if told == "by a dump":
            table.replace_objects(objects)
        else:
            table.apply(NexthopChange(9, here if objects else None))
    assert table.routes == {key: (HIGHER,)}
    table.apply(RouteChange(other, led))
    assert table.legs(led) == (Leg(parse_address("10.0.0.1"), 2),)
    table.replace_objects([here])
    assert table.routes[other] == (led,), "it was there all the time"
