"""What a peer can make routerd keep is bounded, whatever it says."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import Network, Routerd, announcement, becomes, node, running
from tests.support import bgp
from tests.support.bgp import Client
from tests.support.netns import needs_root

pytestmark = needs_root

PREFIX = "172.16.1.1/32"
UPDATES = 12_000
WARM = 10


@pytest.fixture
def daemon(network: Network, tmp_path: Path) -> Iterator[Routerd]:
    with running(network.router, tmp_path) as made:
        yield made


async def test_attributes_that_never_repeat_themselves_take_no_memory(
    daemon: Routerd, network: Network, clients: list[Client]
) -> None:
    peer = await network.establish(0)
    clients.append(peer)
    before = 0
    for number in range(WARM + UPDATES):
        if number == WARM:
            await _taken_in(daemon, peer)
            before = daemon.rss()
        communities = struct.pack("!965I", *range(number << 12, (number << 12) + 965))
        attributes = bgp.attributes(node(0), (65001,)) + bgp.attribute(8, communities, 0xC0)
        peer.send(bgp.update(attributes, [PREFIX]))
        if number % 100 == 0:
            await peer.flushed()
    await _taken_in(daemon, peer)
    grown = daemon.rss() - before
    assert grown < 30_000, f"{grown} KiB more"
    await network.has(PREFIX, 0)


async def _taken_in(daemon: Routerd, peer: Client) -> None:
    """Wait until all that the peer has said is taken in: an announcement and its withdrawal come behind it."""
    peer.send(announcement(0, "172.16.9.9/32"))
    await becomes(lambda: daemon.count(0, "accepted"), 2, 60)
    peer.send(bgp.update(withdrawn=["172.16.9.9/32"]))
    await becomes(lambda: daemon.count(0, "accepted"), 1, 60)


async def test_rejected_prefixes_are_bounded_and_counted(
    daemon: Routerd, network: Network, clients: list[Client]
) -> None:
    peer = await network.establish(0)
    clients.append(peer)
    attributes, before = bgp.attributes(node(0), (65001,)), daemon.rss()
    many = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}/32" for number in range(200_000)]
    for start in range(0, len(many), 700):
        peer.send(bgp.update(attributes, many[start : start + 700]))
    await becomes(lambda: daemon.count(0, "rejected"), len(many), 60)
    grown = daemon.rss() - before
    assert grown < 15_000, f"{grown} KiB more"
    assert daemon.peer(0)["rejected_by_reason"] == {"6 not in accept": len(many)}
    for start in range(0, len(many), 700):
        peer.send(bgp.update(withdrawn=many[start : start + 700]))
    await becomes(lambda: daemon.count(0, "rejected"), 0, 60)


async def test_what_was_beyond_the_bound_is_heard_again_once_it_is_accepted(
    daemon: Routerd, network: Network, clients: list[Client]
) -> None:
    peer = await network.establish(0)
    clients.append(peer)
    network.router.ip("address", "add", "172.17.0.1/16", "dev", "eth0")
    attributes = bgp.attributes(node(0), (65001,))
    many = [f"172.17.{number >> 8}.{number & 255}/32" for number in range(512, 5512)]
    updates = [bgp.update(attributes, many[start : start + 700]) for start in range(0, len(many), 700)]
    await becomes(lambda: "172.17.0.0/16" in network.router.ip("route", "show", "dev", "eth0"), True)
    peer.send(b"".join(updates))
    await becomes(lambda: daemon.count(0, "rejected"), len(many))
    network.router.ip("address", "delete", "172.17.0.1/16", "dev", "eth0")
    _, body = await peer.expect(bgp.ROUTE_REFRESH)
    assert body == bytes((0, bgp.IPV4, 0, 1))
    peer.send(b"".join(updates))
    await becomes(lambda: (daemon.count(0, "accepted"), daemon.count(0, "rejected")), (len(many), 0))
