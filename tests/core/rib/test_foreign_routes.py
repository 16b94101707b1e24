"""Routes of others as the kernel tells of them: what it deletes is found, be it told a little differently.

`tests/kernel/test_foreign.py` holds the same to the kernel itself.
"""

from __future__ import annotations

import pytest

from routerd.core.message import ForeignRoute, Leg, RouteChange
from routerd.core.rib.foreign import ForeignTable
from routerd.core.route import parse_address, parse_prefix


def on_link(interface: int, *, protocol: int = 4, metric: int = 100) -> ForeignRoute:
    """Return a route without a gateway."""
    return ForeignRoute(1, protocol, metric, 0, (Leg(None, interface),))


def via(gateway: str, *, metric: int = 100) -> ForeignRoute:
    return ForeignRoute(1, 4, metric, 0, (Leg(parse_address(gateway), 2),))


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


def test_a_table_that_is_read_again_is_freed_bit_by_bit_and_the_new_one_stays() -> None:
    table = ForeignTable()
    table.replace_routes({parse_prefix("10.5.0.0/16"): (on_link(2),)})
    table.replace_routes({parse_prefix("10.6.0.0/16"): (on_link(2),)})
    while table.shedding:
        table.shed()
    assert table.routes.keys() == {parse_prefix("10.6.0.0/16")}
