"""What a command loads before it does anything, and how long that takes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.daemon.harness import CLI

NEEDED = "import __future__, argparse, json, locale, signal, socket, textwrap, typing"
"""All that a command takes from the standard library, or what that takes itself."""
LISTED = "import sys, atexit; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
NOWHERE = ("-s", "/nowhere")
ASKING = {
    "status": NOWHERE,
    "peers": NOWHERE,
    "routes": ("--limit", "10", *NOWHERE),
    "route": ("172.16.1.1", *NOWHERE),
    "groups": NOWHERE,
    "drain": ("node", "--wait", *NOWHERE),
    "undrain": ("node", *NOWHERE),
    "version": NOWHERE,
    "peer": ("node", *NOWHERE),
    "flow": ("10.0.0.9:1", "172.16.1.1:2", *NOWHERE),
    "fib": NOWHERE,
    "health": NOWHERE,
    "top": ("--once", *NOWHERE),
    "--help": (),
}
LAZY = ("peer", "flow", "fib", "top", "health")
"""Commands that have a module of their own, which no other one loads."""


def loaded(program: str, *words: str) -> set[str]:
    """Return the modules that a program has loaded at its end."""
    done = subprocess.run([CLI[0], "-c", LISTED + program, *words], capture_output=True, text=True, check=False)
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("command", ASKING)
def test_a_command_loads_no_more_than_it_needs(command: str) -> None:
    """A start took three times as long with typer; its newer versions bring pydantic along, too."""
    found = loaded("from routerd.__main__ import main; main()", command, *ASKING[command]) - loaded(NEEDED)
    assert found == {
        "routerd", "routerd.__main__", "routerd.cli", "routerd.cli.apart", "routerd.cli.arguments",
        "routerd.cli.client", "routerd.cli.commands", "routerd.cli.foreseeing", "routerd.cli.looking",
        "routerd.cli.options", "routerd.cli.output", "routerd.cli.outside", "routerd.cli.peering",
        "routerd.cli.reloading", "routerd.cli.render", "routerd.cli.screen", "routerd.cli.table",
        "routerd.cli.verbosity",
        *([f"routerd.cli.{command}"] if command in LAZY else ()),
    }  # fmt: skip


@pytest.mark.parametrize("command", ["status", "flow", "top", "health"])
def test_a_command_starts_nearly_as_fast_as_python_itself(command: str, tmp_path: Path) -> None:
    """Compiled, as it is installed. The least of several, in turn, of the time on a CPU: what else the machine does
    adds to it."""
    bare, whole = (CLI[0], "-c", "import argparse, json, socket"), (*CLI, command, *ASKING[command])
    compiled = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}
    spent = [(_cpu(*bare, env=compiled), _cpu(*whole, env=compiled)) for _ in range(12)]
    least, ours = (min(times) for times in zip(*spent, strict=True))
    assert ours < 2.2 * least, f"{ours * 1e3:.0f} ms; the modules alone {least * 1e3:.0f} ms"


def _cpu(*command: str, env: Mapping[str, str]) -> float:
    """Run a command and return the seconds that it was on a CPU."""
    silence = [(os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    child = os.posix_spawn(sys.executable, command, env, file_actions=silence)
    usage = os.wait4(child, 0)[2]
    return usage.ru_utime + usage.ru_stime
