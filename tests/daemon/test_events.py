"""`routerd events`, of the real daemon: what has happened, and what comes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pytest

from tests.daemon.harness import CLI, CONFIG, Network, Routerd, announcement, becomes, node, running
from tests.support import bgp
from tests.support.netns import needs_root

pytestmark = needs_root


def _started(command: list[str], output: IO[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=output)


def told(daemon: Routerd, *options: str) -> list[dict[str, Any]]:
    done = daemon.cli("events", "--json", *options)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("level", ["info", "error"])
async def test_what_has_happened_whatever_the_log_shows(
    network: Network, tmp_path: Path, clients: list[bgp.Client], level: str
) -> None:
    with running(network.router, tmp_path, options=("--log-level", level)) as daemon:
        for number in (0, 1):
            clients.append(await network.establish(number))
            clients[-1].send(announcement(number, "172.16.1.1/32"))
        await network.has("172.16.1.1", 0, 1)
        await clients.pop().close()
        await network.has("172.16.1.1", 0)
        found = told(daemon)
        assert [event["sequence"] for event in found] == list(range(1, len(found) + 1))
        assert {event["event"] for event in found} >= {"ready", "peer up", "peer down"}
        about = told(daemon, "--peer", node(1))
        assert [event["event"] for event in about if event["event"].startswith("peer ")][-1] == "peer down"
        assert all(node(1) in event.values() for event in about)
        found = told(daemon, "--since", "1h")
        assert told(daemon)[: len(found)] == found
        now = datetime.now(UTC)
        assert all(datetime.fromisoformat(event["time"]) >= now for event in told(daemon, "--since", "0s"))
        text = daemon.cli("events", "--peer", node(1)).stdout
        assert "peer down  " in text
        assert all(len(line.split("  ")) >= 2 for line in text.splitlines())
        assert ("peer up" in daemon.log.read_text()) == (level == "info")


async def test_what_comes_until_the_daemon_ends(network: Network, tmp_path: Path, clients: list[bgp.Client]) -> None:
    with running(network.router, tmp_path) as daemon:
        command = [*CLI, "events", "--follow", "--json", "--socket", str(daemon.socket)]
        heard = tmp_path / "heard"
        with (
            heard.open("w") as output,
            _started(command, output) as follower,
            contextlib.ExitStack() as stack,
        ):
            stack.callback(follower.kill)
            await becomes(lambda: "ready" in heard.read_text())
            clients.append(await network.establish(0))
            await becomes(lambda: "peer up" in heard.read_text())
            assert daemon.stop() == 0
            await asyncio.to_thread(follower.wait, 10)
        assert follower.returncode == 1
        assert "routerd has ended" in json.loads(heard.read_text().splitlines()[-1])["error"]
        assert "Traceback" not in daemon.log.read_text()
        assert '"level": "error"' not in daemon.log.read_text()


def test_a_time_that_is_none_is_told(tmp_path: Path) -> None:
    done = subprocess.run([*CLI, "events", "--since", "soon"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'soon' is not a duration such as 90s, 5m, 2h or 1d" in done.stderr


def named(daemon: Routerd, event: str) -> list[dict[str, Any]]:
    return [each for each in told(daemon) if each["event"] == event]


async def test_groups_and_their_members_are_told_of_together(
    network: Network, tmp_path: Path, clients: list[bgp.Client]
) -> None:
    """Hundreds of groups that are made, get a member, lose one and go are an event each time, not hundreds."""
    vips = [f"172.16.{number}.{host}/32" for number in (1, 2) for host in range(150)]
    with running(network.router, tmp_path, f"{CONFIG}\n[fib]\nmax_paths = 2\nbuckets = 16\n") as daemon:
        for number in (0, 1):
            clients.append(await network.establish(number))
        clients[0].send(announcement(0, *vips))
        await network.has(vips[-1], 0)
        await becomes(lambda: sum(each.get("made", 0) for each in named(daemon, "groups changed")), 300)
        clients[1].send(announcement(1, *vips, as_path=(65001,)))
        await network.has(vips[-1], 0, 1)
        await becomes(lambda: sum(each.get("made", 0) for each in named(daemon, "groups changed")), 300)
        await becomes(lambda: f"{node(1)} (" in json.dumps(named(daemon, "groups changed")))
        before = len(named(daemon, "groups changed"))
        await clients.pop().close()
        await network.has(vips[-1], 0)
        lost = await becomes(lambda: [each for each in named(daemon, "groups changed")[before:] if "left" in each])
        assert f"{node(1)} (" in lost[0]["left"]
        assert "/32" in lost[0]["first"]
        assert lost[0]["first"].count(",") < 5
        clients[0].send(bgp.update(withdrawn=vips))
        await becomes(lambda: named(daemon, "groups changed")[-1].get("gone"))
        assert len(named(daemon, "groups changed")) < 12


async def test_what_others_do_and_the_operator(network: Network, tmp_path: Path, clients: list[bgp.Client]) -> None:
    """Drift by kind, a refused write that comes to be, a refused reload, a drain: each with whose doing it is."""
    vip = "172.16.1.1/32"
    with running(network.router, tmp_path) as daemon:
        clients.append(await network.establish(0))
        clients[0].send(announcement(0, vip))
        await network.has(vip, 0)
        network.router.ip("route", "del", vip)
        [drift] = await becomes(lambda: named(daemon, "drift mended"))
        assert drift["route_missing"] == 1
        assert drift["found"] == "1 routes were missing"
        network.router.ip("route", "add", "172.16.1.2", "dev", "eth0", "metric", "20", "proto", "static")
        clients[0].send(announcement(0, "172.16.1.2/32"))
        text = "a foreign route to this prefix with metric 20 exists"
        [refused] = await becomes(lambda: named(daemon, "kernel refused"))
        assert (refused["operation"], refused["prefixes"], refused["text"]) == ("SetRoutes", 1, text)
        assert named(daemon, "kernel refuses nothing any more") == []
        network.router.ip("route", "del", "172.16.1.2", "proto", "static")
        await network.has("172.16.1.2", 0)
        await becomes(lambda: len(named(daemon, "kernel refuses nothing any more")), 1)
        daemon.config.write_text(daemon.config.read_text() + "nonsense")
        assert daemon.cli("reload").returncode == 1
        [kept] = named(daemon, "the configuration stays as it is")
        assert "root" in kept["by"]
        assert kept["reason"].endswith(": is neither a [section] nor key = value: nonsense")
        assert daemon.cli("drain", node(0)).returncode == 0
        [drain] = named(daemon, "drain")
        assert (drain["peer"], "root" in drain["by"]) == (node(0), True)
