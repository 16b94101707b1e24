"""How much a client may ask: requests a second, and connections at once. Pure."""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict

CLIENTS = 4096
"""Of whom it is known what they have asked lately; who asked longest ago is forgotten first."""
BURST = 5
"""Seconds' worth of requests that may come at once: a page of a looking glass asks several things."""
SHARE = 4
"""A client has a part of so many of all connections, at most."""


def client_of(address: str) -> str:
    """Return who counts as one client: an IPv4 address, or an IPv6 network of 64 bits."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped) if mapped is not None else str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


class Rates:
    """Buckets of tokens by client: `rate` come in a second, and one is taken by each request."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str, now: float) -> float:
        """Take a token; or return in how many seconds there is one. `now` is in monotonic seconds."""
        most = float(self._rate * BURST)
        tokens, since = self._buckets.pop(client, (most, now))
        tokens = min(most, tokens + (now - since) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[client] = (tokens - 1 if tokens >= 1 else tokens), now
        if len(self._buckets) > CLIENTS:
            self._buckets.popitem(last=False)
        return wait


class Places:
    """Connections, or long answers, at once: of all clients together `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = Counter[str]()

    def free(self, client: str) -> bool:
        """Tell whether there is a place for a client."""
        return self._taken.total() < self._most and self._taken[client] < max(1, self._most // SHARE)

    def take(self, client: str) -> bool:
        """Take a place; False if there is none."""
        if not self.free(client):
            return False
        self._taken[client] += 1
        return True

    def leave(self, client: str) -> None:
        """Give a place back."""
        self._taken[client] -= 1
        if not self._taken[client]:
            del self._taken[client]
