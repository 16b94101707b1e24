"""Paths for those who look on: as they were heard, by whom, and with a next hop where the router is it itself."""

from __future__ import annotations

from routerd.core.route import LOCAL, Address, Attributes, Family, Path

NOWHERE = {Family.IPV4: Address(bytes(4)), Family.IPV6: Address(bytes(16))}
"""The next hop of what the router originates."""


def attributes_of(path: Path, family: Family) -> Attributes:
    """Return the attributes of a path to prefixes of a family."""
    return path.attributes if path.peer != LOCAL else path.attributes._replace(next_hop=NOWHERE[family])
