"""Why a session, or an attempt at one, ended: a line that an operator can act on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from exabgp.bgp.message import Notify
from exabgp.reactor.network.error import NetworkError

from routerd.core import message
from routerd.core.route import format_address
from routerd.session.notification import words
from routerd.session.open import decode_open

if TYPE_CHECKING:
    from routerd.session.exabgp.peer import Protocol


def reason(proto: Protocol, text: str, error: Any) -> str:
    """Return the line for a session that ended with what ExaBGP caught; `text` is what our side knows besides."""
    if (said := proto.notification) is not None:  # said already, even if a newer connection ends this one first
        known = text if isinstance(error, Notify) and not text.startswith("notification") else ""
        return words(said, known or (_why(proto, said) if said.sent else ""))
    if isinstance(error, NetworkError):
        return f"connection lost: {error}" + ("" if proto.received_open else ", before its OPEN came")
    return text or "internal error"


def _why(proto: Protocol, said: message.Notification) -> str:
    """Return the numbers behind a NOTIFICATION of ours; empty where its data say all."""
    kind = (said.code, said.subcode)
    if said.code == 4:
        silent = f"last heard {time.monotonic() - proto.connection.heard:.1f} s ago"
        if not proto.received_open:
            return f"no OPEN came, {silent}"
        return f"hold timer of {int(proto.negotiated.holdtime)} s expired, {silent}"
    if said.code == 8:
        return f"for {proto.connection.stalled:.0f} s it has taken nothing of what was sent to it"
    if said.code != 2 or not proto.received_open:
        return ""
    try:
        opened = decode_open(proto.received_open)
    except ValueError as malformed:
        return str(malformed)
    if kind == (2, 2):
        return _unexpected_as(proto, opened)
    if kind == (2, 3):
        return f"its router id is {format_address(opened.router_id)}"
    if kind == (2, 6):
        return f"its hold time is {opened.hold_time} s, which must be 0 or at least 3"
    return ""


def _unexpected_as(proto: Protocol, opened: message.Open) -> str:
    expected, own = proto.neighbor["peer-as"], int(proto.neighbor["local-as"])
    wanted = f"AS {int(expected)}" if expected is not None else f"any but {own}, which is the router's"
    field = int.from_bytes(proto.received_open[1:3], "big")
    if opened.four_octet_as and field not in (opened.asn, 23456):
        return f"got AS {field}, and AS {opened.asn} in its four-octet capability, expected {wanted}"
    return f"got AS {opened.asn}, expected {wanted}"
