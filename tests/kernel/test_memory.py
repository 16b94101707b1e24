"""A group that the kernel deleted with its last member comes back with the buckets that it had."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from routerd.core.message import DeleteNexthop, GroupLost, Member, SetGroup, SetNexthop
from routerd.kernel import lookup, memory
from routerd.kernel.dump import dump, objects
from routerd.kernel.writer import KernelWriter
from tests.kernel.scenario import FIB, gateway
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root

GROUP = SetGroup(10, tuple(map(Member, (1, 2, 3))), buckets=128, idle_timer=60.0)


def nexthops(first: int = 1) -> list[SetNexthop]:
    return [SetNexthop(first + i, gateway(f"10.0.0.{2 + i}")) for i in range(3)]


def read(writer: KernelWriter) -> None:
    writer.memory.note(memory.look(writer.memory.due()))


def owners(group: int = 10, first: int = 1) -> list[int]:
    return [owner - first for _, owner, _ in lookup.buckets(group)]


def uneven(writer: KernelWriter) -> list[int]:
    """Make a group that the weights alone would lay out otherwise; return the owner of each bucket."""
    assert writer.write([*nexthops(), GROUP]) == []
    assert writer.write([replace(GROUP, members=(Member(1), Member(2, 9), Member(3, 4)))]) == []
    assert writer.write([GROUP]) == []
    read(writer)
    return owners()


def test_it_is_laid_out_as_it_was_under_its_id_or_another_one(router: Namespace, writer: KernelWriter) -> None:
    before = uneven(writer)
    fresh = replace(GROUP, id=99)
    assert writer.write([fresh]) == []
    assert owners(99) != before
    for id_, first in ((10, 21), (11, 31)):
        for nexthop in (1, 2, 3, 21, 22, 23):
            writer.write([DeleteNexthop(nexthop)])
        again = SetGroup(id_, tuple(Member(first + i) for i in range(3)), buckets=128, idle_timer=60.0, like=10)
        assert writer.write([*nexthops(first), again]) == []
        assert owners(id_, first) == before
        assert writer.buckets.took_over(id_)


def test_a_link_that_goes_down_leaves_what_was_known(router: Namespace, writer: KernelWriter) -> None:
    before = uneven(writer)
    router.ip("link", "set", "eth0", "down")
    read(writer)
    router.ip("link", "set", "eth0", "up")
    writer.write([DeleteNexthop(id_) for id_ in (1, 2, 3)])
    read(writer)
    assert writer.write([*nexthops(), replace(GROUP, like=10)]) == []
    assert owners() == before


def test_what_is_not_lost_is_replaced_and_what_is_deleted_forgotten(router: Namespace, writer: KernelWriter) -> None:
    uneven(writer)
    assert writer.write([replace(GROUP, members=(Member(1),), like=10)]) == []
    assert set(owners()) == {0}
    writer.write([DeleteNexthop(10)])
    assert writer.memory.recall(10, GROUP.members) == []


def test_a_new_writer_reads_what_it_adopts(router: Namespace, writer: KernelWriter) -> None:
    before = uneven(writer)
    later = KernelWriter(FIB)
    later.adopt(dump(FIB))
    read(later)
    assert [owner - 1 for owner, length in later.memory.recall(10, GROUP.members) for _ in range(length)] == before
    later.close()


def test_memory_is_bounded(router: Namespace, writer: KernelWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    uneven(writer)
    monkeypatch.setattr(memory, "_LIMIT", 2 * len(writer.memory.recall(10, GROUP.members)))
    writer.write([replace(GROUP, id=11)])
    read(writer)
    assert writer.memory.recall(10, GROUP.members) == []
    assert sum(length for _, length in writer.memory.recall(11, GROUP.members)) == 128


def test_the_buckets_of_a_new_group_are_known_without_reading(router: Namespace, writer: KernelWriter) -> None:
    assert writer.write([*nexthops(), GROUP]) == []
    counts = writer.memory.counts(10)
    assert sorted(counts.values()) == [42, 43, 43]
    read(writer)
    assert writer.memory.counts(10) == counts


def test_groups_that_the_kernel_deleted_leave_nothing_but_their_layouts(
    router: Namespace, writer: KernelWriter
) -> None:
    """A link that flaps takes them along, unheard, and they may come back under other ids."""
    for round_ in range(1, 4):
        ids = [10 * round_ + number for number in (1, 2, 3)]
        group = replace(GROUP, id=1000 + round_, members=tuple(map(Member, ids)))
        assert writer.write([*nexthops(ids[0]), group]) == []
        read(writer)
        router.ip("link", "set", "eth0", "down")
        router.ip("link", "set", "eth0", "up")
        writer.adopt_objects(objects())
    assert sum(length for _, length in writer.memory.recall(1001, ())) == 128
    assert (writer.memory._members, writer.buckets._made, writer._objects.gateways) == ({}, {}, {})


def test_a_member_that_went_unheard_has_the_group_read_again(router: Namespace, writer: KernelWriter) -> None:
    """Others that are lost soon after it count as lost with it."""
    before = uneven(writer)
    router.ip("nexthop", "del", "id", "2")
    writer.adopt_objects(objects())
    assert not writer.memory.settled()
    read(writer)
    assert {owner for owner, _ in writer.memory.recall(10, GROUP.members, 0.0)} == {0, 1, 3}  # its link may be down
    assert not writer.memory.settled()
    read(writer)
    assert writer.memory.settled()
    assert len(writer.memory.counts(10)) == 2
    known = [owner for owner, length in writer.memory.recall(10, GROUP.members) for _ in range(length)]
    assert known == [(1, 0, 3)[number] for number in before]
    assert {owner for owner, _ in writer.memory.recall(10, GROUP.members, 0.0)} == {1, 3}


def test_a_group_that_is_deleted_while_it_is_read_is_not_remembered(router: Namespace, writer: KernelWriter) -> None:
    assert writer.write([*nexthops(), GROUP]) == []
    found = memory.look(writer.memory.due())
    writer.write([DeleteNexthop(10)])
    writer.memory.note(found)
    assert writer.memory.recall(10, GROUP.members) == []


def test_what_is_deleted_bit_by_bit_again_and_again_comes_back_as_it_was(
    router: Namespace, writer: KernelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read whenever something has happened to it: between those readings it was whole, and none of them saw
    that."""
    before, now = uneven(writer), 1000.0
    monkeypatch.setattr(memory, "time", SimpleNamespace(monotonic=lambda: now))
    for _ in range(4):
        router.ip("nexthop", "del", "id", "1")
        writer.adopt_objects(objects())
        read(writer)
        read(writer)
        for gone in ("2", "3"):
            router.ip("nexthop", "del", "id", gone)
        writer.adopt_objects(objects())
        assert writer.write([*nexthops(), replace(GROUP, like=10, known=True, hold=True)]) == [GroupLost(10)]
        assert owners() == before
        now += memory.AT_ONCE_LOST / 2


def test_a_group_is_read_until_its_last_bucket_has_moved(router: Namespace, writer: KernelWriter) -> None:
    """One bucket in use that a member without weight keeps is one that is about to move, too."""
    drained = (Member(1), Member(2, 2048), Member(3, 2048))
    assert writer.write([*nexthops(), GROUP]) == []
    read(writer)
    writer.memory.written(10, drained)
    ids = [2] * 64 + [3] * 63 + [1]
    writer.memory.due()
    writer.memory.note({10: memory.runs_of(ids)})
    assert not writer.memory.settled()
    assert writer.memory.due() == [10]
    writer.memory.note({10: memory.runs_of([2] * 64 + [3] * 64)})
    assert writer.memory.settled()
    assert writer.memory.due() == []
    assert not writer.memory.changed.is_set()
    writer.memory.seen(10, ids)
    assert writer.memory.changed.is_set()  # whoever waits for that waits without a limit
    assert writer.memory.due() == [10]


@pytest.mark.parametrize("uneven_before", [False, True])
@pytest.mark.parametrize("hold", [False, True])
def test_a_group_whose_buckets_do_not_move_is_not_read_again_and_again(
    router: Namespace, writer: KernelWriter, *, hold: bool, uneven_before: bool
) -> None:
    if uneven_before:
        uneven(writer)
    else:
        assert writer.write([*nexthops(), GROUP]) == []
        read(writer)
    read(writer)
    assert writer.memory.due() == []
    assert writer.write([DeleteNexthop(2)]) == []
    for _ in range(3):
        read(writer)
    assert writer.memory.due() == []
    again = replace(GROUP, members=(Member(1), Member(22), Member(3)), like=10, hold=hold, known=True)
    assert writer.write([nexthops(21)[1], again]) == []
    read(writer)
    assert writer.memory.due() == []
    router.ip("nexthop", "del", "id", "10")
    assert writer.write([replace(again, hold=False, known=False)]) == []
    read(writer)
    assert writer.memory.due() == []


def test_groups_that_have_changed_are_read_before_those_that_are_as_they_were_made(
    router: Namespace, writer: KernelWriter
) -> None:
    """Of these is known where their buckets lead; and what has changed is lost with the link until it is read."""
    groups = [replace(GROUP, id=100 + index) for index in range(memory.AT_ONCE)]
    assert writer.write([*nexthops(), replace(GROUP, members=(Member(1),))]) == []
    read(writer)
    assert writer.write([*groups, GROUP]) == []
    assert writer.memory.due()[0] == GROUP.id


def test_what_stands_where_it_was_read_need_not_be_read_again(router: Namespace, writer: KernelWriter) -> None:
    before = uneven(writer)
    group = replace(GROUP, hold=True, known=True)
    assert writer.write([group]) == []
    assert not writer.memory.standing(10)
    writer.memory.seen(10, lookup.owners(10))
    assert writer.memory.standing(10) == Counter(owner + 1 for owner in before)
    assert writer.write([group]) == []
    assert not writer.memory.standing(10)
    writer.memory.seen(10, lookup.owners(10))
    writer.memory.lost(3)  # a link may have gone, and more of its members
    assert not writer.memory.standing(10)
