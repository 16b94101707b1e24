"""Next-hop tracking."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routerd.core.message import (
    ForeignRoute,
    ForeignRoutes,
    Gateway,
    Interface,
    KernelGroup,
    KernelNexthop,
    Leg,
    Member,
    NexthopChange,
    RouteChange,
)
from routerd.core.rib import ways
from routerd.core.rib.nexthop import NexthopTable
from routerd.core.rib.ways import Resolution, Way
from routerd.core.route import Address, Prefix, contains, parse_address, parse_prefix
from tests.support.core import LINKS
from tests.support.kernel import FakeKernel

PEER = parse_address("192.168.10.100")
FAR = parse_address("10.5.5.5")
ONE, OTHER = "192.168.10.1", "192.168.20.1"
BLACKHOLE, THROW = 6, 9

Written = tuple[Prefix, ForeignRoute]


def leg(gateway: str | None, ifindex: int = 2, *, onlink: bool = False) -> Leg:
    return Leg(None if gateway is None else parse_address(gateway), ifindex, onlink)


def route(prefix: str, *legs: Leg, metric: int = 0, kind: int = 1, nexthop: int = 0) -> Written:
    return parse_prefix(prefix), ForeignRoute(kind, 4, metric, nexthop, legs)


def table(*foreign: Written, links: tuple[Interface, ...] = LINKS) -> NexthopTable:
    made = NexthopTable()
    made.update(links, routes(*foreign, links=links))
    return made


def routes(*foreign: Written, links: tuple[Interface, ...] = LINKS) -> ForeignRoutes:
    """Return the routes to connected networks and these, in the kernel's order."""
    found = FakeKernel(links).dump().foreign
    for prefix, each in foreign:
        found[prefix] = tuple(sorted((*found.get(prefix, ()), each), key=lambda route: route.metric))
    return found


def way(made: NexthopTable, to: Address = FAR) -> Resolution | None:
    return made.resolve(to, None, PEER)


def via(*gateways: tuple[str, int], metric: int = 0) -> Resolution:
    return Resolution(tuple(Gateway(parse_address(address), index) for address, index in gateways), metric)


@pytest.mark.parametrize(
    ("next_hop", "link_local", "gateway", "ifindex"),
    [
        ("192.168.10.100", None, "192.168.10.100", 2),
        ("192.168.20.100", None, "192.168.20.100", 3),
        ("10.5.5.5", None, None, 0),
        ("fd00:10::100", None, "fd00:10::100", 2),
        ("fd00:10::100", "fe80::1", "fd00:10::100", 2),
        ("fe80::1", None, "fe80::1", 2),
        ("::ffff:192.168.10.100", "fe80::1", "fe80::1", 2),
        ("::", "fe80::1", "fe80::1", 2),
        ("::ffff:192.168.10.100", None, None, 0),
        ("192.168.10.200", None, None, 0),
        ("fd00:99::1", None, None, 0),
    ],
)
def test_resolve(next_hop: str, link_local: str | None, gateway: str | None, ifindex: int) -> None:
    local: Address | None = None if link_local is None else parse_address(link_local)
    found = table().resolve(parse_address(next_hop), local, PEER)
    if gateway is None:
        assert found is None
    else:
        assert found is not None
        assert found.gateway == Gateway(parse_address(gateway), ifindex)


def test_a_static_route_leads_there_one_level_deep() -> None:
    made = table(route("10.5.0.0/16", leg(OTHER, 3), metric=5), route("10.5.5.0/24", leg(ONE), metric=7))
    assert way(made) == via((ONE, 2), metric=7)


def test_a_host_route_is_longer_than_the_connected_network() -> None:
    made = table(route("192.168.10.100/32", leg(OTHER, 3), metric=7))
    assert way(made, PEER) == via((OTHER, 3), metric=7)
    assert made.link_of(PEER) is None


def test_of_two_ways_the_lower_metric_is_taken() -> None:
    both = (route("10.5.0.0/16", leg(ONE), metric=9), route("10.5.0.0/16", leg(OTHER, 3), metric=8))
    assert way(table(*both)) == way(table(*reversed(both))) == via((OTHER, 3), metric=8)
    twice = (route("192.168.10.0/24", leg(None, 3), metric=100),)
    assert way(table(*twice), PEER) == via(("192.168.10.100", 2))


def test_a_route_of_several_gateways_leads_to_all() -> None:
    made = table(route("10.5.0.0/16", leg(ONE), leg(OTHER, 3), leg(ONE), metric=5))
    assert way(made) == via((ONE, 2), (OTHER, 3), metric=5)
    down = (LINKS[0], Interface(3, "nodes20", False, LINKS[1].addresses, LINKS[1].networks))
    assert way(table(route("10.5.0.0/16", leg(ONE), leg(OTHER, 3)), links=down)) == via((ONE, 2))


@pytest.mark.parametrize("kind", [BLACKHOLE, 7, 8, THROW])
def test_a_route_of_another_type_ends_the_search(kind: int) -> None:
    wide = route("10.0.0.0/8", leg(ONE))
    assert way(table(wide, route("10.5.0.0/16", kind=kind))) is None
    assert way(table(wide, route("10.6.0.0/16", kind=kind))) == via((ONE, 2))
    assert way(table(wide, route("10.0.0.0/8", kind=kind, metric=3))) == via((ONE, 2))


def test_a_gateway_that_is_on_the_link_by_say_so_is_remembered_as_such() -> None:
    made = table(route("10.5.0.0/16", leg("10.99.0.1", onlink=True)), route("10.6.0.0/16", leg(ONE)))
    assert way(made) == via(("10.99.0.1", 2))
    assert way(made, parse_address("10.6.0.1")) == via((ONE, 2))
    assert made.onlink == {Gateway(parse_address("10.99.0.1"), 2)}


def test_the_default_route_resolves_nothing() -> None:
    assert way(table(route("0.0.0.0/0", leg(ONE)))) is None


def nexthop(id: int, gateway: str, ifindex: int = 2) -> KernelNexthop:
    return KernelNexthop(id, 11, Gateway(parse_address(gateway), ifindex))


def test_a_route_to_a_nexthop_object_leads_where_that_leads_now() -> None:
    made = table(route("10.5.0.0/16", nexthop=9, metric=3), route("10.0.0.0/8", leg(ONE), metric=1))
    elsewhere = via((ONE, 2), metric=1)
    assert way(made) == elsewhere
    pair = (nexthop(7, ONE), nexthop(8, OTHER, 3))
    group = KernelGroup(9, 11, (Member(7), Member(8)))
    assert made.update(LINKS, objects=[*pair, group])
    assert way(made) == via((ONE, 2), (OTHER, 3), metric=3)
    assert made.apply([NexthopChange(7, None), NexthopChange(9, KernelGroup(9, 11, (Member(8),)))])
    assert way(made) == via((OTHER, 3), metric=3)
    assert made.apply([NexthopChange(9, KernelNexthop(9, 11, None))])
    assert way(made) is None, "a blackhole"
    assert made.apply([NexthopChange(9, None)])
    assert way(made) == elsewhere, "the kernel has deleted the route along with it, and does not tell"
    assert not made.apply([NexthopChange(9, nexthop(9, OTHER, 3))])
    assert way(made) == elsewhere
    assert made.apply([NexthopChange(9, KernelNexthop(9, 11, None, 3)), written("10.5.5.5/32", nexthop=9)])
    assert way(made) == via(("10.5.5.5", 3))


def written(prefix: str, *legs: Leg, nexthop: int = 0) -> RouteChange:
    return RouteChange(*route(prefix, *legs, nexthop=nexthop))


def test_changes_tell_whether_they_concern_a_next_hop_in_use() -> None:
    made = table(route("10.5.0.0/16", leg(ONE)))
    assert way(made) == via((ONE, 2))
    assert not made.apply([written("10.6.0.0/16", leg(OTHER, 3)), written("10.0.0.0/8", leg(OTHER, 3))])
    assert not made.apply([written("10.5.5.4/32", leg(OTHER, 3))])
    assert made.apply([written("10.5.5.0/24", leg(OTHER, 3))])
    assert way(made) == via((OTHER, 3))
    again = made.apply([RouteChange(*route("10.5.5.0/24", leg(OTHER, 3)), deleted=True)])
    assert again
    assert way(made) == via((ONE, 2))
    assert way(made, parse_address("10.6.6.6")) == via((OTHER, 3))
    assert made.apply([RouteChange(*route("10.6.0.0/16", leg(ONE)), replaces=True)])
    assert way(made, parse_address("10.6.6.6")) == via((ONE, 2))


def test_a_dump_that_brings_nothing_new_for_a_next_hop_is_no_change() -> None:
    made = table(route("10.5.0.0/16", leg(ONE)))
    way(made)
    assert not made.update(LINKS, routes(route("10.5.0.0/16", leg(ONE)), route("10.7.0.0/16", leg(ONE))))
    assert made.update(LINKS, routes(route("10.7.0.0/16", leg(ONE))))
    assert way(made) is None


def test_a_link_that_is_down_resolves_nothing() -> None:
    down = Interface(2, "nodes10", False, LINKS[0].addresses, LINKS[0].networks)
    assert table(links=(down, LINKS[1])).resolve(PEER, None, PEER) is None


def test_another_interface_is_a_change() -> None:
    made = table()
    assert not made.update(LINKS)
    assert made.update(LINKS[:1])


def test_own_addresses_and_networks() -> None:
    made = table()
    assert parse_address("192.168.10.200") in made.addresses
    assert parse_prefix("fd00:10::/64") in made.networks
    assert made.address_beside(parse_address("192.168.10.200"), 16) == parse_address("fd00:10::200")
    assert made.address_beside(parse_address("192.168.20.200"), 16) is None
    elsewhere = parse_address("192.0.2.1")  # of an interface that has just lost it
    assert made.address_beside(elsewhere, 4) == elsewhere
    assert made.address_beside(elsewhere, 16) is None
    assert made.address_beside(parse_address("192.168.20.200"), 4) == parse_address("192.168.20.200")


def test_link_local_addresses_are_neither_the_routers_own_nor_its_networks() -> None:
    """Every interface has one, and the network of all of them: `is_link_local` and the link judge such next hops."""
    link = replace(
        LINKS[0],
        addresses=(*LINKS[0].addresses, parse_address("fe80::200")),
        networks=(*LINKS[0].networks, parse_prefix("fe80::/64")),
    )
    made = table(links=(link, LINKS[1]))
    assert made.addresses == {address for each in LINKS for address in each.addresses}
    assert made.networks == {network for each in LINKS for network in each.networks}


def test_a_link_local_address_is_reached_on_an_interface_that_is_up_and_speaks_ipv6() -> None:
    """Its scope is the link of the session: another interface, or one without IPv6, leads nowhere."""
    local = parse_address("fe80::100")
    made = table()
    assert made.resolve(local, None, PEER) == via(("fe80::100", 2))
    assert made.reaches(Gateway(local, 2))
    assert not made.reaches(Gateway(local, 3))  # it has IPv4 alone
    assert not made.reaches(Gateway(local, 99))
    for link in (replace(LINKS[0], up=False), replace(LINKS[0], addresses=LINKS[0].addresses[:1])):
        changed = (link, LINKS[1])
        made.update(changed, routes(links=changed))
        assert made.resolve(local, None, PEER) is None
        assert not made.reaches(Gateway(local, 2))


@pytest.mark.parametrize(
    ("address", "bits"),
    [
        ("192.168.10.100", 24),
        ("192.168.10.200", 24),  # the router's own
        ("192.168.10.250", 28),
        ("10.5.5.5", 0),
        ("fd00:10::200", 64),
    ],
)
def test_how_specific_the_way_to_an_address_is(address: str, bits: int) -> None:
    made = table(route("192.168.10.240/28", leg(ONE)))
    assert made.leads(parse_address(address)) == made.look_leads(parse_address(address)) == bits


def test_the_way_to_an_address_of_the_routers_own_is_its_network_even_where_no_route_leads_there() -> None:
    host = Interface(1, "lo", True, (parse_address("10.7.7.7"),), (parse_prefix("10.7.7.7/32"),))
    made = table(links=(host, *LINKS))
    for leads in (made.leads, made.look_leads):
        assert [leads(parse_address(address)) for address in ("10.7.7.7", "10.7.7.8")] == [32, 0]


def test_a_route_of_which_one_leg_is_on_the_link_costs_its_metric() -> None:
    """Only a network of the router's own is at no distance."""
    for legs in ((leg(None), leg(OTHER, 3)), (leg(ONE), leg(OTHER, 3))):
        found = way(table(route("10.5.0.0/16", *legs, metric=7)))
        assert found is not None
        assert (found.metric, found.gateway.ifindex) == (7, 2), "the first leg is the gateway"


def test_with_more_next_hops_than_are_watched_every_change_may_concern_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "LIMIT", 3)
    made = table(route("10.5.0.0/16", leg(ONE)))
    addresses = [parse_address(f"10.5.5.{number}") for number in range(5)]
    other = [written("10.9.0.0/16", leg(OTHER, 3))]
    for address in addresses[:2]:
        assert way(made, address) == via((ONE, 2))
    assert not made.apply(other)
    for address in addresses:
        assert way(made, address) == via((ONE, 2))
    assert len(made._ways._watched) == 3
    assert made.apply(other)
    for address in addresses:
        way(made, address)
    assert made.apply([written("10.5.5.4/32", leg(OTHER, 3))])
    assert way(made, addresses[4]) == via((OTHER, 3))
    assert not made.apply([written("10.9.0.0/16", leg(ONE))]), "there is room again"


def test_of_many_that_are_watched_those_in_vain_go_and_then_as_many_may_come() -> None:
    """A thousand and some are in use; others come and go."""
    made = table(route("10.0.0.0/8", leg(ONE)))
    used = [parse_address(f"10.5.{number // 250}.{number % 250}") for number in range(1500)]
    most = 0
    for step in range(40):
        for address in used:
            way(made, address)
        for number in range(700):
            way(made, parse_address(f"10.{100 + step}.{number // 250}.{number % 250}"))
        most = max(most, len(made._ways._watched))
        if made.apply([written("10.5.0.0/24", leg(OTHER, 3))]).any:
            assert not made._ways._watched
        for address in used:
            way(made, address)
        made.apply([RouteChange(*route("10.5.0.0/24", leg(OTHER, 3)), deleted=True)])
    assert most <= 6 * len(used)


def test_a_change_concerns_the_addresses_inside_its_prefix_and_a_default_route_none() -> None:
    made = table()
    texts = ("0.0.0.1", "10.5.4.255", "10.5.5.0", "10.5.5.5", "10.5.5.255", "10.5.6.0", "255.255.255.255", "fd05::")
    addresses = [parse_address(text) for text in texts]
    for address in reversed(addresses):
        way(made, address)
    for text in ("10.5.5.0/24", "10.5.5.5/32", "0.0.0.0/1", "128.0.0.0/1", "10.5.4.0/22", "fd05::/128", "fd00::/8"):
        prefix = parse_prefix(text)
        assert made._ways._inside(prefix) == [each for each in addresses if contains(prefix, each)]
    assert made._ways._inside(parse_prefix("0.0.0.0/0")) == made._ways._inside(parse_prefix("::/0")) == []


def test_a_change_that_may_concern_any_of_many_looks_up_those_inside_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "LIMIT", 500)
    made = table(route("10.5.0.0/16", leg(ONE)))
    for number in range(510):
        way(made, parse_address(f"10.5.{number // 250}.{number % 250}"))
    sought: list[Address] = []
    seek = made._ways.seek

    def noted(address: Address) -> Way:
        sought.append(address)
        return seek(address)

    monkeypatch.setattr(made._ways, "seek", noted)
    assert made.apply([written("10.5.1.7/32", leg(OTHER, 3))]).any
    assert sought == [parse_address("10.5.1.7")]


def test_an_address_of_the_router_is_reached_otherwise_when_its_network_is_another_one() -> None:
    made, own = table(), parse_address("192.168.10.200")
    assert made.leads(own) == 24
    first, *others = LINKS
    first = replace(first, networks=(parse_prefix("192.168.10.192/26"), *first.networks[1:]))
    assert own in made.update((first, *others)).addresses


def test_a_gateway_on_the_link_by_say_so_is_known_though_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "LIMIT", 0)
    made = table(route("10.5.0.0/16", Leg(parse_address("10.3.3.3"), 2, onlink=True)))
    assert way(made) == via(("10.3.3.3", 2))
    assert made.onlink == {Gateway(parse_address("10.3.3.3"), 2)}
