"""The RIB: peers, what they announce, the Loc-RIB, and what peers are told of it.

A method that changes path sets at once returns the changes; the router hands them to the FIB. What is to be said
to peers and to people is collected in `effects` as it comes up.
"""

from __future__ import annotations

from collections.abc import Iterable

from routerd.config.model import Config
from routerd.core.message import (
    CloseSession,
    Effect,
    Event,
    ForeignRoutes,
    Gateway,
    Interface,
    KernelGroup,
    KernelNexthop,
    NexthopChange,
    RouteChange,
    RouteRefresh,
    SessionDown,
    SessionUp,
    Update,
)
from routerd.core.rib import export
from routerd.core.rib.adj_rib_out import AdjRibsOut
from routerd.core.rib.decision import Decision, Options, decide
from routerd.core.rib.graceful_restart import retains, unretained
from routerd.core.rib.loc_rib import Change, LocRib, PathSet
from routerd.core.rib.nexthop import NexthopTable, Resolution
from routerd.core.rib.peer import Peer
from routerd.core.rib.policy import PrefixFilter, Reject, check_attributes
from routerd.core.rib.update_group import Bests
from routerd.core.route import LOCAL, Address, Attributes, Family, Path, Prefix, parse_address, parse_prefix

PURGE_SLICE = 4096
FORGET_AFTER = 3600.0
"""Seconds after which a dynamic peer that is gone is no longer shown."""
GRACEFUL_SHUTDOWN = 0xFFFF0000
"""The community of RFC 8326."""


class Rib:
    """All routing state above the FIB."""

    def __init__(self, config: Config, now: float) -> None:
        self.config = config
        self.nexthops = NexthopTable()
        self.peers: dict[str, Peer] = {}
        self.effects: list[Effect] = []
        fib = config.fib
        self._options = Options(fib.max_paths, fib.multipath_relax, fib.ignore_origin, fib.always_compare_med)
        self.loc_rib = LocRib(self._decide)
        self.adj_ribs_out = AdjRibsOut(config.router.asn, self._bests)
        self._router_id = parse_address(config.router.router_id)
        self._local = Path(LOCAL, Attributes(), now, self._router_id)
        for peer in config.peers:
            self._peer(peer.address, now)
        self.networks = [parse_prefix(text) for text in config.router.networks]
        self.loc_rib.announce(self._local, self.networks)

    def _decide(self, paths: tuple[Path, ...]) -> Decision:
        return decide(paths, self._options, self.resolve)

    def resolve(self, path: Path) -> Resolution | None:
        """Resolve the next hop of a path."""
        attributes = path.attributes
        return self.nexthops.resolve(attributes.next_hop, attributes.link_local, self.peers[path.peer].packed)

    def _peer(self, address: str, now: float) -> Peer | None:
        if address not in self.peers:
            found = self.config.group_of(address)
            if found is None:
                return None
            peer = Peer(address, self.config.name_of(address), found[0], found[1], now)
            peer.filter = self._filter(peer)
            self.peers[address] = peer
        return self.peers[address]

    def _filter(self, peer: Peer) -> PrefixFilter:
        own = [parse_prefix(text) for text in self.config.router.networks]
        return PrefixFilter(peer.group, [*own, *sorted(self.nexthops.networks)])

    # ------------------------------------------------------------------------------------------ sessions

    def session_up(self, up: SessionUp, now: float) -> None:
        """A session is established: judge what is left of the last one, and tell the peer what it shall hear."""
        peer = self._peer(up.peer, now)
        if peer is None:
            self.effects.append(CloseSession(up.peer, 6, 3, "no peer or range holds this address"))
            return
        if peer.session is not None:
            self.session_down(SessionDown(up.peer, peer.session.generation, "replaced"), now)
        peer.begin(up, now)
        graceful = up.received.graceful_restart
        if not peer.router_restarted:
            for family in unretained(frozenset(Family), graceful):
                peer.adj_rib_in.purge(family)
            peer.deadline = None if graceful is None else now + min(graceful.time, peer.group.stale_time)
        peer.router_restarted = False
        self.effects.append(
            Event(
                "peer up",
                {"peer": peer.name, "address": up.peer, "asn": up.received.asn, "group": peer.group_name},
            )
        )
        self.effects.append(self.adj_ribs_out.start(peer, self._next_hops(peer, up)))

    def session_down(self, down: SessionDown, now: float) -> None:
        """A session ended: keep its paths as stale ones where graceful restart says so, else let them go."""
        peer = self.peers.get(down.peer)
        if peer is None:
            return
        if peer.session is None or down.generation != peer.session.generation:
            if peer.session is None:
                peer.reason = down.reason
            return
        graceful = peer.session.received.graceful_restart
        peer.end(down.reason, now)
        self.adj_ribs_out.stop(peer.address)
        peer.deadline = None
        if retains(down, graceful, peer.group.graceful_restart) and graceful is not None:
            peer.deadline = now + min(graceful.time, peer.group.stale_time)
            for family in set(Family) - graceful.families.keys():
                peer.adj_rib_in.purge(family)
        else:
            peer.adj_rib_in.purge()
        self.effects.append(
            Event(
                "peer down",
                {"peer": peer.name, "reason": down.reason, "stale": peer.deadline is not None},
                level="warning",
            )
        )

    def speaker_down(self, reason: str, now: float) -> None:
        """The ExaBGP child died: the router's own restart, for which no node is to blame. All paths wait as stale
        ones until their nodes, which will dial in again, have announced them anew."""
        up = sum(peer.session is not None for peer in self.peers.values())
        self.effects.append(Event("speaker down", {"reason": reason, "sessions": up}, level="error"))
        for peer in self.peers.values():
            if peer.session is not None:
                peer.end(reason, now)
                self.adj_ribs_out.stop(peer.address)
                peer.router_restarted = True
                peer.deadline = now + peer.group.stale_time

    def gateways_of(self, peer: Peer) -> set[Gateway]:
        """The gateways that the peer's paths lead to, and that of its own address."""
        hops = [*peer.hops, (peer.packed, None)]
        resolved = (self.nexthops.resolve(*hop, peer.packed) for hop in hops)
        return {gateway for way in resolved if way is not None for gateway in way.gateways}

    def expire(self, peer: Peer) -> None:
        """Graceful restart took too long: what is still stale goes."""
        peer.deadline = None
        peer.router_restarted = False
        if not peer.adj_rib_in.stale:
            return
        self.effects.append(
            Event(
                "stale paths expired",
                {"peer": peer.name, "paths": len(peer.adj_rib_in.stale)},
                level="warning",
            )
        )
        peer.adj_rib_in.purge()

    def forget_dynamic_peers(self, now: float) -> None:
        """Forget peers of ranges that have been away for long: nodes come and go with new addresses."""
        static = {peer.address for peer in self.config.peers}
        for peer in list(self.peers.values()):
            away = peer.session is None and not peer.adj_rib_in.stale and now - peer.since > FORGET_AFTER
            if away and peer.address not in static:
                del self.peers[peer.address]

    def purge_slice(self, peer: Peer) -> list[Change]:
        """Do a bounded part of a purge."""
        return self.loc_rib.withdraw(peer.address, peer.adj_rib_in.purge_slice(PURGE_SLICE))

    # ------------------------------------------------------------------------------------------ routes

    def update(self, update: Update, now: float) -> list[Change]:
        """Take over an UPDATE: withdrawals first."""
        peer = self.peers.get(update.peer)
        if peer is None or peer.session is None or peer.session.generation != update.generation:
            return []
        peer.heard = now
        if update.faults:
            self._note_faults(peer, update)
        changes: list[Change] = []
        if update.withdrawn:
            peer.adj_rib_in.withdraw(update.withdrawn)
            changes += self.loc_rib.withdraw(peer.address, update.withdrawn)
        for attributes, prefixes in update.announced:
            path, verdict = peer.known(attributes) or peer.remember(attributes, self._judge(peer, attributes), now)
            changes += self._announce(peer, path, verdict, prefixes)
            if (GRACEFUL_SHUTDOWN in attributes.communities) != peer.shutting_down:
                self._note_shutdown(peer)
        if update.end_of_rib is not None:
            peer.adj_rib_in.purge(update.end_of_rib)
            peer.pending_eor -= {update.end_of_rib}
        return changes

    def _announce(self, peer: Peer, path: Path, verdict: Reject, prefixes: list[Prefix]) -> list[Change]:
        accepted: list[Prefix] = []
        rejected = [(prefix, verdict) for prefix in prefixes]
        if not verdict:
            accepted, rejected = peer.filter.split(prefixes)
        changes: list[Change] = []
        if rejected:
            changes += self.loc_rib.withdraw(peer.address, peer.adj_rib_in.reject(path, rejected))
        if accepted:
            peer.adj_rib_in.accept(path, accepted)
            changes += self.loc_rib.announce(path, accepted)
        return changes

    def _note_shutdown(self, peer: Peer) -> None:
        """RFC 8326: a node that is about to go says so with a community. Its flows shall end by themselves, and so
        it is drained, instead of losing the decision process, which would cut them off."""
        paths = (path for paths in self.loc_rib.sets() for path in paths.paths if path.peer == peer.address)
        leaving = any(GRACEFUL_SHUTDOWN in path.attributes.communities for path in paths)
        if leaving != peer.shutting_down:
            peer.shutting_down = leaving
            self.effects.append(Event("graceful shutdown", {"peer": peer.name, "leaving": leaving}))

    def _judge(self, peer: Peer, attributes: Attributes) -> Reject:
        assert peer.session is not None, "only a peer with a session announces"
        return check_attributes(
            attributes,
            peer.group,
            asn=self.config.router.asn,
            router_id=self._router_id,
            peer=peer.packed,
            peer_asn=peer.session.received.asn,
            external=peer.external,
            own=self.nexthops.addresses,
        )

    def _note_faults(self, peer: Peer, update: Update) -> None:
        peer.faults += 1
        peer.last_fault = "; ".join(f"{fault.outcome}: {fault.text}" for fault in update.faults)
        self.effects.append(
            Event("malformed update", {"peer": peer.name, "faults": peer.last_fault}, level="warning")
        )

    def network_changed(
        self,
        interfaces: tuple[Interface, ...],
        foreign: ForeignRoutes | None = None,
        objects: Iterable[KernelNexthop | KernelGroup] | None = None,
    ) -> tuple[set[PathSet], list[Change]]:
        """Take over a dump of interfaces, foreign routes, nexthop objects and groups (None: those last heard of).

        Returns the path sets that decide differently now, and the changes of announcements that are judged
        differently because the router's own addresses or networks are others.
        """
        own = (self.nexthops.addresses, self.nexthops.networks)
        if not self.nexthops.update(interfaces, foreign, objects):
            return set(), []
        different = set(self.loc_rib.invalidate())
        if own == (self.nexthops.addresses, self.nexthops.networks):
            return different, []
        for peer in self.peers.values():
            peer.filter = self._filter(peer)
        self._renew_exports()
        return different, self._rejudge()

    def foreign_changed(self, changes: Iterable[RouteChange | NexthopChange]) -> set[PathSet]:
        """Take over changes of foreign routes and nexthops; return the path sets that decide differently now."""
        return set(self.loc_rib.invalidate()) if self.nexthops.apply(changes) else set()

    def _rejudge(self) -> list[Change]:
        changes: list[Change] = []
        for peer in self.peers.values():
            if peer.session is None:
                continue
            rib = peer.adj_rib_in
            peer.forget_verdicts()
            heard: dict[Path, list[Prefix]] = {}
            for prefix, path in rib.accepted.items():
                heard.setdefault(path, []).append(prefix)
            for prefix, (path, _) in rib.rejected.items():
                heard.setdefault(path, []).append(prefix)
            for path, prefixes in heard.items():
                verdict = self._judge(peer, path.attributes)
                peer.rejudge(path, verdict)
                changes += self._announce(peer, path, verdict, prefixes)
        return changes

    # ------------------------------------------------------------------------------------------ export

    def _next_hops(self, peer: Peer, up: SessionUp) -> dict[Family, Address]:
        """The router's own addresses on a peer's link, by the families that were negotiated."""
        local, families = parse_address(up.local), up.received.families & up.sent.families
        found = {f: self.nexthops.address_beside(local, 4 if f is Family.IPV4 else 16) for f in families}
        next_hops = {family: address for family, address in found.items() if address is not None}
        peer.unadvertisable = families - next_hops.keys()
        return next_hops

    def _renew_exports(self) -> None:
        """The router's addresses changed: where that gives other next hops, say so to the peers."""
        for peer in self.peers.values():
            if peer.session is not None:
                told = self.adj_ribs_out.move(peer, self._next_hops(peer, peer.session))
                if told is not None:
                    self.effects.append(told)

    def _bests(self, peer: Peer) -> Bests:
        yield self._local, self.networks
        if "default" in peer.group.advertise:
            yield None, export.DEFAULT_ROUTES.values()
        if "learned" in peer.group.advertise:
            users: dict[PathSet, list[Prefix]] = {}
            for prefix, paths in self.loc_rib.table.items():
                users.setdefault(paths, []).append(prefix)
            for paths, prefixes in users.items():
                yield self.loc_rib.decision(paths).best, prefixes

    def export(self, changes: list[Change]) -> None:
        """Tell the peers that hear learned routes about new best paths."""
        bests = ((self.loc_rib.decision(new).best, prefixes) for _, new, prefixes in changes)
        self.effects += self.adj_ribs_out.change(bests)

    def refresh(self, refresh: RouteRefresh) -> None:
        """Answer a ROUTE-REFRESH: announce the family again (RFC 2918 section 4)."""
        peer = self.peers.get(refresh.peer)
        if peer is None or peer.session is None or peer.session.generation != refresh.generation:
            return
        self.effects.append(self.adj_ribs_out.again(peer.address, refresh.family))
