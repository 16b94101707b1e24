"""Every command that the documents name is run here, or a table says why not, and what tests it instead."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.daemon.harness import CONFIG, Network, Routerd, announcement, becomes, network, node, running
from tests.support.bgp import end_of_rib
from tests.support.netns import needs_root

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
PROGRAMS = (
    "ask", "alias", "curl", "docker", "install", "ip", "journalctl", "make", "python", "routerd", "sudo", "sudoedit",
    "sysctl", "systemctl", "systemd-analyze", ".venv/bin/python",
)  # fmt: skip

NOT_RUN = {
    # It would change the machine that the tests run on.
    "make install": "tests/packaging/test_install.py",
    "make install WHEELHOUSE=wheelhouse": "as without; the packages take a network",
    "make uninstall": "by hand",
    "make wheelhouse": "takes a network",
    "make lock": "takes a network; what it writes: tests/packaging/test_install.py",
    "sudoedit /etc/routerd/routerd.toml": "takes an editor",
    "sysctl --system": "tests/packaging/test_systemd.py has what the file sets",
    "systemctl enable --now routerd": "there may be no systemd; the unit: tests/packaging/test_systemd.py",
    "systemctl restart routerd": "as enable",
    "routerd reload": "tests/daemon/test_reload.py",
    "routerd reload --confirm 60": "tests/daemon/test_reload.py",
    "routerd confirm": "tests/daemon/test_reload.py",
    "routerd clear NODE": "tests/daemon/test_peering.py",
    'routerd shutdown NODE "disk swap, back at 15:00"': "tests/daemon/test_peering.py",
    'routerd shutdown NODE "why"': "tests/daemon/test_peering.py",
    "routerd drain --self": "tests/daemon/test_own_drain.py; its health would fail for the others",
    "routerd drain --self --wait": "tests/daemon/test_own_drain.py",
    "routerd rollback": "tests/daemon/test_reload.py",
    "routerd rollback NUMBER": "tests/daemon/test_reload.py",
    "routerd run --journal FILE": "tests/daemon/test_reload.py",
    "systemctl edit routerd": "as enable",
    "systemctl status": "as enable",
    "curl http://127.0.0.1:9179/metrics": "tests/daemon/test_metrics.py",
    "ip monitor route nexthop": "has no end",
    "journalctl -u routerd -p warning": "as enable; what the journal gets: tests/telemetry/test_log.py",
    # There is no container engine: docs/container.md says so itself.
    "docker build -t routerd .": "tests/packaging/test_files.py, test_unprivileged.py",
    "docker run --detach --name routerd --restart always": "as build",
    "docker run ... routerd flush --config /etc/routerd/routerd.toml": "as build",
    "docker exec routerd routerd status": "as build",
    "docker exec": "as build",
    "install -d -m 0750 -o 53179 -g 53179 /run/routerd": "on the host of such a container",
    "install -d -m 0750 -o 53179 -g 53179 /var/lib/routerd": "on the host of such a container",
    # They have tests of their own.
    "routerd import frr /etc/frr/frr.conf --output routerd.toml": "tests/translate/test_import_command.py",
    "routerd import frr -": "tests/translate/test_import_command.py",
    "routerd import frr": "tests/translate/test_import_command.py",
    "routerd check routerd.toml": "tests/translate/test_import_command.py",
    "routerd flow 203.0.113.9:40000 172.16.1.1:443": "tests/failover/test_which_node.py",
    "routerd flow SRC:PORT DST:PORT": "tests/failover/test_which_node.py",
    "routerd pair": "tests/api/test_pair.py, tests/cli/test_pair.py: it takes two routers",
    "routerd top": "tests/daemon/test_looking.py; it goes on until Ctrl-C",
    "routerd events --follow": "tests/daemon/test_events.py",
    "routerd fleet": "tests/daemon/test_fleet.py",
    "routerd fleet drain NODE": "tests/daemon/test_fleet.py",
    "routerd fleet undrain NODE": "tests/daemon/test_fleet.py",
    "curl http://192.168.10.200:29184/routes/table/master": "tests/daemon/test_looking_glass.py",
    "ask http://routerd/openapi.json | python -m routerd.reference.client > routerd_client.py": (
        "tests/packaging/test_documented_client.py"
    ),
    "routerd dump /tmp/table.mrt": "tests/daemon/test_dumps.py",
    "routerd lab": "tests/lab",
    "routerd run --record FILE": "tests/daemon/test_engine.py",
    "routerd flush": "tests/daemon/test_ownership.py; it would spoil the others",
    "ip neigh ... nud permanent": "tests/failover/test_neighbours.py",
    "ip neigh del": "tests/failover/test_neighbours.py",
    "ip neigh flush": "tests/failover/test_neighbours.py",
    "systemd-analyze security": "tests/packaging/test_systemd.py",
    # The alias of docs/api.md, which every `ask` here stands for.
    "alias ask='curl -sS --unix-socket /run/routerd/routerd.sock'": "all commands with ask",
}


def commands(page: Path) -> list[str]:
    """Return the commands of a page, without sudo.

    They are the lines of its blocks after `$ `, or all lines of a block that begins with a program's name; and what
    stands in back quotes and begins with one, followed by a word.
    """
    text = page.read_text()
    found = []
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        lines = re.sub(r" \\\n\s*", " ", block).splitlines()
        if any(line.startswith("$ ") for line in lines):
            found += [line[2:] for line in lines if line.startswith("$ ")]
        elif lines[0].split()[0] in PROGRAMS and not lines[0].startswith("routerd 0."):
            found += [line.split("  #")[0] for line in lines]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for span in re.findall(r"`([^`]+)`", prose):
        words = span.split()
        if len(words) > 1 and words[0] in PROGRAMS:
            found.append(" ".join(words))
    return [command.strip().removeprefix("sudo ") for command in found]


ALL = sorted({command for page in PAGES for command in commands(page)})


def _why_not(command: str) -> str:
    return next((why for name, why in NOT_RUN.items() if command == name or command.startswith(name + " --")), "")


RUN = [command for command in ALL if not _why_not(command)]


def test_the_table_has_nothing_too_much() -> None:
    unused = {name for name in NOT_RUN if not any(each == name or each.startswith(name + " --") for each in ALL)}
    assert unused == set()
    assert len(RUN) > 25
    for why in NOT_RUN.values():
        for path in re.findall(r"tests/[\w/.]+\w", why):
            assert (ROOT / path).exists(), path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Network, Routerd]]:
    """A daemon with two nodes as in the documents: k8s-w0 has a name, and both announce 172.16.1.1."""
    peer = f'\n[fib]\nidle_timer = 1\n\n[[peers]]\nname = "k8s-w0"\naddress = "{node(0)}"\ngroup = "nodes"\n'
    async with AsyncExitStack() as stack:
        made = stack.enter_context(network())
        daemon = stack.enter_context(running(made.router, tmp_path_factory.mktemp("daemon"), CONFIG + peer))
        for number in range(2):
            client = await stack.enter_async_context(await made.establish(number, hold=0))
            client.send(announcement(number, "172.16.1.1") + end_of_rib())
        await made.has("172.16.1.1", 0, 1)
        await becomes(daemon.problems, {})
        yield made, daemon


@needs_root
@pytest.mark.parametrize("command", RUN)
async def test_a_documented_command_works(place: tuple[Network, Routerd], command: str, tmp_path: Path) -> None:
    made, daemon = place
    done = await asyncio.to_thread(_run, made, daemon, _for_this_place(command, daemon))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def _for_this_place(command: str, daemon: Routerd) -> str:
    """Return a command with the names of this test in place of the documents'."""
    if command.startswith("make "):
        return f"cd {ROOT}; {command.replace('make ', 'make --dry-run ', 1)}"
    if module := re.match(r"\.venv/bin/python -m ([\w.]+)$", command):
        return f"cd {ROOT}; python -c 'import {module[1]} as m; assert callable(m.main)'"
    if command in ("routerd status --watch", "routerd route", "routerd check", "routerd import", "routerd export"):
        return f"{command} --help"  # what it does without end or argument: tests/daemon/test_cli.py
    for name, here in {
        "/etc/routerd/routerd.toml": str(daemon.config),
        "/run/routerd/routerd.sock": str(daemon.socket),
        "FILE": str(daemon.config),
        "NODE": "k8s-w0",
        "ADDRESS": node(0),
        "PREFIX": "172.16.1.1/32",
    }.items():
        command = command.replace(name, here)
    return command


def _run(made: Network, daemon: Routerd, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a shell in the router's namespace, with this Python's routerd first."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin:/sbin"
    script = f'ask() {{ curl -sS --unix-socket {daemon.socket} "$@"; }}; set -o pipefail; {command}'
    shell = made.router.spawn(
        "bash", "-c", script, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PATH": path, "ROUTERD_SOCKET": str(daemon.socket)},
    )  # fmt: skip
    with shell:
        output, complaint = shell.communicate(timeout=50)
    return subprocess.CompletedProcess(command, shell.returncode, output, complaint)
