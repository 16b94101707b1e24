"""What a collector is told, as BMP messages: the RIB as it is, slice by slice, and notes of what has happened."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from routerd.config.monitoring import View
from routerd.core.message import Advertise, Open, SessionDown, SpeakerDown, Update
from routerd.core.rib.peer import Peer as RibPeer
from routerd.core.route import Attributes, Family, Path, Prefix, family_of, parse_address
from routerd.core.router import Router
from routerd.service.bmp.notes import Decided, Judged, Note, Notes, Up
from routerd.service.heard import attributes_of
from routerd.session.encode import UpdateEncoder
from routerd.telemetry.bmp import messages
from routerd.telemetry.bmp.messages import Gauge, Rib

AT_ONCE = 1000
"""Prefixes that are told in a slice."""
_NOTIFICATION = 3

Announced = dict[tuple[Attributes, float], list[Prefix]]
"""Prefixes by their attributes, and since when they have them, in seconds since 1970; 0 if nobody knows."""


class _Known(NamedTuple):
    """A peer that the collector was told of: the generation of its session, and since when that is there, in seconds
    since 1970."""

    generation: int
    peer: messages.Peer
    since: float


class Feed:
    """Makes messages for one session with a collector; only peers that it was told of are spoken of. `loc_rib` stands
    for the router itself."""

    def __init__(self, router: Router, views: Collection[View]) -> None:
        own = router.config.router
        self.loc_rib = messages.Peer(b"", own.asn, parse_address(own.router_id))
        self._router = router
        self._views = frozenset(views)
        self._peers: dict[str, _Known] = {}
        self._when = 0.0
        """When what is being told has happened: the per-peer header has that, not when it is told (RFC 7854 section
        4.2); 0 where nobody knows."""
        self._encoders = {external: _encoders(external=external) for external in (True, False)}

    # ------------------------------------------------------------------------------------------ what there is

    def table(self) -> Iterator[bytes]:
        """Yield all that there is of the views, in slices, each with its End-of-RIB."""
        if "loc-rib" in self._views:
            table = self._router.rib.loc_rib.table
            for some in _portions(list(table)):
                yield self._loc_rib(some, whole=False)
            yield self._ends(self.loc_rib, Rib.PRE_POLICY, Family)
        for address in list(self._peers):
            yield from self._adj_ribs(address)

    def _adj_ribs(self, address: str) -> Iterator[bytes]:
        known = self._router.rib.peers.get(address)
        if known is None or known.session is None:
            return
        families = sorted(known.session.received.families & known.session.sent.families)
        heard = list(known.adj_rib_in.accepted)
        if "pre-policy" in self._views:
            for some in _portions([*heard, *known.adj_rib_in.rejected.kept]):
                yield self._pre_policy(known, some)
            yield self._end(address, Rib.PRE_POLICY, families)
        if "post-policy" in self._views:
            for some in _portions(heard):
                yield self._post_policy(address, some, whole=False)
            yield self._end(address, Rib.POST_POLICY, families)
        out = self._router.rib.advertising.adj_ribs_out
        if "adj-rib-out" in self._views and out.hears(address):
            for some in _portions(out.prefixes(address)):
                if not out.hears(address):
                    return  # it has gone since the last slice
                self._when = 0.0  # nobody has noted when it was told
                yield b"".join(self._out(out.again(address, family, some)) for family in families)
            yield self._end(address, Rib.OUT, families)

    # ------------------------------------------------------------------------------------------ what has happened

    def tell(self, note: Note, when: float) -> Iterator[bytes]:
        """Yield what a note that was taken at a time (seconds since 1970) says now, in slices."""
        self._when = when
        match note:
            case Up():
                yield self.up(note)
            case SessionDown(peer=address, generation=generation):
                if address in self._peers and self._peers[address].generation == generation:
                    yield self._down(address, note)
            case SpeakerDown():
                yield b"".join(self._down(address, None) for address in list(self._peers))
            case Update(peer=address):
                if "pre-policy" in self._views:
                    yield self._update(note)
                if note.end_of_rib is not None and "post-policy" in self._views:
                    yield self._end(address, Rib.POST_POLICY, (note.end_of_rib,))
            case Judged(peer=address, prefixes=prefixes):
                for some in _portions(list(prefixes)):
                    yield self._post_policy(address, some)
            case Decided(prefixes=prefixes):
                for some in _portions(prefixes):
                    yield self._loc_rib(some)
            case Advertise():
                for part in _parts(note):
                    yield self._out(part)
                yield self._end(note.peer, Rib.OUT, note.end_of_rib)

    def up(self, up: Up) -> bytes:
        """Return that a session is there."""
        said, opened = up
        before = self._down(said.peer, None) if said.peer in self._peers else b""  # another one takes its place
        peer = messages.Peer(parse_address(said.peer), said.received.asn, said.received.router_id)
        opens = messages.open_message(opened.sent), messages.open_message(opened.received)
        session = messages.Session(parse_address(opened.local), *opened.ports, *opens)
        known = self._router.rib.peers.get(said.peer)
        is_this = known is not None and known.session is said
        since = self._when or (_wall(known.since) if known and is_this else 0.0)
        self._peers[said.peer] = _Known(said.generation, peer, since)
        return before + messages.peer_up(since, peer, session)

    def _down(self, address: str, down: SessionDown | None) -> bytes:
        peer = self._peers.pop(address).peer
        said = None if down is None else down.notification
        if said is None:
            reason = messages.Down.CLOSED_HERE if down is None else messages.Down.CLOSED_THERE
            return messages.peer_down(self._when, peer, reason)
        octets = messages.bgp_message(_NOTIFICATION, bytes((said.code, said.subcode)) + said.data)
        reason = messages.Down.NOTIFICATION_SENT if said.sent else messages.Down.NOTIFICATION_RECEIVED
        return messages.peer_down(self._when, peer, reason, octets)

    def statistics(self, notes: Notes) -> Iterator[bytes]:
        """Yield a report on each peer and on the Loc-RIB, in slices."""
        if "loc-rib" in self._views:
            count = len(self._router.rib.loc_rib.table)
            yield messages.statistics(time.time(), self.loc_rib, [(Gauge.LOC_RIB, count, None)])
        out = self._router.rib.advertising.adj_ribs_out
        for address, told in list(self._peers.items()):
            known = self._router.rib.peers.get(address)
            if known is None or known.session is None:
                continue
            rib, by_family = known.adj_rib_in, {family: out.count(address, family) for family in Family}
            heard = len(rib.accepted) + sum(rib.rejected.counts().values())
            counts: list[tuple[Gauge, int, Family | None]] = [
                (Gauge.ADJ_RIB_IN, heard, None),
                (Gauge.TREATED_AS_WITHDRAW, notes.treated[address], None),
                (Gauge.ADJ_RIB_OUT, sum(by_family.values()), None),
                *((Gauge.ADJ_RIB_OUT_BY_FAMILY, count, family) for family, count in by_family.items()),
            ]
            yield messages.statistics(time.time(), told.peer, counts)

    # ------------------------------------------------------------------------------------------ as it is now

    def _pre_policy(self, peer: RibPeer, prefixes: Iterable[Prefix]) -> bytes:
        """Return what a peer announces of these prefixes, accepted or rejected."""
        rib, announced = peer.adj_rib_in, Announced()
        for prefix in prefixes:
            path = rib.accepted.get(prefix)
            if path is None and prefix in rib.rejected.kept:
                path, _ = rib.rejected.kept[prefix]
            if path is not None:
                announced.setdefault((path.attributes, self._heard(path)), []).append(prefix)
        return self._told(peer.address, Rib.PRE_POLICY, [], announced)

    def _post_policy(self, address: str, prefixes: Iterable[Prefix], *, whole: bool = True) -> bytes:
        """Return what of these prefixes is accepted of a peer, and if `whole`, what is not."""
        known = self._router.rib.peers.get(address)
        accepted = {} if known is None else known.adj_rib_in.accepted
        announced, withdrawn = Announced(), list[Prefix]()
        for prefix in prefixes:
            if (path := accepted.get(prefix)) is not None:
                when = self._when if whole else self._heard(path)
                announced.setdefault((path.attributes, when), []).append(prefix)
            elif whole:
                withdrawn.append(prefix)
        return self._told(address, Rib.POST_POLICY, withdrawn, announced)

    def _loc_rib(self, prefixes: Iterable[Prefix], *, whole: bool = True) -> bytes:
        """Return the best paths of prefixes, and if `whole`, which have none."""
        loc_rib, withdrawn = self._router.rib.loc_rib, list[Prefix]()
        announced: dict[tuple[Path, Family], list[Prefix]] = {}
        for prefix in prefixes:
            best = loc_rib.decision(loc_rib.paths_of(prefix)).best
            if best is not None:
                announced.setdefault((best, family_of(prefix)), []).append(prefix)
            elif whole:
                withdrawn.append(prefix)
        found = [self._monitored(self.loc_rib, Rib.PRE_POLICY, withdrawn, {}, external=True)] if withdrawn else []
        for (path, family), some in announced.items():
            said = {(attributes_of(path, family), self._when if whole else _wall(path.since)): some}
            found.append(self._monitored(self.loc_rib, Rib.PRE_POLICY, [], said, external=path.external))
        return b"".join(found)

    def _heard(self, path: Path) -> float:
        """Return since when a peer announces prefixes that have had a path before anybody took notes. The path alone
        tells, which all of them share: since when the first has it. One that graceful restart has kept is older than
        the session in which it was announced again."""
        told = self._peers.get(path.peer)
        return max(_wall(path.since), told.since if told else 0.0)

    def _update(self, update: Update) -> bytes:
        announced = Announced()
        for attributes, prefixes in update.announced:
            announced.setdefault((attributes, self._when), []).extend(prefixes)
        told = self._told(update.peer, Rib.PRE_POLICY, update.withdrawn, announced)
        ends = () if update.end_of_rib is None else (update.end_of_rib,)
        return told + self._end(update.peer, Rib.PRE_POLICY, ends)

    def _out(self, advertise: Advertise) -> bytes:
        announced = Announced()
        for attributes, prefixes in advertise.announced:
            announced.setdefault((attributes, self._when), []).extend(prefixes)
        return self._told(advertise.peer, Rib.OUT, advertise.withdrawn, announced)

    # ------------------------------------------------------------------------------------------ as messages

    def _told(self, address: str, rib: Rib, withdrawn: Iterable[Prefix], announced: Announced) -> bytes:
        if address not in self._peers:
            return b""
        peer = self._peers[address].peer
        return self._monitored(peer, rib, withdrawn, announced, external=peer.asn != self.loc_rib.asn)

    def _monitored(
        self, peer: messages.Peer, rib: Rib, withdrawn: Iterable[Prefix], announced: Announced, *, external: bool
    ) -> bytes:
        """Return messages with UPDATEs of the size that every reader of BGP takes, larger ones where need be."""
        usual, large = self._encoders[external]
        by_time: dict[float, list[tuple[Attributes, tuple[Prefix, ...]]]] = {}
        for (attributes, when), some in announced.items():
            by_time.setdefault(when, []).append((attributes, tuple(some)))
        parts = [(self._when, Advertise("", tuple(withdrawn)))]
        parts += ((when, Advertise("", (), tuple(some))) for when, some in by_time.items())
        found = list[bytes]()
        for when, said in parts:
            octets, withheld = usual.routes(said)
            if withheld:
                octets, _ = large.routes(said)
            found += (messages.monitoring(when, peer, rib, update) for update in messages.split(octets))
        return b"".join(found)

    def _end(self, address: str, rib: Rib, families: Iterable[Family]) -> bytes:
        return self._ends(self._peers[address].peer, rib, families) if address in self._peers else b""

    def _ends(self, peer: messages.Peer, rib: Rib, families: Iterable[Family]) -> bytes:
        octets = self._encoders[True][0].ends(Advertise("", end_of_rib=tuple(families)))
        return b"".join(messages.monitoring(time.time(), peer, rib, each) for each in messages.split(octets))


def _wall(since: float) -> float:
    """Return a monotonic time in whole seconds since 1970: more would differ from one question to the next; 0, which
    is an unknown one, if the clock on the wall was set back to before it."""
    return float(max(0, int(since + time.time() - time.monotonic())))


def _encoders(*, external: bool) -> tuple[UpdateEncoder, UpdateEncoder]:
    """Return an encoder for both families and four-octet AS numbers, and one for extended messages."""

    def said(extended: bool) -> Open:
        return Open(0, 0, parse_address("0.0.0.0"), frozenset(Family), True, True, extended, None)

    return tuple(UpdateEncoder(said(each), said(each), external=external) for each in (False, True))  # type: ignore[return-value]


def _portions(prefixes: list[Prefix]) -> Iterator[list[Prefix]]:
    for start in range(0, len(prefixes), AT_ONCE):
        yield prefixes[start : start + AT_ONCE]


def _parts(advertise: Advertise) -> Iterator[Advertise]:
    """Yield what a peer is told in parts."""
    for some in _portions(list(advertise.withdrawn)):
        yield Advertise(advertise.peer, tuple(some))
    for attributes, prefixes in advertise.announced:
        for some in _portions(list(prefixes)):
            yield Advertise(advertise.peer, (), ((attributes, tuple(some)),))
