"""The table as MRT records, a prefix at a time, so that whoever writes them can do it in slices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator

from routerd.api.slices import SLICE
from routerd.core.memo import Memo
from routerd.core.rib.loc_rib import PathSet
from routerd.core.route import LOCAL, Family, Path, family_of, parse_address
from routerd.core.router import Router
from routerd.service.heard import NOWHERE, attributes_of
from routerd.session.encode import AttributeEncoder
from routerd.telemetry.mrt.records import (
    Entry,
    IndexedPeer,
    next_hop_attribute,
    peer_index_table,
    rib,
    rib_entries,
)

_MOST_PEERS = 65535
_REMEMBERED = 4 << 20
"""Octets of entries that are remembered: thousands of prefixes share a set of paths."""
_TURN = 1 << 16
"""Octets that are handed over at once, at least."""


class Attributes:
    """Path attributes as octets, as they were heard: LOCAL_PREF is there for internal peers, who have sent it."""

    def __init__(self) -> None:
        self._encoders = {each: AttributeEncoder(four_octet_as=True, external=each) for each in (True, False)}

    def of(self, path: Path, family: Family) -> bytes:
        """Return those of a path, with the next hop as dumps of tables have it; empty if one does not fit."""
        said = attributes_of(path, family)
        classic = family is Family.IPV4 and len(said.next_hop) == 4
        try:
            octets = self._encoders[path.external].encode(said, classic=classic)
        except OverflowError:
            return b""
        return octets if classic else octets + next_hop_attribute(said.next_hop + (said.link_local or b""))


def records(router: Router, now: float, wall: float) -> Iterator[bytes]:
    """Yield the records of a dump that begins `now`, in monotonic seconds, `wall` in those since 1970.

    The prefixes are those of the beginning, less those that go meanwhile; each is of the moment when its turn comes.
    Peers that come meanwhile are not in the index, and left out. The first peer is the router itself.
    """
    attributes, memo = Attributes(), Memo[tuple[PathSet, Family], bytes](_REMEMBERED)
    asn, router_id = router.config.router.asn, parse_address(router.config.router.router_id)
    index, places = [IndexedPeer(router_id, NOWHERE[Family.IPV4], asn)], {LOCAL: 0}
    for peer in router.rib.peers.values():
        if peer.last is not None and len(index) < _MOST_PEERS:
            places[peer.address] = len(index)
            index.append(IndexedPeer(peer.last.received.router_id, peer.packed, peer.last.received.asn))
    yield peer_index_table(wall, router_id, index)
    table, number = router.rib.loc_rib.table, 0
    for prefix in list(table):
        paths = table.get(prefix)
        if paths is None:
            continue
        key = paths, family_of(prefix)
        entries = memo.get(key)
        if entries is None:
            found = [
                Entry(places[each.peer], wall + each.since - now, octets)
                for each in paths.paths
                if each.peer in places and (octets := attributes.of(each, key[1]))
            ]
            entries = memo.remember(key, rib_entries(found), sum(len(each.attributes) for each in found))
        if entries[:2] != b"\0\0":
            yield rib(wall, number, prefix, entries)
            number += 1


async def dump(router: Router) -> AsyncGenerator[bytes, None]:
    """Yield a dump of the table in parts; the event loop has its turn after each slice."""
    begun, ready, size = time.monotonic(), list[bytes](), 0
    for record in records(router, begun, time.time()):
        ready.append(record)
        size += len(record)
        if time.monotonic() - begun > SLICE:
            if size >= _TURN:
                yield b"".join(ready)
                ready, size = [], 0
            await asyncio.sleep(0)
            begun = time.monotonic()
    yield b"".join(ready)
