"""Namespaces, the network built of them, and requests through it. Needs to be root."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from routerd.lab.namespaces import Namespace, namespace
from routerd.lab.network import Fabric, built
from routerd.lab.process import Process, tail
from routerd.lab.topology import row
from routerd.lab.traffic import requests, serve, steady_requests
from routerd.lab.waiting import LabError, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


@pytest.fixture
def inside() -> Iterator[Namespace]:
    with namespace("inside") as made:
        yield made


@pytest.fixture
def fabric() -> Iterator[Fabric]:
    with built(row(["embedded"])) as made:
        yield made


def test_what_runs_inside_ends_with_the_namespace(tmp_path: Path) -> None:
    with namespace("inside") as made:
        process = Process(made, ["sh", "-c", "sleep 1000 & sleep 1000"], tmp_path / "log")
        until(lambda: "" if len(made.processes()) == 3 else "not all run", 5, "processes")
        pids = [*made.processes(), made.pid]
    process.kill()
    # The orphan is dead, but init has to collect it.
    until(lambda: " ".join(str(p) for p in pids if _runs(p)), 5, "processes are gone")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_runs_inside_ends_with_its_maker(tmp_path: Path) -> None:
    program = (
        "from routerd.lab.namespaces import namespace; from routerd.lab.process import Process; import pathlib\n"
        "with namespace('inside') as made:\n"
        f"    child = Process(made, ['sleep', '1000'], pathlib.Path({str(tmp_path / 'log')!r}))\n"
        "    print(made.pid, child.pid, flush=True)\n"
        "    input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdout is not None
        pids = [int(word) for word in maker.stdout.readline().split()]
        child = Path(f"/proc/{pids[1]}/comm")
        until(lambda: "" if child.read_text() == "sleep\n" else child.read_text(), 5, "sleep runs")
        maker.send_signal(signal.SIGKILL)
    until(lambda: " ".join(str(p) for p in pids if _runs(p)), 5, "processes are gone")


def test_a_failing_command_says_what_it_complained_about(inside: Namespace) -> None:
    with pytest.raises(LabError, match=r'inside: ip -batch -: exit 1: .*"nothing"'):
        inside.ip("link set nothing up")


def test_sysctl_returns_what_it_was(inside: Namespace) -> None:
    before = inside.sysctl("net.ipv4.ip_forward", "1")
    assert before in ("0", "1")
    assert inside.sysctl("net.ipv4.ip_forward") == "1"


def test_a_process_keeps_its_log_and_its_status(inside: Namespace, tmp_path: Path) -> None:
    process = Process(
        inside, ["sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done"], tmp_path / "log"
    )
    until(lambda: "" if tail(tmp_path / "log") == "ready" else "no line", 5, "log")
    assert process.running
    assert process.stop() == 3
    assert not process.running


def test_requests_from_the_client_through_the_router(fabric: Fabric, tmp_path: Path) -> None:
    (node,) = fabric.topology.nodes
    for option, vip, via in zip(("-4", "-6"), fabric.topology.vips, (node.ipv4, node.ipv6), strict=True):
        fabric.router.run("ip", option, "route", "add", vip, "via", via)
    server = serve(fabric.nodes[node.name], tmp_path / "web.log")
    try:
        for vip in fabric.topology.vips:
            with steady_requests(fabric.client, vip) as finish:
                assert requests(fabric.client, vip, 20)["answers"] == {node.name: 20}
                tally = finish()
            assert (tally["failed"], tally["retried"]) == (0, 0), tally
    finally:
        server.kill()
    tally = requests(fabric.client, fabric.topology.vips[0], 1)
    assert (tally["answers"], tally["failed"], tally["retried"]) == ({}, 1, 0)
    assert "refused" in tally["last_error"]


def test_an_unplugged_node_takes_no_carrier_from_the_router(fabric: Fabric) -> None:
    (node,) = fabric.topology.nodes
    inside = fabric.nodes[node.name]

    def carriers() -> tuple[bool, bool]:
        ends = (inside, fabric.router)
        return tuple("NO-CARRIER" not in end.run("ip", "link", "show", node.network.name) for end in ends)  # type: ignore[return-value]

    until(lambda: "" if carriers() == (True, True) else "no carrier", 5, "cables")
    fabric.unplug(node.attachment)
    until(lambda: "" if carriers() == (False, True) else str(carriers()), 5, "only the node's carrier is lost")
    fabric.plug(node.attachment)
    until(lambda: "" if carriers() == (True, True) else "no carrier", 5, "cables")
