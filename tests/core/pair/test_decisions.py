"""What the two want of a group's buckets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from routerd.core.fib.model import Group, Wanted
from routerd.core.fib.settling import Settling, Why
from routerd.core.message import BucketsRead, Gateway, GroupLayout
from routerd.core.pair.decisions import follow, gap, is_off, is_passing, lead, off, weights_of
from routerd.core.pair.layouts import Held, heard, key_of, read, said
from routerd.core.route import Address, parse_address, parse_prefix

NODES = [parse_address(f"10.0.0.{i}") for i in range(1, 5)]
A, B, C, D = NODES
LEGS = dict.fromkeys((A, B, C), 1)
SIZE = 16


@st.composite
def layouts(draw: st.DrawFn) -> Held:
    owners = draw(st.lists(st.sampled_from(NODES), min_size=SIZE, max_size=SIZE))
    return Held(tuple(owners), draw(st.integers(0, (1 << SIZE) - 1)), frozenset(NODES))


@given(layouts(), layouts())
def test_what_is_busy_here_stays_and_so_does_what_is_busy_there_alone(here: Held, there: Held) -> None:
    led, followed = lead(here, there, LEGS), follow(here, there, LEGS)
    for bucket, (busy, theirs) in enumerate(zip(here.bits(), there.bits(), strict=True)):
        if busy and here.owners[bucket] in LEGS:
            assert led[bucket] == followed[bucket] == here.owners[bucket]
        elif busy:
            assert followed[bucket] == here.owners[bucket]
        else:
            if theirs and there.owners[bucket] in LEGS:
                assert led[bucket] == there.owners[bucket]
            assert followed[bucket] == (there.owners[bucket] if there.owners[bucket] in LEGS else here.owners[bucket])


@given(layouts(), layouts())
def test_the_two_end_alike_but_for_what_is_busy_on_both_and_then_rest(leader: Held, follower: Held) -> None:
    leader = Held(tuple(owner if owner in LEGS else A for owner in leader.owners), leader.busy, frozenset(LEGS))
    follower = Held(tuple(owner if owner in LEGS else B for owner in follower.owners), follower.busy, frozenset(LEGS))
    leader = leader._replace(owners=lead(leader, follower, LEGS))
    follower = follower._replace(owners=follow(follower, leader, LEGS))
    found = gap(leader, follower)
    assert found.differing == found.conflicts
    assert lead(leader, follower, LEGS) == leader.owners
    assert follow(follower, leader, LEGS) == follower.owners


def test_a_drained_leg_is_to_have_no_bucket() -> None:
    light, heavy, other = (Gateway(address, 2) for address in (A, B, C))
    weights = weights_of({light: 0, heavy: 1, other: 1})
    assert weights == {A: 0, B: 1, C: 1}
    assert weights_of({light: 1, heavy: 1}) == {A: 1, B: 1}
    assert A not in lead(Held((A,) * SIZE, 0, frozenset(weights)), None, weights)
    assert off((A, A, B, C), weights) == 2


def test_a_layout_that_is_told_is_heard_as_it_was() -> None:
    held = Held((B, A, B, C), 0b1010, frozenset((A, B, C)), settled=False)
    told = said("172.16.1.1/32", held, 7, fresh=True)
    assert told == GroupLayout("172.16.1.1/32", (A, B, C), (1, 0, 1, 2), 0b1010, False, 7, (), True)
    assert heard(told) == held
    for wrong in (
        told._replace(owners=()),
        told._replace(owners=(3, 0, 0, 0)),
        told._replace(owners=(-1, 0, 0, 0)),
        told._replace(busy=1 << 4),
    ):
        assert heard(wrong) is None


def group(*legs: Address) -> tuple[Group, dict[Gateway, int]]:
    gateways = [Gateway(leg, 2) for leg in legs]
    made = Group(1, Wanted(tuple(gateways)), 4)
    made.legs = dict.fromkeys(gateways, 1)
    return made, {gateway: number for number, gateway in enumerate(gateways, 2)}


def test_flows_that_have_not_shown_themselves_may_be_anywhere() -> None:
    two, nexthops = group(A, B)
    both = frozenset((A, B))
    message = BucketsRead(1, (2, 3, 2, 3), 0b1000, (3, 2))
    assert read(two, message, nexthops, None) == Held((A, B, A, B), 0b1000, both)
    settling = Settling(9.0, Why.ALONE, frozenset([Gateway(A, 2)]))
    assert read(two, message, nexthops, settling) == Held((A, B, A, B), 0b1101, both, settled=False)
    alone, nexthops = group(A)
    held = Held((A,) * 4, 0b1111, frozenset((A,)))
    assert read(alone, BucketsRead(1, (2,) * 4, 0, (2,)), nexthops, None) == held
    assert read(alone, BucketsRead(1, (2,) * 3, 0, (2,)), nexthops, None) is None  # not all of it, or another group
    assert read(alone, BucketsRead(1, (2, 2, 2, 9), 0, (2,)), nexthops, None) is None


def test_what_is_read_while_a_link_has_gone_and_has_not_said_so_counts_for_nothing() -> None:
    two, nexthops = group(A, B)
    assert read(two, BucketsRead(1, (2, 2, 2, 2), 0, (2,)), nexthops, None) is None


def test_who_has_lost_legs_is_no_judge_of_their_buckets() -> None:
    """The link of one router goes first, and the flows come to the other one next: they must find what they had."""
    here = Held((A, B, C, A), 0, frozenset((A, B, C)))
    there = Held((C, C, C, C), 0b1010, frozenset((C,)))
    assert follow(here, there, LEGS) == here.owners
    assert lead(here, there, LEGS) == here.owners
    assert gap(here, there) == (3, 0)
    assert not is_passing(here, there, LEGS)
    assert follow(here._replace(legs=frozenset((B, C))), there, (B, C)) == (C, B, C, C)


def test_a_group_has_the_same_name_on_both() -> None:
    alone, _ = group(A, B)
    assert key_of(alone) == ""
    alone.prefixes[parse_prefix("fd00::1/128")] = None
    assert key_of(alone) == "fd00::1/128"
    names = set[str]()
    for legs in ((A, B), (B, A), (A, B, D)):
        shared, _ = group(*legs)
        shared.shared = True
        shared.prefixes[parse_prefix("172.16.1.1/32")] = None
        names.add(key_of(shared))
    # Of two members and of three: routers of two versions have to mean the same by it.
    assert names == {"shared:cf1e21764d43fa50", "shared:40499d678e350b38"}
    members = shared.members
    for wanted in (Wanted(members, weights=(1, 2, 2)), Wanted(members, frozenset(members[:1]))):
        shared.wanted = wanted
        assert key_of(shared) not in names
        names.add(key_of(shared))


def test_a_layout_is_off_by_more_than_one_bucket_in_256_or_by_one_of_a_drained_member() -> None:
    def owners(*counts: int) -> tuple[Address, ...]:
        return tuple(owner for owner, count in zip((A, B, C), counts, strict=True) for _ in range(count))

    weights = {B: 1, C: 1}
    assert not is_off(owners(0, 512, 512), weights)
    assert not is_off(owners(0, 516, 508), weights)
    assert is_off(owners(0, 517, 507), weights)
    assert is_off(owners(1, 512, 511), {A: 0, **weights})
    assert not is_off(owners(1, 512, 511), weights), "whose bucket it is, is no leg of the group"
    assert not is_off(owners(0, 512, 512), {A: 0, **weights})


def test_a_group_none_of_whose_owners_is_wanted_is_left_to_the_kernel() -> None:
    here = Held((C,) * SIZE, (1 << SIZE) - 1, frozenset((C,)))
    assert lead(here, None, {A: 1, B: 1}) == here.owners
