"""What nobody may announce, whatever `accept` says: prefixes that would take over the way to the router or to a node.

Of the prefixes that hold such an address those count that are at least as long as what leads there now: a longer one
would win, and an equally long IPv6 one too (routerd's metric is below that of the kernel's own routes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from itertools import islice

from routerd.core.rib.policy import Reject
from routerd.core.rib.ways import Moved
from routerd.core.route import Address, Prefix

SLICE = 128
"""Addresses that are looked at again in one go: three milliseconds, where the way to all of them is gone."""


class Guard:
    """Guards addresses. `leads(address)` is the length of the longest prefix, routerd's own routes apart, that leads
    there; 0 if there is none, or the default route."""

    def __init__(self, leads: Callable[[Address], int]) -> None:
        self._leads = leads
        self._shortest: dict[Address, int] = {}
        """The length from which on prefixes are barred that hold an address."""
        self._holds: dict[Prefix, int] = {}
        """How many of the addresses each barred prefix holds."""
        self._doubted: dict[Address, None] = {}

    @property
    def prefixes(self) -> Set[Prefix]:
        """The prefixes that are barred."""
        return self._holds.keys()

    def add(self, addresses: Iterable[Address]) -> set[Prefix]:
        """Guard these addresses too; return the prefixes that are barred now and were not before."""
        added: set[Prefix] = set()
        for address in addresses:
            if address not in self._shortest:
                added |= self._enter(address, self._limit(address))
        return added

    def renew(self, addresses: Set[Address]) -> bool:
        """Guard these addresses and no others; tell whether other prefixes are barred by that."""
        freed: set[Prefix] = set()
        for address in self._shortest.keys() - addresses:
            freed |= self._leave(address)
        return self.add(addresses) != freed

    @property
    def doubts(self) -> bool:
        """Whether something else may lead to an address than what counted when it was looked at."""
        return bool(self._doubted)

    def doubt(self, moved: Moved) -> None:
        """Something else may lead to these addresses: `slice` looks at them again."""
        self._doubted.update(dict.fromkeys(self._shortest if moved.any else moved.addresses & self._shortest.keys()))

    def slice(self) -> bool:
        """Look again what leads to a part of the addresses; tell whether other prefixes are barred by that."""
        freed: set[Prefix] = set()
        barred: set[Prefix] = set()
        for address in [*islice(self._doubted, SLICE)]:
            del self._doubted[address]
            if address in self._shortest and (limit := self._limit(address)) != self._shortest[address]:
                freed |= self._leave(address)
                barred |= self._enter(address, limit)
        return freed != barred

    def split(self, prefixes: list[Prefix]) -> tuple[list[Prefix], list[tuple[Prefix, Reject]]]:
        """Part prefixes into those that may pass and the barred ones with the reason."""
        barred = [(prefix, Reject.NODE_ADDRESS) for prefix in prefixes if prefix in self._holds]
        return [prefix for prefix in prefixes if prefix not in self._holds], barred

    def _limit(self, address: Address) -> int:
        return max(1, self._leads(address))

    def _enter(self, address: Address, shortest: int) -> set[Prefix]:
        """Guard an address; return the prefixes that nobody else barred."""
        self._shortest[address] = shortest
        added: set[Prefix] = set()
        for prefix in _holding(address, shortest):
            self._holds[prefix] = holds = self._holds.get(prefix, 0) + 1
            if holds == 1:
                added.add(prefix)
        return added

    def _leave(self, address: Address) -> set[Prefix]:
        """Guard an address no longer; return the prefixes that nobody bars any more."""
        freed: set[Prefix] = set()
        if (shortest := self._shortest.pop(address, None)) is not None:
            for prefix in _holding(address, shortest):
                self._holds[prefix] -= 1
                if not self._holds[prefix]:
                    del self._holds[prefix]
                    freed.add(prefix)
        return freed


def _holding(address: Address, shortest: int) -> Iterable[Prefix]:
    """Yield the prefixes that hold an address, from the one of `shortest` bits to the address alone."""
    size = len(address)
    number = int.from_bytes(address, "big")
    for bits in range(shortest, size * 8 + 1):
        spare = size * 8 - bits
        yield Prefix(bytes([bits]) + (number >> spare << spare).to_bytes(size, "big"))
