"""Members of a group come and go, and the kernel's routes do not change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.failover.cluster import Node, Site, cluster, configuration

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

SHARED = [f"172.16.5.{i}" for i in range(50)]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with cluster(configuration(), 4) as site:
        site.start()
        yield site


def _close(_: Site, node: Node) -> None:
    node.close()


def _fall_silent(site: Site, node: Node) -> None:
    site.silence(node)


def _withdraw(_: Site, node: Node) -> None:
    node.withdraw(*SHARED)


def test_members_leave_and_join_without_a_route_message(site: Site) -> None:
    """Acceptance A2: 4 peers on one bridge with 50 shared /32s; one closes, another goes silent, a third withdraws;
    all come back."""
    for node in site.nodes:
        node.up(*SHARED)
    site.wait_for(SHARED[0], site.nodes)
    site.wait_for(SHARED[-1], site.nodes)
    ids = [site.group(address) for address in SHARED]
    left = list(site.nodes)
    leaving: list[Callable[[Site, Node], None]] = [_close, _fall_silent, _withdraw]
    with site.route_messages() as messages:
        for leave in leaving:
            node = left.pop()
            leave(site, node)
            took = site.wait_for(SHARED[0], left)
            print(f"{leave.__name__}: {took:.3f} s")
            assert [site.group(address) for address in SHARED] == ids
        for back in range(1, 4):
            node = site.nodes[back]
            site.revive(node)
            if not node.connected:
                node.dial()
            node.announce(*SHARED)
            node.end_of_rib()
            site.wait_for(SHARED[0], site.nodes[: back + 1])
            assert [site.group(address) for address in SHARED] == ids
        assert messages() == []


def test_a_new_address_gets_a_route_and_nothing_else_moves(site: Site) -> None:
    """The counterpart: what `ip monitor` would show if routes changed."""
    site.close_sessions()
    site.wait_for(SHARED[0], [])
    for node in site.nodes:
        node.up(*SHARED)
    site.wait_for(SHARED[-1], site.nodes)
    with site.route_messages() as messages:
        for node in site.nodes:
            node.announce("172.16.6.1")
        site.wait_for("172.16.6.1", site.nodes)
        heard = messages()
    assert heard
    assert all(line.removeprefix("Deleted ").startswith("172.16.6.1 ") for line in heard), heard
