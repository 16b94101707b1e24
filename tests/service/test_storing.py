"""What outlives routerd is kept in files, whatever somebody has written into the configuration."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from routerd.service.drains import Drains
from routerd.service.journal import Journal
from routerd.service.storing import read, write
from tests.support.netns import needs_root


@pytest.fixture(params=["device", "pipe", "link to a device", "directory"])
def special(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return something that is no regular file."""
    path = tmp_path / "kept.json"
    match request.param:
        case "device":
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        case "pipe":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case _:
            os.mknod(tmp_path / "device", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            path.symlink_to(tmp_path / "device")
    return path


@needs_root
def test_what_is_no_file_stays_what_it_is(special: Path) -> None:
    """As `/dev/null` does, in particular."""
    before = {each.name: each.lstat().st_mode for each in special.parent.iterdir()}
    with pytest.raises(OSError, match="no regular file"):
        write(special, "{}")
    with pytest.raises(OSError):  # noqa: PT011
        read(special)
    for unread in (Journal(special).unread, Drains(str(special)).unread):
        assert "cannot be read: " in unread
    assert {each.name: each.lstat().st_mode for each in special.parent.iterdir()} == before


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "kept.json"
    for text in ("one", "two"):
        write(path, text)
        assert read(path) == text.encode()
    assert os.listdir(path.parent) == ["kept.json"]
