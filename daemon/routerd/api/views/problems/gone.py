"""Addresses that something listens at, and that the router has no more: the socket stays, and nobody reaches it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator

from routerd.api.models import ProblemView
from routerd.config.model import Config
from routerd.core.route import parse_address
from routerd.core.router import Router


def gone(router: Router, notes: Collection[ProblemView]) -> Iterator[ProblemView]:
    """Yield them, but for those that `notes` name as a problem already, as what never listened is."""
    own = {address for interface in router.rib.nexthops.interfaces.values() for address in interface.addresses}
    for where, nobody, address, port in _places(router.config):
        known = ipaddress.ip_address(address)
        known = (known.version == 6 and known.ipv4_mapped) or known
        elsewhere = own and not (known.is_unspecified or known.is_loopback or parse_address(str(known)) in own)
        if elsewhere and not any(note["where"] == where and _names(note["what"], address) for note in notes):
            yield ProblemView(
                where=where,
                what=f"{nobody} at {address} port {port}: the router has no such address any more",
                remedy="give the address back (has a DHCP client taken it?), or write another one",
            )


def _names(text: str, address: str) -> bool:
    """Tell whether a text has an address, and not one that begins or ends with it."""
    after = r"(?![\w%:])" if ":" in address else r"(?!\.?\w)"
    return re.search(rf"(?<![\w.:]){re.escape(address)}{after}", text) is not None


def _places(config: Config) -> Iterator[tuple[str, str, str, int]]:
    for address in config.router.listen:
        yield "speaker", "nodes cannot dial in", address, config.router.port
    if config.metrics.listen:
        yield "metrics", "nobody can scrape", *config.metrics.place
    for address in config.looking_glass.listen:
        yield "looking glass", "nobody can ask it", address, config.looking_glass.port
    pair = config.pair
    if pair.partner and pair.channel == "link" and pair.listen:
        yield "pair", f"{pair.partner} cannot dial in", pair.listen, pair.port
