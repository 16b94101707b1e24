"""A member that was lost and returns gets the buckets again that it had, as far as nobody has used them meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routerd.core.message import DeleteNexthop, Member
from routerd.kernel import lookup
from routerd.kernel.dump import objects
from routerd.kernel.writer import KernelWriter
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
