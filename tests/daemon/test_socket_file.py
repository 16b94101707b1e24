"""Somebody removes the file of the API's socket: it is made anew, and meanwhile routing goes on."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from routerd.cli.client import ApiError
from tests.daemon.harness import CONFIG, Network, Routerd, announcement, becomes, running
from tests.support.bgp import Client
from tests.support.netns import needs_root

pytestmark = needs_root


async def test_it_is_made_anew(network: Network, tmp_path: Path, clients: list[Client]) -> None:
    readers = tmp_path / "read.sock"
    config = CONFIG.replace("[api]\n", f'[api]\nreaders = "nogroup"\nreaders_socket = "{readers}"\n')
    with running(network.router, tmp_path, config) as daemon:
        clients.append(await network.establish(0))
        was = [(each.stat().st_mode, each.stat().st_gid) for each in (daemon.socket, readers)]
        for each in (daemon.socket, readers):
            each.unlink()
        clients[0].send(announcement(0, "172.16.1.1/32"))
        await network.has("172.16.1.1/32", 0)
        await becomes(lambda: (_answers(daemon), readers.exists()), (True, True))
        assert [(each.stat().st_mode, each.stat().st_gid) for each in (daemon.socket, readers)] == was
        daemon.socket.unlink()
        with socket.socket(socket.AF_UNIX) as other:  # somebody else has the place for a while
            other.bind(str(daemon.socket))
            other.listen()
            await becomes(lambda: "there is no socket of the API" in daemon.log.read_text())
            os.unlink(daemon.socket)
            await becomes(lambda: _answers(daemon))
        assert daemon.peer(0)["sessions"] == 1
        daemon.socket.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(daemon.socket))
            other.listen()
            assert daemon.stop() == 0
        assert daemon.socket.exists(), "it is somebody else's"
        assert not readers.exists()


def _answers(daemon: Routerd) -> bool:
    with contextlib.suppress(ApiError):
        return bool(daemon.status())
    return False
