"""What the child's frames say, as messages; and which sessions there are by that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from routerd.core.message import RouteRefresh, SessionDown, SessionUp, SpeakerDown, SpeakerUp
from routerd.core.route import Family
from routerd.session.counts import Counts
from routerd.session.frames import Frame, Kind, RawUpdate, Up, unpack_down, unpack_up
from routerd.session.open import decode_open
from routerd.session.status import Status

Message = SessionUp | SessionDown | RawUpdate | RouteRefresh | SpeakerUp | SpeakerDown


class Translation:
    """`status` takes what is said of the child itself; `ready` is set once it listens. `close` ends a session with an
    OPEN that cannot be understood: peer, generation, code, subcode, text."""

    def __init__(
        self,
        status: Status,
        ready: asyncio.Event,
        close: Callable[[str, int, int, int, str], None],
        *,
        log: FilteringBoundLogger,
    ) -> None:
        self._status = status
        self._ready = ready
        self._close = close
        self._log = log
        self._peers: dict[int, str] = {}  # generation -> address, of the sessions that are up
        self.ups: dict[int, Up] = {}
        """How the sessions that are up began, by generation."""
        self.counts: dict[int, Counts] = {}
        """Messages, by the generations of the sessions that are up."""
        self._half_ended: dict[int, SessionDown] = {}  # by generation, while one of its two DOWN frames is to come
        self.generation = 0
        """The highest that a session had."""
        self.taken: Callable[[int, int], None] = lambda generation, octets: None
        """Called with a session's generation and how many octets of what was sent to it its socket took."""

    def peer(self, generation: int) -> str | None:
        """Return the address of the peer whose session is up under this generation."""
        return self._peers.get(generation)

    def overtaken(self, generation: int) -> SessionDown | None:
        """Return how a session has ended, if that is ahead of what it said before, which does not count any more."""
        return self._half_ended.get(generation)

    def child_ended(self) -> None:
        """The child has ended, and all sessions with it."""
        self._peers.clear()
        self.ups.clear()
        self.counts.clear()
        self._half_ended.clear()
        self._status.end()
        self._ready.clear()

    def translate(self, frames: list[Frame], messages: list[Message]) -> None:
        """Append the messages that the frames carry."""
        peers = self._peers
        for each in frames:
            kind, generation, payload = each
            if kind == Kind.UPDATE:
                peer = peers.get(generation)
                if peer is not None:
                    counts = self.counts[generation]
                    counts.updates_received += 1
                    counts.octets_received += len(payload)
                    messages.append(RawUpdate(peer, generation, payload))
            elif kind == Kind.DOWN:
                self.down(each, messages)
            elif kind == Kind.UP:
                self._up(each, messages)
            elif generation in self._half_ended:
                continue  # the session is over: its DOWN has overtaken this frame
            elif kind == Kind.REFRESH:
                self._refresh(each, messages)
            elif kind == Kind.TAKEN:
                self.taken(generation, int.from_bytes(payload, "big"))
            else:
                self._status.take(kind, payload)
                if self._status.listening and not self._ready.is_set():
                    self._ready.set()
                    messages.append(SpeakerUp())

    def _up(self, each: Frame, messages: list[Message]) -> None:
        _, generation, payload = each
        self.generation = max(self.generation, generation)
        up = unpack_up(payload)
        try:
            received, sent = decode_open(up.received), decode_open(up.sent)
        except ValueError as error:
            self._log.error("OPEN cannot be decoded", peer=up.peer, error=str(error))
            self._close(up.peer, generation, 2, 0, "")
            return
        messages.append(SessionUp(up.peer, generation, up.local, received, sent, up.dynamic))
        if (ended := self._half_ended.get(generation)) is not None:
            messages.append(ended)  # in its turn: it says what becomes of what was kept of the session before
            return
        self._peers[generation] = up.peer
        self.ups[generation] = up
        self.counts[generation] = Counts()

    def down(self, each: Frame, messages: list[Message]) -> None:
        """Take a DOWN frame. Of an urgent one there are two, and the first counts, whichever it is."""
        _, generation, payload = each
        if generation in self._half_ended:
            del self._half_ended[generation]
            return
        self.generation = max(self.generation, generation)
        down = unpack_down(payload)
        ended = SessionDown(down.peer, generation, down.reason, down.notification)
        if down.urgent:
            self._half_ended[generation] = ended
        if not down.established:
            self._status.refused(down)
        self._peers.pop(generation, None)
        self.ups.pop(generation, None)
        self.counts.pop(generation, None)
        messages.append(ended)

    def _refresh(self, each: Frame, messages: list[Message]) -> None:
        """Take a ROUTE-REFRESH: AFI, subtype, SAFI (RFC 2918 section 3, RFC 7313 for the subtype)."""
        _, generation, body = each
        peer = self._peers.get(generation)
        afi = int.from_bytes(body[:2], "big")
        if peer is not None and body[2:] == b"\0\1" and afi in (Family.IPV4, Family.IPV6):
            self.counts[generation].refreshes_received += 1
            messages.append(RouteRefresh(peer, generation, Family(afi)))
