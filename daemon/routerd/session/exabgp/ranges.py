"""The places of dynamic peers in their ranges: who has one, and for whom one is kept. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from routerd.session.configuration import DynamicPeers, SpeakerConfig


class Ranges:
    """`taken` has the ranges of dynamic peers that are there, by address, `kept` those of peers that may return."""

    def __init__(self) -> None:
        self.taken: dict[str, str] = {}
        self.kept: dict[str, str] = {}

    def reconfigure(self, config: SpeakerConfig, there: Iterable[str]) -> None:
        """Take over another configuration. A static peer that is `there` goes on as one of a range."""
        self.taken = _in_ranges(config, [*self.taken, *there])
        self.kept = _in_ranges(config, self.kept)

    def full(self, wanted: DynamicPeers, address: str) -> str:
        """Say who takes the places of a range; nothing while there is one for the peer at an address."""
        if address in self.kept:
            return ""
        there = sum(1 for each in self.taken.values() if each == wanted.range)
        away = sum(1 for each, held in self.kept.items() if held == wanted.range and each not in self.taken)
        if there + away < wanted.limit:
            return ""
        restarting = f": {there} are there, {away} restart and keep their places" if away else ""
        return f"the limit of {wanted.limit} peers of {wanted.range} is reached{restarting}"

    def take(self, address: str, wanted: DynamicPeers) -> None:
        """Give a peer a place in a range."""
        self.taken[address] = wanted.range

    def leave(self, address: str) -> None:
        """A peer is not there any more."""
        self.taken.pop(address, None)

    def keep(self, config: SpeakerConfig, address: str, *, on: bool) -> None:
        """Keep a place for a peer that may return, or do not any more."""
        self.kept.pop(address, None)
        if on:
            self.kept |= _in_ranges(config, [address])


def _in_ranges(config: SpeakerConfig, addresses: Iterable[str]) -> dict[str, str]:
    """Return the ranges of dynamic peers, those that have become static ones or have none left out."""
    static = {peer.address for peer in config.peers}
    found = {address: config.range_of(address) for address in addresses if address not in static}
    return {address: range.range for address, range in found.items() if range is not None}
