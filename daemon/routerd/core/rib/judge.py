"""Judges what a peer announces: the attributes, whose the next hop is, and each prefix.

The step itself is `import_policy.py`; here is what it is asked about by what is in force: the configuration, the
router's own addresses and networks, the guard, and the hosts behind next hops.
"""

from __future__ import annotations

from collections.abc import Mapping

from routerd.config.model import Config
from routerd.core.message import Effect, Identify
from routerd.core.rib.guard import Guard
from routerd.core.rib.hosts import Hosts
from routerd.core.rib.import_policy import ImportPolicy
from routerd.core.rib.nexthop import NexthopTable
from routerd.core.rib.peer import Peer
from routerd.core.rib.policy import Reject
from routerd.core.route import Attributes, Path, Prefix


class Judge:
    """Says what is accepted, by the `policy` in force. What the kernel is to be asked for comes up in `effects`."""

    def __init__(self, config: Config, nexthops: NexthopTable, effects: list[Effect]) -> None:
        self._nexthops = nexthops
        self._effects = effects
        self.hosts = Hosts()
        self.guard = Guard(nexthops.leads)
        self.renew(config)

    def renew(self, config: Config) -> None:
        """The configuration, or the router's own addresses or networks, are others: judge by them from now on."""
        nexthops = self._nexthops
        self.policy = ImportPolicy(config, nexthops, self.guard, nexthops.resolve, self.hosts.judge)

    def guard_anew(self, peers: Mapping[str, Peer]) -> bool:
        """Guard the addresses of the router and of these peers, and no others; tell whether other prefixes are barred
        by that."""
        hosts = (self.hosts.addresses(peers[each].packed) for each in self.hosts.announcing)
        return self.guard.renew(self._nexthops.addresses.union(*(peer.addresses for peer in peers.values()), *hosts))

    def attributes(self, peer: Peer, attributes: Attributes) -> Reject:
        """Judge what the prefixes of an UPDATE share."""
        verdict = self.policy.judge(peer.source, attributes)
        if self.hosts.asked:
            self._effects.append(Identify(tuple(self.hosts.asked)))
            self.hosts.asked.clear()
        return verdict

    def rejected(self, peer: Peer, path: Path, prefixes: list[Prefix]) -> list[Prefix]:
        """Return what of stale prefixes is not accepted any more. Whose the next hop is was asked when they came."""
        if self.policy.check(peer.source, path.attributes):
            return prefixes
        _, rejected = self.policy.split(peer.group_name, peer.group, prefixes)
        return [prefix for prefix, _ in rejected]
