"""Names of peers and groups, and addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from routerd.translate.frr.model import Neighbor, Said


def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a text is; None if it is none."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


class Names:
    """Names as routerd takes them: letters, digits, `._-`, and each once."""

    def __init__(self) -> None:
        self._peers: set[str] = set()

    def peer(self, neighbor: Neighbor) -> str:
        """Return the name of a peer: its description, or else its address."""
        own = str(address(neighbor.name))
        name = _clean(str(neighbor.settings.get("description", Said("")).value))
        if not name or (address(name) is not None and name != own):
            name = _clean(own)
        name = self.free(name, self._peers)
        self._peers.add(name)
        return name

    def free(self, name: str, taken: Iterable[str]) -> str:
        """Return a name that is not taken, close to the one that is wished for."""
        name, there, number = _clean(name) or "nodes", set(taken), 2
        wished = name
        while name in there:
            name = f"{wished[:58]}-{number}"
            number += 1
        return name


def _clean(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).lstrip("._-")[:63].rstrip("-")
