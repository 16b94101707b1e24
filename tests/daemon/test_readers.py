"""`[api] readers`: a group that may look at a socket of its own, and change nothing there."""

from __future__ import annotations

import grp
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, Routerd, network, running
from tests.support.netns import needs_root

pytestmark = needs_root

GROUP = "daemon"
NOBODY = 65534


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Routerd, Path]]:
    with tempfile.TemporaryDirectory() as public, network() as made:
        Path(public).chmod(0o755)
        path = Path(public, "read.sock")
        config = CONFIG.replace("[api]\n", f'[api]\nreaders = "{GROUP}"\nreaders_socket = "{path}"\n')
        with running(made.router, tmp_path_factory.mktemp("daemon"), config) as daemon:
            yield daemon, path


AS_NOBODY = """
import gettext, http.client, locale, os, shutil, sys
from routerd.__main__ import main
user, group = int(sys.argv.pop(1)), int(sys.argv.pop(1))
os.setgroups([group])
os.setresgid(group, group, group)
os.setresuid(user, user, user)
main()
"""


def _run(path: Path, *words: str, user: int = NOBODY, group: str = GROUP) -> subprocess.CompletedProcess[str]:
    """Run a command of the CLI as a user whose only group that is."""
    number = grp.getgrnam(group).gr_gid
    command = [sys.executable, "-c", AS_NOBODY, str(user), str(number), *words, "--socket", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_readers_may_look(place: tuple[Routerd, Path]) -> None:
    _, path = place
    for words in (["status", "--json"], ["peers"], ["routes"], ["groups"], ["log"]):
        done = _run(path, *words)
        assert done.stderr == "", words


def test_nobody_changes_anything_there(place: tuple[Routerd, Path]) -> None:
    daemon, path = place
    for words in (["drain", "a"], ["clear", "a"], ["log", "error"], ["reload"]):
        done = _run(path, *words)
        assert (done.returncode, "one may only look at this socket" in done.stderr) == (1, True), (words, done.stderr)
    assert "may look only" in _run(path, "diff").stderr
    refused = _run(path, "flow", "203.0.113.9:40000", "172.16.1.1:443").stderr
    assert "may look only" in refused
    assert "as a packet of the flow" in refused
    assert _run(path, "log", "error", user=0).returncode == 1, "whoever asks"
    assert daemon.cli("log").stdout.endswith("info or above\n")


def test_others_may_not_even_look(place: tuple[Routerd, Path]) -> None:
    daemon, path = place
    assert _run(path, "status", group="nogroup").returncode == 1
    assert _run(daemon.socket, "status").returncode == 1
