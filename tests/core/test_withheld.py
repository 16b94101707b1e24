"""What peers do not hear because it fits into no message is remembered within a bound."""

from __future__ import annotations

from routerd.core.message import Advertise
from routerd.core.route import Prefix, parse_prefix
from routerd.core.withheld import KEPT, TooLarge, Withheld


def prefixes(first: int, count: int) -> tuple[Prefix, ...]:
    return tuple(parse_prefix(f"10.{number >> 8}.{number & 255}.0/24") for number in range(first, first + count))


def test_the_bound_holds_over_all_messages() -> None:
    withheld = Withheld()
    some, more = prefixes(0, KEPT - 10), prefixes(KEPT, 20)
    withheld.take(Advertise("peer"), (TooLarge(some, 5000, 4096),))
    assert not withheld.beyond
    withheld.take(Advertise("peer"), (TooLarge(more, 5000, 4096),))
    assert [*withheld.routes] == [*some, *more[:10]]
    assert withheld.beyond


def test_the_last_one_that_has_room_is_not_beyond() -> None:
    withheld = Withheld()
    withheld.take(Advertise("peer"), (TooLarge(prefixes(0, KEPT), 5000, 4096),))
    assert len(withheld.routes) == KEPT
    assert not withheld.beyond
