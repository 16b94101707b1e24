"""A long-running program inside a namespace, with its log in a file."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from routerd.lab.namespaces import PATH, Namespace
from routerd.lab.waiting import LabError


class Process:
    """A child of the lab. It is killed when the lab dies, and it does not see the terminal's Ctrl-C."""

    def __init__(
        self,
        namespace: Namespace,
        argv: Sequence[str],
        log: Path,
        env: dict[str, str] | None = None,
        inherited: Sequence[int] = (),
    ) -> None:
        """Start `argv` inside `namespace`; output and errors are appended to the file `log`.

        `inherited` are file descriptors that it has, too."""
        self.log = log
        self.name = f"{Path(argv[0]).name} in {namespace.name}"
        command = namespace.command("setpriv", "--pdeathsig", "KILL", *argv)
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | {"PATH": PATH} | (env or {}),
                pass_fds=inherited,
            )

    @property
    def pid(self) -> int:
        """The program's own process id."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._child.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        self._child.send_signal(number)

    def stop(self, timeout: float = 15.0) -> int:
        """Ask it to end with SIGTERM and return its exit status; LabError if it does not in `timeout` seconds."""
        self._child.terminate()
        try:
            return self._child.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{self.name} did not end within {timeout:g} s of SIGTERM") from error

    def kill(self) -> None:
        """Kill it and what it started in its own process group, and wait until it is gone."""
        if self.running:
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log; "" when there is none."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
