"""What the kernel says of groups when it is asked."""

from __future__ import annotations

from routerd.core.message import Member, SetGroup, SetNexthop, SetRoutes
from routerd.kernel import lookup
from routerd.kernel.writer import KernelWriter
from tests.kernel.scenario import gateway, many
from tests.support.netns import needs_root

pytestmark = needs_root


def test_groups_that_carried_no_packet(writer: KernelWriter) -> None:
    """More groups than are asked for in one go, some of which are not there, and one with a single member."""
    groups = [SetGroup(10 + i, (Member(1), Member(2)), buckets=4) for i in range(70)]
    nexthops = [SetNexthop(1, gateway("10.0.0.2")), SetNexthop(2, gateway("10.0.0.3"))]
    assert writer.write([*nexthops, *groups, SetGroup(9, (Member(1),), buckets=4)]) == []
    there = [group.id for group in groups]
    assert set(lookup.unused([5, *there[:40], 6, *there[40:], 7])) >= set(there)
    assert set(lookup.unused([5, 6, 7])) == set()
    (prefix,) = many(1)
    assert writer.write([SetRoutes(there[0], (prefix,))]) == []
    lookup.route(prefix)  # to ask for the way of a packet counts as one
    assert set(there).difference(lookup.unused(there)) == {there[0]}
    assert lookup.unused([]) == ()
