"""The routes that a looking glass shows: a row a path, wherever it is. Pure; long ones go in slices.

A path that was rejected, or is not told to a peer, carries the reason as a large community that no peer has sent,
(the router's AS, what it is, number), as route servers do for Alice-LG.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

from routerd.core.rib.export import NO_ADVERTISE, NO_EXPORT, NO_EXPORT_SUBCONFED
from routerd.core.rib.peer import Peer
from routerd.core.route import LOCAL, Address, Attributes, Family, Path, Prefix, family_of, format_address
from routerd.core.router import Router

REJECTED, NOT_EXPORTED = 65666, 65667
"""The second number of the large communities that give reasons."""

Mark = tuple[int, int, int]


class Row(NamedTuple):
    """A path to a prefix. `peer` is None for what the router originates, or tells, itself."""

    prefix: Prefix
    peer: Peer | None
    attributes: Attributes
    since: float
    best: bool = False
    mark: Mark | None = None


class NotExported(IntEnum):
    """Why a peer is not told of a best path."""

    NOT_ADVERTISED = 1
    COMMUNITY = 2
    INTERNAL = 3
    NO_ADDRESS = 4


def find(router: Router, name: str) -> Peer | None:
    """Return the peer of a name or an address."""
    return next((peer for peer in router.rib.peers.values() if name in (peer.name, peer.address)), None)


def accepted(router: Router, peer: Peer, family: Family | None = None) -> Iterator[Row | None]:
    """Yield what is accepted of a peer, stale paths included; None wherever there is nothing to show of a prefix."""
    rib = peer.adj_rib_in
    for prefix in [*rib.accepted, *rib.stale]:
        path = rib.accepted.get(prefix) or rib.stale.get(prefix)
        shown = path is not None and family in (None, family_of(prefix))
        yield _row(router, prefix, path) if shown and path is not None else None


def rejected(router: Router, peer: Peer, family: Family | None = None) -> Iterator[Row | None]:
    """Yield what is rejected of a peer, each with the reason."""
    kept, asn = peer.adj_rib_in.rejected.kept, router.config.router.asn
    for prefix in list(kept):
        found = kept.get(prefix)
        if found is None or family not in (None, family_of(prefix)):
            yield None
            continue
        path, reason = found
        yield Row(prefix, peer, path.attributes, path.since, mark=(asn, REJECTED, reason.value))


def table(router: Router, family: Family | None = None) -> Iterator[Row | None]:
    """Yield all paths of the Loc-RIB."""
    for prefix in list(router.rib.loc_rib.table):
        yield None
        if family in (None, family_of(prefix)):
            yield from one(router, prefix)


def filtered(router: Router, family: Family | None = None) -> Iterator[Row | None]:
    """Yield all that is rejected, of whichever peer."""
    for peer in list(router.rib.peers.values()):
        yield from rejected(router, peer, family)


def one(router: Router, prefix: Prefix) -> Iterator[Row]:
    """Yield the paths of a prefix, the best one first."""
    paths = router.rib.loc_rib.paths_of(prefix)
    best = router.rib.loc_rib.decision(paths).best
    for path in sorted(paths.paths, key=lambda path: path is not best):
        yield _row(router, prefix, path)


def exported(router: Router, peer: Peer) -> Iterator[Row | None]:
    """Yield what a peer is told."""
    out = router.rib.advertising.adj_ribs_out
    for prefix in out.prefixes(peer.address) if out.hears(peer.address) else ():
        attributes = _told(router, peer, prefix)
        yield None if attributes is None else Row(prefix, None, attributes, peer.since)


def not_exported(router: Router, peer: Peer) -> Iterator[Row | None]:
    """Yield the best paths that a peer with a session is not told of, but for its own, each with the reason."""
    loc_rib, asn = router.rib.loc_rib, router.config.router.asn
    for prefix in list(loc_rib.table) if peer.session is not None else ():
        best = loc_rib.decision(loc_rib.paths_of(prefix)).best
        if best is None or best.peer == peer.address or _told(router, peer, prefix) is not None:
            yield None
        else:
            reason = why_not(peer, best, family_of(prefix))
            yield _row(router, prefix, best)._replace(mark=(asn, NOT_EXPORTED, reason.value))


def why_not(peer: Peer, path: Path, family: Family) -> NotExported:
    """Return why a peer is not told of a path."""
    wanted = "networks" if path.peer == LOCAL else "learned"
    if wanted not in peer.group.advertise:
        return NotExported.NOT_ADVERTISED
    session = peer.session
    carried = session is not None and family in session.received.families & session.sent.families
    if not carried or family in peer.unadvertisable:
        return NotExported.NO_ADDRESS
    if not path.external and not peer.external:
        return NotExported.INTERNAL
    barred = {NO_ADVERTISE, NO_EXPORT, NO_EXPORT_SUBCONFED}
    return NotExported.NO_ADDRESS if barred.isdisjoint(path.attributes.communities) else NotExported.COMMUNITY


def _told(router: Router, peer: Peer, prefix: Prefix) -> Attributes | None:
    """Return what a peer is told of a prefix."""
    out = router.rib.advertising.adj_ribs_out
    if not out.hears(peer.address):
        return None
    announced = out.again(peer.address, family_of(prefix), [prefix]).announced
    return announced[0][0] if announced else None


def _row(router: Router, prefix: Prefix, path: Path) -> Row:
    loc_rib = router.rib.loc_rib
    best = loc_rib.decision(loc_rib.paths_of(prefix)).best
    return Row(prefix, router.rib.peers.get(path.peer), path.attributes, path.since, path is best)


def administrator(octets: bytes) -> tuple[str, str] | None:
    """Return who has made an extended community, an AS or an address, and its number (RFC 4360 section 3, RFC 5668);
    None if it is of another type. Whether it is transitive makes no difference."""
    match octets[0] & 0x3F:
        case 0:
            return str(int.from_bytes(octets[2:4], "big")), str(int.from_bytes(octets[4:], "big"))
        case 1:
            return format_address(Address(octets[2:6])), str(int.from_bytes(octets[6:], "big"))
        case 2:
            return str(int.from_bytes(octets[2:6], "big")), str(int.from_bytes(octets[6:], "big"))
    return None


def shown(rows: Iterable[Row | None], show: Callable[[Row], object]) -> Iterator[object | None]:
    """Yield rows as they are shown, and None where others may have their turn."""
    for row in rows:
        yield None if row is None else show(row)
