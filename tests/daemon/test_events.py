"""`routerd events`, of the real daemon: what has happened, and what comes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from pathlib import Path
from typing import IO, Any

import pytest

from tests.daemon.harness import CLI, Network, Routerd, announcement, becomes, node, running
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
        assert told(daemon, "--since", "1h") == told(daemon)
        assert told(daemon, "--since", "0s") == []
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
