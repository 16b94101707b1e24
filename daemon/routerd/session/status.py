"""What the child says about itself, not about a session: places, log lines, refused connections, its end."""

from __future__ import annotations

import time
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from routerd.session.frames import Kind, unpack

MAX_REFUSED = 32

_LEVELS = {"info": 20, "warning": 30, "error": 40}


@dataclass(frozen=True, slots=True)
class Refused:
    """Connections from an address that were not let in: why the last one, how many, when (seconds since 1970)."""

    address: str
    reason: str
    count: int
    last: float


class Status:
    """`listening` holds `address port`, `refused` the latest refusals by address, oldest first.

    `ending` is why the child ends, or has to be ended.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self.listening: tuple[str, ...] = ()
        self.refused: dict[str, Refused] = {}
        self.ending: str | None = None

    def begin(self) -> None:
        """A new child starts."""
        self.ending = None

    def take(self, kind: int, payload: bytes) -> None:
        """Take a LISTENING, LOG, FAILED or REFUSED frame."""
        fields = [field.decode(errors="replace") for field in unpack(payload)]
        if kind == Kind.LISTENING:
            self.listening = tuple(fields)
            self._log.info("speaker listens", places=fields)
        elif kind == Kind.LOG:
            self._log.log(_LEVELS.get(fields[0], 30), "exabgp", line=fields[1])
        elif kind == Kind.FAILED:
            self.ending = fields[0]
        elif kind == Kind.REFUSED:
            address, reason = fields
            before = self.refused.pop(address, None)
            count = 1 if before is None else before.count + 1
            self.refused[address] = Refused(address, reason, count, time.time())
            if len(self.refused) > MAX_REFUSED:
                del self.refused[next(iter(self.refused))]
            if before is None:
                self._log.warning("connection refused", peer=address, reason=reason)
