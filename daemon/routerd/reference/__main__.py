"""`python -m routerd.reference ROOT`: write all of it below a directory, as `make reference` does."""

from __future__ import annotations

import sys
from pathlib import Path

from routerd.__main__ import ABOUT, COMMANDS
from routerd.reference import completions, manual, schema


def made() -> dict[str, str]:
    """Return what is in each file, by its place in the repository."""
    return {
        "share/completions/routerd.bash": completions.bash(COMMANDS),
        "share/completions/_routerd": completions.zsh(COMMANDS),
        "share/completions/routerd.fish": completions.fish(COMMANDS),
        "share/man/routerd.8": manual.page(ABOUT, COMMANDS),
        "docs/schema.json": schema.text(),
    }


if __name__ == "__main__":
    for place, text in made().items():
        path = Path(sys.argv[1], place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
