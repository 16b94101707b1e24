"""The commands as an operator runs them: what they print, and with which exit code they end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import ipaddress
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from routerd.core.message import Update
from routerd.service.recording import read
from tests.daemon.harness import CLI, CONFIG, Routerd, announcement, becomes, cli, network, node, running
from tests.support.bgp import end_of_rib
from tests.support.netns import needs_root

pytestmark = needs_root

VIP = "172.16.1.1"
MANY = 100_000
ASKING = ("status", "peers", "groups", "routes")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Routerd]:
    """A daemon with five peers, whose paths to one VIP win, lose and are rejected."""
    said = (
        announcement(0, VIP, "172.16.1.2"),
        announcement(1, VIP),
        announcement(2, VIP, as_path=[65001, 65009]),
        announcement(3, VIP, med=50),
        announcement(4, VIP, as_path=[65001, 65000]) + announcement(4, "10.99.0.0/16", "10.98.0.0/16"),
    )
    async with AsyncExitStack() as stack:
        made = stack.enter_context(network())
        daemon = stack.enter_context(running(made.router, tmp_path_factory.mktemp("daemon")))
        for number, octets in enumerate(said):
            client = await stack.enter_async_context(await made.establish(number, hold=0))
            client.send(octets + end_of_rib())
        await becomes(lambda: [daemon.count(n, "received") for n in range(5)], [2, 1, 1, 1, 3])
        await made.has(VIP, 0, 1)
        await becomes(lambda: all(group["balanced"] for group in daemon.get("/v1/groups")))
        yield daemon


def words(text: str) -> list[list[str]]:
    """The words of each line, which say the same however wide a column is."""
    return [line.split() for line in text.splitlines()]


@pytest.mark.parametrize("command", ASKING)
def test_a_command_prints_a_table_or_what_the_api_answers(daemon: Routerd, command: str) -> None:
    table = daemon.cli(command)
    assert (table.returncode, table.stderr) == (0, "")
    assert node(0) in table.stdout
    done = daemon.cli(command, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert _timeless(json.loads(done.stdout)) == _timeless(daemon.get(f"/v1/{command}"))


def _timeless(answer: Any) -> Any:
    if isinstance(answer, dict):
        timeless = (key for key in answer if not key.endswith("_seconds") and key != "event_loop")
        return {key: _timeless(answer[key]) for key in timeless}
    return [_timeless(value) for value in answer] if isinstance(answer, list) else answer


def test_status_says_that_all_is_well(daemon: Routerd) -> None:
    shown = daemon.cli("status").stdout
    assert "all is well" in shown
    assert "5 of 5 established" in shown
    assert "3 prefixes, 6 paths" in shown
    assert re.search(r"FIB +2 routes, 2 groups, 2 nexthops, 0 refused, 0 drift mended", shown)
    assert "as wanted (fib_multipath_hash_policy = 1)" in shown
    assert "problem" not in shown


def test_peers_counts_and_says_why(daemon: Routerd) -> None:
    head, *rows = words(daemon.cli("peers").stdout)
    assert " ".join(head) == "Peer AS State For Recv Acc Rej In FIB Stale Sent Reason"
    found = {row[0]: " ".join(row[4:]) for row in rows}
    assert found[node(0)] == "2 2 0 2 0 1"
    assert found[node(2)] == "1 1 0 0 0 1"
    why = "1 rejected: 1 the router's own AS is in AS_PATH; 2 rejected: 6 not in accept"
    assert found[node(4)] == f"3 0 3 0 0 1 {why}"


def test_routes_in_pages_and_by_peer(daemon: Routerd) -> None:
    assert len(json.loads(daemon.cli("routes", "--json", "--limit", "1", "--offset", "1").stdout)["routes"]) == 1
    assert "1 of 3 prefixes" in daemon.cli("routes", "--limit", "1").stdout
    mine = daemon.cli("routes", "--peer", node(1)).stdout
    assert VIP in mine
    assert "172.16.1.2" not in mine
    own = next(row for row in words(daemon.cli("routes").stdout) if row[0] == "10.10.1.0/24")
    assert own[1:5] == ["-", "local", "1", "local"]


@pytest.mark.parametrize("arguments", [("routes", "--peer", "nobody"), ("drain", "nobody"), ("undrain", "nobody")])
def test_a_peer_that_does_not_exist_is_an_error(daemon: Routerd, arguments: tuple[str, ...]) -> None:
    done = daemon.cli(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "routerd: no peer has the name or address nobody\n"
    done = daemon.cli(*arguments, "--json")
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout) == {"ok": False, "error": "no peer has the name or address nobody"}


@pytest.mark.parametrize("name", ["192.168.20.100/32", "a/b", ""])
def test_a_name_that_is_none_is_told_as_it_is(daemon: Routerd, name: str) -> None:
    assert daemon.cli("drain", name).stderr == f"routerd: no peer has the name or address {name}\n"


@pytest.mark.parametrize("prefix", [VIP, f"{VIP}/32"])
def test_route_tells_winners_losers_and_the_kernel(daemon: Routerd, prefix: str) -> None:
    done = daemon.cli("route", prefix)
    assert (done.returncode, done.stderr) == (0, "")
    lines = {n: line for n in range(5) for line in done.stdout.splitlines() if re.match(rf"[>= ]  ?{node(n)} ", line)}
    assert {lines[0][0], lines[1][0]} == {">", "="}
    assert "8 oldest" in lines[0] + lines[1]
    assert "65001 65009" in lines[2]
    assert lines[2].rstrip().endswith("3 AS_PATH length")
    assert lines[3].rstrip().endswith("5 MED")
    assert lines[4].rstrip().endswith("rejected: 1 the router's own AS is in AS_PATH")
    detail = daemon.get(f"/v1/routes/{VIP}/32")
    legs = "".join(f"\n         {address} dev eth0 weight 1" for address in (node(0), node(1)))
    shown = re.sub(r"( dev eth0 weight 1) buckets \d+$", r"\1", done.stdout, flags=re.MULTILINE)
    assert f"routerd  group {detail['group_id']}{legs}\n" in shown
    assert f"kernel   proto bgp metric 20 nhid {detail['group_id']}{legs}\n" in done.stdout
    passing = {"balanced_in_seconds": None}
    assert json.loads(daemon.cli("route", prefix, "--json").stdout) | passing == detail | passing


def test_route_of_what_is_rejected_everywhere(daemon: Routerd) -> None:
    done = daemon.cli("route", "10.99.0.0/16")
    assert done.returncode == 0
    assert "rejected: 6 not in accept" in done.stdout
    assert "kernel   has no route to it" in done.stdout


@pytest.mark.parametrize(
    ("prefix", "told"),
    [
        ("192.0.2.1", "nobody announces 192.0.2.1/32, and the kernel has no route to just that"),
        ("10.10.1.7", "no route to just that; it lies in 10.10.1.0/24: routerd route 10.10.1.0/24"),
        ("172.16.1.1/24", "172.16.1.1/24 has host bits set; write 172.16.1.0/24"),
        ("nonsense", "'nonsense' is not a prefix; write one such as 172.16.1.1/32"),
        ("fd00::1", "nobody announces fd00::1/128, and the kernel has no route to just that"),
    ],
)
def test_route_of_what_is_not_there(daemon: Routerd, prefix: str, told: str) -> None:
    done = daemon.cli("route", prefix)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"routerd: .*{re.escape(told)}.*\n", done.stderr)


def test_groups_and_their_members(daemon: Routerd) -> None:
    shown = daemon.cli("groups").stdout
    assert re.search(rf"^ *\d+ +resilient +1024 +{VIP}/32 +{node(0)} dev eth0 weight 1", shown, re.MULTILINE)
    assert shown.count(f"{node(1)} dev eth0 weight 1") == 1


def test_version(daemon: Routerd) -> None:
    done = daemon.cli("version")
    assert done.returncode == 0
    assert re.fullmatch(r"routerd \S+\ndaemon  \S+ \(ExaBGP \S+, Python \S+, Linux \S+\)\n", done.stdout)
    assert json.loads(daemon.cli("version", "--json").stdout)["daemon"] == daemon.get("/v1/version")


def test_the_socket_may_come_from_the_environment(daemon: Routerd) -> None:
    done = subprocess.run(
        [*CLI, "peers"], env=os.environ | {"ROUTERD_SOCKET": str(daemon.socket)}, capture_output=True, check=False
    )
    assert done.returncode == 0


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_as_everybody_asks_for_it(option: str) -> None:
    done = cli(option)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"routerd \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("words", [(), ("status",), ("drain",), ("run",)])
def test_help_has_a_short_option(words: tuple[str, ...]) -> None:
    done = cli(*words, "-h")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == cli(*words, "--help").stdout


def test_each_line_of_the_help_is_whole() -> None:
    assert "..." not in cli("--help").stdout.replace("[ARGS]...", "")


@pytest.mark.parametrize("command", [*ASKING, "route"])
def test_a_clear_line_when_routerd_is_not_running(tmp_path: Path, command: str) -> None:
    path = tmp_path / "absent.sock"
    words = (command, *((VIP,) if command == "route" else ()), "--socket", str(path))
    told = (
        f"routerd is not running: nobody listens on {path} (No such file or directory); start it, or name the socket "
        "of its configuration with --socket"
    )
    done = cli(*words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"routerd: {told}\n")
    done = cli(*words, "--json")
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (1, {"ok": False, "error": told}, "")


@pytest.mark.parametrize("path", ["", "/" + "x" * 107])
def test_a_path_that_no_socket_can_have(path: str) -> None:
    done = cli("peers", "--socket", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"routerd: {path!r} is no path of a socket: those have 1 to 107 octets\n"


@pytest.mark.parametrize("options", [(), ("--json",), ("--watch",)])
def test_a_full_disk_is_told(daemon: Routerd, options: tuple[str, ...]) -> None:
    command = [*CLI, "status", "--socket", str(daemon.socket), *options]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=30)
    assert done.returncode == 1
    assert done.stderr == "routerd: standard output cannot be written: No space left on device\n"


def test_version_when_routerd_is_not_running(tmp_path: Path) -> None:
    done = cli("version", "--socket", str(tmp_path / "absent.sock"))
    assert re.fullmatch(r"routerd \S+\n", done.stdout)
    assert "routerd is not running" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("routes", "--limit", "0"),
        ("routes", "--limit", "10001"),
        ("routes", "--offset", "-1"),
        ("routes", "--offset", "99999999999999999999"),
        ("route",),
        ("drain",),
        ("undrain",),
        ("drain", "a", "--self"),
        ("drain", "--self", "--timeout", "5"),
        ("health", "--at-least", "-1"),
        ("drain", "a", "--timeout", "5"),
        ("drain", "a", "--wait", "--timeout", "-1"),
        ("nothing",),
        ("run",),
        ("flush",),
    ],
)
def test_wrong_use_is_told(arguments: tuple[str, ...]) -> None:
    done = cli(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "Usage: routerd" in done.stderr


# --------------------------------------------------------------------------------------------------- watching


class Terminal:
    """A program on a terminal of its own, and what it has written there."""

    def __init__(self, *command: str, columns: int = 160) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self._child = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=os.environ | {"TERM": "xterm-256color"},
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        self._written = b""

    def written(self) -> str:
        with contextlib.suppress(BlockingIOError, OSError):  # EIO: the program has ended
            while piece := os.read(self._master, 65536):
                self._written += piece
        return self._written.decode(errors="replace")

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def wait(self) -> int:
        return self._child.wait(10)

    def close(self) -> None:
        self._child.kill()
        self._child.wait()
        os.close(self._master)


@contextmanager
def terminal(*command: str, columns: int = 160) -> Iterator[Terminal]:
    made = Terminal(*command, columns=columns)
    try:
        yield made
    finally:
        made.close()


async def test_watch_draws_again_and_again_and_ends_with_ctrl_c(daemon: Routerd) -> None:
    with terminal(*CLI, "status", "--watch", "--socket", str(daemon.socket)) as screen:
        await becomes(lambda: screen.written().count("all is well") >= 2, True)
        assert node(4) in screen.written()
        screen.press(b"\x03")
        assert screen.wait() == 0
        assert "\x1b[?1049l" in screen.written(), "it leaves the alternate screen"
        assert "\x1b[?25h" in screen.written(), "it shows the cursor again"
        assert "Traceback" not in screen.written()


async def test_watch_gives_the_terminal_back_while_it_is_stopped_and_when_it_is_ended(daemon: Routerd) -> None:
    """Ctrl-Z stops it and shows the shell; `fg` shows the screen again."""
    enter, leave = "\x1b[?1049h", "\x1b[?1049l"
    watch = (*CLI, "status", "--watch", "--socket", str(daemon.socket))
    with terminal("bash", "-m", "-c", '"$@"; echo stopped; read -r; fg', "bash", *watch) as screen:
        await becomes(lambda: "all is well" in screen.written(), True)
        screen.press(b"\x1a")
        await becomes(lambda: "stopped" in screen.written(), True)
        before, _, _ = screen.written().partition("stopped")
        assert before.rfind(leave) > before.rfind(enter)
        screen.press(b"\n")
        await becomes(lambda: "all is well" in screen.written().partition("stopped")[2].partition(enter)[2], True)
        screen.press(b"\x03")
        assert screen.wait() == 0
    with terminal(*watch) as screen:
        await becomes(lambda: "all is well" in screen.written(), True)
        screen.signal(signal.SIGTERM)
        assert screen.wait() == -signal.SIGTERM
        assert screen.written().rfind(leave) > screen.written().rfind(enter)


@pytest.mark.parametrize("command", [*ASKING, "route"])
async def test_a_terminal_of_80_columns_is_wide_enough(daemon: Routerd, command: str) -> None:
    arguments = (VIP,) if command == "route" else ()
    with terminal(*CLI, command, *arguments, "--socket", str(daemon.socket), columns=80) as screen:
        assert screen.wait() == 0
        shown = re.sub(r"\x1b\[[0-9;]*m", "", screen.written())
        assert [line for line in shown.splitlines() if len(line) > 80] == []
        assert f"{node(0)} " in shown
        if command == "peers":
            assert "6 not in accept" in " ".join(shown.split())


async def test_what_a_drain_says_fits_80_columns(daemon: Routerd) -> None:
    for words in (("drain", node(0)), ("undrain", node(0)), ("drain", "--self"), ("undrain", "--self")):
        with terminal(*CLI, *words, "--socket", str(daemon.socket), columns=80) as screen:
            assert screen.wait() == 0
            assert [line for line in screen.written().splitlines() if len(line) > 80] == []


def _piped(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_watching_into_a_pipe_prints_each_look(daemon: Routerd) -> None:
    """As it comes, and not at the end; with --json a document a line."""
    for options in ((), ("--json",)):
        command = [*CLI, "status", "--watch", *options, "--socket", str(daemon.socket)]
        with _piped(command) as watching:
            assert watching.stdout is not None
            looks = 0
            while looks < 2:
                line = await asyncio.wait_for(asyncio.to_thread(watching.stdout.readline), 10)
                looks += json.loads(line)["ok"] if options else "all is well" in line
                assert "\x1b" not in line
            watching.terminate()


async def test_watching_in_the_background_of_a_script(daemon: Routerd) -> None:
    """SIGINT is ignored there, and stays so where nobody sees the screen; whoever does can end it."""
    quiet = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")
    with terminal(*quiet, *CLI, "status", "--watch", "--socket", str(daemon.socket)) as screen:
        await becomes(lambda: "all is well" in screen.written(), True)
        screen.press(b"\x03")
        assert screen.wait() == 0


async def test_watching_shows_what_is_wrong_on_a_low_terminal(tmp_path: Path) -> None:
    absent = "".join(f'\n[[peers]]\nname = "k8s-w{n}"\naddress = "{node(n)}"\ngroup = "nodes"\n' for n in range(40))
    with (
        network() as made,
        running(made.router, tmp_path, CONFIG + absent) as daemon,
        terminal(*CLI, "status", "--watch", "--socket", str(daemon.socket)) as screen,
    ):
        await becomes(lambda: "k8s-w0: has not dialled in" in screen.written(), True)


async def test_watch_waits_for_a_daemon(tmp_path: Path) -> None:
    with terminal(*CLI, "status", "--watch", "--socket", str(tmp_path / "absent.sock")) as screen:
        await becomes(lambda: screen.written().count("routerd is not running") >= 2, True)
        screen.press(b"\x03")
        assert screen.wait() == 0


# ------------------------------------------------------------------------------------------------------ other states


async def test_nothing_accepted_is_told(tmp_path: Path) -> None:
    config = re.sub(r"accept = .*\n", "", CONFIG)
    with network() as made, running(made.router, tmp_path, config) as daemon:
        async with await made.establish(0) as client:
            client.send(announcement(0, VIP))
            await becomes(lambda: daemon.count(0, "rejected"), 1)
            done = daemon.cli("status")
            assert done.returncode == 1
            assert "1 problem\n" in done.stdout
            told = "nothing is accepted: peer group nodes has no accept list (RFC 8212)"
            assert f"problem  peer {node(0)}: {told}" in done.stdout
            assert 'add accept = ["172.16.0.0/16"]' in done.stdout
            assert "(no accept policy); 1 rejected: 5 the peer group has no accept list" in done.stdout
            assert json.loads(daemon.cli("status", "--json").stdout)["ok"] is False
            assert daemon.cli("status", "--json").returncode == 1
            assert made.route(VIP) == ""


async def test_an_absent_peer_is_a_problem(tmp_path: Path) -> None:
    absent = f'\n[[peers]]\nname = "k8s-w0"\naddress = "{node(7)}"\ngroup = "nodes"\n'
    with network() as made, running(made.router, tmp_path, CONFIG + absent) as daemon:
        done = daemon.cli("status")
        assert done.returncode == 1
        assert "problem  peer k8s-w0: has not dialled in" in done.stdout
        assert daemon.cli("peers").returncode == 0


async def test_no_peers_no_routes(tmp_path: Path) -> None:
    config = re.sub(r"networks = .*\n", "", CONFIG)
    with network() as made, running(made.router, tmp_path, config) as daemon:
        shown = {command: daemon.cli(command) for command in ASKING}
        assert [done.returncode for done in shown.values()] == [0, 0, 0, 0]
        assert shown["peers"].stdout == "no peers: none is configured, and no session of a range came up yet\n"
        assert shown["groups"].stdout == "no nexthop groups: nothing is in the FIB\n"
        assert shown["routes"].stdout == "no prefixes\n"
        empty = {command: json.loads(daemon.cli(command, "--json").stdout) for command in ASKING}
        assert (empty["peers"], empty["groups"], empty["routes"]) == ([], [], {"total": 0, "routes": []})


# ------------------------------------------------------------------------------------------------ drains and the log


async def test_drains_say_what_they_did(tmp_path: Path) -> None:
    with network() as made, running(made.router, tmp_path, _draining(tmp_path / "drains.json")) as daemon:
        async with await made.establish(0) as client, await made.establish(1) as other:
            client.send(announcement(0, VIP) + end_of_rib())
            other.send(announcement(1, VIP) + end_of_rib())
            await made.has(VIP, 0, 1)
            assert daemon.cli("undrain", node(0)).stdout == f"{node(0)} is not drained\n"
            assert f"{node(0)} is drained (by the operator)" in daemon.cli("drain", node(0)).stdout
            assert json.loads((tmp_path / "drains.json").read_text()) == [node(0)]
            assert daemon.cli("undrain", node(0)).stdout.startswith(f"{node(0)} is no longer drained")
            assert daemon.cli("undrain", node(0)).stdout == f"{node(0)} is not drained\n"
            assert json.loads((tmp_path / "drains.json").read_text()) == []

            lines = [json.loads(line) for line in daemon.log.read_text().splitlines()]
            asked = [line for line in lines if line["event"] in ("drain", "undrain")]
            assert [(line["event"], line["changed"]) for line in asked] == [
                ("undrain", False), ("drain", True), ("undrain", True), ("undrain", False),
            ]  # fmt: skip
            assert all(re.fullmatch(r"root \(uid 0, pid \d+\)", line["by"]) for line in asked)


async def test_a_drain_that_cannot_be_stored_is_told(tmp_path: Path) -> None:
    """A full disk, in the answer and in the status, until there is room again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "routerd-test", disk], check=True)
    try:
        with network() as made, running(made.router, tmp_path, _draining(disk / "drains.json")) as daemon:
            async with await made.establish(0):
                await becomes(lambda: daemon.count(0, "advertised"), 1)
                with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
                    while True:
                        filler.write(b"x" * 1024)
                done = daemon.cli("drain", node(0))
                assert done.returncode == 0
                assert "is drained (by the operator)" in done.stdout
                reason = f"{disk / 'drains.json'} cannot be written: No space left on device"
                assert done.stderr == f"routerd: not stored, a restart of routerd forgets it: {reason}\n"
                assert daemon.problems() == {"drains": f"they will not outlive a restart of routerd: {reason}"}
                (disk / "filler").unlink()
                await becomes(daemon.problems, {})
                assert json.loads((disk / "drains.json").read_text()) == [node(0)]
    finally:
        subprocess.run(["umount", disk], check=True)


async def test_a_record_that_cannot_be_written_ends_and_nothing_else(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "routerd-test", disk], check=True)
    try:
        with network() as made, running(made.router, tmp_path, options=("--record", str(disk / "run"))) as daemon:
            async with await made.establish(0) as client:
                for number in range(1, 2000):
                    client.send(announcement(0, f"172.16.{number >> 8}.{number & 255}"))
                client.send(announcement(0, VIP) + end_of_rib())
                await made.has(VIP, 0)
                reason = f"{disk / 'run'} cannot be written: No space left on device"
                assert daemon.problems() == {"record": f"it has ended: {reason}"}
        with (disk / "run").open() as file:
            *_, messages = read(file)
            assert any(isinstance(message, Update) for _, message in messages)
    finally:
        subprocess.run(["umount", disk], check=True)


async def test_a_damaged_file_of_drains_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "drains.json"
    file.write_text('["10.0.0.65", "10.0')
    with network() as made, running(made.router, tmp_path, _draining(file)) as daemon:
        (what,) = daemon.problems().values()
        assert "nothing is drained by the operator" in what
        assert f"it is kept as {file.with_suffix('.damaged')}" in what
        assert file.with_suffix(".damaged").read_text() == '["10.0.0.65", "10.0'
        async with await made.establish(0):
            await becomes(lambda: daemon.count(0, "advertised"), 1)
            assert daemon.cli("drain", node(0)).returncode == 0
            assert daemon.problems() == {}


async def test_the_drain_of_a_node_that_is_not_there_is_shown_and_ended(tmp_path: Path) -> None:
    file = tmp_path / "drains.json"
    file.write_text(json.dumps([node(0)]))
    with network() as made, running(made.router, tmp_path, _draining(file)) as daemon:
        assert daemon.peer(0)["drain"] == "operator"
        assert daemon.cli("undrain", node(0)).stdout.startswith(f"{node(0)} is no longer drained")
        assert json.loads(file.read_text()) == []


def _draining(file: Path) -> str:
    return CONFIG + f'\n[drain]\nstate_file = "{file}"\n'


@pytest.mark.parametrize("ends", ["full", "broken"])
async def test_a_log_that_cannot_be_written_ends_nothing(tmp_path: Path, ends: str) -> None:
    """Standard error on a full disk, or into a pipe whose reader has gone: routing goes on, and status says so."""
    wrapper = {
        "full": ("sh", "-c", 'exec "$@" 2>/dev/full', "sh"),
        "broken": ("bash", "-c", 'exec 2> >(:); wait $!; exec "$@"', "bash"),
    }[ends]
    reason = {"full": "No space left on device", "broken": "Broken pipe"}[ends]
    with network() as made:
        daemon = Routerd(made.router, tmp_path)
        try:
            daemon.start(wrapper=wrapper)
            async with await made.establish(0) as client:
                client.send(announcement(0, VIP) + end_of_rib())
                await made.has(VIP, 0)
                (what,) = daemon.problems().values()
                assert re.fullmatch(rf"\d+ lines could not be written to standard error: {reason}", what)
            await becomes(lambda: daemon.peer(0)["state"], "waiting")
            assert daemon.running
        finally:
            daemon.kill()


# ---------------------------------------------------------------------------------------------------- many routes


@pytest.mark.alone
async def test_status_is_quick_with_many_routes(tmp_path: Path) -> None:
    first = int(ipaddress.IPv4Address("172.20.0.0"))
    prefixes = [str(ipaddress.IPv4Address(first + n)) for n in range(MANY)]
    with network() as made, running(made.router, tmp_path) as daemon:
        empty = _best_of_five(daemon)
        async with await made.establish(0) as client:
            for start in range(0, MANY, 800):
                client.send(announcement(0, *prefixes[start : start + 800]))
            await client.flushed()
            await becomes(lambda: _written(daemon), (MANY, 0), 30)
            assert made.legs(prefixes[-1]) == {node(0)}
            full = _best_of_five(daemon)
            print(f"routerd status: {empty:.3f} s with no route, {full:.3f} s with {MANY}")
            assert full < 1.0
            assert full < 2 * empty + 0.1
            shown = daemon.cli("status").stdout
            assert f"{MANY} routes" in shown
            piped = subprocess.run(
                f"{' '.join(CLI)} routes --limit 10000 --socket {daemon.socket} | head -1",
                shell=True, capture_output=True, text=True, check=True,
            )  # fmt: skip
            assert piped.stderr == ""


def _written(daemon: Routerd) -> tuple[int, int]:
    """Return how many routes there are, and how many of them are still being written."""
    fib = daemon.status()["fib"]
    return fib["routes"], fib["unwritten"]


def _best_of_five(daemon: Routerd) -> float:
    best = 60.0
    for _ in range(5):
        start = time.monotonic()
        assert daemon.cli("status").returncode == 0
        best = min(best, time.monotonic() - start)
    return best
