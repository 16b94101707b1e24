"""Whose next hop: what is unknown is not used, and nobody waits for it longer than need be."""

from __future__ import annotations

from routerd.core.message import (
    ForeignRoute,
    Gateway,
    Identified,
    Leg,
    Reconfigure,
    RouteChange,
    RoutesChanged,
)
from routerd.core.rib.hosts import LIMIT, Hosts
from routerd.core.rib.policy import Reject
from routerd.core.route import parse_address, parse_prefix
from tests.core.test_reconfigure import changed
from tests.support.core import CONFIG, Simulation, link_layer, sequence

A, A6, B = "192.168.10.100", "fd00:10::100", "192.168.10.101"
VIP6 = "fd00:ac10::1/128"


def gateway(address: str, ifindex: int = 2) -> Gateway:
    return Gateway(parse_address(address), ifindex)


def answer(*gateways: Gateway) -> Identified:
    return Identified({each: link_layer(each) for each in gateways})


def test_verdicts() -> None:
    hosts, mine, theirs = Hosts(), gateway(A), gateway(A6)
    assert hosts.judge(A, mine, theirs) is Reject.UNKNOWN_HOST
    assert hosts.asked == [mine, theirs]
    assert hosts.waits(A)
    assert hosts.take({mine: b"a"}) == [A]
    assert hosts.judge(A, mine, theirs) is Reject.UNKNOWN_HOST
    assert hosts.take({mine: b"a", theirs: b"a"}) == [A]
    assert hosts.take({mine: b"a", theirs: b"a"}) == []
    assert not hosts.waits(A)
    assert hosts.judge(A, mine, theirs) is Reject.NONE
    hosts.take({theirs: b"b"})
    assert hosts.judge(A, mine, theirs) is Reject.OTHER_HOST
    hosts.take({mine: b"", theirs: b""})
    assert hosts.judge(A, mine, theirs) is Reject.OTHER_HOST, "a link without addresses tells nothing"
    assert hosts.judge(A, mine, gateway(A6, 3)) is Reject.OTHER_HOST
    hosts.forget(A)
    assert hosts.wanted == set()


def test_the_kernel_is_asked_for_few() -> None:
    hosts = Hosts()
    for number in range(1000):
        assert hosts.judge(A, gateway(A), gateway(f"fd00:10::{number:x}")) is Reject.UNKNOWN_HOST
    assert len(hosts.wanted) == len(hosts.asked) == LIMIT + 1


def test_a_way_to_the_peer_that_is_gone_is_no_news_of_whose_a_next_hop_is() -> None:
    hosts, mine, theirs = Hosts(), gateway(A), gateway(A6)
    assert hosts.judge(A, None, theirs) is Reject.OTHER_HOST, "it was never known"
    hosts.judge(A, mine, theirs)
    hosts.take({mine: b"a", theirs: b"a"})
    assert hosts.judge(A, mine, theirs) is Reject.NONE
    assert hosts.judge(A, None, theirs) is Reject.NONE
    assert hosts.judge(A, None, gateway(B)) is Reject.UNKNOWN_HOST
    hosts.take({theirs: b"b"})
    assert hosts.judge(A, None, theirs) is Reject.OTHER_HOST
    hosts.forget(A)
    assert hosts.judge(A, None, theirs) is Reject.OTHER_HOST, "the session is over"


def test_an_address_that_the_operator_named_is_the_nodes_whatever_the_link_layer_says() -> None:
    named = f'[[peers]]\nname = "a"\naddress = "{A}"\naddresses = ["{A6}"]\ngroup = "nodes"\n'
    simulation = Simulation(CONFIG + named)
    simulation.identifies = False
    simulation.up(A)
    simulation.announce(A, VIP6, attributes=simulation.attributes(A, next_hop=A6))
    simulation.settle()
    assert simulation.fib() == {VIP6: [A6]}
    assert not simulation.router.rib.judge.hosts.wanted, "so nobody is asked"


def test_a_next_hop_that_is_reached_as_the_peer_is_needs_no_answer() -> None:
    """Both are behind a router, of which no link-layer address of theirs is ever seen."""
    simulation, peer = Simulation(), "192.168.99.9"
    simulation.identifies = False
    behind = (ForeignRoute(1, 4, 0, 0, (Leg(parse_address("fe80::1"), 2),)),)
    for prefix in ("192.168.99.0/24", "fd00:99::/32"):
        simulation.kernel.foreign[parse_prefix(prefix)] = behind
    simulation.restart()
    simulation.up(peer)
    simulation.announce(peer, VIP6, attributes=simulation.attributes(peer, "fd00:99::9"))
    simulation.settle()
    assert simulation.fib() == {VIP6: ["fe80::1"]}


def test_what_is_unknown_is_not_used_and_comes_when_it_is_known() -> None:
    simulation = Simulation()
    simulation.identifies = False
    simulation.up(A)
    simulation.announce(A, VIP6, attributes=simulation.attributes(A, next_hop=A6))
    simulation.settle()
    assert simulation.fib() == {}
    simulation.take(answer(gateway(A), gateway(A6)))
    simulation.settle()
    assert simulation.fib() == {VIP6: [A6]}


def test_another_hosts_next_hop_is_neither_used_nor_drained() -> None:
    simulation = Simulation()
    simulation.up(B)
    simulation.announce(B, VIP6, attributes=simulation.attributes(B, next_hop=A6))
    simulation.settle()
    assert simulation.fib() == {}
    peer = simulation.router.rib.peers[B]
    assert peer.adj_rib_in.rejections() == {Reject.OTHER_HOST: 1}
    assert simulation.router.rib.gateways_of(peer) == {gateway(B)}


def test_after_a_restart_a_group_waits_until_it_is_known_whose_its_next_hop_is() -> None:
    simulation = Simulation()
    simulation.up(A)
    simulation.announce(A, VIP6, attributes=simulation.attributes(A, next_hop=A6))
    simulation.end_of_rib(A)
    simulation.settle()
    simulation.restart()
    simulation.identifies = False
    simulation.up(A)
    simulation.announce(A, VIP6, attributes=simulation.attributes(A, next_hop=A6))
    simulation.end_of_rib(A)
    simulation.settle()
    assert simulation.fib() == {VIP6: [A6]}, "the route that was found stays"
    simulation.forget()
    simulation.take(answer(gateway(A), gateway(A6)))
    simulation.settle()
    assert simulation.fib() == {VIP6: [A6]}
    assert simulation.operations == []


def test_what_was_asked_for_a_node_is_forgotten_with_its_session() -> None:
    simulation = Simulation()
    simulation.up(A)
    simulation.announce(A, VIP6, attributes=simulation.attributes(A, next_hop=A6))
    simulation.settle()
    assert simulation.router.rib.judge.hosts.wanted == {gateway(A), gateway(A6)}
    simulation.down(A)
    assert simulation.router.rib.judge.hosts.wanted == set()


def test_what_is_used_stays_until_the_kernel_has_told_whose_it_is() -> None:
    """next_hop = "any" becomes "peer": whose the next hop is was never asked, and flows are on it."""
    simulation = Simulation()
    simulation.up(A)
    simulation.take(Reconfigure(changed(simulation, "nodes", next_hop="any")))
    simulation.announce(A, VIP6, attributes=simulation.attributes(A, A6))
    simulation.settle()
    assert simulation.fib() == {VIP6: [A6]}
    simulation.identifies = False
    simulation.take(Reconfigure(changed(simulation, "nodes", next_hop="peer")))
    simulation.settle()
    assert simulation.fib() == {VIP6: [A6]}, "not known yet"
    simulation.announce(A, "fd00:ac10::2/128", attributes=simulation.attributes(A, A6))
    simulation.settle()
    assert simulation.fib() == {VIP6: [A6]}, "what is new has to wait"
    simulation.take(Identified({gateway(A): b"a", gateway(A6): b"b"}))
    simulation.settle()
    assert simulation.fib() == {}, "another host's"


def test_a_next_hop_that_nothing_leads_to_is_judged_once_something_does() -> None:
    """As for a node behind a router whose routes come later: whose it is was not asked before."""
    simulation, peer = Simulation(), "192.168.99.9"
    simulation.up(peer)
    simulation.announce(peer, VIP6, attributes=simulation.attributes(peer, "fd00:99::9"))
    simulation.settle()
    assert simulation.fib() == {}
    way = ForeignRoute(1, 4, 0, 0, (Leg(parse_address("fd00:10::101"), 2),))
    simulation.take(RoutesChanged((RouteChange(parse_prefix("fd00:99::/32"), way),)))
    simulation.settle()
    assert simulation.fib() == {}
    assert simulation.router.rib.peers[peer].adj_rib_in.rejections() == {Reject.OTHER_HOST: 1}


def test_a_next_hop_that_a_peer_of_the_own_as_says_is_taken_as_it_is() -> None:
    """It is another router's, as iBGP has it (RFC 4271 section 5.1.3): the link layer is not asked."""
    simulation = Simulation()
    simulation.identifies = False
    simulation.up(A, asn=65000)
    attributes = simulation.attributes(A, "fd00:10::150", as_path=sequence(65001))
    simulation.announce(A, VIP6, attributes=attributes)
    simulation.settle()
    assert simulation.fib() == {VIP6: ["fd00:10::150"]}
    assert not simulation.router.rib.judge.hosts.wanted


def test_the_addresses_of_a_host_are_those_with_its_link_layer_address() -> None:
    hosts, mine, theirs, others = Hosts(), gateway(A), gateway(A6), gateway("fd00:10::101")
    for each in (theirs, others):
        hosts.judge(A, mine, each)
    assert hosts.addresses(mine.address) == set(), "none is known"
    hosts.take({mine: b"a", theirs: b"a", others: b"b"})
    assert hosts.addresses(mine.address) == {mine.address, theirs.address}
    hosts.take({mine: b"", theirs: b"", others: b""})
    assert hosts.addresses(mine.address) == set(), "a link without addresses tells nothing"
