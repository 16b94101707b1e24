"""Listeners that do not read: the others hear everything, sessions stay, and memory is bounded (RFC 9687)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.daemon.harness import Network, Routerd, becomes, network, node, running
from tests.support import bgp
from tests.support.netns import needs_root

pytestmark = needs_root

CONFIG = """
[router]
asn = 65000
router_id = "10.0.0.1"

[api]
socket = "{socket}"
group = "root"

[peer_groups.nodes]
hold_time = 9
accept = ["172.16.0.0/12"]
advertise = ["learned"]

[[dynamic_peers]]
range = "10.0.0.64/26"
group = "nodes"
"""

SOURCE, READERS, STUCK = 0, range(1, 5), range(5, 35)
PREFIXES = 12_000
FILLING = 1200
"""Octets of an unknown transitive attribute in each announcement: 15 MB a listener, 450 MB for the stuck ones."""


def announcements() -> Iterator[bytes]:
    """Yield PREFIXES UPDATEs whose attributes are all different."""
    base = bgp.attributes(next_hop=node(SOURCE), as_path=[65001])
    for number in range(PREFIXES):
        attributes = base + bgp.attribute(200, struct.pack("!I", number) * (FILLING // 4), 0xC0)
        yield bgp.update(attributes, [f"172.16.{number >> 8}.{number & 255}/32"])


def updates(client: bgp.Client) -> int:
    """Count the UPDATEs that a client has heard and that announce something."""
    return sum(kind == bgp.UPDATE and len(body) > 100 for kind, body in client.heard)


def memory(daemon: Routerd) -> int:
    """Return the resident memory of the daemon and its child, in MiB."""
    child = daemon.status()["speaker"]["pid"]
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{child}/status").read_text())
    assert found is not None
    return (daemon.rss() + int(found[1])) >> 10


@pytest.fixture(scope="module", name="network")
def _network() -> Iterator[Network]:
    with network() as made:
        yield made


async def test_listeners_that_do_not_read_harm_nobody_else(network: Network, tmp_path: Path) -> None:
    with running(network.router, tmp_path, CONFIG) as daemon:
        async with AsyncExitStack() as stack:
            source = await stack.enter_async_context(await network.establish(SOURCE, hold=0))
            readers = [await stack.enter_async_context(await network.establish(each)) for each in READERS]
            stuck = [await stack.enter_async_context(await network.establish(each)) for each in STUCK]
            for client in stuck:
                client.reading.clear()
            source.send(b"".join(announcements()) + bgp.end_of_rib())
            await becomes(lambda: [updates(client) for client in readers], [PREFIXES] * len(readers), 60)
            assert memory(daemon) < 400, "MiB"
            status = daemon.status()
            assert status["speaker"]["restarts"] == 0
            assert {peer["state"] for peer in status["peers"]} == {"established"}
            assert {peer["sessions"] for peer in status["peers"]} == {1}
            # Whoever reads again is served; the others still hold up nobody.
            stuck[0].reading.set()
            await becomes(lambda: updates(stuck[0]), PREFIXES, 30)
            source.send(bgp.update(withdrawn=["172.16.0.1/32"]))
            await becomes(lambda: all(client.heard[-1][0] != bgp.NOTIFICATION for client in readers))
            for client in (*readers, stuck[0]):
                await becomes(
                    lambda c=client: any(b[:7] == b"\0\5\x20\xac\x10\0\1" for k, b in c.heard[-9:] if k == 2)
                )
