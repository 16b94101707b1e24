"""Restarts and crashes: the kernel forwards on, the new process adopts what is there, and no packet is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import Network, Routerd, becomes
from tests.failover.agents import Agents, agents, configuration, nexthops, own_routes, relearned, wide_network
from tests.failover.stream import Report, stream
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root

VIPS = ("172.16.1.1", "172.16.1.2", "fd00:ac10::1")
GONE, GONE6 = "172.16.2.1", "fd00:ac10::2:1"
NODES = 4
FOREIGN = ("172.16.9.9", "172.16.9.10")


@pytest.fixture(scope="module")
def wide() -> Iterator[tuple[Network, Namespace]]:
    with wide_network(VIPS) as made:
        net, _ = made
        # Foreign: a route of another protocol and routerd's metric, and one of its protocol and another metric.
        net.router.ip("nexthop", "add", "id", "1", "via", "10.0.0.100", "dev", "eth0", "proto", "static")
        net.router.ip("route", "add", FOREIGN[0], "nhid", "1", "metric", "20", "proto", "static")
        net.router.ip("route", "add", FOREIGN[1], "via", "10.0.0.100", "metric", "30", "proto", "bgp")
        yield made


@pytest.fixture
def routerd(wide: tuple[Network, Namespace], tmp_path: Path) -> Iterator[Routerd]:
    daemon = Routerd(wide[0].router, tmp_path, configuration())
    daemon.start()
    yield daemon
    daemon.kill()


@pytest.fixture
async def nodes(wide: tuple[Network, Namespace], routerd: Routerd) -> AsyncIterator[Agents]:
    """Four nodes announce the VIPs; the last one alone announces others, too."""
    async with agents(wide[0], NODES) as made:
        for agent in made:
            agent.announce(*VIPS)
        made[-1].announce(GONE, GONE6)
        await made.up()
        await relearned(routerd, made)
        for vip in VIPS:
            await wide[0].has(vip, *range(NODES))
        yield made


def foreign(net: Network) -> list[str]:
    """What is not routerd's."""
    return [net.router.ip("route", "show", prefix) for prefix in FOREIGN] + [
        net.router.ip("nexthop", "show", "id", "1")
    ]


def check(report: Report) -> None:
    print(report)
    assert report.rate > 1_000  # a gap of a millisecond shows, also on a machine that has much else to do
    assert (report.lost, report.unsent, report.duplicates) == (0, 0, 0)


def _stop(routerd: Routerd) -> None:
    assert routerd.stop() == 0


def _kill_daemon(routerd: Routerd) -> None:
    """Its speaker lives on for a moment, and may still have the port when the next one wants it."""
    os.kill(routerd.pid, signal.SIGKILL)
    routerd.wait()


def _kill_both(routerd: Routerd) -> None:
    routerd.kill()


@pytest.mark.parametrize("end", [_stop, _kill_daemon, _kill_both], ids=["stop", "kill", "kill-with-speaker"])
async def test_a_restart_loses_no_packet_and_changes_no_id(
    wide: tuple[Network, Namespace], routerd: Routerd, nodes: Agents, end: Callable[[Routerd], None]
) -> None:
    net, client = wide
    before, others = (nexthops(net), own_routes(net)), foreign(net)
    with stream(client, net.nodes, VIPS) as finish:
        for _ in range(2):
            end(routerd)
            assert (nexthops(net), own_routes(net)) == before
            routerd.start()
            assert (nexthops(net), own_routes(net)) == before
            await relearned(routerd, nodes)
            assert (nexthops(net), own_routes(net)) == before
        check(finish())
    status = routerd.status()
    assert status["fib"]["drift_mended"] == 0
    assert status["fib"]["routes"] == len(before[1])
    assert foreign(net) == others


async def test_the_death_of_the_speaker_loses_no_packet_and_writes_nothing(
    wide: tuple[Network, Namespace], routerd: Routerd, nodes: Agents
) -> None:
    net, client = wide
    before = (nexthops(net), own_routes(net))
    with stream(client, net.nodes, VIPS) as finish:
        for deaths in range(1, 4):
            pid = routerd.status()["speaker"]["pid"]
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await becomes(lambda: sum(agent.losses for agent in nodes), NODES * deaths)
            await nodes.up()
            await relearned(routerd, nodes)
            assert (nexthops(net), own_routes(net)) == before
            speaker = routerd.status()["speaker"]
            assert speaker["running"]
            assert speaker["restarts"] == deaths
        check(finish())


async def test_what_nobody_announces_again_is_swept(
    wide: tuple[Network, Namespace], routerd: Routerd, nodes: Agents
) -> None:
    """Acceptance A11. While the node that announced it is away it stays: the node may only be slower than others."""
    net, client = wide
    others = foreign(net)
    kept = {vip: net.nhid(vip) for vip in VIPS}
    last = nodes[-1]
    with stream(client, net.nodes, VIPS) as finish:
        routerd.kill()
        await last.down()
        last.withdraw(GONE, GONE6)
        routerd.start()
        await relearned(routerd, nodes[:-1])
        assert net.legs(GONE)
        assert net.legs(GONE6)
        assert {vip: net.nhid(vip) for vip in VIPS} == kept
        for vip in VIPS:
            assert len(net.legs(vip)) == NODES
        last.up()
        await becomes(lambda: net.route(GONE) + net.route(GONE6), "")
        await relearned(routerd, nodes)
        check(finish())
    assert own_routes(net) == kept
    groups = set(kept.values())
    assert {id_ for id_, (gateway, _, _) in nexthops(net).items() if not gateway} == groups
    assert foreign(net) == others
