"""What peers are told: by update group, with the router's own address on their link, and when End-of-RIB is due."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from routerd.config.model import Config
from routerd.core.message import Advertise, Effect, RouteRefresh, SessionUp
from routerd.core.rib.adj_rib_out import AdjRibsOut
from routerd.core.rib.loc_rib import Change, LocRib, PathSet
from routerd.core.rib.networks import Networks
from routerd.core.rib.nexthop import NexthopTable
from routerd.core.rib.peer import Peer
from routerd.core.rib.refreshes import Refreshes
from routerd.core.rib.update_group import Bests
from routerd.core.route import Address, Family, Path, Prefix, parse_address


class Advertising:
    """Tells peers, by `effects`. While it is `deferring`, those that hear learned routes hear no End-of-RIB: after a
    restart these are not complete (RFC 4724 section 4.1)."""

    def __init__(
        self, asn: int, nexthops: NexthopTable, loc_rib: LocRib, networks: Networks, effects: list[Effect]
    ) -> None:
        self._nexthops = nexthops
        self._loc_rib = loc_rib
        self._networks = networks
        self._effects = effects
        self.deferring = False
        self._deferred: dict[str, tuple[Family, ...]] = {}
        self.adj_ribs_out = AdjRibsOut(asn, self._exportable, self._bests)
        self.refreshes = Refreshes(self.adj_ribs_out)

    def start(self, peer: Peer, up: SessionUp) -> None:
        """A session is up: tell the peer what it shall hear."""
        told = self.adj_ribs_out.start(peer, self._next_hops(peer, up, {}))
        if self.deferring and peer.group.graceful_restart and "learned" in peer.group.advertise:
            self._deferred[peer.address] = told.end_of_rib
            told = replace(told, end_of_rib=())
        self._effects.append(told)

    def stop(self, peer: Peer) -> None:
        """A session is over."""
        self.adj_ribs_out.stop(peer.address)
        self.refreshes.drop(peer.address)
        self._deferred.pop(peer.address, None)

    def end_deferral(self) -> None:
        """The nodes are back: tell the peers that learned routes are complete."""
        self.deferring = False
        for address, families in self._deferred.items():
            self._effects.append(Advertise(address, end_of_rib=families))
        self._deferred.clear()

    def export(self, changes: list[Change]) -> None:
        """Tell the peers that hear learned routes about new best paths."""
        self._effects += self.adj_ribs_out.change(map(self._best, changes))

    def _best(self, change: Change) -> tuple[Path | None, list[Prefix]]:
        _, new, prefixes = change
        return self._loc_rib.decision(new).best, prefixes

    def refresh(self, peer: Peer, refresh: RouteRefresh, now: float) -> None:
        """Answer a ROUTE-REFRESH unless the peer has just heard an answer."""
        self.refreshes.ask(peer.address, refresh.family, now)

    def reconfigure(self, before: Config, config: Config) -> None:
        """The router has another configuration; `renew` is to follow."""
        old, new = before.router, config.router
        if (new.asn, new.router_id, new.networks) != (old.asn, old.router_id, old.networks):
            self.adj_ribs_out.reconfigure(new.asn)

    def renew(self, peers: Iterable[Peer]) -> None:
        """The router's addresses changed, or what peers may hear: where they hear something else by that, say so."""
        known: dict[tuple[str, frozenset[Family]], dict[Family, Address]] = {}  # nearly all have the same
        for peer in peers:
            if peer.session is not None:
                self.adj_ribs_out.move(peer, self._next_hops(peer, peer.session, known))
        self.adj_ribs_out.begin()
        self.renew_slice()

    def drain(self, peers: Iterable[Peer], *, on: bool) -> None:
        """All that is told carries GRACEFUL_SHUTDOWN from now on, or does so no longer (RFC 8326 section 4)."""
        if on != self.adj_ribs_out.draining:
            self.adj_ribs_out.draining = on
            self.renew(peers)

    @property
    def busy(self) -> bool:
        """Whether anything is left to be told a part at a time."""
        return bool(self.refreshes or self.adj_ribs_out)

    def renew_slice(self) -> None:
        """Tell peers a bounded part of what they hear otherwise now."""
        if self.adj_ribs_out:
            self._effects += self.adj_ribs_out.piece()

    def _next_hops(
        self, peer: Peer, up: SessionUp, known: dict[tuple[str, frozenset[Family]], dict[Family, Address]]
    ) -> dict[Family, Address]:
        """The router's own addresses on a peer's link, by the families that were negotiated; what is `known` already
        for an end of sessions is not looked up again."""
        families = up.received.families & up.sent.families
        next_hops = known.get((up.local, families))
        if next_hops is None:
            next_hops = known[up.local, families] = next_hops_of(self._nexthops, up.local, families)
        peer.unadvertisable = families - next_hops.keys()
        return next_hops

    def _exportable(self, learned: bool) -> list[Prefix]:
        return list(self._loc_rib.table) if learned else self._networks.prefixes

    def _bests(self, prefixes: Iterable[Prefix]) -> Bests:
        users: dict[PathSet, list[Prefix]] = {}
        for prefix in prefixes:
            users.setdefault(self._loc_rib.paths_of(prefix), []).append(prefix)
        return ((self._loc_rib.decision(paths).best, some) for paths, some in users.items())


def next_hops_of(nexthops: NexthopTable, local: str, families: Iterable[Family]) -> dict[Family, Address]:
    """Return the router's own addresses beside `local`, its end of a session, for those families that have one."""
    sizes = ((family, 4 if family is Family.IPV4 else 16) for family in families)
    found = {family: nexthops.address_beside(parse_address(local), size) for family, size in sizes}
    return {family: address for family, address in found.items() if address is not None}
