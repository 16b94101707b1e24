"""One routerd writes to a network namespace: a second one, and `flush` beside it, are refused with a remedy."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from routerd.kernel.lock import WriterLock, WriterLockedError
from tests.daemon.harness import CLI, CONFIG, Network, Routerd, announcement, becomes, cli
from tests.support.bgp import Client
from tests.support.netns import Namespace, namespace, needs_root
from tests.support.nobody import as_nobody, everybodys_python

pytestmark = needs_root

VIP = "172.16.1.1"


@pytest.fixture
def daemon(network: Network, tmp_path: Path) -> Iterator[Routerd]:
    """A routerd that runs."""
    made = Routerd(network.router, tmp_path, CONFIG)
    try:
        made.start()
        yield made
    finally:
        made.kill()


async def with_a_route(network: Network, clients: list[Client]) -> tuple[list[str], list[str]]:
    """Let a node announce a VIP; return the kernel's state then."""
    clients.append(await network.establish(0))
    clients[0].send(announcement(0, VIP))
    await network.has(VIP, 0)
    return network.kernel()


def flush(inside: Namespace, daemon: Routerd, *options: str) -> subprocess.CompletedProcess[str]:
    with inside.enter():
        return cli("flush", "--config", str(daemon.config), *options)


async def test_a_second_daemon_does_not_start_and_writes_nothing(
    network: Network, daemon: Routerd, clients: list[Client], tmp_path: Path
) -> None:
    before = await with_a_route(network, clients)
    (tmp_path / "second").mkdir()
    second = Routerd(network.router, tmp_path / "second", CONFIG)
    with (tmp_path / "monitor").open("w+") as heard:
        monitor = network.router.spawn("ip", "-o", "monitor", "route", "nexthop", stdout=heard)
        try:
            for _ in range(2):  # that it was asked once keeps nothing
                second.log.write_text("")
                second.spawn()
                assert second.wait() == 1
                told = second.log.read_text()
                assert f"runs in this network namespace already (pid {daemon.pid}, user id 0)" in told
                assert "Traceback" not in told
        finally:
            monitor.kill()
            monitor.wait()
        assert Path(heard.name).read_text() == ""
    assert network.kernel() == before
    assert daemon.status()["ok"]
    assert not second.socket.exists()


async def test_flush_beside_a_daemon_is_refused_unless_forced(
    network: Network, daemon: Routerd, clients: list[Client]
) -> None:
    before = await with_a_route(network, clients)
    done = flush(network.router, daemon)
    assert done.returncode == 1
    assert f"(pid {daemon.pid}," in done.stderr
    assert "--force" in done.stderr
    assert network.kernel() == before

    done = flush(network.router, daemon, "--force")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert daemon.running

    daemon.kill()
    assert flush(network.router, daemon).returncode == 0
    assert network.nhid(VIP) == 0


def test_flush_without_the_right_says_so_in_a_line(network: Network, tmp_path: Path) -> None:
    with everybodys_python() as top:
        (top / "routerd.toml").write_text(CONFIG.replace("{socket}", str(top / "routerd.sock")))
        (top / "routerd.toml").chmod(0o644)
        python = (str(top / "bin" / "python"), *CLI[1:])
        user = as_nobody(top, "--inh-caps", "-all", "--bounding-set", "-all", writable_sysctls=False)
        command = ["ip", "netns", "exec", network.router.name, *user, *python, "flush"]
        done = subprocess.run(
            [*command, "--config", str(top / "routerd.toml")], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "CAP_NET_ADMIN" in done.stderr


def test_the_lock_is_the_namespaces_and_dies_with_its_holder(network: Network) -> None:
    hold = "from routerd.kernel.lock import WriterLock\nwith WriterLock(): print(flush=True); input()"
    with network.router.spawn(CLI[0], "-c", hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            with namespace() as other, other.enter(), WriterLock():
                pass
            told = rf"pid {holder.pid}\b"
            with network.router.enter(), pytest.raises(WriterLockedError, match=told), WriterLock():
                pass
        finally:
            holder.kill()
    with network.router.enter(), WriterLock():
        pass


async def test_sighup_during_the_start_does_not_end_it(network: Network, tmp_path: Path) -> None:
    """It comes as the record is opened, which is a pipe here."""
    daemon = Routerd(network.router, tmp_path, CONFIG)
    fifo = tmp_path / "record"
    os.mkfifo(fifo)
    try:
        daemon.spawn("--record", str(fifo))
        with fifo.open():
            daemon.signal(signal.SIGHUP)
            await becomes(lambda: not daemon.running or daemon.socket.exists(), seconds=20)
            assert daemon.running, daemon.log.read_text()
    finally:
        daemon.kill()


async def test_a_restart_with_a_broken_file_leaves_the_fib_and_says_why(
    network: Network, daemon: Routerd, clients: list[Client]
) -> None:
    """What systemd does: it stops routerd, and starts it again and again until the file is mended."""
    before = await with_a_route(network, clients)
    good = daemon.config.read_text()
    daemon.config.write_text(good.replace("[router]", "[router"))
    checked = cli("check", str(daemon.config))  # what a reload does first
    assert (checked.returncode, daemon.running) == (1, True)
    assert str(daemon.config) in checked.stderr
    assert daemon.stop() == 0
    for _ in range(2):
        daemon.log.write_text("")
        daemon.spawn()
        assert daemon.wait() == 2
        assert str(daemon.config) in daemon.log.read_text()
        assert "Traceback" not in daemon.log.read_text()
        assert network.kernel() == before
    daemon.config.write_text(good)
    daemon.start()
    assert network.kernel() == before
    assert daemon.status()["fib"]["routes"] == 1
