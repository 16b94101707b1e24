"""Whether traffic shall come: each reason why not, on the core alone."""

from __future__ import annotations

from routerd.api.views import carrying
from routerd.config.load import parse
from routerd.core.message import DrainSelf, SetRoutes, SysctlState, WriteFailed
from routerd.core.route import parse_prefix
from routerd.core.router import Router
from tests.support.core import CONFIG, Simulation

A, B = "192.168.10.100", "192.168.10.101"
VIP, VIP6 = "172.16.1.1/32", "fd00:ac10::1/128"


def reason(router: Router, *sysctls: SysctlState, at_least: int = 1) -> str:
    view = carrying.health(router, sysctls, at_least)
    assert view["ok"] is not bool(view["reason"])
    return view["reason"]


def test_a_kernel_that_was_not_read_yet_leads_nowhere() -> None:
    assert reason(Router(parse(CONFIG), 0.0), at_least=0) == "the kernel has not been read yet"


def test_a_node_counts_once_and_only_while_the_kernel_leads_to_it() -> None:
    simulation = Simulation()
    assert reason(simulation.router) == "no node in the FIB, at least 1 wanted"
    for peer in (A, B):
        simulation.up(peer)
        simulation.announce(peer, VIP)
    simulation.announce(A, VIP6, attributes=simulation.attributes(A, "fd00:10::100"))
    simulation.settle()
    assert len(simulation.router.fib.groups.nexthops) == 3
    assert reason(simulation.router, at_least=2) == ""
    assert reason(simulation.router, at_least=3) == "2 nodes in the FIB, at least 3 wanted"
    simulation.down(B)
    simulation.settle()
    assert reason(simulation.router, at_least=2) == "1 node in the FIB, at least 2 wanted"


def test_forwarding_that_is_off_counts_for_a_family_in_use() -> None:
    simulation = Simulation()
    simulation.up(A)
    simulation.announce(A, VIP)
    simulation.settle()
    off = [SysctlState(name, "1", "1", "0", "") for name in ("net.ipv6.conf.all.forwarding", "net.ipv4.ip_forward")]
    other = SysctlState("net.ipv4.fib_multipath_hash_policy", "1", "1", "0", "")
    assert reason(simulation.router, off[0], other) == ""
    assert reason(simulation.router, *off) == "net.ipv4.ip_forward is 0: the kernel does not forward"


def test_some_refused_routes_are_no_reason_and_all_of_them_are() -> None:
    simulation = Simulation()
    simulation.up(A)
    for prefix in (VIP, "172.16.1.2/32"):
        simulation.announce(A, prefix)
    simulation.settle()
    for prefix, expected in ((VIP, ""), ("172.16.1.2/32", "the kernel refuses every route")):
        group = simulation.group_of(prefix)
        simulation.take(WriteFailed(SetRoutes(group, (parse_prefix(prefix),)), 17, "File exists"))
        assert reason(simulation.router, at_least=0) == expected


def test_what_the_operator_has_done_comes_first() -> None:
    simulation = Simulation()
    simulation.take(DrainSelf(True, "somebody", 1.0))
    assert reason(simulation.router) == "it is drained by somebody; routerd undrain --self ends that"
    simulation.take(DrainSelf(False, "somebody"))
    assert "no node" in reason(simulation.router)
