"""Network namespaces without names: each is held by a process of its own and is gone with it.

Nothing is written to /run/netns, so that an ordinary user can have namespaces too, several labs never collide,
and nothing stays behind even if the lab itself is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from routerd.lab.waiting import LabError, until

# An ordinary user's PATH lacks the directories of ip and the daemons.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace; `pid` is its holder."""

    name: str
    pid: int

    def command(self, *argv: str) -> list[str]:
        """Return the command line that runs `argv` inside; the process it makes is `argv` itself."""
        return ["nsenter", f"--target={self.pid}", "--net", *argv]

    def run(self, *argv: str, stdin: str = "") -> str:
        """Run a command inside and return its output; LabError with what it complained about if it fails."""
        done = self.attempt(*argv, stdin=stdin)
        if done.returncode != 0:
            complaint = (done.stderr or done.stdout).strip()
            raise LabError(f"{self.name}: {' '.join(argv)}: exit {done.returncode}: {complaint}")
        return done.stdout

    def attempt(self, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command inside that may fail; LabError if it does not end within 30 s."""
        try:
            return subprocess.run(
                self.command(*argv),
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                timeout=30,
                env=os.environ | {"PATH": PATH},
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{self.name}: {' '.join(argv)} did not end within 30 s") from error

    def ip(self, *commands: str) -> None:
        """Run `ip` commands inside, in one process: `ns.ip("link set lo up", "route add ...")`."""
        self.run("ip", "-batch", "-", stdin="\n".join(commands) + "\n")

    def sysctl(self, name: str, value: str | None = None) -> str:
        """Return a setting such as `net.ipv4.ip_forward` as it was, after setting it if `value` is given."""
        path = "/proc/sys/" + name.replace(".", "/")
        before = self.run("cat", path).strip()
        if value is not None:
            self.run("tee", path, stdin=value)
        return before

    def processes(self) -> list[int]:
        """Return the ids of the processes inside, without the holder."""
        inside = os.stat(f"/proc/{self.pid}/ns/net")
        return [pid for pid in _process_ids() if pid != self.pid and _same_namespace(pid, inside)]

    def kill_all(self) -> None:
        """Kill every process inside but the holder, as a power cut does."""

        def killed() -> str:
            left = self.processes()
            for pid in left:
                _kill(pid)
            return f"processes {left} are still alive" if left else ""

        until(killed, 10, f"{self.name}: killing what runs inside")


@contextmanager
def namespace(name: str) -> Iterator[Namespace]:
    """Make a namespace with its loopback up; at the end kill what runs inside and let it go."""
    # The holder reads from a pipe that only this process writes to: it ends with us, however we end.
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo held && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"PATH": PATH},
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stderr is not None
        if holder.stdout.readline() != "held\n":
            raise LabError(f"cannot make a network namespace: {holder.stderr.read().strip()}")
        made = Namespace(name, holder.pid)
        try:
            made.ip("link set lo up")
            yield made
        finally:
            made.kill_all()


def _process_ids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _same_namespace(pid: int, wanted: os.stat_result) -> bool:
    try:
        found = os.stat(f"/proc/{pid}/ns/net")
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # ended, a zombie, or another user's
        return False
    return (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it ended by itself in the meantime
