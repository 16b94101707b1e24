"""What a peer should hear and does not, because it fits into no message of its session (RFC 8654 section 4). Pure."""

from __future__ import annotations

from typing import NamedTuple

from routerd.core.message import Advertise
from routerd.core.route import Prefix, forget

KEPT = 1024
"""Prefixes that are kept by name for a peer; of more it is only known that there are more."""


class TooLarge(NamedTuple):
    """Prefixes whose attributes are too large: each alone would take a message of `octets`, 0 if an attribute does
    not even fit into its own length field. The largest message of the session has `limit` octets."""

    prefixes: tuple[Prefix, ...]
    octets: int
    limit: int


class Withheld:
    """Of one session: `routes` has what is withheld now, at most `KEPT`; `beyond` that there was more."""

    def __init__(self) -> None:
        self.routes: dict[Prefix, TooLarge] = {}
        self.beyond = False

    def take(self, change: Advertise, found: tuple[TooLarge, ...]) -> None:
        """Take over what was encoded for the peer, and what of it did not fit."""
        if self.routes:
            forget(self.routes, change.withdrawn)
            for _, prefixes in change.announced:
                forget(self.routes, prefixes)
        for each in found:
            room = KEPT - len(self.routes)
            self.routes.update(dict.fromkeys(each.prefixes[:room], each))
            self.beyond |= len(each.prefixes) > room
