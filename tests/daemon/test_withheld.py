"""A route that does not fit into a message any more once the router's own AS is in it: withdrawn, and told of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, Network, Routerd, becomes, node, running
from tests.support import bgp
from tests.support.netns import needs_root

pytestmark = needs_root

LEARNED = CONFIG.replace('advertise = ["networks"]', 'advertise = ["learned"]')
VIP = "172.16.1.1"


@pytest.fixture
def daemon(network: Network, tmp_path: Path) -> Iterator[Routerd]:
    with running(network.router, tmp_path, LEARNED) as made:
        yield made


def communities(count: int) -> bytes:
    return bgp.attribute(8, b"".join((0xFDE80000 + i).to_bytes(4, "big") for i in range(count)), 0xC0)


def announcement(octets: int) -> bytes:
    """Return an UPDATE of nearly as many octets."""
    bare = len(bgp.update(bgp.attributes(next_hop=node(0), as_path=(65001,)) + communities(100), [f"{VIP}/32"]))
    attributes = bgp.attributes(next_hop=node(0), as_path=(65001,)) + communities(100 + (octets - bare) // 4)
    return bgp.update(attributes, [f"{VIP}/32"])


async def test_a_route_that_fits_into_no_message_is_withdrawn_and_told_of(
    daemon: Routerd, network: Network, clients: list[bgp.Client]
) -> None:
    source, short = await network.establish(0), await network.establish(1)
    long = await network.establish(2, extended=True)
    clients += [source, short, long]
    source.send(announcement(4000))
    for listener in (short, long):
        await becomes(lambda listener=listener: nlri(listener), f"{VIP}/32")  # type: ignore[misc]
    assert daemon.problems() == {}
    source.send(announcement(4096))
    await becomes(lambda: withdrawn(short))
    await becomes(lambda: len(long.heard[-1][1]) > 4096 - 19)
    told = daemon.problems()[f"peer {node(1)}"]
    assert told.startswith(f"1 routes are not advertised to it: a message for {VIP}/32 takes ")
    octets = int(told.split(" takes ")[1].split()[0])
    assert 4096 < octets <= 4096 + 4
    assert told.endswith(f"takes {octets} octets, and may have 4096")
    assert f'"prefix": "{VIP}/32", "prefixes": 1, "octets": {octets}, "limit": 4096' in daemon.log.read_text()
    source.send(announcement(4000))
    await becomes(daemon.problems, {})


def updates(listener: bgp.Client) -> list[bytes]:
    return [body for kind, body in listener.heard if kind == bgp.UPDATE and len(body) > 4]


def nlri(listener: bgp.Client) -> str:
    return f"{VIP}/32" if any(body.endswith(bgp.nlri([f"{VIP}/32"])) for body in updates(listener)) else ""


def withdrawn(listener: bgp.Client) -> bool:
    return any(body == bgp.update(withdrawn=[f"{VIP}/32"])[19:] for body in updates(listener))
