"""Reasons for which a gateway is out: they come and go apart, and the last one to go lets it in again."""

import errno
from collections.abc import Sequence

import pytest

from routerd.core.fib.parting import AT_ONCE
from routerd.core.gateway_health import GatewayHealth, Reason
from routerd.core.gateways import LINK_LATE, LINK_SETTLES
from routerd.core.message import (
    DeleteNexthop,
    ForeignRoute,
    Gateway,
    GroupLost,
    NeighbourState,
    Notification,
    Operation,
    Program,
    RouteChange,
    RoutesChanged,
    SetGroup,
    SetNexthop,
    WriteFailed,
)
from routerd.core.route import parse_address, parse_prefix
from tests.support.core import CONFIG, Simulation, preserving

VIP = "172.16.1.1/32"
RTN_BLACKHOLE = 6
A, B = "192.168.10.100", "192.168.10.101"
GATEWAY_A, GATEWAY_B = Gateway(parse_address(A), 2), Gateway(parse_address(B), 2)


def test_the_last_reason_decides() -> None:
    health = GatewayHealth()
    assert health.add(Reason.SILENT, [GATEWAY_A, GATEWAY_B]) == {GATEWAY_A, GATEWAY_B}
    assert health.add(Reason.LINK_DOWN, [GATEWAY_A]) == set()
    assert health.reasons(GATEWAY_A) == {Reason.SILENT, Reason.LINK_DOWN}
    assert health.remove(Reason.SILENT, [GATEWAY_A, GATEWAY_B]) == {GATEWAY_B}
    assert health.remove(Reason.REFUSED, [GATEWAY_A]) == set()
    assert list(health.out) == [GATEWAY_A]
    assert health.add(Reason.LINK_DOWN, [GATEWAY_B]) == {GATEWAY_B}
    assert health.remove(Reason.LINK_DOWN, [GATEWAY_A]) == {GATEWAY_A}
    assert set(health.having(Reason.LINK_DOWN)) == {GATEWAY_B}
    health.forget([GATEWAY_B])
    assert not health.out
    assert not health.having(Reason.LINK_DOWN)


def test_a_flapping_link_does_not_keep_out_a_node_that_has_not_returned_yet() -> None:
    """After a restart the FIB stays as it was until the nodes have spoken: their link may flap meanwhile."""
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, VIP)
    simulation.settle()
    simulation.restart()
    link = simulation.kernel.interfaces.pop(2)
    simulation.dump()
    simulation.kernel.interfaces[2] = link
    simulation.dump()
    simulation.settle()
    assert simulation.fib() == {VIP: [A, B]}


@pytest.mark.parametrize("before", [0.0, LINK_LATE])
def test_the_silence_before_a_lost_link_ends_with_it(before: float) -> None:
    """The kernel may tell of a link late, when probes were in vain already. All nodes are back at once then, and not
    one by one as each is heard again: a group is laid out as it was only if its members come together."""
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, VIP)
    simulation.settle()
    group = simulation.group_of(VIP)
    for gateway in (GATEWAY_A, GATEWAY_B):
        simulation.take(NeighbourState(gateway, alive=False))
    simulation.advance(before)
    link = simulation.kernel.interfaces.pop(2)
    simulation.dump()
    assert simulation.fib() == {}
    simulation.advance(30)
    simulation.kernel.interfaces[2] = link
    simulation.forget()
    simulation.dump()
    simulation.settle()
    assert simulation.fib() == {VIP: [A, B]}
    assert [(len(each.members), each.like) for each in simulation.operations_of(SetGroup)] == [(2, group)]
    simulation.advance(1.1 * LINK_SETTLES)
    simulation.take(NeighbourState(GATEWAY_A, alive=False))
    assert simulation.fib() == {VIP: [B]}


def test_silence_and_a_link_that_is_lost_later_end_apart() -> None:
    simulation = Simulation()
    simulation.up(A)
    simulation.announce(A, VIP)
    simulation.settle()
    simulation.take(NeighbourState(GATEWAY_A, alive=False))
    simulation.advance(LINK_LATE + 1)
    link = simulation.kernel.interfaces.pop(2)
    simulation.dump()
    simulation.kernel.interfaces[2] = link
    simulation.dump()
    simulation.settle()
    assert simulation.fib() == {}
    simulation.take(NeighbourState(GATEWAY_A, alive=True))
    simulation.settle()
    assert simulation.fib() == {VIP: [A]}


def test_a_silent_gateway_is_forgotten_when_nothing_leads_there() -> None:
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, VIP)
    simulation.settle()
    simulation.take(NeighbourState(GATEWAY_A, alive=False))
    assert GATEWAY_A in simulation.router.gateways.watched
    simulation.down(A)
    simulation.settle()
    assert GATEWAY_A not in simulation.router.gateways.watched
    assert simulation.router.health.reasons(GATEWAY_A) == set()


def test_one_that_falls_silent_before_its_node_has_returned_is_forgotten_with_its_group() -> None:
    simulation = Simulation()
    simulation.up(A)
    simulation.announce(A, VIP)
    simulation.settle()
    simulation.restart()
    simulation.settle()
    simulation.take(NeighbourState(GATEWAY_A, alive=False))
    simulation.settle()
    assert simulation.fib() == {}
    assert not simulation.router.health.out
    assert GATEWAY_A not in simulation.router.gateways.watched


def test_it_is_forgotten_though_its_last_groups_are_planned_later() -> None:
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, *(f"172.16.2.{number}/32" for number in range(AT_ONCE + 1)))
    simulation.settle()
    simulation.take(NeighbourState(GATEWAY_A, alive=False))
    simulation.down(A)
    simulation.settle()
    assert GATEWAY_A not in simulation.router.gateways.watched


def test_a_node_that_was_silent_without_its_session_is_back_when_it_speaks() -> None:
    simulation = Simulation()
    simulation.up(A, graceful=preserving(60))
    simulation.announce(A, VIP)
    simulation.settle()
    simulation.take(NeighbourState(GATEWAY_A, alive=False))
    simulation.down(A)
    simulation.take(NeighbourState(GATEWAY_A, alive=True))
    simulation.settle()
    assert simulation.router.health.reasons(GATEWAY_A) == {Reason.RESTARTED}
    assert simulation.fib() == {}
    simulation.up(A, graceful=preserving(60))
    simulation.settle()
    assert simulation.fib() == {VIP: [A]}


@pytest.mark.parametrize("whose", ["node", "router"])
def test_a_node_that_loses_its_link_without_a_session_is_back_when_it_speaks(whose: str) -> None:
    """Its kernel may answer long before its speaker does. It is not to blame for the router's own restart."""
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node, graceful=preserving(60))
        simulation.announce(node, VIP)
    simulation.settle()
    if whose == "node":
        simulation.down(A)
    else:
        simulation.speaker_dies()
    flap(simulation)
    assert simulation.fib() == {VIP: [A, B] if whose == "router" else [B]}
    simulation.up(A, graceful=preserving(60))
    simulation.settle()
    assert simulation.fib() == {VIP: [A, B]}


def test_a_session_that_a_lost_link_costs_is_no_restart() -> None:
    """A switch boots: the nodes behind it have lost their sessions, and nothing else."""
    simulation = Simulation()
    simulation.up(A, graceful=preserving(60))
    simulation.announce(A, VIP)
    simulation.settle()
    link = simulation.kernel.interfaces.pop(2)
    simulation.dump()
    simulation.down(A)
    simulation.dump()
    simulation.kernel.interfaces[2] = link
    simulation.dump()
    simulation.settle()
    assert simulation.fib() == {VIP: [A]}


def flap(simulation: Simulation) -> None:
    """The nodes' link goes down and comes back."""
    link = simulation.kernel.interfaces.pop(2)
    simulation.dump()
    simulation.kernel.interfaces[2] = link
    simulation.dump()
    simulation.settle()


def refusing(operations: Sequence[Operation]) -> list[WriteFailed | GroupLost]:
    """Answer as a kernel does whose link has just gone down: no notification tells when it is up again."""
    return [WriteFailed(operation, errno.ENETDOWN, "Nexthop device is not up") for operation in operations]


def test_a_refused_nexthop_is_tried_again_after_1_2_4_seconds() -> None:
    simulation = Simulation()
    simulation.up(A)
    write = simulation.kernel.write
    simulation.kernel.write = refusing  # type: ignore[method-assign]
    tries: list[float] = []
    for seconds in range(16):
        if not seconds:
            simulation.announce(A, VIP)
            simulation.settle()
        else:
            simulation.advance(1)
        if simulation.operations_of(SetNexthop):
            tries.append(seconds)
            simulation.forget()
    assert tries == [0, 1, 3, 7, 15]
    simulation.kernel.write = write  # type: ignore[method-assign]
    simulation.advance(16)
    assert simulation.fib() == {VIP: [A]}
    assert not simulation.router.refusals
    assert simulation.router.reconciliation.drift_mended == 0


def test_silence_is_told_once() -> None:
    """The kernel finds the same node silent after every probe."""
    simulation = Simulation()
    simulation.up(A)
    simulation.announce(A, VIP)
    simulation.settle()
    for _ in range(3):
        simulation.take(NeighbourState(GATEWAY_A, alive=False))
    assert [event.name for event in simulation.events if "neighbour" in event.name] == ["neighbour is silent"]
    assert simulation.router.gateways.watches(GATEWAY_A)
    simulation.take(NeighbourState(GATEWAY_A, alive=True))
    simulation.take(NeighbourState(GATEWAY_A, alive=False))
    assert len([event for event in simulation.events if event.name == "neighbour is silent"]) == 2


def test_silence_just_after_a_link_came_back_is_asked_about_again() -> None:
    """The first questions may be lost on a port that does not forward yet: nodes that came back one by one would have
    each other's flows."""
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, VIP)
    simulation.settle()
    link = simulation.kernel.interfaces.pop(2)
    simulation.dump()
    simulation.kernel.interfaces[2] = link
    simulation.dump()
    simulation.forget()
    simulation.advance(LINK_SETTLES / 2)
    simulation.take(NeighbourState(GATEWAY_A, alive=False))
    assert not simulation.router.health.out
    assert simulation.router.gateways.watches(GATEWAY_A)
    assert simulation.fib() == {VIP: [A, B]}
    simulation.advance(LINK_SETTLES / 2)
    simulation.take(NeighbourState(GATEWAY_A, alive=False))
    assert simulation.router.health.reasons(GATEWAY_A) == {Reason.SILENT}
    assert simulation.fib() == {VIP: [B]}


def test_the_routes_of_a_link_go_before_it_says_that_it_is_down() -> None:
    """The kernel tells of connected routes first: gateways fail as with their link, and return with the route."""
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, VIP)
    simulation.settle()
    simulation.forget()
    group = simulation.router.fib.routes[parse_prefix(VIP)].id
    network = parse_prefix("192.168.10.0/24")
    (connected,) = simulation.kernel.dump().foreign[network]
    simulation.take(RoutesChanged((RouteChange(network, connected, deleted=True),)))
    assert simulation.router.health.reasons(GATEWAY_A) == simulation.router.health.reasons(GATEWAY_B)
    assert simulation.router.health.reasons(GATEWAY_A) == {Reason.UNREACHABLE}
    urgent = [effect for effect in simulation.effects if isinstance(effect, Program) and effect.urgent]
    first, *others = [each for effect in urgent for each in effect.operations if isinstance(each, DeleteNexthop)]
    assert first == DeleteNexthop(group, returns=True)
    assert len(others) == 2
    assert simulation.fib() == {}
    simulation.take(RoutesChanged((RouteChange(network, connected),)))
    simulation.settle()
    assert not simulation.router.health.out
    assert simulation.fib() == {VIP: [A, B]}


def test_the_log_says_whose_silence_ended_a_session_and_for_how_long() -> None:
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, VIP)
    simulation.settle()
    simulation.take(NeighbourState(GATEWAY_A, False))
    (silent,) = [event for event in simulation.events if event.name == "neighbour is silent"]
    assert silent.fields == {"gateway": A, "interface": "nodes10", "peer": A}
    simulation.advance(7.25)
    simulation.down(A, Notification(True, 4, 0))
    simulation.down(B)
    told = [event.fields["reason"] for event in simulation.events if event.name == "peer down"]
    why = "connection lost"
    assert told == [f"{why}; its link layer had not answered for 7.2 s", why]
    assert simulation.router.rib.peers[A].reason == told[0]


def test_a_silence_that_is_over_is_not_told() -> None:
    simulation = Simulation()
    simulation.up(A)
    simulation.announce(A, VIP)
    simulation.settle()
    for alive in (False, True):
        simulation.take(NeighbourState(GATEWAY_A, alive))
    simulation.down(A)
    assert simulation.router.rib.peers[A].reason == "connection lost"


def test_a_silence_that_ended_with_a_lost_link_is_not_told() -> None:
    simulation = Simulation()
    simulation.up(A)
    simulation.announce(A, VIP)
    simulation.settle()
    simulation.take(NeighbourState(GATEWAY_A, alive=False))
    link = simulation.kernel.interfaces.pop(2)
    simulation.dump()
    simulation.kernel.interfaces[2] = link
    simulation.dump()
    simulation.settle()
    simulation.advance(3600)
    simulation.down(A)
    assert simulation.router.rib.peers[A].reason == "connection lost"


def test_what_leads_elsewhere_is_decided_anew_when_routes_are_told_of() -> None:
    """Nothing but the one notification says so: the best of two paths loses its way."""
    simulation = Simulation(CONFIG.replace("[router]", "[fib]\nmax_paths = 1\n[router]", 1))
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, VIP)
    simulation.settle()
    assert simulation.fib() == {VIP: [A]}
    nowhere = ForeignRoute(RTN_BLACKHOLE, 4, 0, 0, ())
    simulation.take(RoutesChanged((RouteChange(parse_prefix(f"{A}/32"), nowhere),)))
    simulation.settle()
    assert simulation.fib() == {VIP: [B]}


@pytest.mark.parametrize("deleted", [True, False])
def test_a_route_with_routerds_marks_that_it_does_not_know_is_left_to_the_audit(*, deleted: bool) -> None:
    simulation = Simulation()
    simulation.up(A)
    simulation.announce(A, VIP)
    simulation.settle()
    simulation.forget()
    route = ForeignRoute(1, 186, simulation.config.fib.metric, simulation.group_of(VIP), ())
    other = RouteChange(parse_prefix("172.16.9.9/32"), route, own=True, deleted=deleted)
    simulation.take(RoutesChanged((other,)))
    assert simulation.operations == []
