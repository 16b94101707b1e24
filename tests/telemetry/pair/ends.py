"""Ends of a channel, each in a process of its own (`peers.py`)."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.netns import Namespace


class End:
    """A channel's end, running."""

    def __init__(self, kind: str, options: dict[str, Any], inside: Namespace | None = None) -> None:
        command = (sys.executable, "-m", "tests.telemetry.pair.peers", kind, json.dumps(options))
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = inside.spawn(*command, **pipes) if inside else subprocess.Popen(command, text=True, **pipes)
        self.told: list[tuple[str, Any]] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            what, said = json.loads(line)
            self.told.append((what, said))

    def send(self, line: str) -> None:
        """Send a message."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    @property
    def up(self) -> bool:
        """Whether there is a channel, as the end has last told."""
        return next((what == "up" for what, _ in reversed(self.told) if what in ("up", "down")), False)

    @property
    def ups(self) -> int:
        """How often there was one."""
        return sum(what == "up" for what, _ in self.told)

    @property
    def heard(self) -> list[Any]:
        """What the partner has said."""
        return [said for what, said in self.told if what == "said"]

    @property
    def reasons(self) -> list[str]:
        """Why there was none."""
        return [said for what, said in self.told if what == "down"]

    @property
    def lines(self) -> list[str]:
        """What it had logged."""
        return [said for what, said in self.told if what == "log"]

    def close(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()
        self._thread.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


@contextmanager
def end(kind: str, options: dict[str, Any], inside: Namespace | None = None) -> Iterator[End]:
    """Run an end."""
    made = End(kind, options, inside)
    try:
        yield made
    finally:
        made.close()
