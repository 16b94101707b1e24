"""With which configuration routerd begins, and what it says of that: it leaves the router."""

from __future__ import annotations

from pathlib import Path

import pytest

from routerd.api.views.problems.service import lost_history
from routerd.config.source import read
from routerd.service.beginning import begin
from routerd.service.journal import Journal, digest
from tests.support.core import CONFIG


def test_no_text_of_a_file_that_is_wrong_is_told(tmp_path: Path) -> None:
    path = tmp_path / "routerd.toml"
    path.write_text(CONFIG)
    journal, files = Journal(None), read(path).files
    journal.add(files, digest(files), 0.0, "the start", confirmed=True)
    for wrong in ('[api]\nsocket = "s3cret"x\n', '[peer_groups.other]\npassword = ["s3cret"]\n', "s3cret\n"):
        path.write_text(f"{CONFIG}\n{wrong}")
        differs = begin(path, journal).differs
        assert f"{path} cannot be used" in differs
        assert f"({path}:" in differs
        assert "s3cret" not in differs


async def test_a_journal_that_cannot_be_written_is_a_problem_until_it_can(tmp_path: Path) -> None:
    """Else a restart, with a file that has an error by then, would go on with what ran long before."""
    path, place = tmp_path / "routerd.toml", tmp_path / "full"
    path.write_text(CONFIG)
    place.write_text("no directory")
    journal = Journal(place / "journal.json")
    begin(path, journal)
    (problem,) = lost_history("", journal.unstored)
    assert f"{journal.path} cannot be written: " in problem["what"]
    await journal.store()
    assert journal.unstored
    place.unlink()
    await journal.store()
    assert list(lost_history("", journal.unstored)) == []
    assert Journal(journal.path).entries == journal.entries != []


def test_a_change_that_cannot_be_stored_is_none(tmp_path: Path) -> None:
    (tmp_path / "journal.json").mkdir()
    journal = Journal(None)
    journal.path = tmp_path / "journal.json"
    with pytest.raises(OSError, match="no regular file"):
        journal.add([], "", 0.0, "ann", confirmed=True)
    assert (journal.entries, journal.unstored) == ([], "")
