"""Next-hop tracking."""

from __future__ import annotations

import pytest

from routerd.core.message import ForeignRoute, Gateway, Interface
from routerd.core.rib.nexthop import NexthopTable
from routerd.core.route import Address, parse_address, parse_prefix
from tests.support.core import LINKS

PEER = parse_address("192.168.10.100")


def route(prefix: str, gateway: str | None, ifindex: int = 2, metric: int = 0) -> ForeignRoute:
    return ForeignRoute(parse_prefix(prefix), None if gateway is None else parse_address(gateway), ifindex, 4, metric)


def table(*foreign: ForeignRoute, links: tuple[Interface, ...] = LINKS) -> NexthopTable:
    made = NexthopTable()
    made.update(links, foreign)
    return made


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
    made = table(route("10.5.0.0/16", "192.168.20.1", 3, 5), route("10.5.5.0/24", "192.168.10.1", 2, 7))
    found = made.resolve(parse_address("10.5.5.5"), None, PEER)
    assert found is not None
    assert (found.gateway, found.metric) == (Gateway(parse_address("192.168.10.1"), 2), 7)


def test_the_default_route_resolves_nothing() -> None:
    assert table(route("0.0.0.0/0", "192.168.10.1")).resolve(parse_address("10.5.5.5"), None, PEER) is None


def test_a_link_that_is_down_resolves_nothing() -> None:
    down = Interface(2, "nodes10", False, LINKS[0].addresses, LINKS[0].networks)
    assert table(links=(down, LINKS[1])).resolve(PEER, None, PEER) is None


def test_update_tells_whether_anything_changed() -> None:
    made = table()
    assert not made.update(LINKS, ())
    assert made.update(LINKS, (route("10.0.0.0/8", "192.168.10.1"),))
    assert made.update(LINKS[:1], ())


def test_own_addresses_and_networks() -> None:
    made = table()
    assert parse_address("192.168.10.200") in made.addresses
    assert parse_prefix("fd00:10::/64") in made.networks
    assert made.address_beside(parse_address("192.168.10.200"), 16) == parse_address("fd00:10::200")
    assert made.address_beside(parse_address("192.168.20.200"), 16) is None
    assert made.address_beside(parse_address("192.168.20.200"), 4) == parse_address("192.168.20.200")
