"""The messages of one connection: raw UPDATEs go up, OPENs and NOTIFICATIONs are kept for the parent."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from exabgp.bgp.message import _NOP, KeepAlive, Notification, Notify, Update
from exabgp.bgp.message.open.capability import Capability
from exabgp.reactor.network.error import LostConnection
from exabgp.reactor.protocol import Protocol as ExaProtocol

from routerd.core import message
from routerd.core.message import Open
from routerd.session.exabgp.connection import READ, Connection
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
_USUAL = (_UPDATE, _KEEPALIVE)
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
        """Yield NOPs while nothing comes, then one message; UPDATEs and KEEPALIVEs of a session count as one."""
        established = self.peer.established()
        while True:
            heard, other = self._take(established)
            if not heard and other is None:
                if established and self.peer.reactor.uplink.full:
                    # The parent is behind. A peer whose bytes wait here is alive: its hold timer must not run out.
                    if self.connection.readable():
                        self._note_alive()
                elif self.connection.receive():
                    heard, other = self._take(established)
            if heard:
                yield _EMPTY
            if other is not None:
                yield self._decode(*other, established)
                return
            if not heard:
                yield _NOP

    def hear(self) -> bool:
        """Read once, without a step of ExaBGP's, what the peer of an established session says all day.

        False if there may be more, which waits to be found by `read_message`: other messages, or many. Many of one
        peer go up together, for routes that come from several peers by turns are more work for the parent.
        """
        if self.peer.reactor.uplink.full:
            return False
        try:
            if not (size := self.connection.receive()):
                return True
            heard, other = self._take(established=True)
        except (LostConnection, Notify):
            return False
        if heard:
            self._note_alive()
        if other is not None:
            self.connection.put_back(other[1])
        return other is None and size < READ

    def _note_alive(self) -> None:
        """Start the hold timer anew."""
        self.peer.recv_timer.last_read = int(clock.time())

    def _take(self, established: bool) -> tuple[bool, tuple[int, bytes] | None]:
        """Take what was received, as far as the first message that is another thing than a session's UPDATEs, which
        are passed up, and its KEEPALIVEs; tell whether there were any of these two."""
        frames: list[bytes] = []
        heard = False
        try:
            for kind, body in self.connection.messages():
                if not established or kind not in _USUAL:
                    return heard, (kind, body)
                heard = True
                if kind == _UPDATE:
                    frames.append(frame(Kind.UPDATE, self.generation, body))
        finally:
            if frames:  # those ahead of a malformed message count too
                self.peer.reactor.uplink.updates(frames)
        return heard, None

    def keep_alive(self) -> None:
        """Send a KEEPALIVE if it is time for one."""
        interval = self.negotiated.holdtime.keepalive()
        if interval and clock.time() >= self.kept_alive + interval:
            for _ in self.new_keepalive():
                pass  # our connection takes it in the first step

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
