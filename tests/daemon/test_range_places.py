"""The limit of a range: who restarts keeps its place, and nobody gets it meanwhile."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, Network, Routerd, becomes, node, running
from tests.support import bgp
from tests.support.netns import needs_root

pytestmark = needs_root

LIMITED = CONFIG.replace('range = "10.0.0.64/26"', 'range = "10.0.0.64/26"\nlimit = 2')
KEEPS = bgp.Graceful(time=60, families={bgp.IPV4: True, bgp.IPV6: True})
SHORT = bgp.Graceful(time=1, families={bgp.IPV4: True, bgp.IPV6: True})
FULL = b"\6\5"


@pytest.fixture
def daemon(network: Network, tmp_path: Path) -> Iterator[Routerd]:
    with running(network.router, tmp_path, LIMITED) as made:
        yield made


def established(daemon: Routerd, number: int) -> bool:
    return (node(number), "established") in {(peer["address"], peer["state"]) for peer in daemon.get("/v1/peers")}


async def refused(network: Network, number: int) -> None:
    async with await network.connect(number) as other:
        other.introduce()
        assert (await other.expect(bgp.NOTIFICATION))[1][:2] == FULL


async def let_in(network: Network, number: int) -> None:
    """Wait until there is room for a node."""

    async def dials() -> bool:
        async with await network.connect(number) as other:
            other.introduce()
            await becomes(lambda: other.heard)
            return other.heard[0][0] == bgp.OPEN

    for _ in range(100):
        if await dials():
            return
    raise AssertionError("never let in")


async def test_a_node_that_restarts_keeps_its_place(
    daemon: Routerd, network: Network, clients: list[bgp.Client]
) -> None:
    clients.append(await network.establish(0, graceful=KEEPS))
    away = await network.establish(1, graceful=KEEPS)
    await becomes(lambda: established(daemon, 1))
    await away.close()
    await refused(network, 2)  # at once: before routerd may have taken the end in
    await becomes(lambda: daemon.peer(1)["reason"] != "")
    await refused(network, 2)
    told = "the limit of 2 peers of 10.0.0.64/26 is reached: 1 are there, 1 restart and keep their places"
    await becomes(lambda: told in daemon.problems().get(f"connections from {node(2)}", ""))
    clients.append(await network.establish(1, graceful=KEEPS))
    await refused(network, 2)


async def test_a_place_is_free_when_the_restart_time_is_over_or_none_runs(
    daemon: Routerd, network: Network, clients: list[bgp.Client]
) -> None:
    clients.append(await network.establish(0, graceful=KEEPS))
    short = await network.establish(1, graceful=SHORT)
    await becomes(lambda: established(daemon, 1))
    await short.close()
    await refused(network, 2)
    await let_in(network, 2)
    gone = await network.establish(3, graceful=KEEPS)
    await becomes(lambda: established(daemon, 3))
    gone.send(bgp.notification(6, 2))  # without the N bit nothing stays
    await gone.closed()
    await gone.close()
    await let_in(network, 4)


async def test_a_place_is_kept_over_the_end_of_the_speaker(
    daemon: Routerd, network: Network, clients: list[bgp.Client]
) -> None:
    for number in (0, 1):
        clients.append(await network.establish(number))
    await becomes(lambda: established(daemon, 0) and established(daemon, 1))
    before = daemon.status()["speaker"]["pid"]
    assert before is not None
    os.kill(before, signal.SIGKILL)
    await becomes(lambda: (now := daemon.status()["speaker"])["running"] and now["pid"] != before)
    await refused(network, 2)
    for number in (1, 0):
        clients.append(await network.establish(number))
    await refused(network, 2)
