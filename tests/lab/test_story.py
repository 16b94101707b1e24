"""`routerd lab` as a user runs it: the whole story, several at once, and nothing left behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from routerd.lab.waiting import until
from tests.support.nobody import as_nobody, everybodys_python

LAST = "✔ routerd stops and starts"
DEADLINE = 100


class Run:
    """A running lab. Its mark is in the environment of each of its processes."""

    def __init__(self, directory: Path, *arguments: str, python: list[str]) -> None:
        self.mark = f"ROUTERD_LAB_TEST={uuid.uuid4()}"
        self.directory = directory
        self.output = directory.with_suffix(".out")
        name, value = self.mark.split("=")
        with self.output.open("w") as output:
            self.child = subprocess.Popen(
                [*python, "-m", "routerd", "lab", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {name: value, "TMPDIR": str(directory)},
            )

    @property
    def text(self) -> str:
        return self.output.read_text()

    def wait_for(self, line: str) -> None:
        def missing() -> str:
            return "" if line in self.text or self.child.poll() is not None else f"so far:\n{self.text}"

        until(missing, DEADLINE, line)
        assert line in self.text

    def finish(self) -> int:
        """Wait for the end; check that no process and no file is left."""
        status = self.child.wait(DEADLINE)
        # Orphans are dead by now, but init has to collect them.
        until(lambda: " ".join(self.processes()), 5, "nothing is left")
        assert list(self.directory.iterdir()) == []
        return status

    def processes(self) -> list[str]:
        return [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit() and self._is_ours(entry)]

    def _is_ours(self, entry: Path) -> bool:
        try:
            return self.mark.encode() in (entry / "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return False


@contextmanager
def lab(*arguments: str, python: list[str] | None = None) -> Iterator[Run]:
    """Start a lab; whatever the test finds, end it."""
    directory = Path(tempfile.mkdtemp(prefix="lab-"))
    directory.chmod(0o777)
    run = Run(directory, *arguments, python=python or [sys.executable])
    try:
        yield run
    finally:
        run.child.kill()
        run.child.wait()
        shutil.rmtree(directory)
        run.output.unlink()


def nobodys_python(top: Path) -> list[str]:
    """Return how an ordinary user runs this Python."""
    return ["unshare", "--mount", *as_nobody(top, writable_sysctls=True), str(top / "bin" / "python")]


def _host_links() -> set[str]:
    return {entry.name for entry in Path("/sys/class/net").iterdir()}


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_three_labs_at_once_as_root_with_gobgp_and_as_an_ordinary_user() -> None:
    gobgp = shutil.which("gobgpd") is not None
    with (
        everybodys_python() as top,
        lab("--keep") as kept,
        lab("--speaker", "gobgp" if gobgp else "embedded") as other,
        lab(python=nobodys_python(top)) as unprivileged,
    ):
        kept.wait_for("End it with Ctrl-C or SIGTERM.")
        commands = re.findall(r"^  (nsenter .* ip route show .*|.* status --socket .*)$", kept.text, re.MULTILINE)
        route, screen = (subprocess.run(c, shell=True, capture_output=True, text=True, check=True) for c in commands)
        assert route.stdout.count("nexthop via") == 3
        assert "3 of 3 established" in screen.stdout
        kept.child.send_signal(signal.SIGTERM)
        assert kept.finish() == 128 + signal.SIGTERM
        for run in (unprivileged, other):
            assert run.finish() == 0, run.text
            assert LAST in run.text
            assert "✘" not in run.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_nothing_is_left(number: signal.Signals) -> None:
    before = _host_links()
    with lab() as run:
        run.wait_for("✔ The nodes boot")
        assert _host_links() == before
        run.child.send_signal(number)
        assert run.finish() == 128 + number
        assert f"ended by {number.name}" in run.text


def test_a_failing_step_ends_it_with_the_logs() -> None:
    with lab() as run:
        run.wait_for("✔ The nodes boot")
        (speaker,) = _pids(run, "exabgp", "k8s-w0")
        os.kill(speaker, signal.SIGKILL)
        assert run.finish() == 1
        assert "✘" in run.text
        assert "the end of the log of routerd" in run.text


def _pids(run: Run, *words: str) -> list[int]:
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in run.processes()}
    return [int(pid) for pid, line in lines.items() if all(word in line for word in words)]


def test_an_unknown_speaker_is_refused() -> None:
    with lab("--speaker", "openbgpd") as run:
        assert run.finish() == 2
        assert "no speaker 'openbgpd'; there is: embedded, gobgp, frr, bird" in run.text


def test_who_looks_at_one_router_is_told_so() -> None:
    with lab("--pair", "--observe") as run:
        assert run.finish() == 2
        assert "--observe looks at one router" in run.text
