"""The rules of graceful restart: whose doing the end of a session was."""

from __future__ import annotations

import pytest

from routerd.core.message import Notification, SessionDown
from routerd.core.rib.graceful_restart import reset_here


@pytest.mark.parametrize(
    ("said", "reset"),
    [
        (None, False),
        (Notification(True, 6, 4), True),
        (Notification(True, 6, 6), True),
        (Notification(True, 6, 9, b"\6\6"), True),
        (Notification(True, 6, 9, b"\6\6and why"), True),
        (Notification(True, 6, 9, b"\6\4"), False),
        (Notification(True, 6, 9, b"\6"), False),
        (Notification(True, 6, 9), False),
        (Notification(True, 6, 2, b"\6\6"), False),
        (Notification(True, 3, 4), False),
        (Notification(False, 6, 4), False),
        (Notification(False, 6, 9, b"\6\6"), False),
    ],
)
def test_the_router_has_reset_a_session_if_it_says_so_itself(said: Notification | None, reset: bool) -> None:
    """Administrative Reset, or Other Configuration Change, which a Hard Reset may carry (RFC 4486, RFC 8538)."""
    assert reset_here(SessionDown("10.0.0.1", 1, "over", said)) is reset
