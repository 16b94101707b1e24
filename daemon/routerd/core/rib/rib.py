"""The RIB: peers, what they announce, the Loc-RIB, and what peers are told of it.

A method that changes path sets at once returns the changes; the router hands them to the FIB. What is to be said
to peers and to people is collected in `effects` as it comes up.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import replace

from routerd.config.model import Config
from routerd.core.deadlines import Deadlines
from routerd.core.message import (
    Advertise,
    CloseSession,
    Effect,
    Event,
    ForeignRoutes,
    Gateway,
    Identify,
    Interface,
    KeepPlace,
    KernelGroup,
    KernelNexthop,
    Lengths,
    NexthopChange,
    Refresh,
    RouteChange,
    RouteRefresh,
    SessionDown,
    SessionUp,
    Update,
)
from routerd.core.rib import export
from routerd.core.rib.adj_rib_out import AdjRibsOut
from routerd.core.rib.decision import Decision, Options, decide
from routerd.core.rib.graceful_restart import reconfigured, retains, unretained
from routerd.core.rib.guard import Guard
from routerd.core.rib.hosts import Hosts
from routerd.core.rib.import_policy import ImportPolicy, own_addresses
from routerd.core.rib.introductions import Introductions
from routerd.core.rib.leads import Leads
from routerd.core.rib.loc_rib import Change, Hop, LocRib, PathSet
from routerd.core.rib.nexthop import NexthopTable, Resolution
from routerd.core.rib.peer import Peer
from routerd.core.rib.policy import Reject
from routerd.core.rib.purges import Purges
from routerd.core.rib.refreshes import Refreshes
from routerd.core.rib.update_group import Bests
from routerd.core.route import LOCAL, Address, Attributes, Family, Path, Prefix, contains, parse_address, parse_prefix

REJUDGE_SLICE = 4096
"""Prefixes that are judged again at once. A peer costs as much as `REJUDGE_PEER` of them, however few it has."""
REJUDGE_PEER = 16
FORGET_AFTER = 3600.0
"""Seconds after which a dynamic peer that is gone is no longer shown."""


class Rib:
    """All routing state above the FIB."""

    def __init__(self, config: Config, now: float) -> None:
        self.config = config
        self.nexthops = NexthopTable()
        self.peers: dict[str, Peer] = {}
        self.effects: list[Effect] = []
        self.listening = False
        self.deferring = False
        self._deferred: dict[str, tuple[Family, ...]] = {}
        self.hosts = Hosts()
        self.guard = Guard(self.nexthops.leads)
        self._policy = self._import_policy()
        self._options = Options.of(config.fib)
        self.loc_rib = LocRib(self._decide, self._hops_changed)
        self.leads = Leads(self._find)
        self.introductions = Introductions()
        self.purges = Purges()
        self._deadlines = Deadlines[str]()
        self._blameless: set[str] = set()
        """The peers whose session ended by no fault of theirs, and that are not back yet."""
        self.adj_ribs_out = AdjRibsOut(config.router.asn, self._bests)
        self.refreshes = Refreshes(self.adj_ribs_out)
        self._rejudges: dict[str, list[Prefix] | None] = {}
        """What is left to be judged again of each peer; None before it is begun."""
        self._router_id = parse_address(config.router.router_id)
        self.local = Path(LOCAL, Attributes(), now, self._router_id)
        for peer in config.peers:
            self._peer(peer.address, now)
        self.networks = [parse_prefix(text) for text in config.router.networks]
        self.loc_rib.announce(self.local, self.networks)

    def _decide(self, paths: PathSet) -> Decision:
        return decide(paths.paths, self._options, self.resolve, paths.incumbent, paths.seated)

    def resolve(self, path: Path) -> Resolution | None:
        """Resolve the next hop of a path."""
        attributes = path.attributes
        return self.nexthops.resolve(attributes.next_hop, attributes.link_local, self.peers[path.peer].packed)

    def _peer(self, address: str, now: float) -> Peer | None:
        if address not in self.peers:
            found = self.config.group_of(address)
            if found is None:
                return None
            peer = Peer(address, self.config.name_of(address), *found, now)
            peer.addresses = own_addresses(self.config, address)
            self.peers[address] = peer
            self.leads.touch(peer)
        return self.peers[address]

    def _import_policy(self) -> ImportPolicy:
        return ImportPolicy(self.config, self.nexthops, self.guard, self.nexthops.resolve, self.hosts.judge)

    # ------------------------------------------------------------------------------------------ sessions

    def session_up(self, up: SessionUp, now: float) -> None:
        """A session is established: judge what is left of the last one, and tell the peer what it shall hear."""
        peer = self._peer(up.peer, now)
        if peer is None:
            self.effects.append(CloseSession(up.peer, 6, 3, "no peer or range holds this address"))
            return
        if peer.session is not None:
            self.session_down(SessionDown(up.peer, peer.session.generation, "replaced"), now)
        self.speaker_up(now)
        peer.begin(up, now)
        self.introductions.begin(peer)
        graceful = up.received.graceful_restart
        self._stand(peer, None)
        blameless = peer.address in self._blameless
        self._blameless.discard(peer.address)
        if blameless or graceful is not None:
            # The Restart Time was for the way back; how long End-of-RIB may take is the router's to say.
            self._hold(peer, peer.group.stale_time, now)
        gone = frozenset(Family) - peer.pending_eor  # what the session does not carry, the peer cannot announce anew
        if not blameless:
            gone |= unretained(peer.pending_eor, graceful)
        for family in gone:
            self.purges.ask(peer, family)
        self.effects.append(
            Event(
                "peer up",
                {"peer": peer.name, "address": up.peer, "asn": up.received.asn, "group": peer.group_name},
            )
        )
        self._keep_place(peer, on=False)
        told = self.adj_ribs_out.start(peer, self._next_hops(peer, up))
        if self.deferring and peer.group.graceful_restart and "learned" in peer.group.advertise:
            self._deferred[peer.address] = told.end_of_rib
            told = replace(told, end_of_rib=())
        self.effects.append(told)

    def session_down(self, down: SessionDown, now: float) -> None:
        """A session ended: keep its paths as stale ones where graceful restart says so, else let them go."""
        peer = self.peers.get(down.peer)
        if peer is None:
            return
        if peer.session is None or down.generation != peer.session.generation:
            if peer.session is None:
                peer.reason = down.reason
            return
        up, graceful = peer.session, peer.session.received.graceful_restart
        # That is no fault of its node: what it announced stays until it has returned, if it still belongs here.
        reset = reconfigured(down) and self._belongs(peer)
        self._end(peer, down.reason, now, again=not reset)
        self._stand(peer, None)
        if reset:
            self._blameless.add(peer.address)
            self._hold(peer, peer.group.stale_time, now)
        elif retains(down, up) and graceful is not None and self._belongs(peer):
            self._hold(peer, min(graceful.time, peer.group.stale_time), now)
            for family in set(Family) - graceful.families.keys():
                self.purges.ask(peer, family)
        else:
            self.purges.ask(peer)
            self._forget(peer)
        self._keep_place(peer, on=peer.deadline is not None)
        self.effects.append(
            Event(
                "peer down",
                {"peer": peer.name, "reason": down.reason, "stale": peer.deadline is not None},
                level="warning",
            )
        )

    def speaker_up(self, now: float) -> None:
        """Nodes can dial in: the clocks of those that are awaited run."""
        if self.listening:
            return
        self.listening = True
        for peer in self.peers.values():
            if peer.deadline is not None:
                self._hold(peer, peer.patience, now)

    def speaker_down(self, reason: str, now: float) -> None:
        """The ExaBGP child died: the router's own restart, for which no node is to blame. All paths wait as stale
        ones until their nodes, which will dial in again, have announced them anew; no clock runs until they can."""
        up = sum(peer.session is not None for peer in self.peers.values())
        self.effects.append(Event("speaker down", {"reason": reason, "sessions": up}, level="error"))
        self.listening = False
        for peer in self.peers.values():
            if peer.session is not None:
                self._end(peer, reason, now, again=False)
                if not self._belongs(peer):
                    self.purges.ask(peer)
                    self._forget(peer)
                    continue
                self._blameless.add(peer.address)
                self.deferring = True
                self._hold(peer, peer.group.stale_time, now)
                self._keep_place(peer, on=True)
            elif peer.deadline is not None:
                self._hold(peer, peer.patience, now)

    def _belongs(self, peer: Peer) -> bool:
        """Tell whether the configuration still has a peer: else it will not return."""
        return self.config.group_of(peer.address) is not None

    def _hold(self, peer: Peer, seconds: float, now: float) -> None:
        """Keep what is stale of a peer so long from now on, or from when nodes can dial in."""
        peer.patience = seconds
        self._stand(peer, now + seconds if self.listening else math.inf)

    def _stand(self, peer: Peer, deadline: float | None) -> None:
        """Have what is stale of a peer go at this time."""
        peer.deadline = deadline
        self._deadlines.set(peer.address, deadline)
        self.leads.touch(peer)

    def _end(self, peer: Peer, reason: str, now: float, *, again: bool = True) -> None:
        """The session of a peer is over. See `AdjRibIn.mark_stale` for `again`."""
        peer.end(reason, now, again=again)
        self.purges.add(peer)  # what was stale already
        self.introductions.end(peer)
        self._stop_telling(peer)
        self.leads.touch(peer)

    @property
    def timer(self) -> float | None:
        """When a peer expires or has fallen silent, or a ROUTE-REFRESH is to be answered, in monotonic seconds."""
        times = (self._deadlines.next, self.introductions.next, self.refreshes.next)
        return min((time for time in times if time is not None), default=None)

    def expired(self, now: float) -> list[Peer]:
        """Return the peers whose stale paths have waited long enough; `expire` is to follow."""
        return [self.peers[address] for address in self._deadlines.due(now)]

    def _keep_place(self, peer: Peer, *, on: bool) -> None:
        """A range has room for a peer of it that may return, and for no other one in its place."""
        if peer.last is not None and peer.last.dynamic:
            self.effects.append(KeepPlace(peer.address, on))

    def said_all(self, peer: Peer) -> None:
        """A peer has announced all that it will: what is stale still goes."""
        self.introductions.heard(peer, peer.pending_eor)
        self.purges.ask(peer)

    # ------------------------------------------------------------------------------------------ deferral

    def _stop_telling(self, peer: Peer) -> None:
        self.adj_ribs_out.stop(peer.address)
        self.refreshes.drop(peer.address)
        self._deferred.pop(peer.address, None)

    def await_peer(self, address: str, now: float) -> None:
        """A node that was there before the router's restart has not returned yet: show it, and keep its place."""
        peer = self._peer(address, now)
        if peer is not None and not peer.sessions:
            peer.place = now
            peer.reason = "has not returned since routerd started"

    @property
    def introduced(self) -> bool:
        """Whether the router's End-of-RIB need not wait for any peer (RFC 4724 section 4.1): all are back, and each
        has said all, or restarts itself and waits for ours."""
        return not self._blameless and self.introductions.over

    def restarting(self, gateways: Iterable[Gateway]) -> set[Gateway]:
        """Return those of the gateways whose nodes are within graceful restart, by their own doing, and to which no
        session leads either."""
        leads, blameless = self.leads, self._blameless
        silent = set(gateways).difference(leads.speaking(gateways))
        return {
            gateway
            for gateway in silent
            if any(p.deadline is not None and p.address not in blameless for p in leads.peers(gateway))
        }

    def end_deferral(self) -> None:
        """The nodes are back: tell the peers that learned routes are complete."""
        self.deferring = False
        for address, families in self._deferred.items():
            self.effects.append(Advertise(address, end_of_rib=families))
        self._deferred.clear()

    def gateways_of(self, peer: Peer) -> frozenset[Gateway]:
        """The gateways that the peer's paths lead to, and that of its own address."""
        return self.leads.of(peer)

    def _find(self, peer: Peer) -> tuple[frozenset[Gateway], frozenset[Address]]:
        """Find out where a peer leads, and which addresses that takes."""
        hops: list[Hop] = [*self.loc_rib.hops.get(peer.address, ()), (peer.packed, None)]
        resolved = (self.nexthops.resolve(*hop, peer.packed) for hop in hops)
        gateways = frozenset(gateway for way in resolved if way is not None for gateway in way.gateways)
        return gateways, frozenset(address for hop in hops for address in hop if address is not None)

    def _hops_changed(self, address: str) -> None:
        if (peer := self.peers.get(address)) is not None:
            self.leads.touch(peer)

    def expire(self, peer: Peer) -> None:
        """Graceful restart took too long: what is still stale goes."""
        self._stand(peer, None)
        self._blameless.discard(peer.address)
        self.introductions.heard(peer, peer.pending_eor)
        if peer.session is None:
            self._forget(peer)
            self._keep_place(peer, on=False)
        if not peer.adj_rib_in.stale:
            return
        self.effects.append(
            Event(
                "stale paths expired",
                {"peer": peer.name, "paths": len(peer.adj_rib_in.stale)},
                level="warning",
            )
        )
        self.purges.ask(peer)

    def _forget(self, peer: Peer) -> None:
        """Forget what was only remembered of a session that is over."""
        peer.forget_paths()
        self.hosts.forget(peer.address)

    def forget_dynamic_peers(self, now: float, kept: Collection[Address]) -> None:
        """Forget peers of ranges that have been away for long, and those that never came, unless they are `kept`:
        nodes come and go with new addresses."""
        static = {peer.address for peer in self.config.peers}
        dynamic = [peer for peer in self.peers.values() if peer.address not in static]
        away = [p for p in dynamic if p.session is None and p.deadline is None and not p.adj_rib_in.stale]
        gone = [
            peer.address
            for peer in away
            if self.config.group_of(peer.address) is None
            or (
                peer.packed not in kept
                and (not peer.sessions or now - peer.since > FORGET_AFTER)
                and not self.is_down(peer.lost_with)
            )
        ]
        for address in gone:
            self.leads.forget(self.peers.pop(address))
            self._deadlines.set(address, None)
            self._blameless.discard(address)
        if gone:
            self._guard_anew()

    @property
    def busy(self) -> bool:
        """Whether anything is left that goes in slices."""
        return self.slicing or bool(self.refreshes) or self.nexthops.foreign.shedding

    @property
    def slicing(self) -> bool:
        """Whether prefixes are purged, or judged again, a part at a time."""
        return bool(self.purges) or self.rejudging

    def purge_slice(self) -> list[Change]:
        """Do a bounded part of the purges."""
        lost = self.purges.slice().items()
        return [change for peers, prefixes in lost for change in self.loc_rib.withdraw_all(peers, prefixes)]

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
            changes += self._announce(peer, path, verdict, prefixes, now)
        if update.end_of_rib is not None:
            self.purges.ask(peer, update.end_of_rib)
            self.introductions.heard(peer, frozenset({update.end_of_rib}))
        return changes

    def _announce(self, peer: Peer, path: Path, verdict: Reject, prefixes: list[Prefix], now: float) -> list[Change]:
        accepted: list[Prefix] = []
        rejected = [(prefix, verdict) for prefix in prefixes]
        if not verdict:
            accepted, rejected = self._policy.split(peer.group_name, peer.group, prefixes)
        changes: list[Change] = []
        if rejected:
            full = bool(peer.adj_rib_in.rejected.beyond)
            changes += self.loc_rib.withdraw(peer.address, peer.adj_rib_in.reject(path, rejected))
            if peer.adj_rib_in.rejected.beyond and not full:
                self.effects.append(Event("more is rejected than is kept", {"peer": peer.name}, level="warning"))
        if accepted:
            since = peer.place if peer.place is not None and peer.returns else now
            if path not in self.loc_rib.users and path.since != since:
                path, _ = peer.remember(path.attributes, verdict, since)  # if it was gone: now it is a new one
            peer.adj_rib_in.accept(path, accepted)
            changes += self.loc_rib.announce(path, accepted, claims=peer.returns)
        return changes

    def _judge(self, peer: Peer, attributes: Attributes) -> Reject:
        verdict = self._policy.judge(peer.source, attributes)
        if self.hosts.asked:
            self.effects.append(Identify(tuple(self.hosts.asked)))
            self.hosts.asked.clear()
        return verdict

    def identified(self, addresses: dict[Gateway, bytes]) -> tuple[list[str], list[Change]]:
        """Take over link-layer addresses; return the peers that they concern, and what changes of their paths."""
        concerned = [self.peers[peer] for peer in self.hosts.take(addresses)]
        changes = self._rejudge(concerned)
        for peer in concerned:
            changes += self._guard(self.hosts.addresses(peer.packed))
        return [peer.address for peer in concerned], changes

    def guard_peer(self, address: str, now: float) -> list[Change]:
        """A peer dials in: its address is guarded from now on, if it was not; return what changes by that."""
        peer = self._peer(address, now)
        return [] if peer is None else self._guard(peer.addresses)

    def _guard(self, addresses: Iterable[Address]) -> list[Change]:
        """Guard addresses; whoever announces a prefix that is barred now is judged again."""
        barred = self.guard.add(addresses) & self.loc_rib.table.keys()
        found = {path.peer for prefix in barred for path in self.loc_rib.table[prefix].paths}
        return self._rejudge(self.peers[peer] for peer in found if peer != LOCAL)

    def _guard_anew(self) -> bool:
        peers = [peer.addresses | self.hosts.addresses(peer.packed) for peer in self.peers.values()]
        return self.guard.renew(self.nexthops.addresses.union(*peers))

    def _note_faults(self, peer: Peer, update: Update) -> None:
        peer.faults += 1
        peer.last_fault = "; ".join(f"{fault.outcome}: {fault.text}" for fault in update.faults)
        worst = max(update.faults, key=lambda fault: fault.outcome)  # the outcomes' order is that of the alphabet
        self.effects.append(
            Event(
                "malformed update",
                {
                    "peer": peer.name,
                    "outcome": worst.outcome,
                    "attribute": worst.attribute,
                    "faults": peer.last_fault,
                },
                level="warning",
            )
        )

    def is_down(self, interface: str) -> bool:
        """Tell whether a peer was lost with an interface of this name, which is still down or gone."""
        return bool(interface) and all(i.name != interface or not i.up for i in self.nexthops.interfaces.values())

    def links_changed(self, interfaces: Iterable[Interface]) -> None:
        """Note which peers go down with a link, before `network_changed` forgets the ways to them. A link that is
        back in time has cost no session."""
        up = {interface.index: interface for interface in interfaces if interface.up}
        before = self.nexthops.interfaces.values()
        fallen = [link for link in before if link.up and link.index not in up]
        risen = {link.name for index, link in up.items() if not self.nexthops.is_up(index)}
        if not fallen and not risen:
            return
        for peer in self.peers.values():
            if peer.session is None:
                continue
            ways = {gateway.ifindex for gateway in self.gateways_of(peer)}
            behind = (i for i in fallen if i.index in ways or any(contains(n, peer.packed) for n in i.networks))
            if (link := next(behind, None)) is not None:
                peer.lost_with = link.name
            elif peer.lost_with in risen:
                peer.lost_with = ""

    def network_changed(
        self,
        interfaces: tuple[Interface, ...],
        foreign: ForeignRoutes | None = None,
        objects: Iterable[KernelNexthop | KernelGroup] | None = None,
        lengths: Lengths | None = None,
    ) -> tuple[set[PathSet], list[Change]]:
        """Take over a dump of interfaces, foreign routes, nexthop objects and groups (None: those last heard of).

        Returns the path sets that decide differently now, and the changes of announcements that are judged
        differently because the router's own addresses or networks are others, or because of the ways to next hops.
        """
        own = (self.nexthops.addresses, self.nexthops.networks)
        if not self.nexthops.update(interfaces, foreign, objects, lengths):
            return set(), []
        return self._ways_changed(moved=own != (self.nexthops.addresses, self.nexthops.networks))

    def foreign_changed(self, changes: Iterable[RouteChange | NexthopChange]) -> tuple[set[PathSet], list[Change]]:
        """Take over changes of foreign routes and nexthops; return as `network_changed` does."""
        return self._ways_changed(moved=False) if self.nexthops.apply(changes) else (set(), [])

    def _ways_changed(self, *, moved: bool) -> tuple[set[PathSet], list[Change]]:
        """The ways to next hops are others, and if `moved`, the router's own addresses or networks."""
        self.leads.touch(*self.peers.values())
        guarded = self._guard_anew()
        different = set(self.loc_rib.invalidate())
        if not moved and not guarded:
            return different, self._rejudge(p for p in self.peers.values() if self.hosts.concerns(p.address))
        self._policy = self._import_policy()
        self._renew_exports()
        for peer in self.peers.values():
            peer.forget_paths()
            self._rejudges[peer.address] = None
        return different, self.rejudge_slice()

    @property
    def rejudging(self) -> bool:
        """Whether `rejudge_slice` has work left."""
        return bool(self._rejudges)

    def rejudge_slice(self) -> list[Change]:
        """Judge a bounded part again of what peers announced before the router's own addresses were others."""
        changes: list[Change] = []
        room = REJUDGE_SLICE
        while self._rejudges and room > 0:
            address, left = next(iter(self._rejudges.items()))
            peer = self.peers.get(address)
            if peer is None:
                del self._rejudges[address]
                continue
            if left is None:
                left = self._rejudges[address] = self._heard(peer)
            some = left[-room:]
            del left[-room:]
            if not left:
                del self._rejudges[address]
            room -= REJUDGE_PEER + len(some)
            changes += self._judge_again(peer, some)
        return changes

    def _rejudge(self, peers: Iterable[Peer]) -> list[Change]:
        """Judge all again that these peers announced."""
        changes: list[Change] = []
        for peer in peers:
            if peer.session is not None:
                peer.forget_paths()
                changes += self._judge_again(peer, self._heard(peer))
        return changes

    def _heard(self, peer: Peer) -> list[Prefix]:
        """Return what can be judged again, and ask for the rest."""
        rib = peer.adj_rib_in
        if peer.session is not None and rib.rejected.beyond:
            self._ask_again(peer, peer.session)
        return [*rib.accepted, *rib.rejected.kept, *rib.stale]

    def _judge_again(self, peer: Peer, prefixes: list[Prefix]) -> list[Change]:
        rib, heard, stale = peer.adj_rib_in, dict[Path, list[Prefix]](), dict[Path, list[Prefix]]()
        for prefix in prefixes:
            if (path := rib.stale.get(prefix)) is not None:
                stale.setdefault(path, []).append(prefix)
                continue
            path = rib.accepted.get(prefix)
            if path is None and prefix in rib.rejected.kept:
                path, _ = rib.rejected.kept[prefix]
            if path is not None:
                heard.setdefault(path, []).append(prefix)
        changes: list[Change] = []
        for path, some in heard.items():
            known = peer.known(path.attributes)
            verdict = self._judge(peer, path.attributes) if known is None else known[1]
            if known is None:
                peer.rejudge(path, verdict)
            # Until the kernel has told whose a next hop is, what is used stays.
            held = rib.accepted if verdict is Reject.UNKNOWN_HOST else ()
            changes += self._announce(peer, path, verdict, [each for each in some if each not in held], path.since)
        for path, some in stale.items():
            gone = self._refused(peer, path, some)
            rib.withdraw(gone)
            changes += self.loc_rib.withdraw(peer.address, gone)
        return changes

    def _refused(self, peer: Peer, path: Path, prefixes: list[Prefix]) -> list[Prefix]:
        """Return what of stale prefixes is not accepted any more. Whose the next hop is was asked when they came."""
        if self._policy.check(peer.source, path.attributes):
            return prefixes
        _, rejected = self._policy.split(peer.group_name, peer.group, prefixes)
        return [prefix for prefix, _ in rejected]

    def _ask_again(self, peer: Peer, session: SessionUp) -> None:
        """Have the peer announce all again, because not all that was rejected is known by name (RFC 2918). One that
        cannot is judged anew only when it says more by itself."""
        if session.received.route_refresh and session.sent.route_refresh:
            peer.adj_rib_in.rejected.beyond.clear()
            self.effects.append(
                Refresh(peer.address, tuple(sorted(session.received.families & session.sent.families)))
            )

    # ------------------------------------------------------------------------------------------ reconfiguration

    def reconfigure(self, config: Config, now: float) -> tuple[set[PathSet], list[Change]]:
        """Take over another configuration; return as `network_changed` does. Sessions whose parameters differ are for
        the speaker to reset."""
        router, self.config, self._options = self.config.router, config, Options.of(config.fib)
        for peer in self.peers.values():
            peer.name, found = config.name_of(peer.address), config.group_of(peer.address)
            if found is not None:
                peer.group_name, peer.group = found
            elif peer.session is None:
                self.expire(peer)
            peer.addresses = own_addresses(config, peer.address)
        for each in config.peers:
            self._peer(each.address, now)
        router_id = parse_address(config.router.router_id)
        if router_id != self._router_id:
            self._router_id, self.local = router_id, Path(LOCAL, Attributes(), now, router_id)
        before, self.networks = self.networks, [parse_prefix(text) for text in config.router.networks]
        changes = self.loc_rib.withdraw(LOCAL, [each for each in before if each not in self.networks])
        changes += self.loc_rib.announce(self.local, self.networks)
        new = config.router
        if (new.asn, new.router_id, new.networks) != (router.asn, router.router_id, router.networks):
            self.adj_ribs_out.reconfigure(new.asn)
        different, more = self._ways_changed(moved=True)
        return different, [*changes, *more]

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
        yield self.local, self.networks
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

    def refresh(self, refresh: RouteRefresh, now: float) -> None:
        """Take a ROUTE-REFRESH, and answer it unless the peer has just heard an answer."""
        peer = self.peers.get(refresh.peer)
        if peer is None or peer.session is None or peer.session.generation != refresh.generation:
            return
        self.refreshes.ask(peer.address, refresh.family, now)
