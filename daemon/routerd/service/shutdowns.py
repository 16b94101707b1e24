"""The peers that the operator has shut down."""

from __future__ import annotations

from typing import Any, NamedTuple

from routerd.core.route import format_address, parse_address
from routerd.service.kept import Kept, beside

MAX_TEXT = 255
"""Octets of a Shutdown Communication (RFC 9003 section 2)."""
NOT_UTF8 = "the text is not UTF-8"


class Order(NamedTuple):
    """Who shut a peer down, when (seconds since 1970), and what the peer is told (RFC 9003), as it was written."""

    by: str
    time: float
    text: str


class Shutdowns(Kept):
    """The orders by the addresses of the peers, kept beside the drains, whose file is at `drains`."""

    SUFFIX = ".shutdowns.json"

    def __init__(self, drains: str) -> None:
        self.orders: dict[str, Order] = {}
        super().__init__(beside(drains, self.SUFFIX), "shutdowns")

    def _said(self) -> dict[str, dict[str, Any]]:
        return {address: order._asdict() for address, order in sorted(self.orders.items())}

    def _take(self, said: Any) -> None:
        self.orders = {
            format_address(parse_address(address)): Order(
                str(order["by"]), float(order["time"]), checked(str(order["text"]))
            )
            for address, order in said.items()
        }


def checked(text: str) -> str:
    """Return a text that a peer may be told; ValueError with the reason if it may not."""
    try:
        octets = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError(NOT_UTF8) from None
    if "\ufffd" in text:  # what decoding leaves
        raise ValueError(NOT_UTF8)
    if octets > MAX_TEXT:
        raise ValueError(f"the text has {octets} octets in UTF-8, and a peer is told {MAX_TEXT} at most (RFC 9003)")
    if odd := next((character for character in text if character < " " or "\x7f" <= character < "\xa0"), None):
        raise ValueError(f"the text has a control character, U+{ord(odd):04X}; write one line")
    return text
