"""The graceful restart helper's rules (RFC 4724 section 4.2, RFC 8538): pure judgements, no state."""

from __future__ import annotations

from routerd.core.message import GracefulRestart, SessionDown, SessionUp
from routerd.core.route import Family

CEASE = 6
HARD_RESET = 9
ADMINISTRATIVE_RESET = 4
CONFIGURATION_CHANGE = 6


def retains(down: SessionDown, up: SessionUp) -> bool:
    """Tell whether the paths of a peer whose session ended stay, as stale ones, in the families that it listed.

    They do when both sides have the capability and the connection was lost without a NOTIFICATION. A NOTIFICATION,
    whoever sent it, ends them (RFC 4724 section 4); but if both sides have the N bit, a Hard Reset alone does
    (RFC 8538 section 4).
    """
    sent, received = up.sent.graceful_restart, up.received.graceful_restart
    if sent is None or received is None or not received.families:
        return False
    if down.notification is None:
        return True
    both = sent.notification and received.notification
    return both and (down.notification.code, down.notification.subcode) != (CEASE, HARD_RESET)


def reset_here(down: SessionDown) -> bool:
    """Tell whether the router itself reset a session, to have it back at once: the operator asked for that, or its
    parameters are others now. That is Cease/4, or /6, which a Hard Reset may carry (RFC 4486); the speaker sends them
    for nothing else."""
    said = down.notification
    if said is None or not said.sent or said.code != CEASE:
        return False
    return said.subcode in (ADMINISTRATIVE_RESET, CONFIGURATION_CHANGE) or (
        said.subcode == HARD_RESET and said.data[:2] == bytes((CEASE, CONFIGURATION_CHANGE))
    )


def unretained(families: frozenset[Family], received: GracefulRestart | None) -> frozenset[Family]:
    """Return the families whose stale paths go at once when the peer is back: those that its new OPEN does not
    list as preserved (F bit), or all without the capability (RFC 4724 section 4.2)."""
    if received is None:
        return families
    return frozenset(family for family in families if not received.families.get(family, False))
