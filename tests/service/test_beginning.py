"""With which configuration routerd begins, and what it says of that: it leaves the router."""

from __future__ import annotations

from pathlib import Path

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
