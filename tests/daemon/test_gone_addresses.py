"""An address that the router listens at goes away, and comes back: status says that nobody gets there meanwhile."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.daemon.harness import CONFIG, Network, announcement, becomes, running
from tests.support.bgp import Client
from tests.support.netns import needs_root

pytestmark = needs_root

ADDRESS = "10.0.0.2"
LISTENING = f'''
[metrics]
listen = "{ADDRESS}:9179"
[looking_glass]
listen = ["127.0.0.1", "{ADDRESS}"]
'''
LOST = "port {}: the router has no such address any more"


async def test_what_listens_there_is_named(network: Network, tmp_path: Path, clients: list[Client]) -> None:
    network.router.ip("address", "add", f"{ADDRESS}/24", "dev", "eth0")
    config = CONFIG.replace("[router]", f'[router]\nlisten = ["10.0.0.1", "{ADDRESS}", "::"]') + LISTENING
    with running(network.router, tmp_path, config) as daemon:
        clients.append(await network.establish(0))
        clients[0].send(announcement(0, "172.16.1.1/32"))
        await network.has("172.16.1.1/32", 0)
        assert daemon.problems() == {}
        network.router.ip("address", "delete", f"{ADDRESS}/24", "dev", "eth0")
        there = f"at {ADDRESS} {LOST}"
        await becomes(
            daemon.problems,
            {
                "speaker": f"nodes cannot dial in {there.format(179)}",
                "metrics": f"nobody can scrape {there.format(9179)}",
                "looking glass": f"nobody can ask it {there.format(29184)}",
            },
        )
        network.router.ip("address", "add", f"{ADDRESS}/24", "dev", "eth0")
        await becomes(daemon.problems, {})
        with network.nodes.enter():
            for port in (179, 9179, 29184):
                socket.create_connection((ADDRESS, port), timeout=5).close()
