"""What a partner says takes a bounded room, whoever has its key."""

from __future__ import annotations

import pytest

from routerd.core.fib.index import MOST
from routerd.core.message import GroupGone, GroupLayout, PartnerSaid
from routerd.core.pair import register
from routerd.core.pair.accord import ONLY_THERE, Agreement
from routerd.core.pair.layouts import Held
from routerd.core.route import parse_address
from tests.support.pairs import Two

NODE = parse_address("192.168.10.101")


def test_short_messages_about_large_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register, "ROOM", 4 * 1024)
    two = Two()
    theirs = two.a.pair._register.theirs

    def tell(key: str, size: int) -> None:
        two.a.take(PartnerSaid(GroupLayout(key, (NODE,), (0,) * size, 0)))

    for number in range(10):
        tell(f"172.16.1.{number}/32", 1000)
    assert len(theirs) == 4
    tell("172.16.1.1/32", 1000)  # another layout of the same takes no more
    assert len(theirs) == 4
    two.a.take(PartnerSaid(GroupGone("172.16.1.1/32")))
    tell("172.16.1.9/32", 900)
    assert [*theirs][-1] == "172.16.1.9/32"
    two.disconnect()
    two.connect()
    tell("172.16.1.1/32", 4000)
    assert list(theirs) == ["172.16.1.1/32"]
    for _ in range(2000):  # of none that it has told of, which leaves no room
        two.a.pair._register.hear("172.16.1.2/32", None)
    tell("172.16.1.3/32", 1000)
    assert list(theirs) == ["172.16.1.1/32"]


def test_a_group_that_only_the_partner_has_is_told_of_by_its_name_and_size_alone() -> None:
    two = Two()
    two.a.take(PartnerSaid(GroupLayout("172.16.1.9/32", (NODE,), (0,) * 16, 0b11)))
    assert list(two.a.pair.agreements()) == [Agreement("172.16.1.9/32", 0, 16, 0, 0, 0, ONLY_THERE)]


def test_short_messages_about_many_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register, "ROOM", 4 * 1024)
    two = Two()
    nodes = tuple(parse_address(f"192.168.10.{number}") for number in range(200))
    for number in range(5):
        two.a.take(PartnerSaid(GroupLayout(f"172.16.1.{number}/32", nodes, (0,), 0)))
    assert len(two.a.pair._register.theirs) == 1


def test_a_partner_may_name_all_its_groups_anew() -> None:
    """It tells of the new names before the old ones are gone."""
    theirs = Two().a.pair._register
    held = Held((NODE,), 0, frozenset({NODE}))
    for name in ("before", "after"):
        for number in range(MOST):
            theirs.hear(f"{name} {number}", held)
    assert len(theirs.theirs) == 2 * MOST


def test_more_groups_than_a_router_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register, "LIMIT", 3)
    two = Two()
    for number in (0, 1, 2, 3, 1):
        two.a.take(PartnerSaid(GroupLayout(f"172.16.1.{number}/32", (NODE,), (0,) * 16, 0)))
    assert [*two.a.pair._register.theirs] == [f"172.16.1.{number}/32" for number in (0, 2, 1)]
