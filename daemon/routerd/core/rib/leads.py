"""Who leads to a gateway: kept by gateway, so that a node's loss costs the same however many others there are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TypeVar

from routerd.core.message import Gateway
from routerd.core.rib.peer import Peer
from routerd.core.route import Address


@dataclass(frozen=True, slots=True)
class Lead:
    """Where the paths of a peer lead, and its own address: the gateways, and the addresses that are `named`, whether
    anything leads there or not."""

    gateways: frozenset[Gateway] = frozenset()
    named: frozenset[Address] = frozenset()
    speaking: bool = False
    present: bool = False


NOWHERE = Lead()
T = TypeVar("T")


class Leads:
    """The leads of all peers, and the peers by gateway. `find` says where a peer's paths lead now.

    Peers are `speaking` while they have a session, and `present` within graceful restart too. What may have changed
    is noted (`touch`), and worked out when somebody asks.
    """

    def __init__(self, find: Callable[[Peer], tuple[frozenset[Gateway], frozenset[Address]]]) -> None:
        self._find = find
        self._leads: dict[str, Lead] = {}
        self._touched: dict[str, Peer] = {}
        self._peers: dict[Gateway, dict[str, Peer]] = {}
        self._speaking: dict[Gateway, int] = {}
        self._present: dict[Gateway, int] = {}
        self._naming: dict[Address, dict[str, Peer]] = {}
        self.version = 0
        """Another one whenever something may have changed."""

    def touch(self, *peers: Peer) -> None:
        """The session of these peers, its end, or the next hops of their paths may have changed."""
        self.version += 1
        self._touched.update((peer.address, peer) for peer in peers)

    def forget(self, peer: Peer) -> None:
        """The peer is no more."""
        self._touched.pop(peer.address, None)
        self._enter(peer, NOWHERE)
        del self._leads[peer.address]

    def of(self, peer: Peer) -> frozenset[Gateway]:
        """Return the gateways that the peer's paths lead to, and that of its own address."""
        self._follow()
        return self._leads.get(peer.address, NOWHERE).gateways

    def peers(self, gateway: Gateway) -> Collection[Peer]:
        """Return the peers that lead to a gateway, with a session or without."""
        self._follow()
        return self._peers.get(gateway, {}).values()

    def speaking(self, gateways: Iterable[Gateway]) -> list[Gateway]:
        """Return those of the gateways that a peer with a session leads to."""
        self._follow()
        return [gateway for gateway in gateways if gateway in self._speaking]

    def present(self, gateways: Iterable[Gateway]) -> list[Gateway]:
        """Return those of the gateways that a peer leads to that has a session or is within graceful restart."""
        self._follow()
        return [gateway for gateway in gateways if gateway in self._present]

    def names(self, address: Address) -> bool:
        """Tell whether a peer that is present has the address, or next hops that are it."""
        self._follow()
        return any(self._leads[each].present for each in self._naming.get(address, ()))

    def naming(self, addresses: Iterable[Address]) -> list[Peer]:
        """Return the peers that have one of these addresses, or next hops that are one."""
        self._follow()
        found: dict[str, Peer] = {}
        for address in addresses:
            found.update(self._naming.get(address, {}))
        return [*found.values()]

    def _follow(self) -> None:
        while self._touched:
            _, peer = self._touched.popitem()
            gateways, named = self._find(peer)
            present = peer.session is not None or peer.deadline is not None
            self._enter(peer, Lead(gateways, named, peer.session is not None, present))

    def _enter(self, peer: Peer, lead: Lead) -> None:
        before = self._leads.get(peer.address, NOWHERE)
        self._leads[peer.address] = lead
        if lead == before:
            return
        _exchange(self._peers, peer, before.gateways, lead.gateways)
        _exchange(self._naming, peer, before.named, lead.named)
        for each, step in ((before, -1), (lead, 1)):
            if each.speaking:
                _count(self._speaking, each.gateways, step)
            if each.present:
                _count(self._present, each.gateways, step)


def _exchange(index: dict[T, dict[str, Peer]], peer: Peer, before: frozenset[T], after: frozenset[T]) -> None:
    """Have a peer found under other keys."""
    for key in before - after:
        del index[key][peer.address]
        if not index[key]:
            del index[key]
    for key in after:
        index.setdefault(key, {})[peer.address] = peer


def _count(counts: dict[T, int], keys: Iterable[T], step: int) -> None:
    """Add to counts; those that come to nothing go."""
    for key in keys:
        counts[key] = counts.get(key, 0) + step
        if not counts[key]:
            del counts[key]
