"""What else of the host decides whether packets get through, read from the kernel."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from routerd.core.message import TableFill
from routerd.kernel import host
from routerd.kernel.dump import objects
from routerd.kernel.host import LATELY, Host
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root


def test_settings_of_interfaces(router: Namespace) -> None:
    router.sysctl(net__ipv4__ip_forward=1, net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__eth0__rp_filter=0)
    router.sysctl(net__ipv4__conf__eth1__rp_filter=1, net__ipv4__conf__eth0__forwarding=0)
    with router.enter():
        eth0, eth1 = (socket.if_nametoindex(name) for name in ("eth0", "eth1"))
        found = Host().read(objects().interfaces, 0.0)
        assert found.not_forwarding == {eth0}
        assert found.strict & {eth0, eth1} == {eth1}
        router.sysctl(net__ipv4__conf__all__rp_filter=1, net__ipv4__conf__eth1__rp_filter=2)
        assert Host().read((), 0.0).strict & {eth0, eth1} == {eth0}  # the higher one holds
        router.sysctl(net__ipv4__ip_forward=0)
        assert Host().read((), 0.0).not_forwarding == set()  # a matter of the one setting


def test_neighbour_tables(router: Namespace) -> None:
    limits = {  # which only the first namespace can read here
        f"ipv{v}": int(Path(f"/proc/sys/net/ipv{v}/neigh/default/gc_thresh3").read_text()) for v in (4, 6)
    }
    for address in ("10.0.0.99", "fd00::99"):  # the kernel counts those of all namespaces together
        router.ip("neigh", "add", address, "lladdr", "02:00:00:00:00:99", "dev", "eth0")
    with router.enter():
        tables = {table.name: table for table in Host().read((), 0.0).tables if table.name in limits}
    assert {name: table.limit for name, table in tables.items()} == limits
    assert all(0 < table.entries < table.limit and not table.full for table in tables.values())


def test_connections(router: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "PROC_SYS", tmp_path)
    directory = tmp_path / "net/netfilter"
    with router.enter():
        assert "conntrack" not in {table.name for table in Host().read((), 0.0).tables}
        directory.mkdir(parents=True)
        (directory / "nf_conntrack_max").write_text("100\n")
        for count, full in ((99, False), (100, True)):
            (directory / "nf_conntrack_count").write_text(f"{count}\n")
            assert TableFill("conntrack", count, 100, full) in Host().read((), 0.0).tables


def test_a_counter_counts_while_it_has_risen_lately_under_the_same_circumstances() -> None:
    rise = host._Rise()
    assert not rise.lately(5, "strict", 0.0)  # of before we looked
    assert not rise.lately(5, "strict", 60.0)
    assert rise.lately(6, "strict", 120.0)
    assert rise.lately(6, "strict", 119.0 + LATELY)
    assert not rise.lately(6, "strict", 120.0 + LATELY)
    assert rise.lately(7, "strict", 500.0)
    assert not rise.lately(8, "loose", 501.0)
    assert not rise.lately(8, "loose", 502.0)
