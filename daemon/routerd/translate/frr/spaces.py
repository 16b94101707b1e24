"""Sets of prefixes, as FRR's prefix-lists describe them, and as `accept` does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

Network = IPv4Network | IPv6Network

_HALVES = 4
"""An entry of `accept` has no lower bound, so one is told by subnets: up to 2 ** 4 of them."""


_CUTS = 32
"""An exception is told by the networks around it: up to so many."""


class Space(NamedTuple):
    """Prefixes inside `network` with a length from `least` to `most`."""

    network: Network
    least: int
    most: int

    def has(self, prefix: Network) -> bool:
        """Tell whether a prefix belongs to it."""
        return inside(prefix, self.network) and self.least <= prefix.prefixlen <= self.most

    def meets(self, other: Space) -> bool:
        """Tell whether both have a prefix in common."""
        least, most = max(self.least, other.least), min(self.most, other.most)
        apart = not inside(self.network, other.network) and not inside(other.network, self.network)
        return not apart and max(least, self.network.prefixlen, other.network.prefixlen) <= most

    @property
    def is_all(self) -> bool:
        """Whether it is all that there is of the family."""
        return self.network.prefixlen == 0 and self.least == 0 and self.most == self.network.max_prefixlen


def whole(network: Network) -> Space:
    """Return a network and all that is more specific."""
    return Space(network, network.prefixlen, network.max_prefixlen)


def inside(inner: Network, outer: Network) -> bool:
    """Tell whether a network is another one or lies in it."""
    if inner.version != outer.version or inner.prefixlen < outer.prefixlen:
        return False
    shift = outer.max_prefixlen - outer.prefixlen
    return int(inner.network_address) >> shift == int(outer.network_address) >> shift


def without(space: Space, barred: Space) -> tuple[list[Space], str]:
    """Return what is left of a space without another one, and in which way that is not exact; empty if it is."""
    if not space.meets(barred):
        return [space], ""
    if inside(space.network, barred.network):
        kept = []
        if space.least < barred.least:
            kept.append(space._replace(most=barred.least - 1))
        if barred.most < space.most:
            kept.append(space._replace(least=barred.most + 1))
        return kept, ""
    depth = barred.network.prefixlen
    if barred.least > max(depth, space.least) or barred.most < space.most or depth - space.network.prefixlen > _CUTS:
        return [space], "what it denies is accepted"
    around = [_half(barred.network, length) for length in range(space.network.prefixlen + 1, depth + 1)]
    kept = [Space(each, max(each.prefixlen, space.least), space.most) for each in around]
    return kept, "prefixes that hold what it denies are not accepted" if space.least < depth else ""


def _half(network: Network, length: int) -> Network:
    """Return the neighbour, with the same parent, of that prefix of a length which holds a network."""
    holder = network.supernet(new_prefix=length)
    low, high = holder.supernet(1).subnets(1)
    return high if holder == low else low


def entries(space: Space) -> tuple[list[Network], str]:
    """Return the entries of `accept` that cover a space, and in which way they are not exact; empty if they are.

    An entry stands for a prefix and all that is more specific.
    """
    network, most = space.network, space.network.max_prefixlen
    deeper = space.least - network.prefixlen
    nets = [network]
    if space.most == 0:
        nets = []  # a default route alone cannot be accepted: its entry would let everything in
    elif 0 < deeper <= _HALVES:
        nets = list(network.subnets(deeper))
    elif deeper > 0 and network.prefixlen == 0:
        nets = list(network.subnets(1))  # the default route must not come in with them
    if not nets:
        return [], "accept cannot have a default route alone, so it is not accepted"
    shorter, longer = nets[0].prefixlen < space.least, space.most < most
    bounds = [f"shorter than /{space.least}"] * shorter + [f"longer than /{space.most}"] * longer
    return nets, f"accept has no bounds of length: prefixes {' and '.join(bounds)} are accepted too" if bounds else ""


def unique(networks: Iterable[Network]) -> list[Network]:
    """Return networks without those that lie in another one, in their order."""
    found = dict.fromkeys(networks)
    lengths = {(each.version, each.prefixlen) for each in found}
    return [each for each in found if not any(outer in found for outer in _around(each, lengths))]


def _around(network: Network, lengths: Iterable[tuple[int, int]]) -> Iterator[Network]:
    """Yield the networks of these versions and lengths that a network lies in; not itself."""
    for version, length in lengths:
        if version == network.version and length < network.prefixlen:
            yield network.supernet(new_prefix=length)
