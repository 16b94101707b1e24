"""Which range an address lies in. Without pydantic, for the BGP child."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol, TypeVar


class Range(Protocol):
    """What has a network in text."""

    @property
    def range(self) -> str:
        """The network."""


R = TypeVar("R", bound=Range)
_network = lru_cache(4096)(ipaddress.ip_network)


def narrowest(ranges: Iterable[R], address: str) -> R | None:
    """Return the narrowest of `ranges` that holds `address`; None if there is none."""
    parsed = ipaddress.ip_address(address)
    matching = [each for each in ranges if parsed in _network(each.range)]
    return max(matching, key=lambda each: _network(each.range).prefixlen, default=None)
