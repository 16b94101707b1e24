"""How a command that cannot do its work says so."""

from __future__ import annotations

import sys
from pathlib import Path

from routerd.config.load import load
from routerd.config.model import Config
from routerd.config.source import ConfigError

BAD_CONFIG = 2
"""The exit code where the configuration cannot be used."""


def refuse(text: str, code: int = BAD_CONFIG) -> int:
    """Say why, each line with the program's name, and return the exit code."""
    for line in text.splitlines():
        print(f"routerd: {line}", file=sys.stderr)
    return code


def read_config(path: Path) -> Config | None:
    """Return the configuration; None, having said why, if it cannot be used."""
    try:
        return load(path)
    except ConfigError as error:
        refuse(str(error))
        return None
