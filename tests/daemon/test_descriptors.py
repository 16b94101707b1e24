"""No descriptor is free for a while: who connects waits, routing goes on, and the event loop does not run hot."""

from __future__ import annotations

import asyncio
import resource
import socket
from pathlib import Path

from tests.daemon.harness import CONFIG, ROUTER, Network, announcement, becomes, running
from tests.support.bgp import Client
from tests.support.netns import needs_root

pytestmark = needs_root

PORTS = (9179, 29184)
LISTENING = f'''
[metrics]
listen = "{ROUTER}:{PORTS[0]}"
[looking_glass]
listen = ["{ROUTER}"]
port = {PORTS[1]}
'''


async def test_whoever_connects_while_none_is_free_is_served_later(
    network: Network, tmp_path: Path, clients: list[Client]
) -> None:
    with running(network.router, tmp_path, CONFIG + LISTENING) as daemon:
        clients.append(await network.establish(0))
        clients[0].send(announcement(0, "172.16.1.1/32"))
        await network.has("172.16.1.1/32", 0)
        descriptors = Path(f"/proc/{daemon.pid}/fd")
        limits = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (len(list(descriptors.iterdir())), limits[1]))
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for each in waiting:
            each.connect(str(daemon.socket))
        with network.nodes.enter():
            waiting += [socket.create_connection((ROUTER, port), timeout=5) for port in PORTS]
        try:
            for each in waiting:
                each.setblocking(False)
                each.send(b"GET /metrics HTTP/1.1\r\nhost: routerd\r\n\r\n")
            clients[0].send(announcement(0, "172.16.1.2/32"))
            await network.has("172.16.1.2/32", 0)
            await asyncio.sleep(2.5)  # in which it would try again and again
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, limits)
            for each in waiting:
                answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(each, 100), 10)
                assert answer.startswith(b"HTTP/1.1 "), answer
        finally:
            for each in waiting:
                each.close()
        await becomes(lambda: daemon.status()["peers"][0]["state"], "established")
        assert '"watcher": "event loop"' not in daemon.log.read_text()
