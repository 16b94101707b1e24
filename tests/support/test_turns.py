"""A test that runs alone waits for the others, and those that come later wait for it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from tests.support.turns import turn


def waits(file: Path) -> bool:
    """Tell whether somebody waits for the lock of a file: proc(5), lines with an arrow, which end with its inode and
    the range."""
    lines = [line.split() for line in Path("/proc/locks").read_text(encoding="ascii").splitlines()]
    return any("->" in line and line[-3].split(":")[-1] == str(file.stat().st_ino) for line in lines)


def wait(thread: threading.Thread, file: Path) -> None:
    """Wait until a thread waits for the lock of a file, or is through."""
    until = time.monotonic() + 60
    while thread.is_alive() and not waits(file):
        assert time.monotonic() < until
        time.sleep(0.005)


def test_who_runs_alone_waits_and_is_not_overtaken(tmp_path: Path) -> None:
    order: list[str] = []

    def run(name: str, alone: bool) -> None:
        with turn(tmp_path, alone=alone):
            order.append(name)

    def begin(name: str, alone: bool) -> threading.Thread:
        thread = threading.Thread(target=run, args=(name, alone), daemon=True)
        thread.start()
        return thread

    with turn(tmp_path, alone=False):
        begin("beside", False).join(60)
        assert order == ["beside"]
        alone = begin("alone", True)
        wait(alone, tmp_path / "running")
        later = begin("later", False)
        wait(later, tmp_path / "door")
        assert order == ["beside"]
    alone.join(60)
    later.join(60)
    assert order == ["beside", "alone", "later"]
