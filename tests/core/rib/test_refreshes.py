"""ROUTE-REFRESH: all requests within an interval have one answer, and a request during an answer another one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from routerd.core.message import Advertise
from routerd.core.rib.refreshes import INTERVAL, PIECE, Refreshes
from routerd.core.route import Family, Prefix, parse_prefix

A, B = "192.168.10.100", "192.168.10.101"
TABLE = [parse_prefix(f"10.{i >> 8}.{i & 255}.0/24") for i in range(PIECE + 1)]


def again(peer: str, _family: Family, prefixes: list[Prefix]) -> Advertise:
    return Advertise(peer, tuple(prefixes))


@pytest.fixture
def refreshes() -> Refreshes:
    """Return what answers two peers that both hear a table of two pieces."""
    return Refreshes(SimpleNamespace(prefixes=lambda peer: list(TABLE), again=again))


def answer(refreshes: Refreshes, now: float) -> list[Prefix]:
    """Answer all who have asked; return what was said."""
    said: list[Prefix] = []
    while refreshes:
        said += refreshes.piece(now).withdrawn
    return said


def test_who_asks_again_while_it_is_answered_is_answered_again(refreshes: Refreshes) -> None:
    """It may have changed its policy in between: what it was told before is not judged by that."""
    refreshes.ask(A, Family.IPV4, 0.0)
    refreshes.piece(0.0)
    refreshes.ask(A, Family.IPV4, 0.1)
    answer(refreshes, 0.2)
    assert refreshes.next == 0.2 + INTERVAL
    refreshes.begin(0.2 + INTERVAL)
    assert sorted(answer(refreshes, 0.2 + INTERVAL)) == sorted(TABLE)


def test_who_asks_twice_before_it_is_answered_is_answered_once(refreshes: Refreshes) -> None:
    for peer in (A, B, A, B):
        refreshes.ask(peer, Family.IPV4, 0.0)
    begun = refreshes.piece(0.0).withdrawn
    refreshes.ask(B, Family.IPV4, 0.1)  # whose answer has not begun
    assert sorted([*begun, *answer(refreshes, 0.2)]) == sorted([*TABLE, *TABLE])
    assert refreshes.next is None


def test_who_asks_again_has_another_answer_an_interval_after_the_first(refreshes: Refreshes) -> None:
    refreshes.ask(A, Family.IPV4, 0.0)
    answer(refreshes, 0.0)
    refreshes.ask(A, Family.IPV4, INTERVAL / 2)
    assert not refreshes
    assert refreshes.next == INTERVAL
    refreshes.begin(INTERVAL)
    answer(refreshes, INTERVAL)
    refreshes.ask(A, Family.IPV4, 2 * INTERVAL)
    assert refreshes, "at once"
