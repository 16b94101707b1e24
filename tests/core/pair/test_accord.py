"""One group of a pair: what is news to the partner, what of its news matters, and how the group stands."""

from __future__ import annotations

import pytest

from routerd.core.pair.accord import Accord, state_of
from routerd.core.pair.layouts import Held
from routerd.core.route import parse_address

A, B, C = (parse_address(f"10.0.0.{i}") for i in (1, 2, 3))
HELD = Held((A, B, A, B), 0b0001, frozenset((A, B)))
TURNED = HELD._replace(owners=(B, A, B, A))


def accord(held: Held | None = HELD) -> Accord:
    made = Accord(1, "172.16.1.1/32")
    made.held = held
    return made


def test_what_the_partner_knows_is_no_news() -> None:
    one = accord()
    assert one.is_news(HELD, busy=False)  # it was told nothing
    one.told = HELD
    assert not one.is_news(HELD, busy=True)
    for changed in (
        TURNED,
        HELD._replace(legs=frozenset((A, B, C))),
        HELD._replace(settled=False),
        HELD._replace(drained=frozenset((A,))),
    ):
        assert one.is_news(changed, busy=False)
    assert one.is_news(HELD._replace(busy=0), busy=True)
    assert not one.is_news(HELD._replace(busy=0), busy=False)


def test_news_that_may_be_a_reason_to_move_buckets() -> None:
    one = accord()
    assert one.is_concerned(None, TURNED)
    assert one.is_concerned(HELD, TURNED)
    assert one.is_concerned(None, HELD._replace(drained=frozenset((A,))))
    for changed in (
        HELD._replace(drained=frozenset((A,))),
        HELD._replace(legs=frozenset((A, B, C))),
        HELD._replace(settled=False),
    ):
        assert one.is_concerned(HELD, changed)
        assert one.is_concerned(changed, HELD)
    assert accord(None).is_concerned(None, HELD)


def test_news_that_is_none() -> None:
    """Which buckets are busy there alone is looked at now and then."""
    one = accord()
    assert not one.is_concerned(None, HELD)
    assert not one.is_concerned(TURNED, HELD)  # it has followed
    assert not one.is_concerned(HELD, HELD._replace(busy=0b1111))
    assert not one.is_concerned(TURNED, TURNED._replace(busy=0b1111))


def test_flows_of_legs_that_the_partner_has_lost_are_expected_for_a_time() -> None:
    one = accord(None)
    one.expect([A, C], 10.0)
    one.held = HELD._replace(busy=0)
    one.expect([B], 12.0)
    assert one.held.busy == 0b1111
    assert one.coming((A, B), 9.9) == frozenset((A, B))
    assert one.coming((A, B, C), 9.9) == frozenset((A, B)), "this router had lost C as well"
    assert one.coming((A, B), 10.0) == frozenset((B,))
    assert one.coming((A, B), 12.0) == frozenset()


@pytest.mark.parametrize(
    ("here", "there", "complete", "state"),
    [
        (None, HELD, True, "only there"),
        (accord(), None, False, "not told"),
        (accord(), None, True, "only here"),
        (accord(None), None, True, "not told"),
        (accord(None), HELD, True, "not told"),
        (accord(), HELD._replace(owners=(A, B)), True, "other size"),
        (accord(), HELD._replace(busy=0), True, "equal"),
        (accord(), HELD._replace(legs=frozenset((A, B, C))), True, "other nodes"),
        (accord(), HELD._replace(legs=frozenset((A, B, C)), drained=frozenset((C,))), True, "equal"),
        (accord(HELD._replace(drained=frozenset((C,)))), HELD._replace(legs=frozenset((A, B, C))), True, "equal"),
        (accord(), TURNED, True, "differs"),
        (accord(), TURNED, False, "differs"),
        (accord(), TURNED._replace(legs=frozenset((A, B, C))), True, "other nodes"),
    ],
)
def test_how_a_group_stands(here: Accord | None, there: Held | None, complete: bool, state: str) -> None:
    assert state_of(here, there, complete=complete) == state
