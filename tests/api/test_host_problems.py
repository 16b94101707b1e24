"""What status says of the host, and what it does not say."""

from __future__ import annotations

from dataclasses import replace

from routerd.api.views.problems.host import host
from routerd.core.message import ForeignRoute, HostState, Interface, Leg, TableFill
from routerd.core.route import parse_address, parse_prefix
from tests.support.core import LINKS, Simulation
from tests.support.slices import whole

WELL = HostState(frozenset(), frozenset(), False, frozenset(), ())
NODES, OTHER, UPLINK, BACKUP, LO = 2, 3, 4, 5, 1
DEFAULT = parse_prefix("0.0.0.0/0")


def link(index: int, name: str, address: str, network: str) -> Interface:
    return Interface(index, name, True, (parse_address(address),), (parse_prefix(network),))


def way(gateway: str, ifindex: int, metric: int) -> ForeignRoute:
    return ForeignRoute(1, 3, metric, 0, (Leg(parse_address(gateway), ifindex),))


def simulation() -> Simulation:
    """Nodes behind interface 2, other networks, and two ways to the internet of which the first is better."""
    made = Simulation()
    made.kernel.interfaces |= {
        UPLINK: link(UPLINK, "wan0", "203.0.113.2", "203.0.113.0/30"),
        BACKUP: link(BACKUP, "wan1", "198.51.100.2", "198.51.100.0/30"),
        LO: link(LO, "lo", "127.0.0.1", "127.0.0.0/8"),
    }
    made.kernel.foreign = {DEFAULT: (way("203.0.113.1", UPLINK, 100), way("198.51.100.1", BACKUP, 200))}
    made.restart()
    made.up("192.168.10.100")
    made.announce("192.168.10.100", "172.16.1.1/32")
    made.settle()
    return made


def places(made: Simulation, state: HostState) -> list[str]:
    return [problem["where"] for problem in whole(host(made.router, state))]


def test_nothing_to_say() -> None:
    assert places(simulation(), WELL) == []
    quiet = (TableFill("ipv4", 1000, 1024, False), TableFill("conntrack", 99, 100, False))
    assert places(simulation(), replace(WELL, strict=frozenset({1, 2, 3, 4, 5}), tables=quiet)) == []


def test_forwarding_only_where_packets_may_come_in() -> None:
    made = simulation()
    made.kernel.interfaces[OTHER] = replace(LINKS[1], up=False)
    made.kernel.interfaces[6] = Interface(6, "port6", True)  # of a bridge: it has no address
    made.dump()
    assert places(made, replace(WELL, not_forwarding=frozenset({LO, NODES, OTHER, 6, 99}))) == ["interface nodes10"]


def test_a_name_with_a_dot() -> None:
    made = simulation()
    made.kernel.interfaces[OTHER] = replace(LINKS[1], name="lan.20")
    made.dump()
    (found,) = whole(host(made.router, replace(WELL, not_forwarding=frozenset({OTHER}))))
    assert found["remedy"] == "sysctl -w net/ipv4/conf/lan.20/forwarding=1"


def test_very_many_interfaces() -> None:
    made = simulation()
    for index in range(10, 60):
        made.kernel.interfaces[index] = link(index, f"lan{index}", f"10.0.{index}.1", f"10.0.{index}.0/24")
    made.dump()
    found = whole(host(made.router, replace(WELL, not_forwarding=frozenset(range(10, 60)))))
    assert len(found) == 6
    assert found[-1]["what"] == "45 more interfaces without forwarding"


def test_a_strict_filter_inside_is_named_when_it_drops() -> None:
    assert places(simulation(), replace(WELL, dropped=True, strict=frozenset({OTHER}))) == ["interface nodes20"]


def test_drops_where_the_internet_is_are_no_evidence() -> None:
    """Forged senders are dropped there all the time, as they should be."""
    assert places(simulation(), replace(WELL, dropped=True, strict=frozenset({NODES, OTHER, UPLINK}))) == []


def test_a_worse_way_that_is_strict_drops_what_comes_that_way() -> None:
    state = replace(WELL, dropped=True, strict=frozenset({NODES, OTHER, UPLINK, BACKUP}))
    made = simulation()
    assert places(made, state) == ["interface wan1"]
    first, second = made.kernel.foreign[DEFAULT]
    made.kernel.foreign[DEFAULT] = (first, second._replace(metric=100))  # equal ways: the filter accepts both
    made.restart()
    assert places(made, state) == []


def test_a_session_on_another_link_than_the_next_hop() -> None:
    made = Simulation(simulation().config.model_copy(update={"peer_groups": any_next_hop()}), simulation().kernel)
    made.up("192.168.20.100")
    attributes = made.attributes("192.168.20.100", next_hop="192.168.10.100")
    made.announce("192.168.20.100", "172.16.1.1/32", attributes=attributes)
    made.settle()
    assert made.fib() == {"172.16.1.1/32": ["192.168.10.100"]}
    state = replace(WELL, dropped=True, strict=frozenset({NODES, OTHER, UPLINK}))
    assert places(made, state) == ["interface nodes20"]


def any_next_hop() -> dict[str, object]:
    groups = simulation().config.peer_groups
    return {name: group.model_copy(update={"next_hop": "any"}) for name, group in groups.items()}


def test_full_tables() -> None:
    tables = (TableFill("ipv6", 1024, 1024, True), TableFill("conntrack", 100, 100, True))
    neighbours, connections = whole(host(simulation().router, replace(WELL, tables=tables)))
    assert neighbours["remedy"].startswith("sysctl -w net.ipv6.neigh.default.gc_thresh3=4096 net.ipv6.neigh.default.")
    assert "was full lately" in neighbours["what"]
    assert "(now 1024 of 1024 entries, of all namespaces)" in neighbours["what"]
    assert connections["remedy"] == "sysctl -w net.netfilter.nf_conntrack_max=400"
