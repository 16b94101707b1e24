"""Files of dumps: which of them stay, and that a disk that is full spoils none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from routerd.telemetry.mrt.files import TABLE, UPDATES, TableFile, append, name, tidy

HOUR = 3600


def names(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


def test_the_last_ones_of_a_kind_stay_and_nothing_else_goes(tmp_path: Path) -> None:
    for number in range(5):
        for kind in (TABLE, UPDATES):
            (tmp_path / name(kind, number * HOUR)).touch()
    others = ["rib.20260131.140000.mrt.gz", "notes.txt", "rib.mrt", "updates.19700101.000000.mrt.part"]
    for other in others:
        (tmp_path / other).touch()
    tidy(tmp_path, TABLE, 2, 4 * HOUR)
    kept = [name(TABLE, number * HOUR) for number in (3, 4)]
    assert names(tmp_path) == sorted([*kept, *others, *(name(UPDATES, number * HOUR) for number in range(5))])
    tidy(tmp_path, UPDATES, 0, 4 * HOUR)
    assert len([each for each in names(tmp_path) if each.startswith(UPDATES)]) == 6


def test_what_is_made_after_a_clock_that_was_ahead_stays(tmp_path: Path) -> None:
    for number in (1, 100, 101, 2):
        (tmp_path / name(TABLE, number * HOUR)).touch()
    tidy(tmp_path, TABLE, 2, 2 * HOUR)
    assert names(tmp_path) == [name(TABLE, number * HOUR) for number in (1, 2)]


def test_what_an_earlier_life_left_half_made_goes(tmp_path: Path) -> None:
    spoilt = TableFile(tmp_path, 0)
    spoilt.write(b"half")
    whole = TableFile(tmp_path, HOUR)
    whole.write(b"whole")
    assert names(tmp_path) == [f"{name(TABLE, 0)}.part", f"{name(TABLE, HOUR)}.part"]
    whole.finish()
    tidy(tmp_path, TABLE, 0, HOUR)
    assert names(tmp_path) == [name(TABLE, HOUR)]
    assert whole.path.read_bytes() == b"whole"
    spoilt.abandon()


def test_no_record_is_cut_short_by_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(tmp_path, 0, b"first")
    write = os.write

    def full(descriptor: int, octets: memoryview) -> int:
        if len(octets) <= 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, octets[:-3])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        append(tmp_path, 0, b"second")
    monkeypatch.undo()
    append(tmp_path, 0, b"third")
    assert (tmp_path / name(UPDATES, 0)).read_bytes() == b"firstthird"
