"""Which of the kernel's notifications say that a route of routerd's is there no more."""

from __future__ import annotations

import pytest

from routerd.config.model import FibSection
from routerd.core.fib.drift import loses_own, mend_changes, mend_routes
from routerd.core.fib.fib import Fib
from routerd.core.fib.model import Shape
from routerd.core.message import DeleteRoutes, ForeignRoute, Gateway, RouteAudit, RouteChange, SetRoutes
from routerd.core.route import parse_address, parse_prefix
from routerd.core.wanted import Wanted

METRIC = 20
P, Q = parse_prefix("172.16.1.1/32"), parse_prefix("172.16.1.2/32")
OURS, THEIRS = ForeignRoute(1, 186, METRIC, 1, ()), ForeignRoute(1, 4, METRIC, 0, ())


@pytest.mark.parametrize(
    ("change", "loses"),
    [
        pytest.param(RouteChange(P, OURS, own=True, deleted=True), True, id="deleted"),
        pytest.param(RouteChange(P, OURS, own=True, replaces=True), False, id="replaced by one with our marks"),
        pytest.param(RouteChange(P, THEIRS, replaces=True), True, id="overwritten"),
        pytest.param(RouteChange(P, THEIRS), False, id="another one beside it"),
        pytest.param(RouteChange(P, THEIRS, deleted=True), False, id="the other one deleted"),
        pytest.param(RouteChange(P, ForeignRoute(1, 4, 100, 0, ()), replaces=True), False, id="another metric"),
        pytest.param(RouteChange(Q, THEIRS, replaces=True), False, id="a prefix that we have no route to"),
    ],
)
def test_a_change(change: RouteChange, loses: bool) -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    fib.want([P], Wanted((Gateway(parse_address("10.0.0.1"), 2),)))
    fib.plan(0.0)
    assert loses_own(fib, change, METRIC) is loses


ELSEWHERE, SAME = OURS._replace(nexthop=9), THEIRS._replace(nexthop=OURS.nexthop)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param([RouteChange(P, OURS, own=True, replaces=True)], "", id="what is wanted"),
        pytest.param([RouteChange(P, ELSEWHERE, own=True, replaces=True)], "changed", id="another group"),
        pytest.param([RouteChange(P, THEIRS, replaces=True)], "changed", id="overwritten"),
        pytest.param([RouteChange(P, SAME, replaces=True)], "changed", id="overwritten by one to the same group"),
        pytest.param([RouteChange(P, OURS, own=True, deleted=True)], "missing", id="deleted"),
        pytest.param(
            [RouteChange(P, THEIRS, replaces=True), RouteChange(P, OURS, own=True, deleted=True)],
            "changed",
            id="overwritten and deleted is one route",
        ),
        pytest.param([RouteChange(Q, OURS, own=True)], "", id="added where we have none: the audit's"),
    ],
)
def test_a_route_is_written_again_only_if_it_is_not_what_it_should_be(changes: list[RouteChange], text: str) -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    fib.want([P], Wanted((Gateway(parse_address("10.0.0.1"), 2),)))
    fib.plan(0.0)
    [group] = fib.groups
    assert group.id == OURS.nexthop
    wrong, operations = mend_changes(fib, changes, METRIC)
    assert [each.text for each in wrong] == ([f"1 routes were {text}"] if text else [])
    assert operations == ([SetRoutes(group.id, (P,))] if text else [])


def test_a_route_under_our_marks_goes_while_the_group_of_its_prefix_has_no_member() -> None:
    """Somebody has put it there: the kernel has deleted ours along with the group."""
    gateway = Gateway(parse_address("10.0.0.1"), 2)
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    fib.want([P], Wanted((gateway,)))
    fib.plan(0.0)
    fib.fail([gateway])
    found = RouteAudit(expected=fib.expected(), missing=(), wrong={}, unknown={P: 9}, foreign={})
    wrong, operations = mend_routes(fib, found)
    assert ([each.text for each in wrong], operations) == (["1 routes were not expected"], [DeleteRoutes((P,))])
    fib.restore([gateway])
    fib.plan(0.0)
    assert mend_routes(fib, found) == ([], []), "it is ours, and was written since"
