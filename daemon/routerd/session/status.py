"""What the child says about itself, not about a session: places, log lines, its end; and whom it did not let in."""

from __future__ import annotations

import time

from structlog.typing import FilteringBoundLogger

from routerd.session.frames import Down, Kind, unpack
from routerd.session.notification import SHUTDOWN
from routerd.session.printable import printable
from routerd.session.refusals import Refusals

_LEVELS = {"info": 20, "warning": 30, "error": 40}


class Status:
    """`listening` holds `address port`, `refusals` the attempts at a session that came to nothing.

    `ending` is why the child ends, or has to be ended.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self.listening: tuple[str, ...] = ()
        self.refusals = Refusals()
        self.ending: str | None = None

    def begin(self) -> None:
        """A new child starts."""
        self.ending = None

    def take(self, kind: int, payload: bytes) -> None:
        """Take a LISTENING, LOG or FAILED frame."""
        fields = [printable(field) for field in unpack(payload)]  # what peers say is in log lines
        if kind == Kind.LISTENING:
            self.listening = tuple(fields)
            self._log.info("speaker listens", places=fields)
        elif kind == Kind.LOG:
            self._log.log(_LEVELS.get(fields[0], 30), "exabgp", line=fields[1])
        elif kind == Kind.FAILED:
            self.ending = fields[0]

    def refused(self, down: Down) -> None:
        """An attempt at a session came to nothing."""
        kind = self.refusals.note(down.peer, down.reason, down.notification, time.monotonic())
        said = down.notification
        if said is not None and said.sent and (said.code, said.subcode) == SHUTDOWN:
            # As the operator wants it, and for as long as the node tries: `refusals` counts.
            if kind.count == 1:
                self._log.info("no session: the peer is shut down", peer=down.peer, reason=down.reason)
            return
        self._log.warning("no session", peer=down.peer, reason=down.reason, count=kind.count)
