"""The synchronous core: messages in, effects out.

`handle(message, now)` is all there is. It does no I/O and asks no clock, so that a recorded run replays to the
same effects. It ties the two pure rooms: the RIB's path-set changes become what the FIB wants.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from errno import EEXIST, ENOENT

from routerd.config.model import Config
from routerd.core.fib.adopt import adopt
from routerd.core.fib.drift import Mended, mend_changes, mend_objects, mend_routes
from routerd.core.fib.fib import Fib
from routerd.core.fib.model import NEVER, WIDEST, Shape, in_order
from routerd.core.gateway_health import GatewayHealth, Reason
from routerd.core.message import (
    DeleteRoutes,
    Drain,
    Effect,
    Event,
    FindUnused,
    ForeignBgp,
    Gateway,
    GroupActivity,
    GroupLost,
    GroupMade,
    GroupsUnused,
    Identified,
    Input,
    InspectGroups,
    KernelDump,
    KernelObjects,
    NeighbourState,
    NexthopChange,
    Operation,
    Program,
    Reconfigure,
    Resync,
    RouteAudit,
    RouteChange,
    RouteRefresh,
    RoutesChanged,
    SessionDown,
    SessionUp,
    SetGroup,
    SetNexthop,
    SetRoutes,
    Settle,
    SpeakerDown,
    SpeakerUp,
    Update,
    Work,
    WriteFailed,
)
from routerd.core.refusals import Refusals
from routerd.core.rib.loc_rib import Change, PathSet
from routerd.core.rib.rib import Rib
from routerd.core.route import Prefix, format_address, parse_address

MOVE_PATIENCE = 1.0
"""Seconds that prefixes wait at most for the rest of a shared group before they leave it."""
BURST_PAUSE, BURST_PATIENCE = 0.005, 0.3
"""Seconds without news after which a burst of changes is over, and seconds after which its planning goes on anyway.
The nodes of an address announce it one after the other: a group that is written once, complete, is writes less."""
INTRODUCTION_PAUSE = 0.1
"""Seconds without an UPDATE, after which a node that has just come has said what it announces, or at least a part."""
LINK_LATE = 2.0
"""Seconds by which the kernel may tell late that a link is down (linkwatch: one, if it has changed lately): silence
that began shortly before is the link's, and ends with it."""
DRAIN_INTERVAL = 5.0
"""Seconds, at most, between looks at groups whose drained members keep buckets that may carry no flow."""


class Router:
    """The core's state. `busy` tells that Work is left; `timer` is when it next wants to be woken, if ever."""

    def __init__(self, config: Config, now: float, *, resilient: bool = True, widest: int = WIDEST) -> None:
        self.config = config
        self._resilient, self._widest = resilient, widest
        self.started = now
        self.rib = Rib(config, now)
        self.fib = Fib(self.shape(config))
        self.drained: set[str] = set()
        self.health = GatewayHealth()
        self.synchronised = False
        self.drift_mended = 0
        self.refusals = Refusals(self.fib.refused)
        self.foreign_bgp = ForeignBgp()
        self._moves_since: float | None = None
        self._burst_since: float | None = None
        self._news_at = now
        self._news = False
        self._introduced_at: float | None = None
        self._adoption_ends: float | None = None
        self._drains_at = now
        self._forgotten_at: tuple[int, int] | None = None
        self._silent_since: dict[Gateway, float] = {}

    def shape(self, config: Config) -> Shape:
        """Return how groups are made by a configuration on this kernel."""
        return Shape(config.fib, resilient=self._resilient, widest=self._widest)

    @property
    def busy(self) -> bool:
        """Whether Work and Settle would find something to do."""
        pauses = self._burst_ends is not None and not self.fib.groups.changed
        return (self.synchronised and self.fib.unfinished and not pauses) or self.rib.busy

    @property
    def _burst_ends(self) -> float | None:
        """When the planning of a burst goes on at the latest; None if it does not pause."""
        if self._burst_since is None or self._burst_since == NEVER:
            return None
        return min(self._news_at + BURST_PAUSE, self._burst_since + BURST_PATIENCE)

    @property
    def _drain_interval(self) -> float:
        return min(DRAIN_INTERVAL, max(1.0, self.config.fib.idle_timer / 4))

    @property
    def watched(self) -> set[Gateway]:
        """The gateways whose silence matters: all that are in groups, and those that are silent."""
        watched = self.fib.groups.nexthops.keys() | self.health.having(Reason.SILENT)
        return watched.difference(self.health.having(Reason.LINK_DOWN))

    def watches(self, gateway: Gateway) -> bool:
        """Tell whether a gateway is one of `watched`."""
        if gateway in self.health.having(Reason.LINK_DOWN):
            return False
        return gateway in self.fib.groups.nexthops or gateway in self.health.having(Reason.SILENT)

    @property
    def timer(self) -> float | None:
        """The monotonic time at which a Settle message is due even without input."""
        deadlines = [self.rib.timer]
        if self._moves_since is not None:
            deadlines.append(self._moves_since + MOVE_PATIENCE)
        deadlines += [self._burst_ends, self._introduced_at, self._adoption_ends]
        deadlines += [self.refusals.again_at, self.fib.groups.settling.next]
        if self.fib.groups.clinging:
            deadlines.append(self._drains_at)
        return min((each for each in deadlines if each is not None and each < math.inf), default=None)

    def handle(self, message: Input, now: float) -> list[Effect]:
        """Take in one message; return what is to be done about it, in order."""
        effects: list[Effect] = []
        match message:
            case Update():
                self._changed(self.rib.update(message, now))
                if message.end_of_rib is not None:
                    self._heard_all(message.peer)
            case Settle(quiet=quiet):
                effects += self._timers(now)
                effects += self._settle(now, quiet=quiet)
            case Work():
                self._work(now)
            case SessionUp(peer=peer):
                self._changed(self.rib.guard_peer(peer, now))
                self.rib.session_up(message, now)
                self._await_adopted(now)
            case SessionDown():
                effects += self._session_down(message, now)
            case SpeakerUp():
                self.rib.speaker_up(now)
                self._await_adopted(now)
            case SpeakerDown(reason=reason):
                self.rib.speaker_down(reason, now)
                self._adoption_ends = None
            case RouteRefresh():
                self.rib.refresh(message, now)
            case KernelDump():
                effects += self._reconcile(message, now)
            case KernelObjects():
                effects += self._objects(message, now)
            case RoutesChanged():
                effects += self._routes_changed(message, now)
            case RouteAudit():
                effects += self._audited(message, now)
            case NeighbourState(gateway=gateway, alive=alive):
                effects += self._neighbour(gateway, now, alive=alive)
            case Identified(addresses=addresses):
                concerned, changes = self.rib.identified(addresses)
                self._changed(changes)
                for peer in concerned:
                    self._heard_all(peer)
            case GroupMade(id=id, flows=flows):
                if not flows:
                    self.fib.made_afresh(id)
            case GroupLost(id=id):
                effects += self._program(self.fib.resend(id))
            case Drain(peer=peer, on=on):
                (self.drained.add if on else self.drained.discard)(peer)
                self._changed(self.rib.guard_peer(peer, now))  # it is shown, even if it is not there
                self._drain()
                effects += self._plan(now)
            case Reconfigure(config=config):
                effects += self._reconfigure(config, now)
            case WriteFailed():
                effects += self._write_failed(message, now)
            case GroupActivity(busy=busy):
                self.fib.drained(busy)
                effects += self._plan(now)
            case GroupsUnused(ids=ids):
                self.fib.unused(ids)
                effects += self._plan(now)
        effects += self.rib.effects
        self.rib.effects.clear()
        return effects

    # ------------------------------------------------------------------------------------------ RIB to FIB

    def _changed(self, changes: list[Change], different: Collection[PathSet] = ()) -> None:
        """Prefixes have other path sets. What the FIB has of those in sets that decide `different` is not what these
        decide now."""
        for old, new, prefixes in changes:
            before, after = self.rib.loc_rib.decision(old), self.rib.loc_rib.decision(new)
            if old in different or (after.members, after.leaving) != (before.members, before.leaving):
                self.fib.want(prefixes, after.members, after.leaving)
                self._news = True
        if changes:
            self.rib.export(changes)

    def _settle(self, now: float, *, quiet: bool) -> list[Effect]:
        if not self.synchronised:
            return []
        self._revive()
        self._drain()
        if self._news:
            self._news_at, self._news = now, False
        ends = self._burst_ends
        if ends is None and self._burst_since is None and not quiet and self.fib.behind and not self.fib.has_table:
            self._burst_since = now  # more comes
            ends = self._burst_ends
        if ends is not None and now < ends:
            effects = self._program(self.fib.rewrite(now))
        else:
            effects = self._plan(now)
            pauses = self._burst_since is None
            self._burst_since = None if not self.fib.behind else now if pauses else NEVER
        if self.fib.has_waiting():
            since = self._moves_since = now if self._moves_since is None else self._moves_since
            self._introduced_at = self._introduction_ends(now)
            # What is purged, or judged again, comes in slices, and those belong together.
            due = (quiet and self._introduced_at is None) or now - since >= MOVE_PATIENCE
            if self.fib.parting or (due and not self.rib.slicing):
                effects += self._program(self.fib.part(now))
        if not self.fib.has_waiting() or self.rib.slicing:
            self._moves_since = self._introduced_at = None
        self._forget_gateways()
        self._end_deferral()
        return effects

    def _plan(self, now: float) -> list[Effect]:
        return self._program(self.fib.plan(now)) if self.synchronised and self.fib.has_pending() else []

    def _introduction_ends(self, now: float) -> float | None:
        """When nodes that have just come will have said what they announce; None if there are no such nodes. Speakers
        send an UPDATE for each prefix, and prefixes that share a group now shall share one afterwards."""
        ends = [
            min(peer.since + MOVE_PATIENCE, peer.heard + INTRODUCTION_PAUSE)
            for peer in self.rib.introductions
            if peer.heard is not None
        ]
        return max((end for end in ends if end > now), default=None)

    def _revive(self) -> None:
        """Let gateways whose node is back into their groups again, once nothing of its last session is left."""
        if not self.health.out or self.rib.purges:
            return
        leads, having = self.rib.leads, self.health.having
        self.fib.restore(self.health.remove(Reason.RESTARTED, leads.speaking(having(Reason.RESTARTED))))
        self.fib.restore(self.health.remove(Reason.NO_SESSION, leads.present(having(Reason.NO_SESSION))))

    def _forget_gateways(self) -> None:
        """Forget gateways that are out and that no group wants and no peer leads to, even if its link is down."""
        version = self.rib.leads.version, self.health.version
        if version == self._forgotten_at or self.rib.purges:
            return
        abandoned = [gateway for gateway in self.health.out if not self.rib.leads.names(gateway.address)]
        gone = [gateway for gateway in abandoned if not self.fib.groups.having(gateway)]
        self.health.forget(gone)
        for gateway in gone:
            self._silent_since.pop(gateway, None)
        self.fib.forget(gone)
        if len(gone) == len(abandoned):
            self._forgotten_at = version

    def _drain(self) -> None:
        """Hold the groups to the operator's drains."""
        drained = [self.rib.peers[address] for address in self.drained if address in self.rib.peers]
        if not drained and not self.fib.groups.draining:
            return
        gateways = set[Gateway]().union(*map(self.rib.gateways_of, drained))
        if gateways != self.fib.groups.draining:
            self.fib.drain(gateways)

    def _neighbour(self, gateway: Gateway, now: float, *, alive: bool) -> list[Effect]:
        """A silent node is dead, whatever its session or graceful restart says, until it answers again."""
        peers = [peer.name for peer in self.rib.leads.peers(gateway)]
        fields: dict[str, str | int | float | bool | None] = {
            "gateway": format_address(gateway.address),
            "interface": self.rib.nexthops.name_of(gateway.ifindex),
            "peer": ", ".join(peers),
        }
        if alive:
            if gateway not in self.health.having(Reason.SILENT):
                return []
            if not self.rib.leads.speaking([gateway]):
                self.health.add(Reason.RESTARTED, [gateway])
            del self._silent_since[gateway]
            self.fib.restore(self.health.remove(Reason.SILENT, [gateway]))
            return [*self._plan(now), Event("neighbour answers again", fields)]
        if gateway in self.health.having(Reason.SILENT):
            return []
        self._silent_since[gateway] = now
        failed = self._fail(Reason.SILENT, [gateway])
        self.fib.settle([gateway])  # nobody waits for it after a restart
        return [*failed, *self._settle(now, quiet=False), Event("neighbour is silent", fields, level="warning")]

    def _program(self, operations: Sequence[Operation]) -> list[Effect]:
        return [Program(tuple(map(self._addressed, operations)))] if operations else []

    def _addressed(self, operation: Operation) -> Operation:
        """A gateway that is on the link only because a route says so: its nexthop must say it, too."""
        if isinstance(operation, SetNexthop) and operation.gateway in self.rib.nexthops.onlink:
            return replace(operation, onlink=True)
        return operation

    def _fail(self, reason: Reason, gateways: Iterable[Gateway]) -> list[Effect]:
        """Take gateways out of every group before all else that is to be written."""
        operations = self.fib.fail(self.health.add(reason, gateways))
        return [Program(tuple(operations), urgent=True)] if operations else []

    # ------------------------------------------------------------------------------------------ sessions

    def _session_down(self, down: SessionDown, now: float) -> list[Effect]:
        """Failover first: the dead node's gateways leave the kernel before any prefix is looked at."""
        peer = self.rib.peers.get(down.peer)
        current = peer is not None and peer.session is not None and peer.session.generation == down.generation
        gateways = self.rib.gateways_of(peer) if peer is not None and current else frozenset[Gateway]()
        if silent := gateways & self._silent_since.keys():
            seconds = now - min(self._silent_since[gateway] for gateway in silent)
            down = replace(down, reason=f"{down.reason}; its link layer had not answered for {seconds:.1f} s")
        elif current and peer is not None and peer.lost_with:
            down = replace(down, reason=f"{down.reason}; interface {peer.lost_with} had gone down")
        self.rib.session_down(down, now)
        if peer is None or not current or peer.deadline is not None:
            return []
        return self._lose(gateways)

    def _lose(self, gateways: frozenset[Gateway]) -> list[Effect]:
        """A peer that led to these gateways is gone for good: those that no other one leads to fail, and nobody waits
        for them after a restart."""
        lost = gateways.difference(self.rib.leads.present(gateways))
        effects = self._fail(Reason.NO_SESSION, lost) if self.synchronised else []
        self.fib.settle(lost)
        return effects

    def _heard_all(self, address: str) -> None:
        peer = self.rib.peers.get(address)
        if peer is None or peer.session is None or peer.pending_eor:
            return
        if not self.rib.hosts.waits(address):
            self.fib.settle(self.rib.gateways_of(peer))

    def _await_adopted(self, now: float) -> None:
        """Nodes can dial in: those of adopted groups have so much time to return."""
        if self._adoption_ends is None and self.rib.listening and self.fib.awaited():
            self._adoption_ends = now + max((g.stale_time for g in self.config.peer_groups.values()), default=0)

    def _end_deferral(self) -> None:
        """After a restart the peers hear End-of-RIB once all nodes are back (RFC 4724 section 4.1). How long that may
        take is bounded by the time that each node has to return, and to say all."""
        if not self.rib.deferring:
            return
        if not self.rib.introduced:
            return
        awaited = self.fib.awaited()
        if awaited.issubset(self.rib.leads.speaking(awaited)):
            self.rib.end_deferral()

    def _work(self, now: float) -> None:
        if self.rib.purges:
            self._changed(self.rib.purge_slice())
        elif self.rib.rejudging:
            self._changed(self.rib.rejudge_slice())
        elif self.rib.refreshes:
            self.rib.effects.append(self.rib.refreshes.piece(now))
        elif self.rib.nexthops.foreign.shedding:
            self.rib.nexthops.foreign.shed()

    def _timers(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for peer in self.rib.expired(now):
            self.rib.expire(peer)
            if peer.session is not None:
                self._heard_all(peer.address)
            else:
                effects += self._lose(self.rib.gateways_of(peer))
        for peer in self.rib.introductions.silent(now):
            self.rib.said_all(peer)
            self._heard_all(peer.address)
        self.rib.refreshes.begin(now)
        if self._adoption_ends is not None and now >= self._adoption_ends:
            self._adoption_ends = None
            self.fib.settle(self.fib.awaited())
        self.fib.groups.balance(now)
        if young := self.fib.groups.settling.looks_due(now):
            effects.append(FindUnused(tuple(young)))
        if self.fib.groups.clinging and now >= self._drains_at:
            self._drains_at = now + self._drain_interval
            effects.append(InspectGroups(tuple(self.fib.groups.clinging)))
        if self.refusals.due(now):
            effects.append(Resync("refused writes are tried again"))
        return effects

    def _reconfigure(self, config: Config, now: float) -> list[Effect]:
        """Another configuration: what peers announced is judged by it, and groups are made and written by it."""
        self.config = config
        different, changes = self.rib.reconfigure(config, now)
        if self.fib.reshape(self.shape(config), now):
            different.update(self.rib.loc_rib.sets())
        self._changed(changes, different)
        self._want(different)
        return self._settle(now, quiet=True)

    # ------------------------------------------------------------------------------------------ the kernel

    def _reconcile(self, dump: KernelDump, now: float) -> list[Effect]:
        """The first dump: adopt what is there. From now on the kernel may be written."""
        self.foreign_bgp = dump.foreign_bgp
        self.rib.network_changed(dump.interfaces, dump.foreign, [*dump.nexthops, *dump.groups])
        effects = self._program(adopt(self.fib, dump, now))
        self.synchronised = True
        if self.fib.groups.by_id:
            for gateway in in_order(self.fib.awaited()):
                self.rib.await_peer(format_address(gateway.address), now)
                self.rib.deferring = True
            self._await_adopted(now)
            effects.append(Event("adopted", {"routes": len(self.fib.routes), "groups": len(self.fib.groups.by_id)}))
        table = self.rib.loc_rib.table
        self._want(self.rib.loc_rib.sets())
        self.fib.want([prefix for prefix in self.fib.routes if prefix not in table], ())
        return effects + self._settle(now, quiet=True)

    def _objects(self, dump: KernelObjects, now: float) -> list[Effect]:
        """Something changed in the kernel: bring links, nexthop objects and groups in line."""
        if not self.synchronised:
            return []
        up = {interface.index for interface in dump.interfaces if interface.up}
        known = self.fib.groups.nexthops.keys() | self.fib.groups.down
        down = {gateway for gateway in known if gateway.ifindex not in up}
        if fallen := down.difference(self.health.having(Reason.LINK_DOWN)):
            fallen &= self.rib.restarting(fallen)  # as long as the ways to them are known
        self.rib.links_changed(dump.interfaces)
        different, changes = self.rib.network_changed(dump.interfaces, objects=[*dump.nexthops, *dump.groups])
        effects = self._fail(Reason.LINK_DOWN, down)
        late = [gateway for gateway in down if now - self._silent_since.get(gateway, NEVER) <= LINK_LATE]
        self.health.remove(Reason.SILENT, late)
        for gateway in late:
            del self._silent_since[gateway]
        self.health.add(Reason.RESTARTED, fallen)
        retrying = bool(self.refusals.groups or self.refusals.nexthops or self.refusals.deletions)
        self.refusals.groups.clear()
        # Compare before anything is revived: the dump is older than that.
        effects += self._delete_again()
        effects += self._mended(mend_objects(self.fib, dump, now), drift=not retrying)
        self.fib.restore(self.health.remove(Reason.LINK_DOWN, [g for g in known if g.ifindex in up]))
        self.fib.restore(self.health.remove(Reason.REFUSED, self.refusals.nexthops))
        effects += self._reach()
        self.refusals.nexthops.clear()
        self._revive()
        self._changed(changes, different)
        self._want(different)
        self._retry_refused([*self.fib.refused])
        return effects + self._settle(now, quiet=True)

    def _audited(self, audit: RouteAudit, now: float) -> list[Effect]:
        """The routes were compared with the model; try again, too, those that the kernel has refused."""
        self.foreign_bgp = audit.foreign_bgp
        interfaces = tuple(self.rib.nexthops.interfaces.values())
        different, changes = self.rib.network_changed(interfaces, audit.foreign, lengths=audit.lengths)
        more, others = self.rib.foreign_changed(self._foreign(audit.since))
        different |= more
        changes += others
        awaited = {gateway.address for gateway in self.fib.awaited()}
        self.rib.forget_dynamic_peers(now, awaited.union(map(parse_address, self.drained)))
        unknown = {prefix: id for prefix, id in audit.unknown.items() if prefix not in self.refusals.deletions}
        effects = self._delete_again()
        effects += self._mended(mend_routes(self.fib, replace(audit, unknown=unknown)), drift=True)
        effects += self._reach()
        self._changed(changes, different)
        self._want(different)
        self._retry_refused([*self.fib.refused])
        return effects + self._settle(now, quiet=True)

    def _routes_changed(self, message: RoutesChanged, now: float) -> list[Effect]:
        """Others changed routes: mend routerd's own, and follow the ways to next hops."""
        if not self.synchronised:
            return []
        effects = self._mended(mend_changes(self.fib, message.changes, self.config.fib.metric), drift=True)
        different, changes = self.rib.foreign_changed(self._foreign(message.changes))
        if different or changes:
            effects += self._reach()
        self._changed(changes, different)
        self._want(different)
        routes = (change for change in message.changes if isinstance(change, RouteChange))
        free = [route.prefix for route in routes if route.deleted and route.prefix in self.fib.refused]
        self._retry_refused(free)
        if not different and not changes and not free:
            return effects
        return effects + self._settle(now, quiet=True)

    def _reach(self) -> list[Effect]:
        """The ways are others. A link that goes down takes its routes along before it says so itself: the gateways
        behind it fail as they do with their link, and what flows there were is remembered with their groups."""
        reaches, lost = self.rib.nexthops.reaches, self.health.having(Reason.UNREACHABLE)
        back = [gateway for gateway in lost if reaches(gateway)]
        gone = [gateway for gateway in self.fib.groups.nexthops.keys() - self.fib.awaited() if not reaches(gateway)]
        effects = self._fail(Reason.UNREACHABLE, gone)
        self.fib.restore(self.health.remove(Reason.UNREACHABLE, back))
        return effects

    def _foreign(self, changes: Iterable[RouteChange | NexthopChange]) -> Iterator[RouteChange | NexthopChange]:
        """Pass over what was done to routes that are routerd's by their marks."""
        for change in changes:
            if not isinstance(change, RouteChange) or not change.own:
                yield change

    def _retry_refused(self, prefixes: Iterable[Prefix]) -> None:
        for prefix in prefixes:
            decision = self.rib.loc_rib.decision(self.rib.loc_rib.paths_of(prefix))
            self.fib.want([prefix], decision.members, decision.leaving)

    @property
    def undeleted(self) -> list[Prefix]:
        """The routes that the kernel would not delete, and that nothing has wanted since."""
        routes = self.fib.routes
        prefixes = (each for each in self.refusals.deletions if not isinstance(each, int))
        return [prefix for prefix in prefixes if prefix not in routes or not routes[prefix].legs]

    def _delete_again(self) -> list[Effect]:
        """Try to delete routes once more; nexthops and groups are found where they are compared with the kernel's."""
        left = self.undeleted
        self.refusals.deletions.clear()
        return self._program([DeleteRoutes(tuple(left))] if left else [])

    def _mended(self, mended: Mended, *, drift: bool) -> list[Effect]:
        wrong, operations = mended
        effects = self._program(operations)
        if wrong and drift:
            self.drift_mended += len(wrong)
            effects.append(Event("drift mended", {"found": "; ".join(wrong[:10])}, level="warning"))
        return effects

    def _want(self, sets: Iterable[PathSet]) -> None:
        """Say anew what is wanted for every prefix of these path sets, whose decisions differ now."""
        chosen = set(sets)
        if not chosen:
            return
        users: dict[PathSet, list[Prefix]] = {}
        for prefix, paths in self.rib.loc_rib.table.items():
            if paths in chosen:
                users.setdefault(paths, []).append(prefix)
        for paths, prefixes in users.items():
            decision = self.rib.loc_rib.decision(paths)
            self.fib.want(prefixes, decision.members, decision.leaving)
        self.rib.export([(paths, paths, prefixes) for paths, prefixes in users.items()])

    def _write_failed(self, failed: WriteFailed, now: float) -> list[Effect]:
        operation = failed.operation
        fields: dict[str, str | int | float | bool | None] = {
            "operation": type(operation).__name__,
            "errno": failed.errno,
            "text": failed.text,
        }
        effects: list[Effect] = []
        if isinstance(operation, SetNexthop | SetGroup) and failed.errno == EEXIST:
            fields["id"] = operation.id
            effects = self._program(self.fib.renumber(operation.id, now))
        elif isinstance(operation, SetRoutes | DeleteRoutes):
            fields["prefixes"] = len(operation.prefixes)
            if isinstance(operation, SetRoutes):
                if self.fib.is_lost(operation.id, self.refusals.nexthops.keys()):
                    return []  # failover took the last member while the routes waited to be written
                gone = failed.errno == ENOENT or operation.id in self.refusals.groups
                if gone and self.fib.expects(operation.id):
                    # The group comes again, and its routes with it: flows are in its buckets.
                    self.refusals.groups.setdefault(operation.id, failed)
                    self.refusals.schedule(now)
                    return []
                self.fib.refuse(operation.id, operation.prefixes, failed.errno, failed.text)
            else:
                self.refusals.deletions.update(dict.fromkeys(operation.prefixes, failed))
        elif isinstance(operation, SetNexthop):
            # Without it the groups that want it can be written: one bad next hop must not cost the others anything.
            fields["gateway"] = format_address(operation.gateway.address)
            self.refusals.nexthops[operation.gateway] = failed
            self.fib.fail(self.health.add(Reason.REFUSED, [operation.gateway]))
        else:
            fields["id"] = operation.id
            if isinstance(operation, SetGroup):
                self.refusals.groups[operation.id] = failed
            else:
                self.refusals.deletions[operation.id] = failed
        self.refusals.schedule(now)
        return [Event("kernel refused", fields, level="error"), *effects]
