"""The arrows between the rooms, as pyproject.toml states them under [tool.importlinter]."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import routerd

ROOT = Path(__file__).parent.parent
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def test_contracts_are_kept() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", sorted(m.name for m in pkgutil.iter_modules(routerd.__path__)))
def test_every_room_has_its_place(module: str) -> None:
    """A new room that no contract names could import whatever it likes."""
    named = {name for contract in CONTRACTS for name in contract.get("source_modules", contract.get("modules", ()))}
    assert f"routerd.{module}" in named, f"add routerd.{module} to the contracts"
