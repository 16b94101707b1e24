"""Where a bucket leads on the partner."""

from __future__ import annotations

from routerd.core.message import Gateway
from routerd.core.route import format_address, parse_address
from tests.core.pair.test_pair import NODES, VIP, serve
from tests.support.core import preserving
from tests.support.pairs import BUCKETS, Two


def test_it_leads_where_the_partner_said_last() -> None:
    two = Two()
    serve(two, *NODES[:2])
    group = two.a.group_of(VIP)
    found = [two.a.pair.owner_at_partner(group, bucket) for bucket in range(BUCKETS)]
    assert [each and format_address(each.address) for each in found] == two.b.layout(VIP)
    assert {each and each.ifindex for each in found} == {2}
    for bucket in (-1, BUCKETS):
        assert two.a.pair.owner_at_partner(group, bucket) is None
    assert two.a.pair.owner_at_partner(group + 1000, 0) is None


def test_a_node_that_this_router_does_not_have_is_on_no_interface() -> None:
    two = Two()
    serve(two, NODES[0])
    two.b.up(NODES[1], graceful=preserving())
    two.b.announce(NODES[1], VIP)
    two.b.withdraw(NODES[0], VIP)
    two.advance(1.0)
    assert set(two.b.layout(VIP)) == {NODES[1]}
    assert two.a.pair.owner_at_partner(two.a.group_of(VIP), 0) == Gateway(parse_address(NODES[1]), 0)
