"""What the tests of this room write: prefixes, gateways and the operations that make them; what happens meanwhile."""

import socket
from collections.abc import Callable

import pytest

from routerd.config.model import FibSection
from routerd.core.message import Gateway
from routerd.core.route import Prefix, parse_address, parse_prefix
from routerd.kernel import lookup

FIB = FibSection(nexthop_id_base=1)
"""Metric 20, and small ids, so that tests can name them."""
METRIC = FIB.metric


def gateway(address: str, interface: str = "eth0") -> Gateway:
    """Return a gateway in the namespace that the thread is in."""
    return Gateway(parse_address(address), socket.if_nametoindex(interface))


def prefixes(*texts: str) -> tuple[Prefix, ...]:
    """Return prefixes from text."""
    return tuple(map(parse_prefix, texts))


def many(count: int) -> tuple[Prefix, ...]:
    """Return `count` IPv4 host prefixes from 172.16.0.0 on."""
    return tuple(Prefix(b"\x20" + (0xAC100000 + index).to_bytes(4, "big")) for index in range(count))


def during(reading: int, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Have something happen just before the buckets of a group are read for the first, or the second time."""
    real, readings = lookup.owners, list[int]()

    def owners_then(group: int) -> list[int]:
        readings.append(group)
        if len(readings) == reading:
            happens()
        return real(group)

    monkeypatch.setattr(lookup, "owners", owners_then)
