"""The file of drains: it outlives routerd, a loss of power, a full disk and a hand that damaged it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from routerd.service.drains import Drains


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "drains.json"


async def test_what_is_stored_is_found_again(file: Path) -> None:
    drains = Drains(str(file))
    assert drains.mark("10.0.0.1", on=True)
    assert not drains.mark("10.0.0.1", on=True)
    assert drains.mark("fd00::1", on=True)
    await drains.store()
    assert Drains(str(file)).peers == {"10.0.0.1", "fd00::1"}
    assert drains.mark("fd00::1", on=False)
    await drains.store()
    assert Drains(str(file)).peers == {"10.0.0.1"}


async def test_octets_and_name_are_on_the_disk(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new file before it takes the name, and the directory after it."""
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        done.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        sync(descriptor)

    def rename(self: Path, target: Path) -> Path:
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", rename)
    await Drains(str(file)).store()
    assert done == ["drains.new", "rename", "state"]


async def test_two_at_once_leave_the_last_word(file: Path) -> None:
    drains = Drains(str(file))
    for number in range(20):
        drains.mark(f"10.0.0.{number}", on=True)
    await asyncio.gather(*(drains.store() for _ in range(5)))
    assert len(json.loads(file.read_text())) == 20


DAMAGED = {
    "empty": b"",
    "not addresses": b'["node-7"]',
    "cut short": b'["10.0.0.1", "10.',
    "an object": b"{}",
    "numbers": b"[1]",
    "no UTF-8": b"\xff\xfe",
    "null": b"null",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
async def test_a_damaged_file_is_set_aside(file: Path, damaged: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(damaged)
    drains = Drains(str(file))
    assert drains.peers == set()
    assert str(file) in drains.unread
    assert file.with_suffix(".damaged").read_bytes() == damaged
    assert not file.exists()
    await drains.store()
    assert (drains.unread, drains.unstored) == ("", "")


async def test_what_cannot_be_read_is_told_and_left(file: Path) -> None:
    file.mkdir(parents=True)
    drains = Drains(str(file))
    assert drains.unread == f"{file} cannot be read: Is a directory"
    drains.mark("10.0.0.1", on=True)
    await drains.store()
    assert "cannot be written" in drains.unstored
    file.rmdir()
    await drains.store()
    assert (drains.unread, drains.unstored) == ("", "")


async def test_without_a_file_they_are_kept_in_memory() -> None:
    drains = Drains("")
    assert drains.mark("10.0.0.1", on=True)
    await drains.store()
    assert (drains.peers, drains.unstored) == ({"10.0.0.1"}, "")
