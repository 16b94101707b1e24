"""A peer that speaks none of the router's families: its session stands, and after a restart nobody waits for it."""

from __future__ import annotations

from pathlib import Path

from tests.daemon.harness import CONFIG, Network, announcement, becomes, running
from tests.support import bgp
from tests.support.bgp import Client
from tests.support.netns import needs_root

pytestmark = needs_root

VIP = "172.16.1.1"
EVPN = bytes([1, 4, 0, 25, 0, 70])
"""The Multiprotocol capability for L2VPN EVPN (RFC 7432)."""
ALL = bgp.end_of_rib() + bgp.end_of_rib(bgp.IPV6)


async def test_nobody_waits_for_a_peer_that_has_nothing_to_say(
    network: Network, tmp_path: Path, clients: list[Client]
) -> None:
    with running(network.router, tmp_path, CONFIG.replace('["networks"]', '["networks", "learned"]')) as daemon:
        for number in (0, 1):
            clients.append(await network.establish(number))
            clients[-1].send(announcement(number, VIP) + ALL)
        await network.has(VIP, 0, 1)
        daemon.kill()
        daemon.start()
        back = await network.establish(0, graceful=bgp.Graceful())
        clients.append(back)
        back.send(announcement(0, VIP) + ALL)
        clients.append(await network.establish(1, families=(), capabilities=EVPN))
        await network.has(VIP, 0)
        await becomes(lambda: daemon.peer(1)["state"], "established")
        while (await back.next())[1] != bgp.end_of_rib()[19:]:
            pass
