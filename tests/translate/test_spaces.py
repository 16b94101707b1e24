"""Sets of prefixes, held against every prefix of up to four bits."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import product

from routerd.translate.frr.spaces import Network, Space, entries, inside, unique, without

DEFAULT = ip_network("0.0.0.0/0")
PREFIXES = [
    ip_network((bits << (32 - length) if length else 0, length)) for length in range(5) for bits in range(1 << length)
]
SPACES = [
    Space(network, least, most)
    for network in PREFIXES
    if network.prefixlen < 4
    for least, most in product(range(network.prefixlen, 5), (*range(5), 32))
    if least <= most
]


def members(*spaces: Space) -> set[Network]:
    return {prefix for prefix in PREFIXES for space in spaces if space.has(prefix)}


def test_a_space_without_another_one() -> None:
    exact = 0
    for space, barred in product(SPACES[::4], SPACES[::3]):
        left, why = without(space, barred)
        wanted = members(space) - members(barred)
        assert space.meets(barred) == bool(members(space) & members(barred)), (space, barred)
        if not why:
            exact += 1
            assert members(*left) == wanted, (space, barred)
        elif "are not accepted" in why:
            assert members(*left) < wanted, (space, barred)
        else:
            assert members(*left) > wanted, (space, barred)
    assert exact > 500


def test_the_entries_of_accept_for_a_space() -> None:
    for space in SPACES:
        found, why = entries(space)
        accepted = {prefix for prefix in PREFIXES if any(inside(prefix, each) for each in found)}
        if why and not found:
            assert members(space) == {DEFAULT}
        elif why:
            assert accepted >= members(space), space
        else:
            assert accepted == members(space), space
        assert space.least == 0 or DEFAULT not in found, space


def test_networks_within_others_are_left_out() -> None:
    found = [ip_network(text) for text in ("10.1.0.0/16", "10.0.0.0/8", "10.0.0.0/8", "fd00::/8", "11.0.0.0/8")]
    assert [str(each) for each in unique(found)] == ["10.0.0.0/8", "fd00::/8", "11.0.0.0/8"]
