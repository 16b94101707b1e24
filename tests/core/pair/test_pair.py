"""Two routers come to lead each bucket to the same node, and no flow moves on the way."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from unittest.mock import Mock

import pytest

from routerd.core.fib.model import Group
from routerd.core.fib.settling import Why
from routerd.core.message import (
    Arrange,
    Ask,
    BucketsRead,
    Drain,
    Gateway,
    GroupGone,
    GroupLayout,
    Hello,
    Input,
    Introduce,
    NeighbourState,
    PartnerDown,
    PartnerSaid,
    PartnerUp,
    Program,
    ReadBuckets,
    SetGroup,
    TellPartner,
    WriteFailed,
)
from routerd.core.pair.accord import NOT_TOLD, Agreement
from routerd.core.pair.concluding import INTRODUCTION, LATER
from routerd.core.pair.decisions import leads
from routerd.core.pair.pair import TICK
from routerd.core.route import format_address, parse_address, parse_prefix
from tests.support.core import preserving
from tests.support.pairs import BUCKETS, IDLE, PAIRED, Half, Two, hello

VIP = "172.16.1.1/32"
NODES = [f"192.168.10.10{i}" for i in range(1, 6)]


def serve(two: Two, *nodes: str, prefix: str = VIP) -> None:
    """These nodes announce a prefix to both routers, in their order to one, and in the reverse of it to the other."""
    for half, order in ((two.a, nodes), (two.b, nodes[::-1])):
        for node in order:
            if node not in half.sessions:
                half.up(node, graceful=preserving())
            half.announce(node, prefix)
            half.settle_now()
    two.advance(2.0)  # nothing has flowed yet, and that is known by then


def carry(half: Half, *buckets: int, prefix: str = VIP) -> dict[int, str]:
    """Flows are in these buckets; return the nodes that they go to."""
    half.buckets.flows[parse_prefix(prefix)].update(buckets)
    return at(half, buckets)


def at(half: Half, buckets: tuple[int, ...] | dict[int, str]) -> dict[int, str]:
    layout = half.layout(VIP)
    return {bucket: layout[bucket] for bucket in buckets}


def states(half: Half) -> dict[str, int]:
    return dict(half.pair.summary())


def test_a_group_is_the_same_on_both_whoever_came_first() -> None:
    two = Two()
    serve(two, *NODES[:3])
    assert two.a.layout(VIP) == two.b.layout(VIP)
    assert set(two.a.layout(VIP)) == set(NODES[:3])
    assert states(two.a) == states(two.b) == {"equal": 1}
    assert two.a.pair.complete
    assert two.b.pair.complete


def test_a_node_that_leaves_costs_each_router_one_reading() -> None:
    """Its buckets go to the same others on both, so that the partner's news is no reason to look again."""
    two = Two()
    reads = [Mock(wraps=half.buckets.read) for half in two.both]
    for half, read in zip(two.both, reads, strict=True):
        setattr(half.buckets, "read", read)  # noqa: B010
        for node in NODES[:4]:
            half.up(node, graceful=preserving())
            half.announce(node, VIP)
            half.settle_now()
    two.advance(3 * IDLE)
    for half, read in zip(two.both, reads, strict=True):
        read.reset_mock()
        half.withdraw(NODES[3], VIP)
        half.settle_now()
    two.advance(5.0)
    assert set(two.a.layout(VIP)) == set(NODES[:3])
    assert two.a.layout(VIP) == two.b.layout(VIP)
    assert max(read.call_count for read in reads) <= 2


def test_what_a_router_says_by_itself_answers_nobody() -> None:
    two = Two()
    serve(two, *NODES[:3])
    told = [each.message for each in two.a.effects if isinstance(each, TellPartner)]
    assert {message.answers for message in told if isinstance(message, GroupLayout)} == {0}


def test_one_leads() -> None:
    two = Two()
    two.advance(1.0)
    assert (two.a.pair.leads, two.b.pair.leads) == (True, False)
    assert leads(hello("b", 100.0), hello("a", 97.0))
    assert not leads(hello("b", 100.0), hello("a", 98.0))
    assert leads(hello("a", 98.0), hello("b", 100.0))


def test_the_age_of_its_groups_is_what_a_router_had_and_what_has_passed_since() -> None:
    two = Two(connected=False)
    two.a.restart(age=50.0)
    two.a.now += 10.0
    for seconds in (10.0, 5.0):
        two.a.take(PartnerUp())
        [said] = [message for message in two.a.said if isinstance(message, Hello)]
        assert said.age == 50.0 + two.a.now - 1000.0
        two.a.said.clear()
        two.a.now += seconds
    two.a.take(PartnerDown("connection lost"))
    two.a.take(Introduce(hello("a", 7.0)))
    two.a.now += 1.0
    two.a.take(PartnerUp())
    assert [message.age for message in two.a.said if isinstance(message, Hello)] == [8.0]


def test_who_is_older_leads_and_the_other_follows_when_it_is_back_empty() -> None:
    two = Two()
    serve(two, *NODES[:2])
    flows = carry(two.b, *range(BUCKETS))
    serve(two, NODES[2])
    two.advance(10.0)
    two.restart(two.a, empty=True)
    two.connect()
    serve(two, *NODES[:3])
    two.advance(2 * IDLE)
    assert two.b.pair.leads
    assert not two.a.pair.leads
    assert at(two.b, flows) == flows
    assert two.a.layout(VIP) == two.b.layout(VIP)


@pytest.mark.parametrize("carrier", ["a", "b"])
def test_flows_of_the_one_that_carries_them_stay_and_the_other_follows(carrier: str) -> None:
    two = Two()
    serve(two, *NODES[:2])
    half, other = (two.a, two.b) if carrier == "a" else (two.b, two.a)
    flows = carry(half, 0, 1, 2, 3, 4, 5, 8, 9)
    two.advance(2 * IDLE)
    serve(two, NODES[2])
    two.advance(2 * IDLE)
    assert at(half, flows) == flows
    assert NODES[2] in half.layout(VIP)
    assert half.layout(VIP) == other.layout(VIP)
    half.buckets.flows.clear()
    two.advance(IDLE)
    assert half.layout(VIP) == other.layout(VIP)
    assert half.layout(VIP).count(NODES[2]) in (5, 6)


def test_flows_that_differ_stay_on_both_until_one_is_idle() -> None:
    two = Two(connected=False)
    flows = []
    for half, first, second in ((two.b, NODES[0], NODES[1]), (two.a, NODES[1], NODES[0])):
        for node in (first, second):
            half.up(node, graceful=preserving())
        half.announce(first, VIP)
        half.settle_now()
        flows.append(carry(half, *range(BUCKETS)))
        half.announce(second, VIP)
        half.settle_now()
    two.connect()
    two.advance(2 * IDLE)
    assert [at(two.b, flows[0]), at(two.a, flows[1])] == flows
    agreement = two.a.pair.agreement(two.a.group_of(VIP))
    assert agreement is not None
    assert agreement.conflicts == agreement.differing == BUCKETS
    assert states(two.a) == states(two.b) == {"differs": 1}
    two.a.buckets.flows.clear()
    two.advance(2 * IDLE)
    assert at(two.b, flows[0]) == flows[0]
    assert at(two.a, flows[0]) == flows[0]


def test_at_rest_nothing_is_read_and_nothing_said() -> None:
    two = Two()
    serve(two, *NODES[:3])
    carry(two.a, 1, 2, 3)
    two.advance(3 * IDLE)
    before = two.exchanged
    for half in two.both:
        half.forget()
    two.advance(100 * IDLE)
    assert two.exchanged == before
    for half in two.both:
        assert not [effect for effect in half.effects if isinstance(effect, ReadBuckets)]
        assert half.pair.timer is None


def test_a_node_that_is_lost_takes_nobody_elses_flows() -> None:
    two = Two()
    serve(two, *NODES[:3])
    flows = carry(two.a, *range(BUCKETS))
    for half in two.both:
        half.down(NODES[0])
        half.advance(0)
    two.advance(5.0)
    assert {b: n for b, n in at(two.a, flows).items() if flows[b] != NODES[0]} == {
        b: n for b, n in flows.items() if n != NODES[0]
    }
    assert two.a.layout(VIP) == two.b.layout(VIP)


def test_a_drained_node_keeps_its_flows_on_both_and_has_no_bucket_once_they_are_gone() -> None:
    two = Two()
    serve(two, *NODES[:3])
    bucket = two.a.layout(VIP).index(NODES[0])
    carry(two.b, bucket)
    for half in two.both:
        half.take(Drain(NODES[0], True))
    two.advance(2 * IDLE)
    for half in two.both:
        assert [n for n, node in enumerate(half.layout(VIP)) if node == NODES[0]] == [bucket]
    two.b.buckets.flows.clear()
    two.advance(2 * IDLE)
    for half in two.both:
        assert NODES[0] not in half.layout(VIP)
    assert two.a.layout(VIP) == two.b.layout(VIP)


@pytest.mark.parametrize("where", ["a", "b"])
def test_a_node_that_is_drained_on_one_of_them_gets_no_new_flow_from_either(where: str) -> None:
    two = Two()
    serve(two, *NODES[:3])
    before = two.b.layout(VIP)
    bucket = before.index(NODES[0])
    flow = carry(two.b, bucket)
    half = two.a if where == "a" else two.b
    half.take(Drain(NODES[0], on=True))
    two.advance(2 * IDLE)
    for each in two.both:
        assert [n for n, node in enumerate(each.layout(VIP)) if node == NODES[0]] == [bucket]
    two.b.buckets.flows.clear()
    two.advance(2 * IDLE)
    for each in two.both:
        assert NODES[0] not in each.layout(VIP)
        assert each.pair.timer is None
    half.take(Drain(NODES[0], on=False))
    two.advance(2 * IDLE)
    assert two.a.layout(VIP) == two.b.layout(VIP)
    assert two.a.layout(VIP).count(NODES[0]) == before.count(NODES[0])
    assert set(flow.values()) == {NODES[0]}


def test_nodes_that_are_drained_one_on_each_leave_what_each_says_itself() -> None:
    two = Two()
    serve(two, *NODES[:2])
    for half, node in zip(two.both, NODES[:2], strict=True):
        half.take(Drain(node, on=True))
    two.advance(2 * IDLE)
    assert set(two.a.layout(VIP)) == set(two.b.layout(VIP)) == {NODES[1]}


def test_without_a_channel_each_balances_its_groups_itself() -> None:
    two = Two(connected=False)
    serve(two, *NODES[:3])
    for half in two.both:
        assert sorted(map(half.layout(VIP).count, NODES[:3])) == [5, 5, 6]
        assert half.pair.leads
        assert states(half) == {"not told": 1}


def test_without_a_channel_groups_that_are_new_on_both_are_the_same() -> None:
    """Nodes announce a VIP one by one, in another order to each router. No flow was ever in it, so that it may be
    laid out as if it were made now; not so once there may have been one."""
    two = Two(connected=False)
    serve(two, *NODES[:3])
    assert two.a.layout(VIP) == two.b.layout(VIP)
    serve(two, *NODES[:4])
    assert two.a.layout(VIP) == two.b.layout(VIP)
    two.advance(2 * IDLE)
    before = two.a.layout(VIP)
    serve(two, *NODES[:5])
    moved = [was for was, now in zip(before, two.a.layout(VIP), strict=True) if was != now]
    assert two.a.layout(VIP).count(NODES[4]) == len(moved) == BUCKETS // 5


def test_flows_of_a_partner_that_dies_are_where_it_had_them_before_they_have_said_a_word() -> None:
    """Whoever takes over has seen none of them: their buckets are idle there, and a node that joins may not have them
    before an idle timer has passed."""
    two = Two()
    serve(two, *NODES[:3])
    flows = carry(two.a, 0, 3, 7, 11)
    two.disconnect()
    agreed = two.b.layout(VIP)
    serve(two, NODES[3])
    two.advance(0.9 * IDLE - 1.0)
    assert two.b.layout(VIP) == agreed
    two.b.buckets.flows[parse_prefix(VIP)].update(flows)
    two.advance(2 * IDLE)
    assert at(two.b, flows) == flows
    assert NODES[3] in two.b.layout(VIP)


def test_who_has_lost_the_channel_says_afterwards_that_flows_may_be_in_each_bucket() -> None:
    """Those of the partner, which may have come while it was not heard, and have yet to show themselves."""
    two = Two()
    serve(two, *NODES[:3])
    two.advance(2 * IDLE)
    two.disconnect()
    two.connect()
    two.a.advance(0.1)
    [told] = [each for each in two.a.said if isinstance(each, GroupLayout)]
    assert told.busy == (1 << BUCKETS) - 1


def test_a_group_that_is_younger_than_the_loss_of_the_channel_needs_no_care() -> None:
    two = Two()
    two.advance(1.0)
    two.disconnect()
    two.advance(1.0)
    serve(two, *NODES[:3])
    for half in two.both:
        assert set(half.layout(VIP)) == set(NODES[:3])


def test_every_write_of_a_group_that_is_there_is_held() -> None:
    two = Two()
    two.a.forget()
    serve(two, *NODES)
    two.a.down(NODES[1])
    two.advance(200.0)
    serve(two, *NODES)
    writes = two.a.operations_of(SetGroup)
    assert len(writes) > 2
    assert all(write.hold or write.like for write in writes if write.known)


def test_what_the_other_has_and_what_nobody_told_of() -> None:
    two = Two()
    serve(two, *NODES[:2])
    two.a.announce(NODES[0], "172.16.1.2/32")
    two.a.settle_now()
    two.advance(1.0)
    assert states(two.a) == {"equal": 1, "only here": 1}
    assert states(two.b) == {"equal": 1, "only there": 1}
    assert two.a.pair.busy_at_partner(two.a.group_of("172.16.1.2/32"), two.a.now) == frozenset()
    assert {each.state for each in two.b.pair.agreements()} == {"equal", "only there"}
    two.a.withdraw(NODES[0], "172.16.1.2/32")
    two.a.settle_now()
    two.advance(1.0)
    assert states(two.a) == states(two.b) == {"equal": 1}


def unread() -> tuple[Two, Group]:
    """Return two routers, and a group that A has and has not read yet."""
    two = Two()
    two.a.slow = True
    two.a.up(NODES[0])
    two.a.announce(NODES[0], VIP)
    two.a.settle_now()
    [group] = two.a.router.fib.groups
    return two, group


def test_of_a_group_that_was_not_read_yet_its_name_and_size_are_known() -> None:
    two, group = unread()
    assert list(two.a.pair.agreements()) == [Agreement(VIP, group.id, BUCKETS, 0, 0, 0, NOT_TOLD)]


def test_what_is_not_told_before_all_is_said_is_only_here() -> None:
    two = Two(connected=False)
    two.a.up(NODES[0])
    two.a.announce(NODES[0], VIP)
    two.a.settle_now()
    two.connect()
    assert states(two.a) == {"not told": 1}
    two.advance(1.0)
    assert (states(two.a), states(two.b)) == ({"only here": 1}, {"only there": 1})


def test_groups_of_other_nodes_are_told_apart_from_those_that_wait_for_idle_buckets() -> None:
    two = Two()
    serve(two, *NODES[:2])
    two.a.withdraw(NODES[1], VIP)
    two.a.settle_now()
    two.advance(1.0)
    assert states(two.a) == states(two.b) == {"other nodes": 1}
    (found,) = two.b.pair.agreements()
    assert found.differing > 0
    two.b.withdraw(NODES[1], VIP)
    two.b.settle_now()
    two.advance(IDLE)
    assert states(two.a) == states(two.b) == {"equal": 1}


def test_a_node_that_speaks_to_one_of_them_alone_is_seen_even_if_that_one_follows() -> None:
    """It has no bucket there, so that all lead to the same nodes; nor does it get any flow."""
    two = Two()
    serve(two, *NODES[:2])
    two.b.up(NODES[2])
    two.b.announce(NODES[2], VIP)
    two.b.settle_now()
    two.advance(2 * IDLE)
    assert not two.b.pair.leads
    assert two.a.layout(VIP) == two.b.layout(VIP)
    assert states(two.a) == states(two.b) == {"other nodes": 1}
    two.a.up(NODES[2])
    two.a.announce(NODES[2], VIP)
    two.a.settle_now()
    two.advance(2 * IDLE)
    assert NODES[2] in two.b.layout(VIP)
    assert states(two.a) == states(two.b) == {"equal": 1}


def test_groups_of_another_size_are_told_and_left_alone() -> None:
    two = Two()
    serve(two, *NODES[:2])
    other = GroupLayout(VIP, (parse_address(NODES[0]),), (0,) * 64, 0)
    two.a.take(PartnerSaid(other))
    before = two.a.layout(VIP)
    two.a.advance(60.0)
    assert states(two.a) == {"other size": 1}
    [agreement] = two.a.pair.agreements()
    assert (agreement.buckets, agreement.differing, agreement.conflicts) == (BUCKETS, 0, 0)
    assert two.a.layout(VIP) == before


def test_who_asks_about_a_bucket_of_the_partner_gets_its_gateway() -> None:
    two = Two()
    serve(two, *NODES[:2])
    group = two.a.group_of(VIP)
    for bucket, node in enumerate(two.b.layout(VIP)):
        owner = two.a.pair.owner_at_partner(group, bucket)
        assert owner is not None
        assert format_address(owner.address) == node
    assert two.a.pair.owner_at_partner(group, BUCKETS) is None


def test_a_lost_channel_ends_nothing_and_what_was_said_before_does_not_count_after_it() -> None:
    two = Two()
    serve(two, *NODES[:2])
    two.disconnect()
    assert not two.a.pair.up
    assert two.a.pair.reason == "connection lost"
    serve(two, NODES[2])
    two.advance(2 * IDLE)
    for half in two.both:
        assert NODES[2] in half.layout(VIP)
    two.connect()
    assert states(two.a) == {"not told": 1}
    two.advance(5.0)
    assert states(two.a) == {"equal": 1}
    assert isinstance(two.a.pair.partner, Hello)
    two.a.take(PartnerUp())
    assert two.a.pair.partner is None


def test_the_leader_asks_before_it_moves_what_it_knows_to_be_idle() -> None:
    two = Two()
    serve(two, *NODES[:2])
    flows = carry(two.b, *range(BUCKETS))  # of which nothing is said: both are at rest
    serve(two, NODES[2])
    assert two.a.pair.leads
    assert at(two.a, flows) == flows


def test_nothing_moves_while_the_partner_does_not_answer() -> None:
    """It may have died, and its flows be here already, of which none has shown itself; nor has it said of late in
    which buckets they were. That it is not heard is noticed some seconds later."""
    two = Two()
    serve(two, *NODES[:2])
    two.advance(2 * IDLE)
    flows = carry(two.b, *range(BUCKETS))  # of which nothing is said: both are at rest
    before = two.a.layout(VIP)
    two.connected = False
    two.a.up(NODES[2])
    two.a.announce(NODES[2], VIP)
    two.a.settle_now()
    two.a.advance(3.0)
    assert two.a.layout(VIP) == before
    two.disconnect()
    two.a.buckets.flows[parse_prefix(VIP)].update(flows)
    two.a.advance(2 * IDLE)
    assert at(two.a, flows) == flows


def test_what_cannot_be_moved_is_not_tried_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Two()
    serve(two, *NODES[:2])
    for half in two.both:
        monkeypatch.setattr(half.buckets, "_arrange", lambda operation: None)
    two.a.forget()
    serve(two, NODES[2])
    two.advance(10 * IDLE)
    assert 2 < len(two.a.operations_of(Arrange)) <= 10 * 4 + 2


def test_nothing_is_decided_before_the_partner_has_spoken() -> None:
    two = Two(connected=False)
    serve(two, *NODES[:2])
    flows = carry(two.b, *range(BUCKETS))
    before = two.a.layout(VIP)
    two.connect()
    two.a.up(NODES[2])
    two.a.announce(NODES[2], VIP)
    two.a.advance(0.5)
    assert two.a.layout(VIP) == before
    two.advance(IDLE)
    assert at(two.a, flows) == at(two.b, flows) == flows


def test_a_group_of_which_the_partner_says_nothing_is_this_router_s_own_once_it_has_said_all() -> None:
    two = Two(connected=False)
    for node in NODES[:3]:
        two.a.up(node)
    for node in NODES[:2]:
        two.a.announce(node, VIP)
        two.a.settle_now()
    two.advance(2 * IDLE)
    two.connect()
    two.a.announce(NODES[2], VIP)
    two.a.advance(0.1)
    assert NODES[2] not in two.a.layout(VIP)
    two.b.now = two.a.now
    two.advance(1.0)
    assert NODES[2] in two.a.layout(VIP)


def test_a_partner_that_never_says_all_is_not_waited_for_for_ever() -> None:
    two = Two()
    two.a.take(PartnerUp())
    two.connected = False
    serve(two, *NODES[:2])
    two.advance(2 * INTRODUCTION)
    assert sorted(map(two.a.layout(VIP).count, NODES[:2])) == [BUCKETS // 2] * 2


def test_a_partner_that_never_says_all_is_waited_for_for_so_long() -> None:
    two = Two(connected=False)
    two.a.take(PartnerUp())
    begun = two.a.now
    for node in NODES[:2]:
        two.a.up(node, graceful=preserving())
        two.a.announce(node, VIP)
        two.a.settle_now()
    while not arranged(two.a):
        assert two.a.router.timer is not None
        two.a.now = max(two.a.router.timer, two.a.now)
        two.a.settle_now()
    assert two.a.now == pytest.approx(begun + INTRODUCTION, abs=TICK / 2)


def test_no_bucket_is_moved_in_a_group_that_has_not_settled() -> None:
    two = Two(connected=False)
    serve(two, *NODES[:3])
    half = two.a
    [group] = half.router.fib.groups
    [first, second, _] = group.legs
    half.router.fib.groups.settling.begin(group, half.now + IDLE, Why.TAKEN_OVER, [first])
    half.forget()
    ids = [half.router.fib.groups.nexthops[leg] for leg in group.legs]
    found = BucketsRead(group.id, (half.router.fib.groups.nexthops[second],) * BUCKETS, 0, tuple(ids))
    half.take(found)
    assert not half.operations_of(Arrange)
    half.advance(2 * IDLE)  # what was read was not so
    half.take(found)
    assert half.operations_of(Arrange)


def test_flows_on_the_partner_keep_a_drained_node_in_the_group() -> None:
    """Where weights cannot say that a member wants no bucket it leaves the group, once nobody has flows of it."""
    two = Two(config=PAIRED.replace("buckets = 16", "buckets = 1024"), widest=255)
    serve(two, *NODES[:3])
    vip = parse_prefix(VIP)
    [group] = two.a.router.fib.groups
    drained = next(leg for leg in group.legs if format_address(leg.address) == NODES[0])
    two.b.buckets.flows[vip][
        two.b.buckets.owners[two.b.group_of(VIP)].index(two.b.router.fib.groups.nexthops[drained])
    ] = 1
    for half in two.both:
        half.take(Drain(NODES[0], True))
    two.advance(4 * IDLE)
    assert drained in group.legs
    two.b.buckets.flows.clear()
    two.disconnect()  # the flows come to this router, and have yet to show themselves
    two.advance(0.9 * IDLE)
    assert drained in group.legs
    two.advance(4 * IDLE)
    assert drained not in group.legs


def test_the_larger_of_two_shared_groups_has_the_name() -> None:
    two = Two()
    prefixes = [f"172.17.{i // 250}.{i % 250}/32" for i in range(600)]
    for half in two.both:
        for node in NODES[:2]:
            half.up(node)
            half.announce(node, *prefixes)
        half.settle_now()
    two.advance(2.0)
    assert states(two.a) == states(two.b) == {"equal": 1}
    [agreement] = two.a.pair.agreements()
    assert agreement.key.startswith("shared:")


@pytest.mark.parametrize("late", ["the larger one", "the smaller one"])
def test_the_name_goes_with_the_size_and_the_other_one_is_seen_to_all_the_same(late: str) -> None:
    """Two shared groups come to have the same members: whichever was there first."""
    two = Two()
    many = [f"172.17.{i // 250}.{i % 250}/32" for i in range(900)]
    few = [f"172.18.{i // 250}.{i % 250}/32" for i in range(540)]
    for half in two.both:
        for node in NODES[:2]:
            half.up(node)
            half.announce(node, *many, *few)
        half.up(NODES[2])
        half.announce(NODES[2], *(many if late == "the larger one" else few))
        half.settle_now()
    two.advance(2.0)
    for half in two.both:
        half.withdraw(NODES[2], *many, *few)
        half.settle_now()
    two.advance(2.0)
    assert [group.shared for group in two.a.router.fib.groups] == [True, True]
    larger, smaller = two.a.group_of(many[0]), two.a.group_of(few[0])
    names = {agreement.id: agreement.key for agreement in two.a.pair.agreements()}
    assert names == {larger: names[larger], smaller: f"{names[larger]} {few[0]}"}


def test_buckets_that_somebody_has_the_kernel_move_are_seen_and_go_back() -> None:
    two = Two()
    serve(two, *NODES[:3])
    two.advance(2 * IDLE)
    for half in two.both:
        half.dump()
    before, id = two.a.layout(VIP), two.a.group_of(VIP)
    there = two.a.buckets.groups[id]
    [first, *others] = there.members
    two.a.buckets.groups[id] = replace(there, members=(first._replace(weight=7), *others))  # by ip nexthop replace
    two.a.buckets.owners[id] = [first.id] * BUCKETS
    two.a.dump()
    two.advance(IDLE)
    assert two.a.layout(VIP) == two.b.layout(VIP)
    assert sorted(map(two.a.layout(VIP).count, NODES[:3])) == sorted(map(before.count, NODES[:3]))


def test_what_is_as_it_was_is_not_read_again() -> None:
    two = Two()
    serve(two, *NODES[:3])
    two.a.forget()
    for _ in range(2):
        two.a.dump()
    assert not [effect for effect in two.a.effects if isinstance(effect, ReadBuckets)]


def test_a_layout_that_makes_no_sense_counts_for_nothing() -> None:
    two = Two()
    serve(two, *NODES[:2])
    before = list(two.a.pair.agreements())
    two.a.forget()
    two.a.take(PartnerSaid(GroupLayout(VIP, (parse_address(NODES[0]),), (1,) * BUCKETS, 0)))
    assert list(two.a.pair.agreements()) == before
    assert not two.a.effects


def test_what_is_read_of_a_group_that_changes_just_then_is_read_again() -> None:
    two = Two()
    serve(two, *NODES[:2])
    two.advance(2 * IDLE)
    [group] = two.a.router.fib.groups
    two.a.forget()
    two.a.take(BucketsRead(group.id, (99,) * BUCKETS, 0, (99,)))
    two.a.advance(LATER - TICK)
    assert not [effect for effect in two.a.effects if isinstance(effect, TellPartner | ReadBuckets)]
    two.a.advance(TICK)
    assert [effect.ids for effect in two.a.effects if isinstance(effect, ReadBuckets)] == [(group.id,)]


def test_who_says_something_else_of_itself_goes_on_to_lead() -> None:
    two = Two()
    two.advance(100.0)
    two.b.take(Introduce(hello("b", 100.0)._replace(seed="ef01")))
    two.advance(1.0)
    assert two.a.pair.partner is not None
    assert two.a.pair.partner.seed == "ef01"
    assert (two.a.pair.leads, two.b.pair.leads) == (True, False)


def test_buckets_that_the_kernel_refuses_to_hand_over_are_told_of() -> None:
    two = Two()
    two.a.take(WriteFailed(Arrange(1, ((2, 16),)), 22, "Invalid argument"))
    [event] = [event for event in two.a.events if event.name == "kernel refused"]
    assert event.fields["operation"] == "Arrange"
    assert not two.a.router.refusals.again_at


def test_a_group_that_could_not_be_read_for_once_is_one_of_the_pair_s_again() -> None:
    two = Two()
    serve(two, *NODES[:3])
    two.a.take(BucketsRead(two.a.group_of(VIP)))
    two.advance(IDLE / 4 - TICK)
    assert states(two.b) == {"only here": 1}
    two.advance(1.0)
    assert states(two.a) == states(two.b) == {"equal": 1}


def test_a_group_that_is_gone_at_the_partner_is_looked_at_again() -> None:
    """Its flows may come."""
    two = Two()
    serve(two, *NODES[:2])
    two.advance(2 * IDLE)
    [group] = two.a.router.fib.groups
    for key, ids in (("172.16.9.9/32", []), (VIP, [(group.id,)])):
        two.a.forget()
        two.a.take(PartnerSaid(GroupGone(key)))
        assert [effect.ids for effect in two.a.effects if isinstance(effect, ReadBuckets)] == ids


def test_a_group_that_is_gone_at_the_partner_keeps_no_other_waiting() -> None:
    """What is asked about next has its turn once all that was asked is answered, be it so."""
    two, other = Two(), "172.16.1.2/32"
    for prefix in (VIP, other):
        serve(two, *NODES[:2], prefix=prefix)
    two.advance(2 * IDLE)
    two.a.up(NODES[2])
    for prefix in (VIP, other):
        two.a.announce(NODES[2], prefix)
        two.a.settle_now()
        two.a.advance(0.1)
    two.b.now = two.a.now
    for node in NODES[:2]:
        two.b.withdraw(node, VIP)
    two.b.settle_now()
    two.advance(1.0)
    assert NODES[2] in two.a.layout(other)


def test_a_group_that_is_gone_when_the_partner_is_asked_is_this_router_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Two()
    serve(two, *NODES[:2])
    two.advance(2 * IDLE)
    two.a.up(NODES[2])
    two.a.announce(NODES[2], VIP)
    two.a.settle_now()
    two.a.advance(0.1)
    monkeypatch.setattr(two.b.buckets, "read", BucketsRead)  # the kernel has no such group
    two.b.now = two.a.now
    two.deliver()
    assert NODES[2] not in two.a.layout(VIP)
    two.a.advance(2 * IDLE)
    assert NODES[2] in two.a.layout(VIP)


def test_what_was_read_just_now_is_not_read_again_before_buckets_are_moved() -> None:
    two = Two()
    serve(two, *NODES[:2])
    two.advance(2 * IDLE)
    owners = tuple(NODES.index(node) for node in two.b.layout(VIP))
    told = GroupLayout(VIP, tuple(map(parse_address, NODES[:2])), owners, 0)
    for message, reads in ((told._replace(owners=owners[::-1]), 2), (told, 1)):
        two.b.forget()
        two.b.take(PartnerSaid(message))
        two.b.settle_now()
        assert len(two.b.operations_of(Arrange)) == 1
        assert len([each for each in two.b.effects if isinstance(each, ReadBuckets)]) == reads


def test_what_is_read_of_an_id_that_a_group_had_before_is_not_of_this_group() -> None:
    two = Two()
    serve(two, *NODES[:2])
    [group] = two.a.router.fib.groups
    found = two.a.buckets.read(group.id)
    two.a.router.fib.groups.renumber(group)
    two.a.take(found)
    two.deliver()
    assert states(two.a) == {"only there": 1}
    assert states(two.b) == {"only here": 1}


def test_of_a_group_that_is_not_one_of_the_pair_s_nothing_is_known() -> None:
    two = Two()
    serve(two, *NODES[:2])
    id, pair = two.a.group_of(VIP), two.a.pair
    two.a.take(PartnerSaid(GroupLayout(VIP, tuple(map(parse_address, NODES[:2])), (0,) * BUCKETS, 1)))
    assert {format_address(leg.address) for leg in pair.busy_at_partner(id, two.a.now)} == {NODES[0]}
    two.a.take(BucketsRead(id))
    for each in (id, id + 1000):
        assert pair.busy_at_partner(each, two.a.now) == frozenset()
        assert pair.owner_at_partner(each, 0) is None
        assert pair.agreement(each) is None


def test_of_a_group_that_is_gone_before_it_was_read_nothing_is_known() -> None:
    """Its last node is lost, and the kernel has deleted it: nobody has to."""
    two, group = unread()
    two.a.take(NeighbourState(Gateway(parse_address(NODES[0]), 2), alive=False))
    two.a.withdraw(NODES[0], VIP)
    two.a.settle_now()
    two.a.take(PartnerSaid(GroupLayout(VIP, (parse_address(NODES[0]),), (0,) * BUCKETS, 1)))
    assert group.id not in two.a.router.fib.groups.by_id
    assert two.a.pair.busy_at_partner(group.id, two.a.now) == frozenset()
    assert two.a.pair.agreement(group.id) is None
    assert two.a.pair.owner_at_partner(group.id, 0) is None
    assert list(two.a.pair.agreements()) == []


def test_what_groups_had_is_forgotten_once_they_are_gone_whoever_deletes_them() -> None:
    """The kernel does, as their last node is lost, or routerd."""
    two = Two()
    gateway = Gateway(parse_address(NODES[0]), 2)
    two.a.up(NODES[0])
    for number in range(4):
        for alive in (False, True):
            vip = f"172.16.1.{2 * number + alive}/32"
            two.a.announce(NODES[0], vip)
            two.a.settle_now()
            two.advance(IDLE)
            two.a.take(NeighbourState(gateway, alive=alive))
            two.a.withdraw(NODES[0], vip)
            two.a.settle_now()
            two.a.take(NeighbourState(gateway, alive=True))
    assert not two.a.pair._past._held


def arranged(half: Half) -> list[Arrange]:
    return [
        operation
        for effect in half.effects
        if isinstance(effect, Program)
        for operation in effect.operations
        if isinstance(operation, Arrange)
    ]


def joins(two: Two, node: str) -> None:
    for half in two.both:
        half.forget()
        half.up(node, graceful=preserving())
        half.announce(node, VIP)
        half.settle_now()


def test_members_without_flows_give_what_the_kernel_picks_by_itself_on_both() -> None:
    two = Two()
    serve(two, *NODES[:3])
    two.advance(2 * IDLE)
    joins(two, NODES[3])
    two.advance(1.0)
    assert two.a.layout(VIP) == two.b.layout(VIP)
    for half in two.both:
        [operation] = arranged(half)
        assert operation.by_weight


@pytest.mark.parametrize("carrying", ["a", "b"])
def test_members_with_flows_on_either_give_only_what_they_are_told_to(carrying: str) -> None:
    two = Two()
    serve(two, *NODES[:3])
    two.advance(2 * IDLE)
    flows = carry(getattr(two, carrying), *(two.a.layout(VIP).index(node) for node in NODES[:3]))
    joins(two, NODES[3])
    two.advance(1.0)
    assert two.a.layout(VIP) == two.b.layout(VIP)
    assert at(two.a, flows) == flows
    for half in two.both:
        [operation] = arranged(half)
        assert not operation.by_weight


def test_a_partner_that_has_just_said_how_it_is_is_not_asked() -> None:
    two = Two()
    serve(two, *NODES[:3])
    two.advance(2 * IDLE)
    joins(two, NODES[3])
    two.advance(1.0)
    assert not [
        effect for effect in two.a.effects if isinstance(effect, TellPartner) and isinstance(effect.message, Ask)
    ]
    assert two.a.layout(VIP) == two.b.layout(VIP)


def test_nor_is_a_partner_that_hears_of_a_node_before_this_router_does() -> None:
    two = Two()
    serve(two, *NODES[:3])
    two.advance(2 * IDLE)
    for half in (two.b, two.a):
        half.forget()
        half.up(NODES[3], graceful=preserving())
        half.announce(NODES[3], VIP)
        half.settle_now()
        two.deliver()
    two.advance(1.0)
    assert NODES[3] in two.a.layout(VIP)
    told = [type(each.message) for each in two.a.effects if isinstance(each, TellPartner)]
    assert told == [GroupLayout], "nor is it told before buckets have moved, and again after it"


def test_a_partner_whose_version_does_not_say_that_it_has_just_looked_is_asked_once() -> None:
    two = Two()
    serve(two, *NODES[:3])
    two.advance(2 * IDLE)
    take = two.a.take

    def older(message: Input) -> None:
        if isinstance(message, PartnerSaid) and isinstance(message.message, GroupLayout):
            message = PartnerSaid(message.message._replace(fresh=False))
        take(message)

    two.a.take = older  # type: ignore[method-assign]
    joins(two, NODES[3])
    two.advance(1.0)
    asked = [effect.message for effect in two.a.effects if isinstance(effect, TellPartner)]
    assert len([message for message in asked if isinstance(message, Ask)]) == 1
    assert two.a.layout(VIP) == two.b.layout(VIP)


def test_a_leave_is_read_once_on_each() -> None:
    two = Two()
    serve(two, *NODES[:4])
    serve(two, *NODES[:4], prefix="172.16.1.2/32")
    two.advance(2 * IDLE)
    for half in two.both:
        half.forget()
        half.withdraw(NODES[3], VIP)
        half.settle_now()
    two.advance(1.0)
    assert two.a.layout(VIP) == two.b.layout(VIP)
    for half in two.both:
        reads = sum(len(effect.ids) for effect in half.effects if isinstance(effect, ReadBuckets))
        assert reads == 1 + len(arranged(half))


def handed_over_in_part(half: Half) -> list[float]:
    """Have the kernel of a router put one bucket elsewhere, whatever it is to hand over; return when it was to."""
    done: list[float] = []

    def in_part(operation: Arrange) -> None:
        done.append(half.now)
        owners = half.buckets.owners[operation.id]
        owners[len(done) % BUCKETS] = owners[(len(done) + 5) % BUCKETS]

    half.buckets._arrange = in_part  # type: ignore[method-assign]
    return done


def test_what_is_handed_over_in_part_is_tried_again_after_a_while_and_not_at_once() -> None:
    """As where the kernel takes other buckets for idle than this router does."""
    two = Two()
    serve(two, *NODES[:3])
    two.advance(2 * IDLE)
    done = handed_over_in_part(two.a)
    joins(two, NODES[3])
    two.advance(5.0)
    assert 1 < len(done) <= 7


def test_the_next_try_comes_when_it_is_due_and_is_read_for_once() -> None:
    two = Two(connected=False)
    serve(two, *NODES[:3])
    two.advance(2 * IDLE)
    done = handed_over_in_part(two.a)
    joins(two, NODES[3])
    two.a.advance(4.5)
    assert [after - before for before, after in pairwise(done)] == pytest.approx([LATER] * 4, abs=TICK / 2)


def test_who_finds_buckets_elsewhere_does_not_wait_for_the_next_try() -> None:
    two = Two(connected=False)
    serve(two, *NODES[:3])
    two.advance(2 * IDLE)
    two.a.buckets._arrange = lambda operation: None  # type: ignore[method-assign]
    joins(two, NODES[3])
    two.a.advance(0.5)
    assert len(arranged(two.a)) == 1
    two.a.forget()
    id = two.a.group_of(VIP)
    two.a.take(two.a.buckets.read(id))
    assert not arranged(two.a), "nothing has changed since"
    two.a.buckets.owners[id].reverse()
    two.a.take(two.a.buckets.read(id))
    assert len(arranged(two.a)) == 1


@pytest.mark.parametrize("seconds", [IDLE - 1.0, IDLE])
def test_a_group_without_flows_is_as_if_made_now_until_an_idle_timer_after_it_was_made(seconds: float) -> None:
    """From then on there may be some: only as many buckets move as the weights want."""
    two = Two(connected=False)
    serve(two, *NODES[:3])
    [group] = two.a.router.fib.groups
    two.advance(group.born + seconds - two.a.now)
    before = two.a.layout(VIP)
    joins(two, NODES[3])
    two.a.advance(0.1)
    moved = [was for was, now in zip(before, two.a.layout(VIP), strict=True) if was != now]
    assert two.a.layout(VIP).count(NODES[3]) == BUCKETS // 4
    assert (len(moved) > BUCKETS // 4) is (seconds < IDLE)


def test_what_was_read_just_now_is_the_answer_unless_buckets_are_on_their_way() -> None:
    two = Two()
    serve(two, *NODES[:2])
    two.advance(2 * IDLE)

    def asked(number: int) -> tuple[int, list[int]]:
        """Return how often B reads for an Ask, and by which numbers it answers."""
        two.b.forget()
        two.b.take(PartnerSaid(Ask((VIP,), number)))
        told = [each.message for each in two.b.effects if isinstance(each, TellPartner)]
        reads = [each for each in two.b.effects if isinstance(each, ReadBuckets)]
        return len(reads), [each.answers for each in told if isinstance(each, GroupLayout)]

    assert asked(7) == (1, [7])
    assert asked(8) == (0, [8])
    owners = tuple(NODES.index(node) for node in reversed(two.b.layout(VIP)))
    two.b.slow = True
    two.b.take(PartnerSaid(GroupLayout(VIP, tuple(map(parse_address, NODES[:2])), owners, 0)))
    assert arranged(two.b)
    two.b.take(PartnerSaid(GroupLayout(VIP, tuple(map(parse_address, NODES[:2])), owners, 0, settled=False)))
    assert len(arranged(two.b)) == 1, "it is about to be read"
    assert asked(9) == (1, [])
    two.b.slow = False
    two.b.forget()
    two.b.write_out()
    [told] = [each.message for each in two.b.effects if isinstance(each, TellPartner)]
    assert isinstance(told, GroupLayout)
    assert (told.answers, told.owners) == (9, owners)
