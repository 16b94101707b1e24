"""NOTIFICATIONs in words: the names of codes and subcodes, what their data says, and the hard reset around others.

Pure. What a peer wrote is shown as readable text: no octet of it reaches a terminal as it came.
"""

from __future__ import annotations

from routerd.core.message import Notification
from routerd.session.printable import quoted

HARD_RESET = (6, 9)
SHUTDOWN = (6, 2)
RESET = (6, 4)
SHUTDOWN_COMMUNICATION = (SHUTDOWN, RESET)
"""What may carry a text for the operator of the other side (RFC 9003 section 2)."""

MAX_COMMUNICATION = 255
"""Octets of a peer's text that are shown, wherever it stands: a NOTIFICATION may have 65,514 (RFC 8654)."""
_SHOWN = 32
"""Octets of data without a meaning that are shown."""

_CODES = {
    1: "Message Header Error",
    2: "OPEN Message Error",
    3: "UPDATE Message Error",
    4: "Hold Timer Expired",
    5: "Finite State Machine Error",
    6: "Cease",
    7: "ROUTE-REFRESH Message Error",
    8: "Send Hold Timer Expired",
    9: "Loss of LSDB Synchronization",
}
"""RFC 4271 section 4.5, RFC 7313 section 5, RFC 9687 section 3.3, RFC 9815."""

_SUBCODES = {
    1: ("Connection Not Synchronized", "Bad Message Length", "Bad Message Type"),
    2: (
        "Unsupported Version Number",
        "Bad Peer AS",
        "Bad BGP Identifier",
        "Unsupported Optional Parameter",
        "Authentication Failure",
        "Unacceptable Hold Time",
        "Unsupported Capability",
        "Grouping Conflict",
        "Grouping Required",
        "Capability Value Mismatch",
        "Role Mismatch",
    ),
    3: (
        "Malformed Attribute List",
        "Unrecognized Well-known Attribute",
        "Missing Well-known Attribute",
        "Attribute Flags Error",
        "Attribute Length Error",
        "Invalid ORIGIN Attribute",
        "AS Routing Loop",
        "Invalid NEXT_HOP Attribute",
        "Optional Attribute Error",
        "Invalid Network Field",
        "Malformed AS_PATH",
    ),
    5: (
        "Unexpected Message in OpenSent State",
        "Unexpected Message in OpenConfirm State",
        "Unexpected Message in Established State",
    ),
    6: (
        "Maximum Number of Prefixes Reached",
        "Administrative Shutdown",
        "Peer De-configured",
        "Administrative Reset",
        "Connection Rejected",
        "Other Configuration Change",
        "Connection Collision Resolution",
        "Out of Resources",
        "Hard Reset",
        "BFD Down",
    ),
    7: ("Invalid Message Length", "Malformed Message Subtype"),
}
"""From subcode 1 on. RFC 4271 section 4.5, RFC 4486 section 3, RFC 5492, RFC 6608, RFC 7313, RFC 8538 section 3,
RFC 9234 section 4.2, RFC 9384 section 3."""


def name(code: int, subcode: int) -> str:
    """Return what a code and subcode are called; subcode 0 is "unspecific", or there are no subcodes."""
    kind = _CODES.get(code, f"error {code}")
    subcodes = _SUBCODES.get(code, ())
    if not subcode:
        return f"{kind}, unspecific" if subcodes else kind
    return subcodes[subcode - 1] if subcode <= len(subcodes) else f"{kind}, subcode {subcode}"


def words(said: Notification, why: str = "") -> str:
    """Return a NOTIFICATION as a line for people; `why` is what our side knows of one that it sent."""
    inner = encapsulated(said) or said
    line = f"NOTIFICATION {said.code}/{said.subcode} {'sent' if said.sent else 'received'}: "
    line += name(said.code, said.subcode)
    if inner is not said:
        line += f" of {inner.code}/{inner.subcode} {name(inner.code, inner.subcode)}"
    detail = why or data(inner)
    return f"{line} ({detail})" if detail else line


def data(said: Notification) -> str:
    """Return what the data of a NOTIFICATION say; empty if there are none."""
    raw, kind = said.data, (said.code, said.subcode)
    if kind in SHUTDOWN_COMMUNICATION and raw and raw[0] <= len(raw) - 1:
        return quoted(raw[1 : 1 + raw[0]]) if raw[0] else ""
    if kind == (2, 1) and len(raw) == 2:
        return f"it speaks version {int.from_bytes(raw, 'big')}"
    if kind == (1, 2) and len(raw) == 2:
        return f"length {int.from_bytes(raw, 'big')}"
    if kind == (1, 3) and len(raw) == 1:
        return f"type {raw[0]}"
    if said.code == 5 and len(raw) == 1:
        return f"message of type {raw[0]}"
    if kind == (6, 1) and len(raw) == 7:  # RFC 4486 section 4
        return f"AFI {int.from_bytes(raw[:2], 'big')} SAFI {raw[2]}, at most {int.from_bytes(raw[3:], 'big')}"
    text = raw[:MAX_COMMUNICATION].decode("ascii", "replace")
    if text.isascii() and text.isprintable():  # some speakers, ExaBGP among them, write a sentence
        return text + _cut(raw, MAX_COMMUNICATION)
    return f"data {raw[:_SHOWN].hex()}{_cut(raw, _SHOWN)}"


def _cut(raw: bytes, shown: int) -> str:
    return "..." if len(raw) > shown else ""


def communication(text: str) -> bytes:
    """Return a text as the data of an Administrative Shutdown or Reset (RFC 9003 section 2); nothing for none."""
    cut = text.encode()[:MAX_COMMUNICATION].decode(errors="ignore").encode()
    return bytes([len(cut)]) + cut if cut else b""


def encapsulated(said: Notification) -> Notification | None:
    """Return what a Hard Reset carries (RFC 8538 section 3); None for another NOTIFICATION, or an empty one."""
    if (said.code, said.subcode) != HARD_RESET or len(said.data) < 2:
        return None
    return Notification(said.sent, said.data[0], said.data[1], said.data[2:])


def hardened(code: int, subcode: int, raw: bytes) -> tuple[int, int, bytes]:
    """Return what ends a session for good where both sides have the N bit (RFC 8538 section 4).

    Any NOTIFICATION but a Hard Reset would have the peer keep our routes. The expiry of a hold timer, in either
    direction, says nothing about the routes, and after an Administrative Reset the session is to be back at once:
    these stay what they are.
    """
    if (code, subcode) in (HARD_RESET, RESET) or code in (4, 8):
        return code, subcode, raw
    return *HARD_RESET, bytes([code, subcode]) + raw
