"""Export: what a peer is told, and with which attributes (RFC 4271 section 5, RFC 8212: nothing by default)."""

from __future__ import annotations

from routerd.config.model import PeerGroup
from routerd.core.memo import Memo
from routerd.core.rib.decision import GRACEFUL_SHUTDOWN
from routerd.core.rib.link_bandwidth import is_link_bandwidth
from routerd.core.route import (
    LOCAL,
    Address,
    Attributes,
    Family,
    Path,
    SegmentType,
    Unknown,
    parse_prefix,
)

DEFAULT_ROUTES = {Family.IPV4: parse_prefix("0.0.0.0/0"), Family.IPV6: parse_prefix("::/0")}
NO_EXPORT, NO_ADVERTISE, NO_EXPORT_SUBCONFED = 0xFFFFFF01, 0xFFFFFF02, 0xFFFFFF03
_PARTIAL = 0x20
_NON_TRANSITIVE = 0x40
"""Bit of the first octet of an extended community that must not leave the AS (RFC 4360 section 6)."""
_MEMO_LIMIT = 2 << 20
"""Octets of rewritten attributes that an update group remembers."""

Told = tuple[Attributes, str]
"""What is told of a prefix, and the peer that it was learned from: it does not hear its own. Empty: from no peer."""


class Exporter:
    """Turns best paths into what peers of a kind shall hear. `next_hops` are the router's addresses on their link.

    While the router is `draining`, all carries GRACEFUL_SHUTDOWN (RFC 8326), and within the AS, where nobody need
    look at that, the lowest LOCAL_PREF.
    """

    def __init__(
        self, group: PeerGroup, asn: int, *, external: bool, next_hops: dict[Family, Address], draining: bool = False
    ) -> None:
        self._advertise = group.advertise
        self.learned = "learned" in group.advertise
        self._asn = asn
        self._external = external
        self._next_hops = next_hops
        self._draining = draining
        self._memo: Memo[tuple[Path, Family], Attributes] = Memo(_MEMO_LIMIT)
        self.defaults = {
            DEFAULT_ROUTES[family]: (self._originated(next_hop), "")
            for family, next_hop in next_hops.items()
            if "default" in self._advertise
        }
        """What is told of default routes, whatever the Loc-RIB has."""

    def told(self, path: Path | None, family: Family) -> Told | None:
        """Return what is told of prefixes of a family whose best path is `path`, None when it is nothing."""
        next_hop = self._next_hops.get(family)
        if next_hop is None or path is None or not self._allowed(path):
            return None
        if path.peer == LOCAL:
            return self._originated(next_hop), ""
        key = path, family
        if key not in self._memo:
            self._memo.remember(key, self._rewrite(path, next_hop), 2 * path.weight)
        return self._memo[key], path.peer

    def _originated(self, next_hop: Address) -> Attributes:
        return Attributes(
            as_path=self._prepend(()),
            next_hop=next_hop,
            local_pref=self._preference(None),
            communities=self._communities(()),
        )

    def _preference(self, heard: int | None) -> int | None:
        return None if self._external else 0 if self._draining else heard

    def _communities(self, heard: tuple[int, ...]) -> tuple[int, ...]:
        return (*heard, GRACEFUL_SHUTDOWN) if self._draining and GRACEFUL_SHUTDOWN not in heard else heard

    def _allowed(self, path: Path) -> bool:
        if path.peer == LOCAL:
            return "networks" in self._advertise
        if not self.learned:
            return False
        if not path.external and not self._external:
            return False  # RFC 4271 section 9.2: iBGP is not told what iBGP told
        barred = {NO_ADVERTISE, NO_EXPORT, NO_EXPORT_SUBCONFED} if self._external else {NO_ADVERTISE}
        return barred.isdisjoint(path.attributes.communities)

    def _prepend(
        self, as_path: tuple[tuple[SegmentType, tuple[int, ...]], ...]
    ) -> tuple[tuple[SegmentType, tuple[int, ...]], ...]:
        if not self._external:
            return as_path
        if as_path and as_path[0][0] is SegmentType.SEQUENCE and len(as_path[0][1]) < 255:
            return ((SegmentType.SEQUENCE, (self._asn, *as_path[0][1])), *as_path[1:])
        return ((SegmentType.SEQUENCE, (self._asn,)), *as_path)

    def _passes(self, community: bytes) -> bool:
        """Tell whether an extended community is passed on; the bandwidth of a link that is another one now is not
        (RFC 10005)."""
        return not (self._external and community[0] & _NON_TRANSITIVE) and not is_link_bandwidth(community)

    def _rewrite(self, path: Path, next_hop: Address) -> Attributes:
        """Next hop self: flows must pass this router, whose FIB spreads them. MED stays within one neighbour AS."""
        heard = path.attributes
        return Attributes(
            origin=heard.origin,
            as_path=self._prepend(heard.as_path),
            next_hop=next_hop,
            med=None if self._external else heard.med,
            local_pref=self._preference(heard.local_pref),
            atomic_aggregate=heard.atomic_aggregate,
            aggregator=heard.aggregator,
            communities=self._communities(heard.communities),
            extended_communities=tuple(filter(self._passes, heard.extended_communities)),
            large_communities=heard.large_communities,
            unknown=tuple(Unknown(u.flags | _PARTIAL, u.code, u.value) for u in heard.unknown),
        )
