"""A user database that does not answer, as one of a directory server behind this router: orders are taken without the
name, and what the kernel has lost is mended all the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.daemon.harness import CLI, Network, announcement, becomes, node, running
from tests.support.bgp import Client
from tests.support.netns import needs_root

pytestmark = needs_root

VIP = "172.16.1.1/32"
HANGS = """
import os, pwd, time
answer = pwd.getpwuid
def getpwuid(uid):
    while os.path.exists({hanging!r}):
        time.sleep(0.05)  # it hangs for as long as the test says
    return answer(uid)
pwd.getpwuid = getpwuid
"""


async def test_the_kernel_is_mended_meanwhile(
    network: Network, tmp_path: Path, clients: list[Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = tmp_path / "hanging"
    (tmp_path / "sitecustomize.py").write_text(HANGS.format(hanging=str(hanging)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with running(network.router, tmp_path) as daemon:
        for number in range(2):
            clients.append(await network.establish(number))
            clients[number].send(announcement(number, VIP))
        await network.has(VIP, 0, 1)
        hanging.touch()
        drains = [_begin("drain", node(0), "--socket", str(daemon.socket)) for _ in range(10)]
        try:
            assert [each.wait(20) for each in drains] == [0] * 10
            assert '"by": "unknown user (uid 0, ' in daemon.log.read_text()
            network.router.ip("nexthop", "flush")
            await network.has(VIP, 0, 1)
            await becomes(lambda: "files" in daemon.problems())
            assert daemon.stop() == 0
        finally:
            hanging.unlink()
            for each in drains:
                each.kill()
                each.communicate()


def _begin(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*CLI, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
