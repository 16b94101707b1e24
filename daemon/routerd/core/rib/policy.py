"""Import policy: what of a peer's announcements is accepted, and a numbered reason for what is not.

Two questions, asked apart because they cost apart: of the attributes, once for all prefixes that carry them;
of the prefix, for each, with a memo of its leading octets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import cached_property

from routerd.config.model import PeerGroup
from routerd.core.memo import Memo
from routerd.core.rib.foreign import network_of
from routerd.core.route import (
    MAPPED,
    Address,
    Attributes,
    Prefix,
    as_numbers,
    covers,
    first_as,
    parse_prefix,
)


class Reject(IntEnum):
    """Why a path was rejected. The numbers are part of the API; 0 means accepted.

    The attributes are judged by `check_attributes`, the prefix by `PrefixFilter` and `Guard`, a next hop that the
    session's address says nothing about by `Hosts`. A new reason has a text below and in docs/decision-process.md.
    """

    NONE = 0
    OWN_AS = 1
    FIRST_AS = 2
    FOREIGN_NEXT_HOP = 3
    OWN_NEXT_HOP = 4
    NO_POLICY = 5
    NOT_ACCEPTED = 6
    MARTIAN = 7
    DEFAULT_ROUTE = 8
    OWN_NETWORK = 9
    REFLECTION_LOOP = 10
    NODE_ADDRESS = 11
    OTHER_HOST = 12
    UNKNOWN_HOST = 13

    @property
    def text(self) -> str:
        """A line for people, with its number: `6 not in accept`."""
        return f"{self.value} {_TEXTS[self]}"


_TEXTS = {
    Reject.NONE: "accepted",
    Reject.OWN_AS: "the router's own AS is in AS_PATH",
    Reject.FIRST_AS: "the first AS of AS_PATH is not the peer's",
    Reject.FOREIGN_NEXT_HOP: "the next hop is not the peer's own address",
    Reject.OWN_NEXT_HOP: "the next hop is an address of the router",
    Reject.NO_POLICY: "the peer group has no accept list (RFC 8212)",
    Reject.NOT_ACCEPTED: "not in accept",
    Reject.MARTIAN: "martian prefix",
    Reject.DEFAULT_ROUTE: "a default route that accept does not list",
    Reject.OWN_NETWORK: "lies in a network of the router itself",
    Reject.REFLECTION_LOOP: "ORIGINATOR_ID is the router's own (RFC 4456)",
    Reject.NODE_ADDRESS: "would take over an address of the router or of a node",
    Reject.OTHER_HOST: "the next hop is another host's (its link-layer address is not the peer's)",
    Reject.UNKNOWN_HOST: "whose the next hop is, is not known (no link-layer address yet)",
}

MARTIANS = tuple(
    parse_prefix(text)
    for text in (
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "198.51.100.0/24",
        "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "::/8", "100::/64", "2001:db8::/32", "3fff::/20", "fe80::/10", "ff00::/8",
    )
)  # fmt: skip
"""Prefixes that no node may announce (RFC 6890). Private and shared space is what clusters use, so it may."""

_MEMO_LIMIT = 4 << 20
"""Octets of remembered verdicts."""


def unmap(address: Address) -> Address:
    """Return the IPv4 address inside `::ffff:a.b.c.d`, or the address itself."""
    return Address(address[12:]) if len(address) == 16 and address[:12] == MAPPED else address


def is_link_local(address: Address) -> bool:
    """Tell whether an address means something on one link only (fe80::/10)."""
    return len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80


def check_attributes(
    attributes: Attributes,
    group: PeerGroup,
    *,
    asn: int,
    router_id: Address,
    peer: frozenset[Address],
    peer_asn: int,
    external: bool,
    own: frozenset[Address],
) -> Reject:
    """Judge what all prefixes of an UPDATE share. `own` are the router's addresses, `peer` those of the peer: of its
    session, and others that the operator named.

    The next hop must be the peer's own (RFC 7948 section 4.8), unless the group's next_hop is "any". One of a family
    or a scope of which no address of the peer is known cannot be compared; `Hosts` judges it.
    """
    if asn in as_numbers(attributes.as_path):
        return Reject.OWN_AS
    if external and first_as(attributes.as_path) != peer_asn:
        return Reject.FIRST_AS
    if attributes.originator_id == router_id:  # from outside it is discarded: RFC 7606 section 7.9
        return Reject.REFLECTION_LOOP
    next_hop = unmap(attributes.next_hop)
    if not any(next_hop) and attributes.link_local is not None:
        next_hop = attributes.link_local
    if next_hop in own:
        return Reject.OWN_NEXT_HOP
    if external and group.next_hop == "peer" and next_hop not in peer:
        kind = len(next_hop), is_link_local(next_hop)
        if kind in {(len(address), is_link_local(address)) for address in peer}:
            return Reject.FOREIGN_NEXT_HOP
    return Reject.NONE


class Spaces(frozenset[Prefix]):
    """Prefixes, thousands perhaps, of which those that hold another one are looked up by their lengths."""

    def holding(self, prefix: Prefix) -> Iterator[Prefix]:
        """Yield those that a prefix is, or lies in."""
        address = Address(prefix[1:])
        found = (network_of(address, bits) for bits in self._lengths[len(prefix)] if bits <= prefix[0])
        return (each for each in found if each in self)

    def around(self, address: Address) -> Iterator[Prefix]:
        """Yield those that an address lies in."""
        return self.holding(Prefix(bytes((8 * len(address),)) + address))

    @cached_property
    def _lengths(self) -> dict[int, list[int]]:
        return {size: sorted({each[0] for each in self if len(each) == size}) for size in (5, 17)}


class PrefixFilter:
    """Judges prefixes for one peer group. `networks` are the router's own: connected and originated."""

    def __init__(self, group: PeerGroup, networks: Iterable[Prefix]) -> None:
        self._policy = group.accept is not None
        self._any = group.accept == "any"
        listed = () if group.accept is None or group.accept == "any" else group.accept
        self._accept = Spaces(map(parse_prefix, listed))
        self._networks = Spaces(networks)
        rules = (*self._accept, *self._networks, *MARTIANS)
        # The verdict depends on no octet beyond the longest rule: all prefixes that agree up to there share it.
        self._key = {
            size: 1 + (max((rule[0] for rule in rules if len(rule) == size), default=0) + 7) // 8 for size in (5, 17)
        }
        self._memo: Memo[bytes, Reject] = Memo(_MEMO_LIMIT)

    def split(self, prefixes: list[Prefix]) -> tuple[list[Prefix], list[tuple[Prefix, Reject]]]:
        """Part prefixes into the accepted ones and the rejected ones with their reasons."""
        if not prefixes:
            return [], []
        size = self._key[len(prefixes[0])]
        verdicts: dict[bytes, Reject] = {}
        for key, example in {prefix[:size]: prefix for prefix in prefixes}.items():
            verdict = self._memo.get(key)
            verdicts[key] = self._memo.remember(key, self.check(example)) if verdict is None else verdict
        if not any(verdicts.values()):
            return prefixes, []
        rejected: list[tuple[Prefix, Reject]] = []
        accepted: list[Prefix] = []
        for prefix in prefixes:
            if verdict := verdicts[prefix[:size]]:
                rejected.append((prefix, verdict))
            else:
                accepted.append(prefix)
        return accepted, rejected

    def check(self, prefix: Prefix) -> Reject:
        """Judge one prefix."""
        if not self._policy:
            return Reject.NO_POLICY
        if prefix[0] == 0 and prefix not in self._accept:
            return Reject.DEFAULT_ROUTE
        if prefix[0] and any(covers(martian, prefix) and not self._meant(martian, prefix) for martian in MARTIANS):
            return Reject.MARTIAN
        if not self._any and not any(self._accept.holding(prefix)):
            return Reject.NOT_ACCEPTED
        return Reject.OWN_NETWORK if self._hits_own_network(prefix) else Reject.NONE

    def _hits_own_network(self, prefix: Prefix) -> bool:
        if any(not self._meant(network, prefix) for network in self._networks.holding(prefix)):
            return True
        return self._any and any(covers(prefix, network) for network in self._networks if network[0] > prefix[0])

    def _meant(self, space: Prefix, prefix: Prefix) -> bool:
        """Tell whether an entry of accept inside a space that is barred says that the operator means the prefix."""
        return any(covers(space, allowed) for allowed in self._accept.holding(prefix))
