"""A member that was lost and returns gets the buckets again that it had, as far as nobody has used them meanwhile."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from routerd.core.message import DeleteNexthop, GroupLost, Member, SetGroup, WriteFailed
from routerd.kernel import lookup, memory
from routerd.kernel.dump import objects
from routerd.kernel.writer import KernelWriter
from tests.kernel.scenario import during
from tests.kernel.test_memory import GROUP, nexthops, owners, read, uneven
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root


@pytest.mark.parametrize("lost", [(1,), (3,), (1, 2)])
def test_who_was_lost_gets_its_buckets_again(router: Namespace, writer: KernelWriter, lost: tuple[int, ...]) -> None:
    before = uneven(writer)
    for id_ in lost:
        assert writer.write([DeleteNexthop(id_)]) == []
        read(writer)
    left = tuple(member for member in GROUP.members if member.id not in lost)
    assert writer.write([replace(GROUP, members=left, known=True)]) == []
    read(writer)
    assert owners() != before
    back = [each for each in nexthops(21) if each.id - 20 in lost]
    members = tuple(Member(20 + id_ if id_ in lost else id_) for id_ in (1, 2, 3))
    assert writer.write([*back, replace(GROUP, members=members, like=10, known=True)]) == []
    assert [owner % 20 - 1 for _, owner, _ in lookup.buckets(10)] == before


@pytest.mark.parametrize("hold", [False, True])
def test_what_somebody_deleted_is_mended_bucket_by_bucket(
    router: Namespace, writer: KernelWriter, *, hold: bool
) -> None:
    before = uneven(writer)
    for gone in ("1", "2"):
        router.ip("nexthop", "del", "id", gone)
        writer.adopt_objects(objects())
        read(writer)
    assert writer.write([*nexthops()[:2], replace(GROUP, like=10, known=True, hold=hold)]) == []
    assert owners() == before
    assert [entry["id"] for entry in router.ip_json("nexthop", "show")] == [1, 2, 3, 10]


@pytest.mark.parametrize("hold", [False, True])
def test_what_somebody_gave_to_others_is_mended_bucket_by_bucket(
    router: Namespace, writer: KernelWriter, *, hold: bool
) -> None:
    before = uneven(writer)
    alone = ("group", "1", "type", "resilient", "buckets", "128", "idle_timer", "60", "proto", "bgp")
    router.ip("nexthop", "replace", "id", "10", *alone)
    writer.adopt_objects(objects())
    read(writer)
    assert set(owners()) == {0}
    assert writer.write([replace(GROUP, like=10, known=True, hold=hold)]) == []
    assert owners() == before


def test_who_returns_gets_what_it_had_last_even_if_another_was_lost_before(
    router: Namespace, writer: KernelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had taken over buckets of that one: new flows are in them."""
    without = another_lost_before(writer, monkeypatch)
    lose(writer, 1)
    assert writer.write([replace(GROUP, members=(Member(3),), known=True)]) == []
    read(writer)
    assert set(owners()) == {2}
    again = replace(GROUP, members=(Member(21), Member(3)), like=10, known=True)
    assert writer.write([nexthops(21)[0], again]) == []
    assert [owner % 20 - 1 for _, owner, _ in lookup.buckets(10)] == without


def test_who_returns_gets_what_it_had_though_a_member_that_stays_has_none(
    router: Namespace, writer: KernelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had some after the other one was lost."""
    before, members = uneven(writer), (Member(1), Member(3))
    clock = SimpleNamespace(monotonic=lambda: 1000.0)
    monkeypatch.setattr(memory, "time", clock)
    lose(writer, 2)
    assert writer.write([replace(GROUP, members=members, known=True)]) == []
    read(writer)
    clock.monotonic = lambda: 1000.0 + 2 * memory.AT_ONCE_LOST
    most = (Member(1), Member(3, 60000))
    assert writer.write([replace(GROUP, members=most, known=True)]) == []
    read(writer)
    assert set(owners()) == {2}
    clock.monotonic = lambda: 1000.0 + 4 * memory.AT_ONCE_LOST
    again = replace(GROUP, members=(Member(1), Member(22), Member(3)), like=10, known=True)
    assert writer.write([nexthops(21)[1], again]) == []
    now = [owner % 20 - 1 for _, owner, _ in lookup.buckets(10)]
    assert [owner == 1 for owner in now] == [owner == 1 for owner in before]


def test_what_goes_bit_by_bit_comes_back_even_if_another_was_lost_before(
    router: Namespace, writer: KernelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = another_lost_before(writer, monkeypatch)
    lose(writer, 1)
    lose(writer, 3)
    back = [nexthops(21)[0], nexthops(21)[2]]
    assert writer.write([*back, replace(GROUP, members=(Member(21), Member(23)), like=10)]) == []
    assert owners(first=21) == without


def another_lost_before(writer: KernelWriter, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A node was lost, longer ago than counts as at once; return who has its buckets since."""
    uneven(writer)
    clock = SimpleNamespace(monotonic=lambda: 1000.0)
    monkeypatch.setattr(memory, "time", clock)
    lose(writer, 2)
    assert writer.write([replace(GROUP, members=(Member(1), Member(3)), known=True)]) == []
    read(writer)
    clock.monotonic = lambda: 1000.0 + 2 * memory.AT_ONCE_LOST
    return owners()


def lose(writer: KernelWriter, id_: int) -> None:
    """A node is lost, and the groups are read."""
    assert writer.write([DeleteNexthop(id_)]) == []
    read(writer)
    read(writer)


def returning(writer: KernelWriter) -> SetGroup:
    """Return what gives a lost member its buckets again."""
    uneven(writer)
    assert writer.write([DeleteNexthop(1)]) == []
    read(writer)
    assert writer.write([replace(GROUP, members=(Member(2), Member(3)), known=True)]) == []
    read(writer)
    assert writer.write(nexthops(21)[:1]) == []
    return replace(GROUP, members=tuple(map(Member, (21, 2, 3))), like=10, known=True)


@pytest.mark.parametrize("reading", [1, 2])
def test_a_group_that_somebody_deletes_meanwhile_is_made_anew_and_its_routes_come_again(
    router: Namespace, writer: KernelWriter, monkeypatch: pytest.MonkeyPatch, reading: int
) -> None:
    group = returning(writer)
    during(reading, monkeypatch, lambda: router.ip("nexthop", "del", "id", "10"))
    assert writer.write([group]) == [GroupLost(10)]
    assert [entry["id"] for entry in router.ip_json("nexthop", "show")] == [2, 3, 10, 21]


@pytest.mark.parametrize("reading", [1, 2])
def test_a_link_that_goes_down_meanwhile_is_a_refusal_and_leaves_nothing(
    router: Namespace, writer: KernelWriter, monkeypatch: pytest.MonkeyPatch, reading: int
) -> None:
    group = returning(writer)
    during(reading, monkeypatch, lambda: router.ip("link", "set", "eth0", "down"))
    (told,) = writer.write([group])
    assert isinstance(told, WriteFailed)
    assert router.ip_json("nexthop", "show") == []
