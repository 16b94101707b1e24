"""Which routes the kernel is asked about for people who want to know whether it passes some by."""

from __future__ import annotations

from routerd.api.views.problems.shadows import samples
from routerd.core.message import Drain
from routerd.core.route import parse_prefix
from tests.support.core import Simulation

NODES = ("192.168.10.101", "192.168.10.102", "192.168.10.103")
VIPS = ("172.16.1.1/32", "172.16.1.2/32")


def test_groups_with_a_node_that_is_drained_are_left_alone() -> None:
    """Who asks uses a bucket, and it would never fall idle."""
    simulation = Simulation()
    for node, vips in zip(NODES, (VIPS, VIPS[:1], VIPS[1:]), strict=True):
        simulation.up(node)
        simulation.announce(node, *vips)
    simulation.settle()
    assert {prefix for prefix, _ in samples(simulation.router, {})} == {parse_prefix(vip) for vip in VIPS}
    simulation.take(Drain(NODES[2], True))
    simulation.settle()
    assert [prefix for prefix, _ in samples(simulation.router, {})] == [parse_prefix(VIPS[0])]
