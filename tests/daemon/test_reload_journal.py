"""The files that `routerd reload` reads and keeps: those that are none, and what the journal says after a crash."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from routerd.config.source import LARGEST
from tests.daemon.harness import CLI, Network, Routerd, becomes, running
from tests.daemon.test_reload import STATIC, reload, written
from tests.support.netns import needs_root

pytestmark = needs_root

FIRST, SECOND, THIRD = "10.0.0.71", "10.0.0.72", "10.0.0.73"
"""Router ids: what tells which configuration runs."""


@pytest.fixture
def daemon(network: Network, tmp_path: Path) -> Iterator[Routerd]:
    with running(network.router, tmp_path, text(FIRST), journal(tmp_path)) as made:
        yield made


def text(router_id: str) -> str:
    """Return a configuration with a router id."""
    return written(STATIC, "router.router_id", f'"{router_id}"')


def journal(directory: Path) -> tuple[str, str]:
    """Return the option that names the journal."""
    return "--journal", str(directory / "journal.json")


def other(daemon: Routerd, router_id: str) -> str:
    """Return the daemon's file with another router id."""
    return written(daemon.config.read_text(), "router.router_id", f'"{router_id}"')


def crash(daemon: Routerd) -> None:
    """Kill the daemon, and start it again."""
    daemon.kill()
    daemon.start(*journal(daemon.config.parent))


def shown(daemon: Routerd) -> list[tuple[int, bool]]:
    """Return the numbers of the history, and whether each is confirmed, the oldest first."""
    entries: list[dict[str, Any]] = json.loads(daemon.cli("config", "history", "--json").stdout)
    return [(entry["number"], entry["confirmed"]) for entry in reversed(entries)]


async def test_what_is_no_file_is_refused_at_once(daemon: Routerd, tmp_path: Path) -> None:
    """A pipe that nobody writes to holds up neither the next reload nor the end of the daemon."""
    (tmp_path / "conf.d").mkdir()
    for path in (tmp_path / "pipe", tmp_path / "conf.d" / "a.toml"):
        os.mkfifo(path)
    (tmp_path / "includes.toml").write_text('include = "conf.d"\n' + daemon.config.read_text())
    for name in ("pipe", "includes.toml", "/dev/zero"):
        for command in ("reload", "diff"):
            done = daemon.cli(command, str(tmp_path / name))
            assert done.returncode != 0
            assert "is no regular file" in done.stderr
    assert "is a directory" in daemon.cli("reload", str(tmp_path)).stderr.lower()
    assert reload(daemon, other(daemon, SECOND))["changes"]
    daemon.config.unlink()
    os.mkfifo(daemon.config)
    assert "is no regular file" in daemon.cli("reload").stderr
    assert await asyncio.to_thread(daemon.stop) == 0


async def test_a_huge_file_is_refused(daemon: Routerd, tmp_path: Path) -> None:
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * (LARGEST + 1))
    assert "has more than" in daemon.cli("reload", str(huge)).stderr


async def test_another_name_of_the_file_is_the_file(daemon: Routerd, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(daemon.config)
    daemon.config.write_text(other(daemon, SECOND))
    assert daemon.cli("reload", str(link)).returncode == 0
    assert "configuration" not in daemon.problems()
    crash(daemon)
    assert "configuration" not in daemon.problems()
    assert daemon.status()["router_id"] == SECOND


@pytest.mark.parametrize("edited", ["not", "since", "back"])
async def test_what_was_never_confirmed_is_no_history(daemon: Routerd, tmp_path: Path, edited: str) -> None:
    """Neither after a crash, whatever the file says then, nor for a rollback."""
    good = daemon.config.read_text()
    unconfirmed = tmp_path / "unconfirmed.toml"
    unconfirmed.write_text(other(daemon, SECOND))
    if edited == "not":
        assert daemon.cli("reload", str(unconfirmed), "--confirm", "3600").returncode == 0
    else:
        reload(daemon, other(daemon, SECOND), "--confirm", "3600")
        daemon.config.write_text(good if edited == "back" else other(daemon, THIRD))
    assert shown(daemon) == [(1, True), (2, False)]
    crash(daemon)
    assert daemon.status()["router_id"] == (THIRD if edited == "since" else FIRST)
    assert all(confirmed for _, confirmed in shown(daemon))
    daemon.cli("rollback")
    assert daemon.status()["router_id"] == FIRST
    crash(daemon)
    assert daemon.status()["router_id"] == FIRST


async def test_status_says_that_the_file_was_taken_back(daemon: Routerd) -> None:
    good = daemon.config.read_text()
    reload(daemon, other(daemon, SECOND), "--confirm", "1")
    await becomes(lambda: daemon.status()["router_id"], FIRST)
    await becomes(lambda: "was taken back" in daemon.problems().get("configuration", ""))
    crash(daemon)
    assert daemon.status()["router_id"] == FIRST
    assert "runs, not" in daemon.problems()["configuration"]
    assert reload(daemon, good)["changes"] == []
    assert "configuration" not in daemon.problems()


async def test_a_full_disk(daemon: Routerd, network: Network, tmp_path: Path) -> None:
    """What waits to be confirmed when the disk is full is taken back, and stays so over a crash; so does what runs
    when the disk was full at the start."""
    kept = tmp_path / "disk"
    kept.mkdir()
    option = ("--journal", str(kept / "journal.json"))
    mount = ("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(kept))
    filler = kept / "filler"
    subprocess.run(mount, check=True)
    try:
        _fill(filler)
        daemon.kill()
        daemon.start(*option)
        daemon.config.write_text(other(daemon, SECOND))
        assert "cannot be written" in daemon.cli("reload").stderr
        assert daemon.status()["router_id"] == FIRST
        filler.unlink()
        assert daemon.cli("reload", "--confirm", "2").returncode == 0
        assert shown(daemon) == [(1, True), (2, False)]
        _fill(filler)
        assert "cannot be written" in daemon.cli("confirm").stderr
        await becomes(lambda: daemon.status()["router_id"], FIRST)
        assert shown(daemon) == [(1, True)]
        daemon.kill()
        daemon.start(*option)
        assert daemon.status()["router_id"] == FIRST
        filler.unlink()
        assert daemon.cli("reload").returncode == 0
        assert shown(daemon) == [(1, True), (2, True)]
    finally:
        daemon.kill()
        subprocess.run(("umount", str(kept)), check=True)


def _fill(path: Path) -> None:
    with open(path, "ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"null",
        b'{"entries": 1, "own": ""}',
        b'{"own": "", "entries": [{"number": 1e999, "time": 0, "by": "", "files": [], "confirmed": true}]}',
        b'{"version": 9, "configurations": []}',
        b"[" * 100_000,
    ],
)
async def test_a_damaged_journal_is_set_aside(daemon: Routerd, tmp_path: Path, content: bytes) -> None:
    """Status says so, until there is a history again."""
    daemon.kill()
    kept = tmp_path / "journal.json"
    kept.write_bytes(content)
    daemon.start(*journal(tmp_path))
    assert daemon.status()["router_id"] == FIRST
    assert "is damaged" in daemon.problems()["configuration"]
    assert (tmp_path / "journal.damaged").read_bytes() == content
    reload(daemon, other(daemon, SECOND))
    assert "configuration" not in daemon.problems()


async def test_reloads_come_one_after_the_other(daemon: Routerd) -> None:
    """Two at once, and a storm of signals: each is whole."""
    command = (*CLI, "reload", "--socket", str(daemon.socket))
    reloads = [await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL) for _ in range(4)]
    for number in range(80):
        daemon.config.write_text(other(daemon, f"10.0.1.{number + 1}"))
        daemon.signal(1)
    for each in reloads:
        await each.wait()
    await becomes(lambda: daemon.status()["router_id"], "10.0.1.80")
    assert "configuration" not in daemon.problems()
    crash(daemon)
    assert daemon.status()["router_id"] == "10.0.1.80"
