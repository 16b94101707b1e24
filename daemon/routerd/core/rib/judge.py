"""Judges what a peer announces: the attributes, whose the next hop is, and each prefix.

Rules that need no more than their arguments are in `policy.py`; here is what they are asked about: the configuration,
the router's own addresses and networks, and the hosts behind next hops.
"""

from __future__ import annotations

from collections.abc import Iterable

from routerd.config.model import Config
from routerd.core.message import Effect, Gateway, Identify
from routerd.core.rib.guard import Guard
from routerd.core.rib.hosts import Hosts
from routerd.core.rib.nexthop import NexthopTable
from routerd.core.rib.peer import Peer
from routerd.core.rib.policy import PrefixFilter, Reject, check_attributes
from routerd.core.route import Attributes, Path, Prefix, parse_address, parse_prefix


class Judge:
    """Says what is accepted. What the kernel is to be asked for comes up in `effects`."""

    def __init__(self, config: Config, nexthops: NexthopTable, effects: list[Effect]) -> None:
        self._nexthops = nexthops
        self._effects = effects
        self._filters: dict[str, PrefixFilter] = {}
        self.hosts = Hosts()
        self.guard = Guard(nexthops.leads)
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Judge by another configuration; `renew` is to follow."""
        self._asn = config.router.asn
        self._router_id = parse_address(config.router.router_id)
        self._networks = [parse_prefix(text) for text in config.router.networks]

    def filter_of(self, peer: Peer) -> PrefixFilter:
        """Return the filter that the peers of a group share."""
        if peer.group_name not in self._filters:
            own = [*self._networks, *sorted(self._nexthops.networks)]
            self._filters[peer.group_name] = PrefixFilter(peer.group, own)
        return self._filters[peer.group_name]

    def renew(self, peers: Iterable[Peer]) -> None:
        """Groups, or the router's networks, are others: all peers get new filters."""
        self._filters.clear()
        for peer in peers:
            peer.filter = self.filter_of(peer)

    def guard_anew(self, peers: Iterable[Peer]) -> bool:
        """Guard the addresses of the router and of these peers, and no others; tell whether other prefixes are barred
        by that."""
        addresses = (peer.addresses | self.hosts.addresses(peer.packed) for peer in peers)
        return self.guard.renew(self._nexthops.addresses.union(*addresses))

    # ------------------------------------------------------------------------------------------ attributes

    def attributes(self, peer: Peer, attributes: Attributes) -> Reject:
        """Judge what the prefixes of an UPDATE share."""
        verdict = self._check(peer, attributes)
        if verdict or not peer.external or peer.group.next_hop == "any":
            return verdict
        return self._host(peer, attributes)

    def _check(self, peer: Peer, attributes: Attributes) -> Reject:
        """Judge all but whose the next hop is, if its address does not tell."""
        assert peer.last is not None, "only a peer that had a session has announced"
        return check_attributes(
            attributes,
            peer.group,
            asn=self._asn,
            router_id=self._router_id,
            peer=peer.addresses,
            peer_asn=peer.last.received.asn,
            external=peer.external,
            own=self._nexthops.addresses,
        )

    def _host(self, peer: Peer, attributes: Attributes) -> Reject:
        """Judge whether traffic would go to the peer itself."""
        mine = self._nexthops.resolve(peer.packed, None, peer.packed)
        theirs = self._nexthops.resolve(attributes.next_hop, attributes.link_local, peer.packed)
        if theirs is not None and theirs == mine:
            return Reject.NONE
        link = None if mine is None else mine.gateway
        others: tuple[Gateway | None, ...] = (None,) if theirs is None else theirs.gateways
        verdicts = [
            self.hosts.judge(peer.address, link, gateway)
            for gateway in others
            if gateway is None or gateway.address not in peer.addresses
        ]
        verdict = min(filter(None, verdicts), default=Reject.NONE)
        if self.hosts.asked:
            self._effects.append(Identify(tuple(self.hosts.asked)))
            self.hosts.asked.clear()
        return verdict

    # ------------------------------------------------------------------------------------------ prefixes

    def split(self, peer: Peer, prefixes: list[Prefix]) -> tuple[list[Prefix], list[tuple[Prefix, Reject]]]:
        """Part prefixes whose attributes are accepted into accepted ones and rejected ones with their reasons."""
        accepted, rejected = peer.filter.split(prefixes)
        accepted, barred = self.guard.split(accepted)
        return accepted, rejected + barred

    def refused(self, peer: Peer, path: Path, prefixes: list[Prefix]) -> list[Prefix]:
        """Return what of stale prefixes is not accepted any more. Whose the next hop is was asked when they came."""
        if self._check(peer, path.attributes):
            return prefixes
        _, rejected = self.split(peer, prefixes)
        return [prefix for prefix, _ in rejected]
