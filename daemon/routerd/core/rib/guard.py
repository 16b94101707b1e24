"""What nobody may announce, whatever `accept` says: prefixes that would take over the way to the router or to a node.

Of the prefixes that hold such an address those count that are at least as long as what leads there now: a longer one
would win, and an equally long IPv6 one too (routerd's metric is below that of the kernel's own routes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from routerd.core.rib.policy import Reject
from routerd.core.route import Address, Prefix


class Guard:
    """Guards addresses. `leads(address)` is the length of the longest prefix, routerd's own routes apart, that leads
    there; 0 if there is none, or the default route. `prefixes` are those that are barred by that."""

    def __init__(self, leads: Callable[[Address], int]) -> None:
        self._leads = leads
        self._addresses: set[Address] = set()
        self.prefixes: set[Prefix] = set()

    def add(self, addresses: Iterable[Address]) -> set[Prefix]:
        """Guard these addresses too; return the prefixes that are barred now and were not before."""
        added: set[Prefix] = set()
        for address in addresses:
            if address not in self._addresses:
                self._addresses.add(address)
                added.update(_holding(address, max(1, self._leads(address))))
        added -= self.prefixes
        self.prefixes |= added
        return added

    def renew(self, addresses: Iterable[Address]) -> bool:
        """Guard these addresses and no others, by what leads there now; tell whether other prefixes are barred."""
        before = self.prefixes
        self._addresses, self.prefixes = set(), set()
        self.add(addresses)
        return self.prefixes != before

    def split(self, prefixes: list[Prefix]) -> tuple[list[Prefix], list[tuple[Prefix, Reject]]]:
        """Part prefixes into those that may pass and the barred ones with the reason."""
        barred = [(prefix, Reject.NODE_ADDRESS) for prefix in prefixes if prefix in self.prefixes]
        return [prefix for prefix in prefixes if prefix not in self.prefixes], barred


def _holding(address: Address, shortest: int) -> Iterable[Prefix]:
    """Yield the prefixes that hold an address, from the one of `shortest` bits to the address alone."""
    size = len(address)
    number = int.from_bytes(address, "big")
    for bits in range(shortest, size * 8 + 1):
        spare = size * 8 - bits
        yield Prefix(bytes([bits]) + (number >> spare << spare).to_bytes(size, "big"))
