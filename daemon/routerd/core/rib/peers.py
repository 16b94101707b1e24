"""The peers that the router knows: those of the configuration, and those of its ranges that were heard of."""

from __future__ import annotations

from collections.abc import Collection

from routerd.config.model import Config
from routerd.core.message import Shutdown
from routerd.core.rib.import_policy import own_addresses
from routerd.core.rib.leads import Leads
from routerd.core.rib.peer import Peer
from routerd.core.route import Address

FORGET_AFTER = 3600.0
"""Seconds after which a dynamic peer that is gone is no longer shown."""


class Peers(dict[str, Peer]):
    """The peers by address, each with its peer group as configured. `shut` has those that the operator has shut
    down, heard of or not."""

    def __init__(self, config: Config, leads: Leads) -> None:
        super().__init__()
        self.shut: dict[str, Shutdown] = {}
        self.config = config
        self._leads = leads

    def find(self, address: str, now: float) -> Peer | None:
        """Return the peer with an address, a new one if it was not heard of; None if no peer or range holds it."""
        if address not in self:
            found = self.config.group_of(address)
            if found is None:
                return None
            peer = Peer(address, self.config.name_of(address), *found, now)
            peer.addresses = own_addresses(self.config, address)
            self[address] = peer
            self._leads.touch(peer)
        return self[address]

    def belongs(self, peer: Peer) -> bool:
        """Tell whether the configuration still has a peer."""
        return self.config.group_of(peer.address) is not None

    def returns(self, peer: Peer) -> bool:
        """Tell whether the configuration and the operator still want a peer: else it will not return."""
        return peer.address not in self.shut and self.belongs(peer)

    def reconfigure(self, config: Config, now: float) -> list[Peer]:
        """Take over another configuration; return the peers that do not belong to it."""
        self.config = config
        strangers = []
        for peer in self.values():
            peer.name, found = config.name_of(peer.address), config.group_of(peer.address)
            if found is not None:
                peer.group_name, peer.group = found
            else:
                strangers.append(peer)
            peer.addresses = own_addresses(config, peer.address)
        for each in config.peers:
            self.find(each.address, now)
        return strangers

    def absent(self, now: float, kept: Collection[Address]) -> list[Peer]:
        """Return peers of ranges that have been away for long, and those that never came, unless they are `kept`:
        nodes come and go with new addresses."""
        static = {peer.address for peer in self.config.peers}
        dynamic = [peer for peer in self.values() if peer.address not in static]
        away = [p for p in dynamic if p.session is None and p.deadline is None and not p.adj_rib_in.stale]
        return [
            peer
            for peer in away
            if not self.belongs(peer)
            or (peer.packed not in kept and (not peer.sessions or now - peer.since > FORGET_AFTER))
        ]
