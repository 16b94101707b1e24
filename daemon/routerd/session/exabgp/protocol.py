"""The messages of one connection: raw UPDATEs go up, OPENs and NOTIFICATIONs are kept for the parent."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from exabgp.bgp.message import _NOP, KeepAlive, Notification, Notify, Update
from exabgp.bgp.message.open.capability import Capability
from exabgp.reactor.protocol import Protocol as ExaProtocol

from routerd.core import message
from routerd.core.message import Open
from routerd.session.exabgp.connection import Connection
from routerd.session.exabgp.open import exabgp_open
from routerd.session.exabgp.timers import clock
from routerd.session.frames import Kind, frame
from routerd.session.notification import hardened
from routerd.session.open import notifications_are_soft

if TYPE_CHECKING:
    from routerd.session.exabgp.peer import Peer

_OPEN = 1
_UPDATE = 2
_NOTIFICATION = 3
_KEEPALIVE = 4
_REFRESH = 5
_EMPTY = Update([], b"")
_N_BIT = 0x4
"""In the four flag bits of the Graceful Restart capability (RFC 8538 section 2)."""


class Protocol(ExaProtocol):  # type: ignore[misc]
    """One connection's messages. `opened` is the peer's OPEN, which still waits in the connection to be read.

    `generation` numbers the connection over the life of the parent. A connection that the router has `dialled` is
    without the peer's OPEN at first; ours is sent at once, and kept as `introduction`.
    """

    connection: Connection

    def __init__(self, peer: Peer, opened: Open | None) -> None:
        super().__init__(peer)
        self.opened = opened
        self.dialled = opened is None
        self.introduction: Any = None
        self.admitted = time.monotonic()
        self.generation: int = peer.reactor.next_generation()
        self.received_open = b""
        self.sent_open = b""
        self.notification: message.Notification | None = None
        self.since = math.inf
        """When the session was established, in monotonic seconds."""
        self.kept_alive = 0
        """When the last KEEPALIVE went out, in whole monotonic seconds like all of ExaBGP's timers."""

    def introduce(self) -> None:
        """Send our OPEN."""
        *_, self.introduction = self.new_open()  # our connection takes it in the first step

    def read_message(self) -> Iterator[Any]:
        """Yield NOPs while nothing comes, then one message; a run of UPDATEs goes up as frames and counts as one."""
        uplink = self.peer.reactor.uplink
        established = self.peer.established()
        while True:
            if established and uplink.full:
                # The parent is behind. A peer whose bytes wait here is alive: its hold timer must not run out.
                if self.connection.readable():
                    self.peer.recv_timer.last_read = int(clock.time())
                yield _NOP
                continue
            updates, other = self._take(established)
            if not updates and other is None and self.connection.receive():
                updates, other = self._take(established)
            if updates:
                yield _EMPTY
            if other is not None:
                yield self._decode(*other, established)
                return
            if not updates:
                yield _NOP

    def _take(self, established: bool) -> tuple[bool, tuple[int, bytes] | None]:
        """Pass received UPDATEs up, as far as the first message of another type; tell whether there were any."""
        frames: list[bytes] = []
        try:
            for kind, body in self.connection.messages():
                if kind != _UPDATE or not established:
                    return bool(frames), (kind, body)
                frames.append(frame(Kind.UPDATE, self.generation, body))
        finally:
            if frames:  # those ahead of a malformed message count too
                self.peer.reactor.uplink.updates(frames)
        return bool(frames), None

    def _decode(self, kind: int, body: bytes, established: bool) -> Any:
        """Return a message as ExaBGP's; UPDATE and ROUTE-REFRESH are the parent's, an empty UPDATE stands for them.

        The peer's first message is its OPEN (pending.py); what its FSM has no place for ends the session, with the
        type of the message as the data (RFC 6608 section 4).
        """
        if kind == _OPEN and not self.received_open:
            assert self.opened is not None  # it was judged before the connection was let in
            self.received_open = body
            return exabgp_open(self.opened)
        if kind == _NOTIFICATION:
            self.notification = message.Notification(False, body[0], body[1], body[2:])
            raise Notification.unpack_message(body)
        if kind == _KEEPALIVE:
            return KeepAlive()
        if not established:
            raise Notify(5, 2, bytes([kind]))
        if kind == _OPEN:
            raise Notify(5, 3, bytes([kind]))
        if kind == _REFRESH:
            self.peer.reactor.uplink.refresh(self.generation, body)
        return _EMPTY

    @property
    def soft(self) -> bool:
        """Whether a NOTIFICATION alone would have the peer keep our routes (RFC 8538 section 4)."""
        return (
            self.peer.proto is self
            and self.peer.established()
            and notifications_are_soft(self.received_open, self.sent_open)
        )

    def write(self, said: Any, negotiated: Any = None) -> Iterator[bool]:
        """Send a message; an OPEN and a NOTIFICATION are kept for the report to the parent."""
        if said.ID == _OPEN:
            # the answer to a ROUTE-REFRESH carries no begin and end marks (RFC 7313)
            said.capabilities.pop(Capability.CODE.ENHANCED_ROUTE_REFRESH, None)
            if graceful := said.capabilities.get(Capability.CODE.GRACEFUL_RESTART):
                graceful.restart_flag |= _N_BIT
            self.sent_open = said.message(negotiated)[19:]
        elif said.ID == _NOTIFICATION:
            if self.soft:
                said = Notify(*hardened(said.code, said.subcode, said.data))
            self.notification = message.Notification(True, said.code, said.subcode, said.data)
        elif said.ID == _KEEPALIVE:
            self.kept_alive = int(clock.time())
        yield from super().write(said, negotiated)

    def validate_open(self) -> None:
        """Do nothing: the OPEN was judged before the connection was let in."""
