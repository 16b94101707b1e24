"""A group made like another one: no bucket that carries a flow changes its member."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import groupby

import pytest

from routerd.core.layout import lay_out, made
from routerd.core.message import Gateway, Member, SetGroup, SetNexthop
from routerd.core.route import parse_address
from routerd.kernel import lookup
from routerd.kernel.layout import at_once, held, settled, steps
from routerd.kernel.writer import KernelWriter
from tests.kernel.scenario import FIB
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root


def test_busy_buckets_keep_their_member_and_idle_ones_follow_the_weights() -> None:
    chance = random.Random(1)
    buckets = [(1 if i < 512 else 2, chance.random() < 0.5) for i in range(1024)]
    layout = lay_out(buckets, [Member(1), Member(2), Member(3)])
    assert layout is not None
    assert all(layout[i] == owner for i, (owner, busy) in enumerate(buckets) if busy)
    assert layout.count(3) > 250


def test_idle_buckets_stay_too_where_the_weights_allow_it() -> None:
    buckets = [(i // 342 + 1, False) for i in range(1024)]
    layout = lay_out(buckets, [Member(1), Member(2)])
    assert layout is not None
    assert [layout[i] for i in range(684)] == [owner for owner, _ in buckets[:684]]
    assert layout.count(1) == layout.count(2) == 512


def test_without_a_common_member_there_is_nothing_to_continue() -> None:
    assert lay_out([(1, True), (1, False)], [Member(2)]) is None


def test_buckets_of_a_lost_member_go_to_the_others() -> None:
    layout = lay_out([(i % 3 + 1, True) for i in range(30)], [Member(1), Member(2)])
    assert layout is not None
    assert [layout[i] for i in range(30) if i % 3 < 2] == [i % 3 + 1 for i in range(30) if i % 3 < 2]
    assert set(layout) == {1, 2}


@pytest.mark.parametrize("kind", ["blocks", "random", "alternating"])
def test_the_real_kernel_takes_on_any_layout(router: Namespace, kind: str) -> None:
    chance = random.Random(2)
    owners = {
        "blocks": [1] * 300 + [3] * 200 + [2] * 524,
        "random": [chance.choice([1, 2, 3]) for _ in range(1024)],
        "alternating": [i % 3 + 1 for i in range(1024)],
    }[kind]
    with router.enter():
        writer = KernelWriter(FIB)
        for id_ in (1, 2, 3, 9):
            assert not writer.write([SetNexthop(id_, Gateway(parse_address(f"10.0.0.{id_ + 1}"), _link(router)))])
        for members in ((Member(9),), *steps(owners, 9)):
            assert not writer.write([SetGroup(50, members, 1024, 120.0, 0.0)])
        assert [owner for _, owner, _ in lookup.buckets(50)] == owners
        writer.close()


@pytest.mark.parametrize("joining", [1, 5])
def test_members_for_whom_no_bucket_is_free_are_in_the_group_all_the_same(router: Namespace, joining: int) -> None:
    """Else the kernel's group would lack them until it is balanced: one whose others die would have no route."""
    chance = random.Random(3)
    owners = [chance.choice([1, 2, 3]) for _ in range(1024)]
    members = [Member(id_) for id_ in range(1, 4 + joining)]
    with router.enter():
        writer = KernelWriter(FIB)
        for id_ in (*range(1, 4 + joining), 99):
            assert not writer.write([SetNexthop(id_, Gateway(parse_address(f"10.0.0.{id_ + 1}"), _link(router)))])
        for some in ((Member(99),), *steps(owners, 99), held(Counter(owners), members, 65535)):
            assert not writer.write([SetGroup(50, some, 1024, 120.0, 0.0)])
        assert [owner for _, owner, _ in lookup.buckets(50)] == owners
        writer.close()
    (group,) = (found for found in router.ip_json("nexthop", "show") if found["id"] == 50)
    assert {member["id"] for member in group["group"]} == {member.id for member in members}


def test_a_layout_that_is_as_the_weights_want_it_gets_its_weights_and_no_bucket_moves(router: Namespace) -> None:
    chance = random.Random(4)
    owners = [1] * 342 + [2] * 341 + [3] * 341
    chance.shuffle(owners)
    members = [Member(id_) for id_ in (1, 2, 3)]
    ordered = settled(Counter(owners), members)
    assert sorted(member.id for member in ordered) == [1, 2, 3]
    with router.enter():
        writer = KernelWriter(FIB)
        for id_ in (1, 2, 3, 9):
            assert not writer.write([SetNexthop(id_, Gateway(parse_address(f"10.0.0.{id_ + 1}"), _link(router)))])
        for some in ((Member(9),), *steps(owners, 9), ordered):
            assert not writer.write([SetGroup(50, some, 1024, 120.0, 0.0)])
        assert [owner for _, owner, _ in lookup.buckets(50)] == owners
        writer.close()
    assert settled(Counter({1: 400, 2: 312, 3: 312}), members) == ()
    assert settled(Counter({1: 64}), [Member(2), Member(1, 128)]) == (Member(2), Member(1, 128))


def _runs(group: int) -> list[tuple[int, int]]:
    return [(owner, len(list(run))) for owner, run in groupby(owner for _, owner, _ in lookup.buckets(group))]


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 3, 4, 5), (1, 2048, 2048), (1,) * 7, (3, 65535)])
@pytest.mark.parametrize("buckets", [64, 100, 1024])
def test_the_layout_of_a_new_group_is_known(router: Namespace, weights: tuple[int, ...], buckets: int) -> None:
    members = tuple(Member(id_, weight) for id_, weight in enumerate(weights, 1))
    with router.enter():
        writer = KernelWriter(FIB)
        for member in members:
            nexthop = SetNexthop(member.id, Gateway(parse_address(f"10.0.0.{member.id + 1}"), _link(router)))
            assert not writer.write([nexthop])
        assert not writer.write([SetGroup(50, members, buckets, 120.0, 0.0)])
        runs = _runs(50)
        writer.close()
    assert made(buckets, members) == runs
    if len(runs) == len(members):
        assert at_once(runs, members) == members
    assert at_once([*runs, *runs, *runs], members) == ()


def test_a_group_that_is_held_moves_no_bucket(router: Namespace) -> None:
    """Not even those that were never used, which the kernel would give to whoever joins."""
    members = tuple(map(Member, (1, 2, 3, 4)))
    with router.enter():
        writer = KernelWriter(FIB)
        for member in members:
            nexthop = SetNexthop(member.id, Gateway(parse_address(f"10.0.0.{member.id + 1}"), _link(router)))
            assert not writer.write([nexthop])
        group = SetGroup(50, members[:1], 1024, 120.0, 0.0)
        assert not writer.write([group])
        assert not writer.write([replace(group, members=members[:2], hold=True)])
        assert _runs(50) == [(1, 1024)]
        assert not writer.write([replace(group, members=members[:3])])
        before = lookup.buckets(50)
        assert len({owner for _, owner, _ in before}) == 3
        assert not writer.write([replace(group, members=members, hold=True)])
        assert [owner for _, owner, _ in lookup.buckets(50)] == [owner for _, owner, _ in before]
        assert not writer.write([replace(group, members=members[1:], hold=True)])
        kept = [(index, owner) for index, owner, _ in lookup.buckets(50)]
        writer.close()
    assert all(kept[index] == (index, owner) for index, owner, _ in before if owner != 1)
    assert {owner for _, owner in kept} == {2, 3}


def _link(router: Namespace) -> int:
    return int(router.ip_json("link", "show", "eth0")[0]["ifindex"])
