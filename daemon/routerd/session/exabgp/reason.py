"""Why a session, or an attempt at one, ended: a line that an operator can act on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from exabgp.bgp.message import Notify
from exabgp.reactor.network.error import NetworkError

from routerd.core import message
from routerd.session.notification import words

if TYPE_CHECKING:
    from routerd.session.exabgp.protocol import Protocol


def reason(proto: Protocol, text: str, error: Any) -> str:
    """Return the line for a session that ended with what ExaBGP caught; `text` is what our side knows besides."""
    if (said := proto.notification) is not None:  # said already, even if a newer connection ends this one first
        known = text if isinstance(error, Notify) and not text.startswith("notification") else ""
        return words(said, known or (_why(proto, said) if said.sent else ""))
    if isinstance(error, NetworkError):
        return f"connection lost: {error}"
    return text or "internal error"


def _why(proto: Protocol, said: message.Notification) -> str:
    """Return the numbers behind a NOTIFICATION of ours; empty where its data say all."""
    if said.code == 4 and not proto.peer.established():
        return f"no KEEPALIVE within {time.monotonic() - proto.admitted:.0f} s of the OPENs"
    if said.code == 4:
        silent = f"last heard {time.monotonic() - proto.connection.heard:.1f} s ago"
        return f"hold timer of {int(proto.negotiated.holdtime)} s expired, {silent}"
    if said.code == 8:
        return f"for {proto.connection.stalled:.0f} s it has taken nothing of what was sent to it"
    return ""
