"""Link bandwidth: what part of a prefix's flows each next hop is to get, as its node says (RFC 10005).

A node announces octets per second in an extended community. The kernel takes small whole numbers for weights, and
only their ratio counts: 125,000 and 250,000 octets per second are 1 and 2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import gcd, isfinite, lcm

from routerd.config.model import LinkBandwidth
from routerd.core.route import Attributes

TYPES, SUBTYPE = (0x00, 0x40), 0x04
"""Of the extended community; both types, transitive and not, mean the same to whoever receives it."""
WIDEST = 255
"""The largest weight: those of 8 bits, before Linux 6.12, reach that far."""
_BANDWIDTH = struct.Struct(">4xf")


def is_link_bandwidth(community: bytes) -> bool:
    """Tell whether an extended community is one of link bandwidth."""
    return community[0] in TYPES and community[1] == SUBTYPE


def bandwidth_of(attributes: Attributes) -> float | None:
    """Return the octets per second that a path says lead to its next hop; the lowest, if it says several. What is no
    bandwidth (negative, infinite, not a number) counts as unsaid."""
    said = [_BANDWIDTH.unpack(each)[0] for each in attributes.extended_communities if is_link_bandwidth(each)]
    return min((each for each in said if isfinite(each) and each >= 0), default=None)


def weights(bandwidths: Sequence[float | None], use: LinkBandwidth) -> tuple[int, ...]:
    """Return the weights of next hops with these bandwidths, None where it is not known; empty if all are alike.

    Unless it is known of all there are no weights, or those without get none (`skip-missing`), or a hundredth of what
    the others have together (`default-weight-for-missing`).
    """
    known = [each for each in bandwidths if each is not None]
    if use == "ignore" or not any(known) or (use == "all" and len(known) < len(bandwidths)):
        return ()
    exact = [None if each is None else Fraction(each) for each in bandwidths]
    missing = Fraction(0) if use == "skip-missing" else sum(filter(None, exact), Fraction(0)) / 100
    return _whole([missing if each is None else each for each in exact])


def _whole(bandwidths: Sequence[Fraction]) -> tuple[int, ...]:
    """Return small whole numbers that are to each other as these are; 0 for 0 alone."""
    common = lcm(*(each.denominator for each in bandwidths))
    found = _lowest(int(each * common) for each in bandwidths)
    if (most := max(found)) > WIDEST:
        found = _lowest([max(1, round(each * WIDEST / most)) if each else 0 for each in found])
    return () if len(set(found)) == 1 else tuple(found)


def _lowest(numbers: Iterable[int]) -> list[int]:
    numbers = list(numbers)
    divisor = gcd(*numbers)
    return [number // divisor for number in numbers]
