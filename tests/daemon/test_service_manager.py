"""A service manager that is stuck, and does not read what it is told, stops no routing."""

from __future__ import annotations

import socket
from pathlib import Path

from routerd.cli.client import ApiError
from tests.daemon.harness import Network, Routerd, announcement, becomes
from tests.support.bgp import Client
from tests.support.netns import needs_root

pytestmark = needs_root


async def test_routing_goes_on_while_nobody_reads(network: Network, tmp_path: Path, clients: list[Client]) -> None:
    path = str(tmp_path / "manager")
    daemon = Routerd(network.router, tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others:
            others.setblocking(False)
            try:
                while others.sendto(b"WATCHDOG=1", path):
                    continue
            except BlockingIOError:
                pass  # now it is full
        try:
            daemon.spawn(NOTIFY_SOCKET=path)
            await becomes(lambda: _listens(daemon))
            clients.append(await network.establish(0))
            clients[0].send(announcement(0, "172.16.1.1/32"))
            await network.has("172.16.1.1/32", 0)
            manager.settimeout(10)
            while b"READY=1" not in manager.recv(4096):
                continue
            assert daemon.stop() == 0
        finally:
            daemon.kill()


def _listens(daemon: Routerd) -> bool:
    try:
        return daemon.status()["speaker"]["running"]
    except ApiError:
        return False
