"""The graceful restart helper's rules (RFC 4724 section 4.2, RFC 8538): pure judgements, no state."""

from __future__ import annotations

from routerd.core.message import GracefulRestart, Notification, SessionDown
from routerd.core.route import Family

CEASE = 6
HARD_RESET = 9
HOLD_TIMER_EXPIRED = 4


def retains(down: SessionDown, received: GracefulRestart | None, enabled: bool) -> bool:
    """Tell whether the paths of a peer whose session ended stay, as stale ones, in the families that it listed.

    They do when both sides have the capability and the connection was lost without a NOTIFICATION. A NOTIFICATION
    ends them (RFC 4724 section 4), except that with the N bit a hold-timer expiry and any Cease but Hard Reset count
    as a lost connection (RFC 8538 section 4).
    """
    if not enabled or received is None or not received.families:
        return False
    if down.notification is None:
        return True
    return received.notification and _soft(down.notification)


def _soft(notification: Notification) -> bool:
    if notification.code == CEASE:
        return notification.subcode != HARD_RESET
    return notification.code == HOLD_TIMER_EXPIRED


def unretained(families: frozenset[Family], received: GracefulRestart | None) -> frozenset[Family]:
    """Return the families whose stale paths go at once when the peer is back: those that its new OPEN does not
    list as preserved (F bit), or all without the capability (RFC 4724 section 4.2)."""
    if received is None:
        return families
    return frozenset(family for family in families if not received.families.get(family, False))
