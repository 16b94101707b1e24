"""A step of the wall clock, as NTP or an operator makes it, ends no session and hides no death (libfaketime)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, Network, Routerd, announcement, becomes
from tests.support import bgp
from tests.support.bgp import Client
from tests.support.netns import needs_root

pytestmark = needs_root

HOLD = 3
STEPS = ("+20s", "+3620s", "+20s", "-3600s")
"""Offsets of the wall clock, one after the other."""


class Wall:
    """The wall clock of a daemon and its child; both run with libfaketime, which reads its offset from a file."""

    def __init__(self, directory: Path) -> None:
        (self.library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
        self.offset = directory / "offset"
        self.offset.write_text("+0s\n")

    def wrapper(self) -> list[str]:
        """Return the command that runs another one by this clock."""
        return [
            "env",
            f"LD_PRELOAD={self.library}",
            f"FAKETIME_TIMESTAMP_FILE={self.offset}",
            "FAKETIME_NO_CACHE=1",
            "DONT_FAKE_MONOTONIC=1",
        ]


@pytest.fixture
def wall(tmp_path: Path) -> Wall:
    return Wall(tmp_path)


@pytest.fixture
def daemon(network: Network, wall: Wall, tmp_path: Path) -> Iterator[Routerd]:
    made = Routerd(network.router, tmp_path, CONFIG.replace("multihop = 2", f"multihop = 2\nhold_time = {HOLD}"))
    try:
        made.start(wrapper=wall.wrapper())
        yield made
    finally:
        made.kill()


async def test_a_step_of_the_wall_clock_ends_no_session(
    daemon: Routerd, network: Network, wall: Wall, clients: list[Client]
) -> None:
    child = daemon.status()["speaker"]["pid"]
    assert child is not None
    for pid in (daemon.pid, child):
        assert wall.library.name in Path(f"/proc/{pid}/maps").read_text()
    client = await network.establish(0, hold=HOLD)
    clients.append(client)
    client.send(announcement(0, "172.16.1.1") + bgp.end_of_rib())
    await network.has("172.16.1.1", 0)
    before = network.kernel()
    for offset in STEPS:
        wall.offset.write_text(f"{offset}\n")
        for _ in range(2 * HOLD + 1):  # a KEEPALIVE comes every third of the hold time
            await client.expect(bgp.KEEPALIVE, HOLD)
        assert network.kernel() == before, offset
        peer = daemon.peer(0)
        assert (peer["state"], peer["sessions"]) == ("established", 1), offset

    silent = await network.connect(1, hold=HOLD)
    clients.append(silent)
    await silent.establish(keepalive=False)
    assert (await silent.expect(bgp.NOTIFICATION, 3 * HOLD))[1] == b"\4\0"
    await becomes(lambda: daemon.peer(1)["state"] != "established")
    assert daemon.peer(0)["state"] == "established"
