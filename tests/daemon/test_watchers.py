"""What watches the host meets what nobody thought of: the daemon goes on, says so, and misses nothing for long."""

from __future__ import annotations

import errno
import resource
from pathlib import Path

import pytest

from routerd.service import watchers as module
from routerd.service.watchers import Watchers
from tests.daemon.harness import Network, announcement, becomes, running
from tests.failover.agents import logged
from tests.support.netns import needs_root

VIP = "172.16.1.1/32"


@needs_root
async def test_a_machine_out_of_files(network: Network, tmp_path: Path) -> None:
    """Nothing can be opened: no counter, no netlink socket. Sessions and the FIB stay, and what changed meanwhile is
    mended afterwards."""
    with running(network.router, tmp_path) as routerd:
        async with await network.establish(0) as node, await network.establish(1) as other:
            node.send(announcement(0, VIP))
            await network.has(VIP, 0)
            soft, hard = resource.prlimit(routerd.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(routerd.pid, resource.RLIMIT_NOFILE, (3, hard))
            network.router.ip("address", "add", "10.9.0.1/24", "dev", "eth0")
            network.router.ip("route", "del", VIP)
            other.send(announcement(1, VIP))  # a look at the buckets of its group is due
            await becomes(lambda: logged(routerd, "watcher failed") or not routerd.running)
            assert routerd.running, routerd.log.read_text()[-2000:]
            resource.prlimit(routerd.pid, resource.RLIMIT_NOFILE, (soft, hard))
            await network.has(VIP, 0, 1)
            what = "counters of dropped segments"
            await becomes(lambda: "Too many open files" in routerd.problems().get(what, ""))
            assert routerd.peer(0)["state"] == "established"


async def test_a_watcher_is_begun_again_later_and_later(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    missed: list[int] = []
    runs = iter([OSError(errno.ENOMEM, "no memory"), ValueError("netlink attribute of 0 bytes"), None])

    async def watch() -> None:
        if error := next(runs):
            raise error

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    watchers = Watchers(lambda: missed.append(len(waits)))
    await watchers.keep("the sky", watch)
    assert waits == [1.0, 2.0]
    assert missed == [1, 2]  # each time before it begins anew
    assert watchers.failures["the sky"].count == 2
    assert watchers.failures["the sky"].text == "ValueError: netlink attribute of 0 bytes"
