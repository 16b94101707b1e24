"""Import policy: every reason, and the memo that must never change a verdict."""

from __future__ import annotations

import time
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.config.model import PeerGroup
from routerd.core.rib.policy import MARTIANS, PrefixFilter, Reject, check_attributes, is_link_local
from routerd.core.route import AsPath, Attributes, Prefix, covers, parse_address, parse_prefix
from tests.support.core import sequence

OWN = [parse_prefix(text) for text in ("192.168.10.0/24", "10.10.1.0/24", "fd00:10::/64")]
LISTED = PeerGroup(accept=("172.16.0.0/16", "172.20.0.0/16", "fd00:ac10::/32"))
ANY = PeerGroup(accept="any")


@pytest.mark.parametrize(
    ("group", "prefix", "reason"),
    [
        (LISTED, "172.16.1.1/32", Reject.NONE),
        (LISTED, "172.16.0.0/16", Reject.NONE),
        (LISTED, "172.20.3.0/24", Reject.NONE),
        (LISTED, "fd00:ac10::1/128", Reject.NONE),
        (LISTED, "172.16.0.0/15", Reject.NOT_ACCEPTED),
        (LISTED, "172.17.1.1/32", Reject.NOT_ACCEPTED),
        (LISTED, "fd00:ac11::1/128", Reject.NOT_ACCEPTED),
        (LISTED, "0.0.0.0/0", Reject.DEFAULT_ROUTE),
        (LISTED, "::/0", Reject.DEFAULT_ROUTE),
        (LISTED, "127.0.0.0/8", Reject.MARTIAN),
        (PeerGroup(), "172.16.1.1/32", Reject.NO_POLICY),
        (PeerGroup(accept=()), "172.16.1.1/32", Reject.NOT_ACCEPTED),
        (ANY, "8.8.8.0/24", Reject.NONE),
        (ANY, "2001:4860::/32", Reject.NONE),
        (ANY, "0.0.0.0/0", Reject.DEFAULT_ROUTE),
        (ANY, "192.168.10.7/32", Reject.OWN_NETWORK),
        (ANY, "192.168.10.0/24", Reject.OWN_NETWORK),
        (ANY, "192.168.0.0/16", Reject.OWN_NETWORK),
        (ANY, "10.10.1.128/25", Reject.OWN_NETWORK),
        (ANY, "fd00:10::1/128", Reject.OWN_NETWORK),
        (ANY, "224.0.0.0/24", Reject.MARTIAN),
        (ANY, "fe80::/64", Reject.MARTIAN),
        (ANY, "169.254.1.0/24", Reject.MARTIAN),
        (PeerGroup(accept=("0.0.0.0/0",)), "0.0.0.0/0", Reject.NONE),
        (PeerGroup(accept=("203.0.113.0/24",)), "203.0.113.7/32", Reject.NONE),
        (PeerGroup(accept=("203.0.113.128/25",)), "203.0.113.7/32", Reject.MARTIAN),
        (PeerGroup(accept=("64:ff9b::/96",)), "64:ff9b::/96", Reject.NONE),
        (PeerGroup(accept=("::/0",)), "64:ff9b::/96", Reject.MARTIAN),
        (PeerGroup(accept=("0.0.0.0/0",)), "203.0.113.7/32", Reject.MARTIAN),
        (PeerGroup(accept=("0.0.0.0/0",)), "192.168.10.7/32", Reject.OWN_NETWORK),
        (PeerGroup(accept=("192.168.10.0/28",)), "192.168.10.7/32", Reject.NONE),
        (PeerGroup(accept=("192.168.0.0/16",)), "192.168.10.7/32", Reject.OWN_NETWORK),
        (PeerGroup(accept=("192.168.0.0/16",)), "192.168.0.0/16", Reject.NONE),
    ],
)
def test_prefixes(group: PeerGroup, prefix: str, reason: Reject) -> None:
    parsed = parse_prefix(prefix)
    accepted, rejected = PrefixFilter(group, OWN).split([parsed])
    assert (accepted, rejected) == (([parsed], []) if reason is Reject.NONE else ([], [(parsed, reason)]))


def test_of_no_prefix_none_is_accepted_or_rejected() -> None:
    assert PrefixFilter(LISTED, OWN).split([]) == ([], [])


_v4 = st.builds(
    lambda address, length: Prefix(
        bytes([length]) + (address >> (32 - length) << (32 - length) if length else 0).to_bytes(4, "big")
    ),
    st.one_of(st.integers(0, 2**32 - 1), st.integers(0xAC100000, 0xAC14FFFF), st.integers(0xC0A80A00, 0xC0A80AFF)),
    st.integers(0, 32),
)


@given(st.lists(_v4, min_size=1), st.sampled_from([LISTED, ANY, PeerGroup(accept=("192.168.10.128/25",))]))
def test_the_memo_changes_no_verdict(prefixes: list[Prefix], group: PeerGroup) -> None:
    remembering, plain = PrefixFilter(group, OWN), PrefixFilter(group, OWN)
    accepted, rejected = remembering.split(prefixes)
    assert accepted == [prefix for prefix in prefixes if plain.check(prefix) is Reject.NONE]
    assert rejected == [(prefix, plain.check(prefix)) for prefix in prefixes if plain.check(prefix)]


@pytest.mark.parametrize(
    ("as_path", "next_hop", "reason"),
    [
        (sequence(65001), "192.168.10.100", Reject.NONE),
        (sequence(65001, 65009), "192.168.10.100", Reject.NONE),
        (sequence(65001, 65000), "192.168.10.100", Reject.OWN_AS),
        (sequence(65009), "192.168.10.100", Reject.FIRST_AS),
        ((), "192.168.10.100", Reject.FIRST_AS),
        (sequence(65001), "192.168.10.101", Reject.FOREIGN_NEXT_HOP),
        (sequence(65001), "192.168.10.200", Reject.OWN_NEXT_HOP),
        (sequence(65001), "fd00:10::100", Reject.NONE),
        (sequence(65001), "::ffff:192.168.10.100", Reject.NONE),
        (sequence(65001), "::ffff:192.168.10.101", Reject.FOREIGN_NEXT_HOP),
        (sequence(65001), "::ffff:192.168.10.200", Reject.OWN_NEXT_HOP),
    ],
)
def test_attributes(as_path: AsPath, next_hop: str, reason: Reject) -> None:
    verdict = check_attributes(
        Attributes(as_path=as_path, next_hop=parse_address(next_hop)),
        LISTED,
        asn=65000,
        router_id=parse_address("192.168.10.200"),
        peer=frozenset({parse_address("192.168.10.100")}),
        peer_asn=65001,
        external=True,
        own=frozenset({parse_address("192.168.10.200")}),
    )
    assert verdict is reason


@pytest.mark.parametrize(
    ("next_hop", "link_local", "reason"),
    [
        ("::", "fe80::100", Reject.NONE),
        ("::", "fe80::101", Reject.FOREIGN_NEXT_HOP),
        ("::", "fe80::200", Reject.OWN_NEXT_HOP),
        ("fd00:10::100", "fe80::101", Reject.NONE),
        ("fd00:10::101", "fe80::100", Reject.FOREIGN_NEXT_HOP),
        ("fd00:10::200", "fe80::100", Reject.OWN_NEXT_HOP),
    ],
)
def test_the_link_local_address_counts_where_there_is_no_global_one(
    next_hop: str, link_local: str, reason: Reject
) -> None:
    """RFC 2545 section 3: the global address is the next hop; the other one stands beside it."""
    verdict = check_attributes(
        Attributes(as_path=sequence(65001), next_hop=parse_address(next_hop), link_local=parse_address(link_local)),
        LISTED,
        asn=65000,
        router_id=parse_address("192.168.10.200"),
        peer=frozenset(map(parse_address, ("fd00:10::100", "fe80::100"))),
        peer_asn=65001,
        external=True,
        own=frozenset(map(parse_address, ("fd00:10::200", "fe80::200"))),
    )
    assert verdict is reason


def test_a_reflected_route_of_our_own_is_refused() -> None:
    own = parse_address("192.168.10.200")
    verdict = check_attributes(
        Attributes(next_hop=parse_address("192.168.10.9"), originator_id=own),
        LISTED,
        asn=65000,
        router_id=own,
        peer=frozenset({parse_address("192.168.10.100")}),
        peer_asn=65000,
        external=False,
        own=frozenset(),
    )
    assert verdict is Reject.REFLECTION_LOOP


@pytest.mark.parametrize(
    ("address", "scoped"),
    [("fe80::1", True), ("febf::1", True), ("fec0::1", False), ("fe7f::1", False), ("254.128.0.1", False)],
)
def test_link_local_addresses(address: str, scoped: bool) -> None:
    """fe80::/10 (RFC 4291 section 2.4); no IPv4 address is one."""
    assert is_link_local(parse_address(address)) is scoped


def test_every_reason_has_its_number_and_text() -> None:
    assert Reject.NOT_ACCEPTED.text == "6 not in accept"
    assert all(reason.text.startswith(f"{reason.value} ") for reason in Reject)


@given(
    st.lists(st.tuples(st.integers(0, 32), st.integers(0, 2**32 - 1)), max_size=6),
    st.tuples(st.integers(0, 32), st.integers(0, 2**32 - 1)),
)
def test_an_entry_holds_what_it_covers(entries: list[tuple[int, int]], one: tuple[int, int]) -> None:
    """However entries are looked up: as one by one."""
    accept = tuple(
        str(ip_network((value >> (32 - bits) << (32 - bits) if bits else 0, bits))) for bits, value in entries
    )
    bits, value = one
    network = ip_network((value >> (32 - bits) << (32 - bits) if bits else 0, bits))
    found = PrefixFilter(PeerGroup(accept=accept), ()).check(parse_prefix(str(network)))
    holders = [each for each in map(ip_network, accept) if network.subnet_of(each)]
    martian = [each for each in MARTIANS if covers(each, parse_prefix(str(network)))]
    if not bits:
        assert found == (Reject.NONE if holders else Reject.DEFAULT_ROUTE)
    elif martian:
        meant = all(any(covers(space, parse_prefix(str(each))) for each in holders) for space in martian)
        assert found == (Reject.NONE if meant else Reject.MARTIAN)
    else:
        assert found == (Reject.NONE if holders else Reject.NOT_ACCEPTED)


def test_thousands_of_entries_cost_no_more_than_some() -> None:
    """A node that announces what none of them holds stops nobody."""
    prefixes = [Prefix(bytes([32, 172, 30, i >> 8, i & 255])) for i in range(780)]
    costs = []
    for count in (40, 4000):
        accept = tuple(f"172.16.{n >> 6}.{n << 2 & 255}/30" for n in range(count))
        judging = PrefixFilter(PeerGroup(accept=accept), ())
        begun = time.thread_time()
        assert not judging.split(prefixes)[0]
        costs.append(time.thread_time() - begun)
    assert costs[1] < 10 * costs[0]
