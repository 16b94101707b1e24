"""The step from a path as it was announced to a path as it is used, or to the reason why it is not.

Nothing is changed by it, so that what was announced can be judged again, and by a configuration that is not in force:
the RIB has one `ImportPolicy`, and makes another when what it depends on changes; a forecast makes its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from routerd.config.model import Config, PeerGroup
from routerd.core.message import Gateway
from routerd.core.rib.guard import Guard
from routerd.core.rib.nexthop import NexthopTable
from routerd.core.rib.policy import PrefixFilter, Reject, check_attributes
from routerd.core.rib.ways import Resolution
from routerd.core.route import Address, Attributes, Prefix, parse_address, parse_prefix


class Source(NamedTuple):
    """What policy asks of whoever announces. `packed` is the address of the session, `addresses` are that and those
    that the operator named besides; `asn` is that of its OPEN."""

    peer: str
    packed: Address
    addresses: frozenset[Address]
    group_name: str
    group: PeerGroup
    asn: int
    external: bool


Resolve = Callable[[Address, Address | None, Address], Resolution | None]
JudgeHost = Callable[[str, Gateway | None, Gateway | None], Reject]


class ImportPolicy:
    """Import policy by one configuration, and by the router's addresses and networks as they are.

    `resolve` and `judge_host` are those of `NexthopTable` and `Hosts`, or their twins that only look.
    """

    def __init__(
        self, config: Config, nexthops: NexthopTable, guard: Guard, resolve: Resolve, judge_host: JudgeHost
    ) -> None:
        self.guard = guard
        self._asn = config.router.asn
        self._router_id = parse_address(config.router.router_id)
        self._groups = config.peer_groups
        self._own = nexthops.addresses
        self._networks = (*map(parse_prefix, config.router.networks), *sorted(nexthops.networks))
        self._resolve = resolve
        self._judge_host = judge_host
        self._filters: dict[str, PrefixFilter] = {}

    def judge(self, source: Source, attributes: Attributes) -> Reject:
        """Judge what all prefixes with these attributes share. Costs; whoever asks remembers the verdict."""
        verdict = self.check(source, attributes)
        if verdict or not source.external or source.group.next_hop == "any":
            return verdict
        return self._judge_next_hop(source, attributes)

    def check(self, source: Source, attributes: Attributes) -> Reject:
        """Judge all but whose the next hop is, if its address does not tell."""
        return check_attributes(
            attributes,
            source.group,
            asn=self._asn,
            router_id=self._router_id,
            peer=source.addresses,
            peer_asn=source.asn,
            external=source.external,
            own=self._own,
        )

    def _judge_next_hop(self, source: Source, attributes: Attributes) -> Reject:
        """Judge whether traffic would go to the peer itself."""
        mine = self._resolve(source.packed, None, source.packed)
        theirs = self._resolve(attributes.next_hop, attributes.link_local, source.packed)
        if theirs is not None and theirs == mine:
            return Reject.NONE
        link = None if mine is None else mine.gateway
        others: tuple[Gateway | None, ...] = (None,) if theirs is None else theirs.gateways
        verdicts = [
            self._judge_host(source.peer, link, gateway)
            for gateway in others
            if gateway is None or gateway.address not in source.addresses
        ]
        return min(filter(None, verdicts), default=Reject.NONE)

    def split(
        self, group_name: str, group: PeerGroup, prefixes: list[Prefix]
    ) -> tuple[list[Prefix], list[tuple[Prefix, Reject]]]:
        """Part the prefixes that a peer of a group announces into the accepted ones and those rejected, with their
        reasons."""
        filter = self._filters.get(group_name)
        if filter is None:
            # A peer that was removed is still of its group as that was.
            now = self._groups.get(group_name, group)
            filter = self._filters[group_name] = PrefixFilter(now, self._networks)
        accepted, rejected = filter.split(prefixes)
        if self.guard.prefixes.isdisjoint(accepted):
            return accepted, rejected
        accepted, barred = self.guard.split(accepted)
        return accepted, rejected + barred


def own_addresses(config: Config, peer: str) -> frozenset[Address]:
    """Return a peer's own addresses: that of the session, and those that the operator named besides."""
    return frozenset(map(parse_address, (peer, *config.addresses_of(peer))))
