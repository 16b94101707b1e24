"""Connections live on while the buckets that none of them uses are handed from node to node."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from routerd.config.model import FibSection
from routerd.core.message import Arrange, Gateway, Member, SetGroup, SetNexthop, SetRoutes
from routerd.core.route import parse_address, parse_prefix
from routerd.kernel import lookup
from routerd.kernel.backlog import Backlog
from routerd.kernel.memory import runs_of
from routerd.kernel.writer import KernelWriter
from routerd.lab.network import Fabric, built
from routerd.lab.topology import row
from routerd.service.settings import Settings
from tests.failover import flows
from tests.failover.cluster import VIP4, VIP6, inside
from tests.support.netns import needs_root

pytestmark = needs_root

FIB = FibSection(hash_policy="five-tuple", nexthop_id_base=1)
FLOWS, BUCKETS = 100, 512


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[Fabric]:
    with ExitStack() as stack:
        made = stack.enter_context(built(row(["embedded"] * 3)))
        for name, node in made.nodes.items():
            stack.callback(flows.serve(node, tmp_path / f"{name}.log").kill)
        yield made


def groups(fabric: Fabric, writer: KernelWriter) -> dict[str, SetGroup]:
    """Route both VIPs to all nodes, by a group each."""
    found: dict[str, SetGroup] = {}
    for id_, vip, bits in ((10, VIP4, 32), (20, VIP6, 128)):
        index = socket.if_nametoindex(fabric.topology.nodes[0].network.name)
        places = [node.ipv4 if bits == 32 else node.ipv6 for node in fabric.topology.nodes]
        hops = [
            SetNexthop(id_ + 1 + number, Gateway(parse_address(place), index)) for number, place in enumerate(places)
        ]
        found[vip] = SetGroup(id_, tuple(Member(hop.id) for hop in hops), buckets=BUCKETS, idle_timer=60.0)
        routes = SetRoutes(id_, (parse_prefix(f"{vip}/{bits}"),))
        assert writer.write([*hops, found[vip], routes]) == []
    return found


def test_no_connection_breaks_and_new_ones_find_their_node(fabric: Fabric) -> None:
    chosen = random.Random(1)
    with inside(fabric.router), flows.client(fabric.client) as client:
        Settings(FIB).begin()
        writer = KernelWriter(FIB)
        backlog = Backlog(writer.write, writer.buckets.took_over, unfinished=writer.unfinished)
        for vip, group in groups(fabric, writer).items():
            before = client.open(vip, vip, FLOWS)
            assert not before.broken
            client.load(vip, 200)
            for _ in range(4):
                wanted = [chosen.choice(group.members).id for _ in range(BUCKETS)]
                backlog.add([Arrange(group.id, tuple(runs_of(wanted)))])
                while backlog.length:
                    assert backlog.write(0.001) == []
            client.load(vip, 0)
            after = client.settle(vip)
            assert (after.alive, after.broken) == (before.alive, {}), after
            arrived = client.arrived()
            assert arrived.pop("", 0) <= 1
            used = {index for index, _, _ in writer.buckets.flows(group.id, 60.0)}
            wrong = [index for index, owner in enumerate(lookup.owners(group.id)) if owner != wanted[index]]
            assert len(set(wrong) - used) <= BUCKETS // 8  # connections began until the end
            assert 0 < len(used) < BUCKETS
        writer.close()
