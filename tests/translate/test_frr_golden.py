"""frr.conf files beside the routerd.toml that each becomes. UPDATE_GOLDEN=1 writes them anew: read the difference."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from routerd.config.load import parse
from routerd.translate.frr.render import translate
from routerd.translate.report import Report

FILES = sorted((Path(__file__).parent / "frr").glob("*.conf"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_becomes_what_stands_beside_it(file: Path) -> None:
    made = translate(file.read_text(), Report())
    parse(made)
    golden = file.with_suffix(".toml")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(made)
    assert made == golden.read_text()
