"""A user database that does not answer, as one of a directory server behind this router: orders are taken without the
name, what the kernel has lost is mended all the same, a socket is made anew, and routerd starts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import CLI, Network, announcement, becomes, node, running
from tests.support.bgp import Client
from tests.support.netns import needs_root

pytestmark = needs_root

VIP = "172.16.1.1/32"
HANGS = """
import grp, os, pwd, time
def late(answer, what):
    def ask(key):
        while os.path.exists({hanging!r} + what):
            time.sleep(0.05)  # it hangs for as long as the test says
        return answer(key)
    return ask
pwd.getpwuid, grp.getgrnam = late(pwd.getpwuid, "/users"), late(grp.getgrnam, "/groups")
"""


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory: while `users` or `groups` is there, a daemon that is started is not answered who those are."""
    directory = tmp_path / "hanging"
    directory.mkdir()
    (tmp_path / "sitecustomize.py").write_text(HANGS.format(hanging=str(directory)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield directory
    for each in directory.iterdir():
        each.unlink()


async def test_the_kernel_is_mended_meanwhile(
    network: Network, tmp_path: Path, clients: list[Client], hanging: Path
) -> None:
    with running(network.router, tmp_path) as daemon:
        for number in range(2):
            clients.append(await network.establish(number))
            clients[number].send(announcement(number, VIP))
        await network.has(VIP, 0, 1)
        (hanging / "users").touch()
        drains = [_begin("drain", node(0), "--socket", str(daemon.socket)) for _ in range(10)]
        try:
            assert [each.wait(20) for each in drains] == [0] * 10
            assert '"by": "unknown user (uid 0, ' in daemon.log.read_text()
            network.router.ip("nexthop", "flush")
            await network.has(VIP, 0, 1)
            await becomes(lambda: "files" in daemon.problems())
            assert daemon.stop() == 0
        finally:
            (hanging / "users").unlink()
            for each in drains:
                each.kill()
                each.communicate()


async def test_a_socket_is_made_anew_meanwhile(
    network: Network, tmp_path: Path, clients: list[Client], hanging: Path
) -> None:
    """It is for the same group as before, which nobody looks up again."""
    with running(network.router, tmp_path) as daemon:
        group = daemon.socket.stat().st_gid
        (hanging / "groups").touch()
        daemon.socket.unlink()
        await becomes(daemon.socket.exists)
        clients.append(await network.establish(0))
        clients[0].send(announcement(0, VIP))
        await network.has(VIP, 0)
        assert daemon.peer(0)["sessions"] == 1
        assert daemon.socket.stat().st_gid == group
        assert daemon.stop() == 0


async def test_a_start_does_not_wait_for_it(
    network: Network, tmp_path: Path, clients: list[Client], hanging: Path
) -> None:
    """Else the way to the directory server would never be there. Until the next start the group has no socket."""
    (hanging / "groups").touch()
    with running(network.router, tmp_path) as daemon:
        clients.append(await network.establish(0))
        clients[0].send(announcement(0, VIP))
        await network.has(VIP, 0)
        (problem,) = [each for each in daemon.status()["problems"] if each["where"] == "api"]
        assert "whose members may not use" in problem["what"]
        assert daemon.stop() == 0


def _begin(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*CLI, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
