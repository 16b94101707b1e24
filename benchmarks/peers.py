"""The load generator and the sinks as processes in the nodes' namespace, and what they say."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.contenders.contender import BenchError
from benchmarks.net import ROUTER
from routerd.lab.namespaces import PATH, Namespace

ROOT = Path(__file__).parents[1]
PATIENCE = 240.0
"""Seconds that sessions may take to come up, and work to be taken."""


class Peers:
    """One process full of peers: `module` is `generator` or `sink`, `options` its command line."""

    def __init__(self, nodes: Namespace, module: str, *options: str, check: Callable[[], None]) -> None:
        command = [sys.executable, "-m", f"benchmarks.{module}", "--router", ROUTER, *options]
        self._check = check
        self._rest = b""
        self._child = subprocess.Popen(
            nodes.command("setpriv", "--pdeathsig", "KILL", *command),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | {"PATH": PATH},
        )

    def command(self, line: str) -> None:
        """Tell it what to do."""
        assert self._child.stdin is not None
        self._child.stdin.write(f"{line}\n".encode())
        self._child.stdin.flush()

    def heard(self, event: str) -> float:
        """Wait until it says that something happened, and return when; what it said before is passed over."""
        deadline = time.monotonic() + PATIENCE
        while True:
            said = json.loads(self._line(deadline, event))
            if said["event"] == event:
                return float(said["time"])

    def do(self, line: str) -> float:
        """Tell it what to do, and return when it began."""
        self.command(line)
        return self.heard("begun")

    def kill(self) -> None:
        """End it."""
        self._child.kill()
        self._child.communicate()

    def _line(self, deadline: float, event: str) -> bytes:
        assert self._child.stdout is not None
        descriptor = self._child.stdout.fileno()
        while b"\n" not in self._rest:
            if not select.select([descriptor], [], [], 1.0)[0]:
                self._check()
                if time.monotonic() > deadline:
                    raise BenchError(f"the peers did not say {event!r} within {PATIENCE:g} s")
                continue
            data = os.read(descriptor, 1 << 16)
            if not data:
                self._check()
                raise BenchError(f"the peers ended with {self._child.wait()} before they said {event!r}")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line
