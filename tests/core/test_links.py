"""Links that go down: who was lost with which, and who is forgotten all the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from routerd.config.load import parse
from routerd.core.message import (
    Drain,
    ForeignRoute,
    Gateway,
    Interface,
    KernelObjects,
    Leg,
    NeighbourState,
    Reconfigure,
    RouteChange,
    RoutesChanged,
)
from routerd.core.rib.peers import FORGET_AFTER
from routerd.core.rib.ways import RTN_UNICAST
from routerd.core.route import parse_address, parse_prefix
from tests.support.core import CONFIG, Simulation

NODE, STATIC, VIP = "192.168.20.102", "192.168.20.109", "172.16.1.1/32"


def set_link(simulation: Simulation, index: int, *, up: bool) -> None:
    """A link goes down or comes up, and the kernel is read."""
    simulation.kernel.interfaces[index] = replace(simulation.kernel.interfaces[index], up=up)
    found = simulation.kernel.dump()
    simulation.take(KernelObjects(found.interfaces, found.nexthops, found.groups))


def node() -> Simulation:
    simulation = Simulation(f'{CONFIG}[[peers]]\nname = "w9"\naddress = "{STATIC}"\ngroup = "nodes"\n')
    simulation.up(NODE)
    simulation.announce(NODE, VIP)
    simulation.end_of_rib(NODE)
    simulation.settle()
    return simulation


def reason(simulation: Simulation) -> str:
    (event,) = [event for event in simulation.events if event.name == "peer down"]
    return str(event.fields["reason"])


def test_the_link_that_a_node_was_lost_with_is_named_whatever_others_did_since() -> None:
    simulation = node()
    set_link(simulation, 3, up=False)
    set_link(simulation, 2, up=False)
    set_link(simulation, 2, up=True)
    simulation.down(NODE)
    assert reason(simulation).endswith("; interface nodes20 had gone down")


def test_a_node_on_no_link_is_lost_with_the_link_of_the_route_to_it() -> None:
    far, network = "10.77.0.9", parse_prefix("10.77.0.0/24")
    simulation = Simulation(f'{CONFIG}[[peers]]\nname = "far"\naddress = "{far}"\ngroup = "nodes"\n')
    simulation.kernel.foreign[network] = (ForeignRoute(1, 4, 0, 0, (Leg(parse_address("192.168.10.7"), 2),)),)
    simulation.dump()
    simulation.up(far)
    set_link(simulation, 2, up=False)
    simulation.down(far)
    assert reason(simulation).endswith("; interface nodes10 had gone down")


def test_whoever_is_in_a_group_or_silent_is_watched_unless_its_link_is_down() -> None:
    simulation = node()
    gateway, other = Gateway(parse_address(NODE), 3), Gateway(parse_address("192.168.20.103"), 3)
    gateways = simulation.router.gateways
    assert (gateways.watches(gateway), gateways.watches(other), gateways.watched) == (True, False, {gateway})
    simulation.take(NeighbourState(gateway, alive=False))
    assert (gateways.watches(gateway), gateways.watched) == (True, {gateway})
    set_link(simulation, 3, up=False)
    assert (gateways.watches(gateway), gateways.watched) == (False, set())


def test_a_link_that_is_back_in_time_has_cost_no_session() -> None:
    simulation = node()
    set_link(simulation, 3, up=False)
    set_link(simulation, 3, up=True)
    simulation.down(NODE)
    assert "interface" not in reason(simulation)


@pytest.mark.parametrize("how", ["renamed", "addresses moved", "addresses moved before"])
def test_a_link_whose_network_is_behind_another_one_has_cost_no_session(how: str) -> None:
    """Whoever makes a bridge or a bond moves the addresses there, and the sessions go on."""
    simulation = node()
    interfaces = simulation.kernel.interfaces
    link = interfaces[3]
    if how != "addresses moved before":
        set_link(simulation, 3, up=False)
    if how == "renamed":
        interfaces[3] = replace(link, name="wan")
        set_link(simulation, 3, up=True)
    else:
        interfaces[9] = replace(link, index=9, name="bridge", up=True, addresses=(), networks=())
        set_link(simulation, 9, up=True)
        interfaces[3] = replace(link, addresses=(), networks=())
        interfaces[9] = replace(link, index=9, name="bridge")
        set_link(simulation, 3, up=False)
    simulation.down(NODE)
    assert "interface" not in reason(simulation)


@pytest.mark.parametrize("how", ["renamed", "moved", "another way left", "nothing leads there"])
def test_a_link_of_a_node_behind_a_gateway_has_cost_no_session_if_a_route_leads_there(how: str) -> None:
    simulation, far = node(), "192.168.99.7"
    interfaces, gateway = simulation.kernel.interfaces, parse_address(NODE)
    ways = {3, 2} if how == "another way left" else {3}
    set_way(simulation, f"{far}/32", [Leg(gateway, index) for index in ways])
    simulation.up(far)
    set_link(simulation, 3, up=False)
    if how == "renamed":
        interfaces[3] = replace(interfaces[3], name="wan")
        set_link(simulation, 3, up=True)
    elif how != "another way left":
        interfaces[9] = Interface(9, "bridge", up=True)
        set_link(simulation, 9, up=True)
    if how == "moved":
        set_way(simulation, f"{far}/32", [Leg(gateway, 9)])
    simulation.down(far)
    assert ("interface" in reason(simulation)) is (how == "nothing leads there")


def set_way(simulation: Simulation, prefix: str, legs: Iterable[Leg]) -> None:
    """Somebody writes a static route, or the kernel a connected one."""
    way = ForeignRoute(RTN_UNICAST, 4, 0, 0, tuple(legs))
    simulation.take(RoutesChanged((RouteChange(parse_prefix(prefix), way, replaces=True),)))


def test_a_link_that_is_down_has_cost_the_session_though_a_wider_network_is_behind_another_one() -> None:
    simulation = node()
    wide = Interface(9, "uplink", True, networks=(parse_prefix("192.168.0.0/16"),))
    simulation.kernel.interfaces[9] = wide
    set_link(simulation, 3, up=False)
    set_link(simulation, 9, up=True)
    simulation.down(NODE)
    assert reason(simulation).endswith("; interface nodes20 had gone down")


def test_a_node_that_is_gone_is_shown_for_an_hour_and_one_that_never_came_is_not() -> None:
    simulation, never = node(), "192.168.20.103"
    simulation.down(NODE)
    simulation.settle()
    assert STATIC in simulation.router.rib.peers
    for on in (True, False):
        simulation.take(Drain(never, on=on))
        simulation.dump()
        assert (never in simulation.router.rib.peers) is on
    simulation.now += FORGET_AFTER
    simulation.dump()
    assert NODE in simulation.router.rib.peers
    simulation.now += 1
    simulation.dump()
    assert list(simulation.router.rib.peers) == [STATIC], "which is a configured one"


def test_a_node_that_stays_away_though_its_link_is_back_is_forgotten_in_time() -> None:
    simulation = node()
    set_link(simulation, 3, up=False)
    simulation.down(NODE)
    simulation.settle()
    simulation.now += 2 * FORGET_AFTER
    simulation.dump()
    assert NODE in simulation.router.rib.peers, "it could not come back"
    set_link(simulation, 3, up=True)
    simulation.dump()
    assert NODE not in simulation.router.rib.peers


def test_a_node_whose_session_lasts_is_not_forgotten() -> None:
    """However long ago it came."""
    simulation = node()
    simulation.now += 2 * FORGET_AFTER
    simulation.dump()
    assert NODE in simulation.router.rib.peers


def test_a_link_that_goes_down_after_a_node_is_gone_is_not_why() -> None:
    simulation = node()
    simulation.down(NODE)
    simulation.settle()
    set_link(simulation, 3, up=False)
    simulation.now += 2 * FORGET_AFTER
    simulation.dump()
    assert NODE not in simulation.router.rib.peers


def test_a_node_that_the_configuration_has_not_any_more_is_forgotten_though_its_link_is_down() -> None:
    simulation = node()
    set_link(simulation, 3, up=False)
    simulation.down(NODE)
    simulation.settle()
    simulation.dump()
    assert NODE in simulation.router.rib.peers
    other = parse(CONFIG.replace("192.168.0.0/16", "192.168.10.0/24")).model_copy(
        update={"fib": simulation.config.fib}
    )
    simulation.take(Reconfigure(other))
    simulation.settle()
    simulation.dump()
    assert NODE not in simulation.router.rib.peers


def test_the_link_that_a_node_was_lost_with_is_named_though_its_routes_had_gone_before() -> None:
    """The kernel tells of connected routes first. Of its networks one holds the node."""
    simulation = Simulation()
    near = "192.168.10.102"
    simulation.up(near)
    simulation.announce(near, VIP)
    simulation.settle()
    network = parse_prefix("192.168.10.0/24")
    (connected,) = simulation.kernel.dump().foreign[network]
    simulation.take(RoutesChanged((RouteChange(network, connected, deleted=True),)))
    set_link(simulation, 2, up=False)
    simulation.down(near)
    assert reason(simulation).endswith("; interface nodes10 had gone down")


class TestAfterARestart:
    """The groups of an earlier run wait for their nodes, whose link goes down before they are back."""

    OTHER = "192.168.10.103"

    @pytest.mark.parametrize("said", ["before", "after", "never"])
    def test_nobody_is_waited_for_in_a_group_without_a_leg_that_others_announce(self, said: str) -> None:
        simulation = node()
        simulation.restart()
        simulation.up(self.OTHER)
        for when in ("before", "after"):
            if said == when:
                simulation.announce(self.OTHER, VIP)
                simulation.settle()
            if when == "before":
                assert simulation.fib() == {VIP: [NODE]}
                set_link(simulation, 3, up=False)
                simulation.settle()
        assert simulation.fib() == ({} if said == "never" else {VIP: [self.OTHER]})
        set_link(simulation, 3, up=True)
        simulation.settle()
        assert simulation.fib() == {VIP: [NODE if said == "never" else self.OTHER]}

    def test_a_node_returns_by_an_interface_that_was_made_again(self) -> None:
        simulation = node()
        simulation.restart()
        link = simulation.kernel.interfaces.pop(3)
        set_link(simulation, 2, up=True)
        simulation.kernel.interfaces[9] = replace(link, index=9)
        set_link(simulation, 9, up=True)
        set_way(simulation, "192.168.20.0/24", [Leg(None, 9)])
        simulation.up(NODE)
        simulation.announce(NODE, VIP)
        simulation.settle()
        assert simulation.fib() == {VIP: [NODE]}
        assert simulation.router.fib.awaiting.gateways == set()

    def test_a_node_that_said_all_while_nothing_led_to_it_has_returned(self) -> None:
        """Somebody exchanges the router's address: the connected route goes, and comes again."""
        simulation = node()
        simulation.up(self.OTHER)
        simulation.announce(self.OTHER, VIP)
        simulation.end_of_rib(self.OTHER)
        simulation.settle()
        simulation.restart()
        simulation.up(NODE)
        connected = ForeignRoute(RTN_UNICAST, 2, 0, 0, (Leg(None, 3),))
        network = parse_prefix("192.168.20.0/24")
        simulation.take(RoutesChanged((RouteChange(network, connected, deleted=True),)))
        simulation.end_of_rib(NODE)
        simulation.settle()
        simulation.take(RoutesChanged((RouteChange(network, connected),)))
        simulation.up(self.OTHER)
        simulation.announce(self.OTHER, VIP)
        simulation.end_of_rib(self.OTHER)
        simulation.settle()
        assert simulation.fib() == {VIP: [self.OTHER]}
