"""Traffic moves to the other router, and flows that are silent meanwhile have yet to show themselves there."""

from __future__ import annotations

import pytest

from routerd.core.layout import KEPT
from routerd.core.message import Ask, GroupLayout, PartnerDown
from routerd.core.route import parse_prefix
from tests.core.pair.test_pair import NODES, VIP, at, carry
from tests.support.pairs import BUCKETS, IDLE, Half, Two

SILENT = 0.9 * IDLE


def serve(half: Half, *nodes: str) -> None:
    """These nodes announce a prefix, and stay gone when their sessions are."""
    for node in nodes:
        half.up(node)
        half.announce(node, VIP)
        half.settle_now()


def agreed(count: int = 3) -> tuple[Two, dict[int, str]]:
    """Return two routers that agree, and where the flows go, of which A alone has seen packets."""
    two = Two()
    for half in two.both:
        serve(half, *NODES[:count])
    two.advance(1.0)
    flows = carry(two.a, *range(0, BUCKETS, 2))
    two.advance(2 * IDLE)
    assert at(two.a, flows) == at(two.b, flows) == flows
    return two, flows


def lose(two: Two, node: str) -> None:
    """A node is lost to both."""
    for half in two.both:
        half.down(node)
        half.settle_now()


def speak(half: Half, flows: dict[int, str]) -> None:
    """What was silent says something."""
    half.buckets.flows[parse_prefix(VIP)].update(flows)


def test_the_cables_of_the_leader_flap_while_the_channel_lives() -> None:
    """All at once, as with the port of its switch: its group is made anew, node by node, and is no judge."""
    two, flows = agreed()
    assert two.a.pair.leads
    two.a.buckets.flows.clear()
    for node in NODES[:3]:
        two.a.down(node)
    two.a.settle_now()
    two.advance(1.0)
    serve(two.a, *NODES[:3])
    two.advance(SILENT - 2.0)
    assert at(two.b, flows) == flows
    speak(two.b, flows)
    two.advance(4 * IDLE)
    assert at(two.a, flows) == at(two.b, flows) == flows
    assert two.a.layout(VIP) == two.b.layout(VIP)


def test_one_cable_of_the_leader_flaps_and_flows_begin_meanwhile() -> None:
    two, flows = agreed()
    two.a.buckets.flows.clear()
    two.a.down(NODES[0])
    two.a.settle_now()
    theirs = {bucket: node for bucket, node in flows.items() if node == NODES[0]}
    speak(two.a, theirs)
    two.advance(1.0)
    serve(two.a, NODES[0])
    two.advance(SILENT - 2.0)
    assert at(two.b, theirs) == theirs
    speak(two.b, theirs)
    two.a.buckets.flows.clear()
    two.advance(4 * IDLE)
    assert at(two.a, theirs) == at(two.b, theirs) == theirs


@pytest.mark.parametrize("carrier", ["a", "b"])
def test_a_node_that_both_have_lost_has_its_buckets_again_but_for_those_that_are_used_since(carrier: str) -> None:
    """Its flows have been silent meanwhile; those of others, that began in its buckets, are seen by one router."""
    two, flows = agreed()
    half = two.a if carrier == "a" else two.b
    two.a.buckets.flows.clear()
    theirs = {bucket: node for bucket, node in flows.items() if node == NODES[0]}
    lose(two, NODES[0])
    two.advance(0.5)
    used = at(half, dict.fromkeys(list(theirs)[:1], ""))
    assert NODES[0] not in used.values()
    speak(half, used)
    two.advance(0.5)
    for each in two.both:
        serve(each, NODES[0])
    two.advance(1.0)
    expected = theirs | used
    assert at(two.a, theirs) == at(two.b, theirs) == expected


def test_of_nodes_that_are_lost_one_after_the_other_each_has_what_was_its_own() -> None:
    """What goes from the first to the second meanwhile is the first one's, unless that is long ago."""
    for pause, owner in ((0.5, NODES[0]), (3.0, NODES[1])):
        two, _ = agreed(4)
        two.a.buckets.flows.clear()
        before = two.a.layout(VIP)
        lose(two, NODES[0])
        two.advance(pause)
        between = two.a.layout(VIP)
        passed = [bucket for bucket in range(BUCKETS) if (before[bucket], between[bucket]) == (NODES[0], NODES[1])]
        assert passed
        lose(two, NODES[1])
        two.advance(0.5)
        for half in two.both:
            serve(half, *NODES[:2])
        two.advance(1.0)
        assert {two.a.layout(VIP)[bucket] for bucket in passed} == {owner}
        assert two.a.layout(VIP) == two.b.layout(VIP)


def test_a_node_that_was_away_for_long_has_no_buckets_of_its_own() -> None:
    """As one that joins: those go to it that may best move."""
    two, flows = agreed()
    two.a.buckets.flows.clear()
    theirs = {bucket: node for bucket, node in flows.items() if node == NODES[0]}
    lose(two, NODES[0])
    two.advance(KEPT + 1.0)
    for half in two.both:
        serve(half, NODES[0])
    two.advance(1.0)
    assert NODES[0] in two.a.layout(VIP)
    assert at(two.a, theirs) != theirs


def test_nothing_is_remembered_of_groups_that_went_with_their_last_node() -> None:
    """The kernel deletes them, and the next ones have other ids."""
    two, _ = agreed(1)
    lose(two, NODES[0])
    two.advance(1.0)
    for half in two.both:
        assert not half.router.fib.groups.by_id
        assert not half.pair._past._held


def test_the_cables_of_the_follower_are_lost_while_it_is_asked() -> None:
    """That its group is gone is its answer: its flows come, and are in the buckets that were about to move."""
    two, _ = agreed()
    two.a.buckets.flows.clear()
    flows = carry(two.b, *range(BUCKETS))
    two.advance(2 * IDLE)
    serve(two.a, NODES[3])
    two.a.advance(0.1)
    two.b.now = two.a.now
    assert any(isinstance(each, Ask) for each in two.a.said)
    for node in NODES[:3]:
        two.b.down(node)
    two.b.settle_now()
    two.b.buckets.flows.clear()
    two.advance(SILENT)
    assert at(two.a, flows) == flows
    speak(two.a, flows)
    two.advance(2 * IDLE)
    assert at(two.a, flows) == flows
    two.a.buckets.flows.clear()
    two.advance(2 * IDLE)
    assert NODES[3] in two.a.layout(VIP)


def test_a_partner_that_dies_is_back_with_nothing_at_once() -> None:
    """What it makes anew, node by node, has all its buckets busy, as far as it knows."""
    two, flows = agreed()
    two.restart(two.a, empty=True)
    two.connect()
    serve(two.a, *NODES[:3])
    two.advance(SILENT)
    assert at(two.b, flows) == flows
    speak(two.b, flows)
    two.advance(4 * IDLE)
    assert at(two.a, flows) == at(two.b, flows) == flows
    assert two.a.layout(VIP) == two.b.layout(VIP)


def test_who_takes_over_is_restarted_before_the_flows_have_said_a_word() -> None:
    two, flows = agreed()
    two.disconnect()
    two.b.restart()
    serve(two.b, *NODES[:4])
    for node in NODES[:4]:
        two.b.end_of_rib(node)
    two.advance(SILENT)
    assert at(two.b, flows) == flows
    speak(two.b, flows)
    two.advance(4 * IDLE)
    assert at(two.b, flows) == flows
    assert NODES[3] in two.b.layout(VIP)


def test_a_partner_that_does_not_answer_may_have_flows_in_each_bucket() -> None:
    """As while its process is stopped, and the channel has yet to find out: its kernel goes on."""
    two, _ = agreed()
    two.a.buckets.flows.clear()
    two.advance(2 * IDLE)
    flows = carry(two.b, *range(BUCKETS))  # since it was read last
    serve(two.a, NODES[3])
    two.a.advance(15.0)  # B does not
    assert [len(each.members) for each in two.a.said if isinstance(each, GroupLayout)] == [
        4
    ]  # it is told all the same
    assert at(two.a, flows) == flows
    two.b.now = two.a.now
    two.advance(1.0)
    assert at(two.a, flows) == at(two.b, flows) == flows
    two.b.buckets.flows.clear()
    serve(two.b, NODES[3])
    two.advance(IDLE)
    assert two.a.layout(VIP) == two.b.layout(VIP)
    assert NODES[3] in two.a.layout(VIP)


def test_a_node_that_both_have_lost_is_as_new_when_it_is_back() -> None:
    """One router hears of its death before the other one, which for that expects no flows any more."""
    two = Two()
    for half in two.both:
        serve(half, *NODES[:3])
    two.advance(2 * IDLE)
    for half in two.both:
        half.down(NODES[0])
        half.settle_now()
        two.advance(0.2)
    for half in two.both:
        serve(half, NODES[0])
    two.advance(2 * IDLE / 3)
    for half in two.both:
        serve(half, NODES[3])
    two.advance(1.0)
    assert two.a.layout(VIP) == two.b.layout(VIP)
    assert {two.a.layout(VIP).count(node) for node in NODES[:4]} == {4}


def test_a_channel_that_is_lost_is_lost_since_then_whatever_fails_later() -> None:
    two, _ = agreed()
    two.disconnect()
    lost = two.a.now
    two.advance(3.0)
    two.a.take(PartnerDown("no route to host"))
    pair = two.a.pair
    assert (pair.since, pair.lost, pair.reason) == (lost, lost, "no route to host")
    (group,) = two.a.router.fib.groups
    coming = [pair.busy_at_partner(group.id, lost + after) for after in (IDLE - 0.001, IDLE)]
    assert coming == [frozenset(group.legs), frozenset()]
