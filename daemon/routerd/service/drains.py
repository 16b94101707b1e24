"""The operator's drains."""

from __future__ import annotations

from typing import Any

from routerd.core.route import format_address, parse_address
from routerd.service.kept import Kept


class Drains(Kept):
    """The addresses of the drained peers."""

    def __init__(self, path: str) -> None:
        self.peers: set[str] = set()
        super().__init__(path, "drains")

    def mark(self, peer: str, *, on: bool) -> bool:
        """Note that a peer is drained, or no longer; return whether that is new. `store` keeps it."""
        if (peer in self.peers) == on:
            return False
        (self.peers.add if on else self.peers.discard)(peer)
        return True

    def _said(self) -> list[str]:
        return sorted(self.peers)

    def _take(self, said: Any) -> None:
        if not isinstance(said, list) or not all(isinstance(peer, str) for peer in said):
            raise ValueError("not a list of addresses")
        self.peers = {format_address(parse_address(peer)) for peer in said}
