"""What the child says about itself, not about a session: places, log lines, its end; and whom it did not let in."""

from __future__ import annotations

import time
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from routerd.session.frames import Down, Kind, unpack, unpack_dialling
from routerd.session.notification import SHUTDOWN
from routerd.session.printable import printable
from routerd.session.refusals import Refusals


@dataclass(frozen=True, slots=True)
class Dialled:
    """How far the router has come with dialling a peer: a line for people, and when it tries again, if it has to."""

    state: str
    again_at: float | None


_LEVELS = {"info": 20, "warning": 30, "error": 40}


class Status:
    """`listening` holds `address port`, `refusals` the attempts at a session that came to nothing.

    `dialled` has the peers that the router dials and has no session with, by address.

    `ending` is why the child ends, or has to be ended.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self.listening: tuple[str, ...] = ()
        self.refusals = Refusals()
        self.dialled: dict[str, Dialled] = {}
        self._failed: dict[str, str] = {}  # address -> why the last attempt has failed, as it was logged
        self.ending: str | None = None

    def begin(self) -> None:
        """A new child starts."""
        self.ending = None

    def end(self) -> None:
        """The child has ended."""
        self.listening = ()
        self.dialled.clear()
        self._failed.clear()

    def take(self, kind: int, payload: bytes) -> None:
        """Take a LISTENING, LOG, FAILED or DIALLING frame."""
        if kind == Kind.DIALLING:
            self._dial(payload)
            return
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

    def _dial(self, payload: bytes) -> None:
        said = unpack_dialling(payload)
        peer, state = said.peer, printable(said.state.encode())
        if not state:
            self.dialled.pop(peer, None)
            self._failed.pop(peer, None)
            return
        again, before = said.again, self._failed.get(peer)
        under_way = f"{state}; the last attempt: {before}" if again is None and before else state
        self.dialled[peer] = Dialled(under_way, None if again is None else time.monotonic() + again)
        if said.failed and self._failed.get(peer) != state:  # once for each reason: a peer may be away for days
            self._failed[peer] = state
            self._log.warning("dialling failed", peer=peer, reason=state, next_try=again)
