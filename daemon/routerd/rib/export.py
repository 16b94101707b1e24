"""Export: what a peer is told, and with which attributes (RFC 4271 section 5, RFC 8212: nothing by default)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from routerd.rib.peer import Peer
from routerd.route import (
    LOCAL,
    Address,
    Attributes,
    Family,
    Path,
    Prefix,
    SegmentType,
    Unknown,
    family_of,
    parse_prefix,
)

DEFAULT_ROUTES = {Family.IPV4: parse_prefix("0.0.0.0/0"), Family.IPV6: parse_prefix("::/0")}
NO_EXPORT, NO_ADVERTISE, NO_EXPORT_SUBCONFED = 0xFFFFFF01, 0xFFFFFF02, 0xFFFFFF03
_PARTIAL = 0x20
_MEMO_LIMIT = 65536


class Exporter:
    """Turns best paths into what one peer shall hear. `next_hops` are the router's addresses on the peer's link."""

    def __init__(self, peer: Peer, asn: int, next_hops: dict[Family, Address]) -> None:
        self._peer = peer
        self._asn = asn
        self.next_hops = next_hops
        self._memo: dict[Path, Attributes] = {}

    def attributes(self, path: Path | None, prefix: Prefix) -> Attributes | None:
        """Return what the peer is told of a prefix whose best path is `path`, None when it is to hear nothing."""
        family, told = family_of(prefix), self._peer.group.advertise
        next_hop = self.next_hops.get(family)
        if next_hop is None:
            return None
        if prefix == DEFAULT_ROUTES[family] and "default" in told:
            return self._originated(next_hop)
        if path is None or not self._allowed(path):
            return None
        if path.peer == LOCAL:
            return self._originated(next_hop)
        if path not in self._memo:
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            self._memo[path] = self._rewrite(path, next_hop)
        return self._memo[path]

    def _originated(self, next_hop: Address) -> Attributes:
        return Attributes(as_path=self._prepend(()), next_hop=next_hop)

    def _allowed(self, path: Path) -> bool:
        told = self._peer.group.advertise
        if path.peer == LOCAL:
            return "networks" in told
        if "learned" not in told or path.peer == self._peer.address:
            return False
        if not path.external and not self._peer.external:
            return False  # RFC 4271 section 9.2: iBGP is not told what iBGP told
        barred = {NO_ADVERTISE, NO_EXPORT, NO_EXPORT_SUBCONFED} if self._peer.external else {NO_ADVERTISE}
        return barred.isdisjoint(path.attributes.communities)

    def _prepend(
        self, as_path: tuple[tuple[SegmentType, tuple[int, ...]], ...]
    ) -> tuple[tuple[SegmentType, tuple[int, ...]], ...]:
        if not self._peer.external:
            return as_path
        if as_path and as_path[0][0] is SegmentType.SEQUENCE and len(as_path[0][1]) < 255:
            return ((SegmentType.SEQUENCE, (self._asn, *as_path[0][1])), *as_path[1:])
        return ((SegmentType.SEQUENCE, (self._asn,)), *as_path)

    def _rewrite(self, path: Path, next_hop: Address) -> Attributes:
        """Next hop self: flows must pass this router, whose FIB spreads them. MED stays within one neighbour AS."""
        heard = path.attributes
        return Attributes(
            origin=heard.origin,
            as_path=self._prepend(heard.as_path),
            next_hop=next_hop,
            med=None if self._peer.external else heard.med,
            local_pref=None if self._peer.external else heard.local_pref,
            atomic_aggregate=heard.atomic_aggregate,
            aggregator=heard.aggregator,
            communities=heard.communities,
            extended_communities=heard.extended_communities,
            large_communities=heard.large_communities,
            unknown=tuple(Unknown(u.flags | _PARTIAL, u.code, u.value) for u in heard.unknown),
        )


def changes(
    peer: Peer, exporter: Exporter, bests: Iterable[tuple[Path | None, Iterable[Prefix]]]
) -> tuple[list[Prefix], dict[Attributes, list[Prefix]]]:
    """Bring `peer.advertised` in line with new best paths; return what to withdraw and what to announce."""
    withdrawn: list[Prefix] = []
    announced: dict[Attributes, list[Prefix]] = {}
    for path, prefix in _each(bests):
        told, before = exporter.attributes(path, prefix), peer.advertised[family_of(prefix)]
        if told is None:
            if before.pop(prefix, None) is not None:
                withdrawn.append(prefix)
        elif before.get(prefix) != told:
            before[prefix] = told
            announced.setdefault(told, []).append(prefix)
    return withdrawn, announced


def _each(bests: Iterable[tuple[Path | None, Iterable[Prefix]]]) -> Iterator[tuple[Path | None, Prefix]]:
    for path, prefixes in bests:
        for prefix in prefixes:
            yield path, prefix
