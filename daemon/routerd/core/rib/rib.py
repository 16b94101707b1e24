"""The RIB: peers, what they announce, the Loc-RIB, and what peers are told of it.

A method that changes path sets at once returns the changes; the router hands them to the FIB. What is to be said
to peers and to people is collected in `effects` as it comes up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable

from routerd.config.model import Config
from routerd.core.message import (
    Effect,
    ForeignRoutes,
    Gateway,
    Interface,
    KernelGroup,
    KernelNexthop,
    NexthopChange,
    RouteChange,
    RouteRefresh,
    Update,
)
from routerd.core.rib.advertising import Advertising
from routerd.core.rib.decision import Decision, Options, decide, joined
from routerd.core.rib.importing import Importer
from routerd.core.rib.judge import Judge
from routerd.core.rib.leads import Leads
from routerd.core.rib.lifecycle import Lifecycle
from routerd.core.rib.link_loss import note_links, note_ways
from routerd.core.rib.loc_rib import Change, Hop, LocRib, PathSet
from routerd.core.rib.networks import Networks
from routerd.core.rib.nexthop import NexthopTable
from routerd.core.rib.peer import Peer
from routerd.core.rib.peers import Peers
from routerd.core.rib.readdressing import Readdressing
from routerd.core.rib.reconsideration import Reconsideration
from routerd.core.rib.rejudging import Rejudging
from routerd.core.rib.ways import Moved, Resolution
from routerd.core.route import LOCAL, Address, Path


class Rib:
    """All routing state above the FIB: its parts, and what several of them have to do about the same news.

    `lifecycle` has the sessions, `judge` the rules, `importer` and `advertising` the way in and out.
    """

    def __init__(self, config: Config, now: float) -> None:
        self.effects: list[Effect] = []
        self.nexthops = NexthopTable()
        self._options = Options.of(config.fib)
        self.loc_rib = LocRib(self._decide, self._join, self._hops_changed)
        self.reconsideration = Reconsideration(self.loc_rib)
        self.leads = Leads(self._find)
        self.judge = Judge(config, self.nexthops, self.effects)
        self.peers = Peers(config, self.leads)
        self.importer = Importer(self.judge, self.loc_rib, self.effects)
        self.rejudging = Rejudging(self.peers, self.importer, self.effects)
        for peer in config.peers:
            self.peers.find(peer.address, now)
        self.networks = Networks(config, self.loc_rib, now)
        self.advertising = Advertising(config.router.asn, self.nexthops, self.loc_rib, self.networks, self.effects)
        self.readdressing = Readdressing(self.peers, self.judge, self.advertising, self.rejudging)
        self.lifecycle = Lifecycle(self.peers, self.leads, self.judge.hosts, self.advertising, self.effects)
        self._turns = deque[tuple[object, Callable[[float], list[Change]]]](
            (
                (self.reconsideration, self._reconsider),
                (self.lifecycle.purges, self._purge),
                (self.readdressing, self._readdress),
                (self.rejudging, self._judge_again),
                (self.advertising.refreshes, self._answer),
            )
        )
        """What goes in slices, true while there is any, and what does a part of it; whose turn it is comes first."""

    @property
    def config(self) -> Config:
        """The configuration in force: the peers keep it."""
        return self.peers.config

    def update(self, update: Update, now: float) -> list[Change]:
        """Take over an UPDATE of the session that there is."""
        peer = self.peers.get(update.peer)
        if peer is None or peer.session is None or peer.session.generation != update.generation:
            return []
        changes = self.importer.update(peer, update, now)
        if update.end_of_rib is not None:
            self.lifecycle.said_all(peer, update.end_of_rib)
        return changes

    def refresh(self, refresh: RouteRefresh, now: float) -> None:
        """Take over a ROUTE-REFRESH of the session that there is."""
        peer = self.peers.get(refresh.peer)
        if peer is not None and peer.session is not None and peer.session.generation == refresh.generation:
            self.advertising.refresh(peer, refresh, now)

    @property
    def timer(self) -> float | None:
        """When a peer expires or has fallen silent, or a ROUTE-REFRESH is to be answered, in monotonic seconds."""
        times = (self.lifecycle.timer, self.advertising.refreshes.next)
        return min((time for time in times if time is not None), default=None)

    # ------------------------------------------------------------------------------------------ where paths lead

    def _decide(self, paths: PathSet) -> Decision:
        return decide(paths.paths, self._options, self.resolve, paths.incumbent, paths.seated)

    def _join(self, before: Decision, path: Path) -> Decision | None:
        return joined(before, path, self._options, self.resolve)

    def resolve(self, path: Path) -> Resolution | None:
        """Resolve the next hop of a path."""
        attributes = path.attributes
        return self.nexthops.resolve(attributes.next_hop, attributes.link_local, self.peers[path.peer].packed)

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

    # ------------------------------------------------------------------------------------------ slices

    @property
    def busy(self) -> bool:
        """Whether `work` has anything to do."""
        return self.slicing or self.advertising.busy

    @property
    def slicing(self) -> bool:
        """Whether prefixes are purged, judged again, or decided anew, a part at a time."""
        return bool(self.lifecycle.purges or self.readdressing or self.rejudging or self.reconsideration)

    def work(self, now: float) -> list[Change]:
        """Do a bounded part of what goes in slices. What forwarding waits for, and peers that ask to hear all again,
        take turns: none holds up the others, however much there is of it. The rest comes when they are through."""
        for _ in range(len(self._turns)):
            job, part = self._turns[0]
            self._turns.rotate(-1)
            if job:
                return part(now)
        if self.advertising.adj_ribs_out:
            self.advertising.renew_slice()
        return []

    def _reconsider(self, _now: float) -> list[Change]:
        return self.reconsideration.slice()

    def _readdress(self, _now: float) -> list[Change]:
        self.readdressing.slice()
        return []

    def _judge_again(self, _now: float) -> list[Change]:
        return self.rejudging.slice()

    def _answer(self, now: float) -> list[Change]:
        self.effects.append(self.advertising.refreshes.piece(now))
        return []

    def _purge(self, _now: float) -> list[Change]:
        lost = self.lifecycle.purges.slice().items()
        changes = [change for peers, prefixes in lost for change in self.loc_rib.withdraw_all(peers, prefixes)]
        self.lifecycle.purges.cost(len(changes))
        return changes

    # ------------------------------------------------------------------------------------------ peers

    def identified(self, addresses: dict[Gateway, bytes]) -> tuple[list[str], list[Change]]:
        """Take over link-layer addresses; return the peers that they concern, and what changes of their paths."""
        hosts = self.judge.hosts
        concerned = [self.peers[peer] for peer in hosts.take(addresses)]
        changes = self.rejudging.at_once(concerned)
        for peer in concerned:
            changes += self._guard(hosts.addresses(peer.packed))
        return [peer.address for peer in concerned], changes

    def guard_peer(self, address: str, now: float) -> list[Change]:
        """A peer dials in: its address is guarded from now on, if it was not; return what changes by that."""
        peer = self.peers.find(address, now)
        return [] if peer is None else self._guard(peer.addresses)

    def _guard(self, addresses: Iterable[Address]) -> list[Change]:
        """Guard addresses; whoever announces a prefix that is barred now is judged again."""
        barred = self.judge.guard.add(addresses) & self.loc_rib.table.keys()
        found = {path.peer for prefix in barred for path in self.loc_rib.table[prefix].paths}
        return self.rejudging.at_once(self.peers[peer] for peer in found if peer != LOCAL)

    def forget_dynamic_peers(self, now: float, kept: Collection[Address]) -> None:
        """Forget peers of ranges that have been away for long, but for those whose interface is down."""
        absent = self.peers.absent(now, kept)
        gone = [peer for peer in absent if not self.peers.belongs(peer) or not self.is_down(peer.lost_with)]
        for peer in gone:
            del self.peers[peer.address]
            self.leads.forget(peer)
            self.lifecycle.remove(peer)
        if gone:
            self.judge.guard_anew(self.peers)

    def has_said_all(self, peer: Peer) -> bool:
        """Tell whether a peer has a session and has announced all, and whose its next hops are is known."""
        return peer.session is not None and not peer.pending_eor and not self.judge.hosts.waits(peer.address)

    def soft_reset(self, address: str, now: float, *, incoming: bool) -> list[Change]:
        """Judge anew what is known of a peer with a session, and then have it announce all again; or have it hear all
        again."""
        peer = self.peers.get(address)
        if peer is None or peer.session is None:
            return []
        if incoming:
            return self.rejudging.anew(peer)
        for family in sorted(peer.session.received.families & peer.session.sent.families):
            self.advertising.refreshes.ask(address, family, now)
        return []

    # ------------------------------------------------------------------------------------------ the network

    def is_down(self, interface: str) -> bool:
        """Tell whether a peer was lost with an interface of this name, which is still down or gone."""
        return bool(interface) and all(i.name != interface or not i.up for i in self.nexthops.interfaces.values())

    def links_changed(self, interfaces: Collection[Interface]) -> None:
        """Note which peers go down with a link, before `network_changed` forgets the ways to them."""
        note_links(self.peers.values(), self.gateways_of, self.nexthops, interfaces)

    def network_changed(
        self,
        interfaces: tuple[Interface, ...],
        foreign: ForeignRoutes | None = None,
        objects: Iterable[KernelNexthop | KernelGroup] | None = None,
    ) -> None:
        """Take over a dump of interfaces, foreign routes, nexthop objects and groups (None: those last heard of).

        What decides differently is for `reconsideration`, and what is judged differently, because the router's own
        addresses or networks are others, or the ways to next hops, for `work`.
        """
        own = (self.nexthops.addresses, self.nexthops.networks)
        beside = self.nexthops.addresses_by_link
        moved = self.nexthops.update(interfaces, foreign, objects)
        if own != (self.nexthops.addresses, self.nexthops.networks):
            self.readdressing.begin()
        elif beside != self.nexthops.addresses_by_link:
            self.readdressing.tell()  # link-local ones, or one that is on another link now
        self._ways_changed(moved)

    def foreign_changed(self, changes: Iterable[RouteChange | NexthopChange]) -> bool:
        """Take over changes of foreign routes and nexthops, as `network_changed` does; tell whether the way
        to any watched address is another one."""
        moved = self.nexthops.apply(changes)
        self._ways_changed(moved)
        return bool(moved)

    def foreign_corrected(self, found: ForeignRoutes, since: Iterable[RouteChange | NexthopChange]) -> None:
        """Take over where an audit found other foreign routes than were heard of, but for what was told `since`."""
        self._ways_changed(self.nexthops.correct(found, since))

    def _ways_changed(self, moved: Moved) -> None:
        """Some addresses are reached otherwise."""
        if not moved:
            return
        peers = self.peers.values() if moved.any else self.leads.naming(moved.addresses)
        if peers:
            self.leads.touch(*peers)
            note_ways(peers, self.nexthops)
            self.reconsideration.begin()
        self.judge.guard.doubt(moved)
        announcing = (self.peers[each] for each in self.judge.hosts.announcing)
        self.rejudging.ask(peer for peer in announcing if peer.session is not None)

    def reconfigure(self, config: Config, now: float) -> list[Change]:
        """Take over another configuration; return what changes of the router's own networks at once. What is judged
        differently is for `work`. Sessions whose parameters differ are for the speaker to reset."""
        before, self._options = self.config, Options.of(config.fib)
        for stranger in self.peers.reconfigure(config, now):
            if stranger.session is None:
                self.lifecycle.expire(stranger)
        changes = self.networks.reconfigure(config, now)
        self.advertising.reconfigure(before, config)
        self.judge.guard_anew(self.peers)
        self.reconsideration.begin()
        self.readdressing.finish()
        return changes
