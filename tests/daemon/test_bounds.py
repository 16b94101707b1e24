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
