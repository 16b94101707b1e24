"""When a peer is dialled again. Pure; times are seconds, monotonic where they are moments.

This is RFC 4271's ConnectRetryTimer (section 8.2.2), which grows with each attempt that came to nothing
(DampPeerOscillations, section 8.1.1), with the jitter of section 10.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import Enum

from routerd.core.message import Notification
from routerd.session.notification import encapsulated

FIRST = 1.0
"""Until the first attempt after a session, and the least between any two."""
AWAY = 30.0
"""At most, while the peer is not to be reached, or nobody listens there: a SYN costs nobody anything."""
FIRST_REFUSAL = 10.0
REFUSED = 120.0
"""The first and the longest one after a peer, or the router, has said no: somebody has to change something first."""
RESTARTING = 2.0
"""At most, while a peer restarts gracefully: its paths are stale, and shall not go before it is back."""
LONG_LIFE = 10.0
"""A session starts the delays anew, but for a short one after another short one: it has to stand for so long."""


_PASSES = ((6, 4), (6, 8))
"""Cease that passes by itself: an operator's reset, and a want of resources (RFC 4486 section 4)."""


class Outcome(Enum):
    """What became of a connection."""

    AWAY = "it was not to be had"
    REFUSED = "one side said no"
    HARMLESS = "it made way for another one, or for a change"

    @classmethod
    def of(cls, said: Notification | None) -> Outcome:
        """Return what the end of a connection means; `said` is the NOTIFICATION that ended it, if one did."""
        if said is None:
            return cls.AWAY
        inner = encapsulated(said) or said
        kind = (inner.code, inner.subcode)
        if kind in ((6, 6), (6, 7)):
            return cls.HARMLESS
        return cls.AWAY if inner.code in (4, 8) or kind in _PASSES else cls.REFUSED


class Backoff:
    """The delay before the next attempt. It doubles from one that came to nothing to the next of the same outcome."""

    def __init__(self, jitter: Callable[[], float] = lambda: random.uniform(0.75, 1.0)) -> None:
        self._jitter = jitter
        self._delay = 0.0
        self._last = Outcome.AWAY
        self._flapping = False  # the last session was a short one

    def after(self, outcome: Outcome) -> float:
        """Return the seconds until the next attempt, after one that came to nothing."""
        if outcome is Outcome.HARMLESS:
            return FIRST * self._jitter()
        if outcome is not self._last:
            self._last, self._delay = outcome, 0.0
        first, last = (FIRST, AWAY) if outcome is Outcome.AWAY else (FIRST_REFUSAL, REFUSED)
        self._delay = min(max(2 * self._delay, first), last)
        return self._delay * self._jitter()

    def after_session(self, lived: float, outcome: Outcome) -> float:
        """Return the seconds until the next attempt, after a session that stood for so many."""
        if lived >= LONG_LIFE or not self._flapping:
            self._delay = 0.0
        self._flapping = lived < LONG_LIFE
        return self.after(outcome)
