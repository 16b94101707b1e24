"""A group changes, and the partner speaks of it before it was read again: nothing follows from what was known."""

from __future__ import annotations

import pytest

from routerd.core.message import Arrange, Drain, GroupLayout, PartnerSaid, TellPartner
from tests.core.pair.test_coming import serve
from tests.core.pair.test_pair import NODES, VIP, at, carry
from tests.support.pairs import IDLE, Two


@pytest.mark.parametrize("asked", [True, False], ids=["it is being read", "it is to be read"])
def test_a_member_that_is_lost_has_buckets_in_what_was_known(asked: bool) -> None:
    """With flows in them: they would stay with it. Nor are the others moved, which may carry its flows by now."""
    two = Two()
    for half in two.both:
        serve(half, *NODES[:3])
    two.advance(2 * IDLE)
    carry(two.a, two.a.layout(VIP).index(NODES[2]))
    for half in two.both:
        half.take(Drain(NODES[2], on=True))  # so that both look at the group now and then
    two.a.down(NODES[0])
    two.a.settle_now()
    carry(two.b, two.b.layout(VIP).index(NODES[0]))
    two.advance(2 * IDLE)
    said = [each.message for each in two.a.effects if isinstance(each, TellPartner)]
    told = [each for each in said if isinstance(each, GroupLayout)][-1]
    assert not two.b.pair.leads
    assert NODES[0] in two.b.layout(VIP)
    two.b.forget()
    two.b.slow = True  # as while a table is written
    two.b.pair._next = two.b.now + (0.0 if asked else 1.0)
    two.b.down(NODES[0])
    assert bool(two.b.asked) is asked
    two.b.take(PartnerSaid(told))
    two.b.take(PartnerSaid(told._replace(answers=0, busy=0)))
    assert not two.b.operations_of(Arrange)
    two.b.slow = False
    two.advance(2 * IDLE)
    assert two.a.layout(VIP) == two.b.layout(VIP)


def test_a_partner_answers_after_its_group_has_lost_a_member() -> None:
    two = Two()
    for half in two.both:
        serve(half, *NODES[:3])
    two.advance(2 * IDLE)
    flows = carry(two.b, *(bucket for bucket, node in enumerate(two.b.layout(VIP)) if node != NODES[0]))
    two.a.forget()
    serve(two.a, NODES[3])
    two.a.advance(0.1)  # the partner is asked
    two.a.slow = True
    two.a.down(NODES[0])
    two.b.now = two.a.now
    two.deliver()
    assert not two.a.operations_of(Arrange)
    two.a.slow = False
    two.advance(2 * IDLE)
    assert at(two.a, flows) == at(two.b, flows) == flows
