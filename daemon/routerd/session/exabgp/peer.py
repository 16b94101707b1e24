"""A peer and its protocol: raw UPDATEs go up, a session keeps its place, a NOTIFICATION is always sent."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

from exabgp.bgp.message import _NOP, KeepAlive, Notification, Notify, Update
from exabgp.bgp.message.open.capability import Capability
from exabgp.reactor.peer import ACTION
from exabgp.reactor.peer import Peer as ExaPeer
from exabgp.reactor.protocol import Protocol as ExaProtocol

from routerd.core import message
from routerd.core.message import Open
from routerd.session.exabgp.connection import MAX_OUTPUT, Connection
from routerd.session.exabgp.open import exabgp_open
from routerd.session.exabgp.reason import reason
from routerd.session.exabgp.timers import clock
from routerd.session.frames import Down, Kind, Up, frame
from routerd.session.notification import hardened
from routerd.session.open import notifications_are_soft

CONFIRM_WAIT = 30.0
"""Seconds that a peer has for its KEEPALIVE once the OPENs are exchanged, whatever its hold time is: with one of 0 no
other timer would end OpenConfirm."""
SEND_HOLD_TIME = 480.0
"""Seconds for which a peer may take nothing of what we send (RFC 9687 section 4.3)."""

_STEPS = 8
"""Steps that a peer makes in a turn while it has more to do: each takes a message, or a run of UPDATEs."""
TAKEN_AT_ONCE = 32 << 10
"""Octets, a small part of what the parent has on its way (session/outbox.py)."""

CHANGED = "the peer's configuration changed"
"""Why a session is reset, for the log."""

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

    `generation` numbers the connection over the life of the parent.
    """

    connection: Connection

    def __init__(self, peer: Peer, opened: Open) -> None:
        super().__init__(peer)
        self.opened = opened
        self.admitted = time.monotonic()
        self.generation: int = peer.reactor.next_generation()
        self.received_open = b""
        self.sent_open = b""
        self.notification: message.Notification | None = None
        self.kept_alive = 0
        """When the last KEEPALIVE went out, in whole monotonic seconds like all of ExaBGP's timers."""

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
    def _soft(self) -> bool:
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
            if self._soft:
                said = Notify(*hardened(said.code, said.subcode, said.data))
            self.notification = message.Notification(True, said.code, said.subcode, said.data)
        elif said.ID == _KEEPALIVE:
            self.kept_alive = int(clock.time())
        yield from super().write(said, negotiated)

    def validate_open(self) -> None:
        """Do nothing: the OPEN was judged before the connection was let in."""


class Peer(ExaPeer):  # type: ignore[misc]
    """A neighbor and its session, if there is one."""

    proto: Protocol | None
    _teardown: int | None

    def __init__(self, neighbor: Any, reactor: Any) -> None:
        super().__init__(neighbor, reactor)
        self.address: str = neighbor["peer-address"].top()
        # the R bit belongs into the first OPEN of this process alone (RFC 4724 section 4.1)
        self._restarted = self.address not in reactor.met
        self._unfinished = False  # it was between two steps, or may have read more than it has looked at

    @property
    def busy(self) -> bool:
        """Whether the reactor has to come back to this peer soon, though its socket may stay silent."""
        if self.stopping():
            return True
        return self.proto is not None and (not self.established() or self._unfinished)

    @property
    def due(self) -> float:
        """When the session wants a turn though its socket is silent, in monotonic seconds."""
        if self.busy:
            return 0.0
        if self.proto is None:
            return math.inf
        if self.proto.connection.unsent:
            return 0.0  # in every sweep: a socket that takes nothing says nothing, until the session has to end
        hold = self.proto.negotiated.holdtime
        if not hold:
            return math.inf
        return float(min(self.proto.kept_alive + hold.keepalive(), self.recv_timer.last_read + hold))

    def run(self) -> Any:
        """Give the session a turn; what it has read shall not wait for its socket to say more."""
        if self.proto is None:
            return ACTION.CLOSE if self.stopping() else ACTION.LATER
        connection = self.proto.connection
        connection.flush()
        self._report_taken()
        if connection.stalled > max(SEND_HOLD_TIME, 2.0 * self.proto.negotiated.holdtime):
            self.cease(Notify(8, 0, b""))
            return ACTION.LATER
        if not self.established() and time.monotonic() - self.proto.admitted > CONFIRM_WAIT:
            self.cease(Notify(4, 0, b""))
            return ACTION.LATER
        for _ in range(_STEPS):
            action = super().run()
            if action != ACTION.NOW:
                break
        self._unfinished = action == ACTION.NOW
        if self._unfinished:
            self.reactor.watch(self)
        self._await_output()
        return action

    def yields_to(self, opened: Open) -> bool:
        """Tell whether a connection with this valid OPEN takes the place of the one that stands, if one does.

        An established session keeps its place (RFC 4271 section 6.8), except where graceful restart is negotiated for
        some family: then a node that dials again has restarted (RFC 4724 section 5). It has the AS and identifier as
        before; else it is another speaker behind the node's address.

        Before, the RFC keeps the connection that the speaker with the higher identifier has opened. Here the peer has
        opened both: of two speakers that with the higher identifier has its way, and one speaker that dials again has
        given up the older connection.
        """
        if self.proto is None:
            return True
        standing = self.proto.opened
        if not self.established():
            return opened.router_id >= standing.router_id
        return self._helped and (opened.asn, opened.router_id) == (standing.asn, standing.router_id)

    @property
    def _helped(self) -> bool:
        """Whether graceful restart is negotiated for some family."""
        theirs = None if self.proto is None else self.proto.opened.graceful_restart
        return bool(self.neighbor["capability"]["graceful-restart"] and theirs is not None and theirs.families)

    def probe(self, now: float) -> bool:
        """Have the node's kernel prove that it has the session: send a KEEPALIVE, unless one went out this second."""
        proto = self.proto
        assert proto is not None
        if now < proto.kept_alive + 1:
            return False
        for _ in proto.new_keepalive():
            pass  # our connection takes it in the first step
        return True

    def handle_connection(self, connection: Connection, opened: Open) -> None:
        """Take a connection with a valid OPEN, in place of the one that stands.

        An established session ends silently, so that its paths stay, as stale ones, until they are learned anew.
        """
        if self.proto is not None:
            if not self.established():
                for _ in self.proto.new_notification(Notify(6, 7, b"")):
                    pass  # our connection takes it in the first step
            self._close("replaced by a new connection of the peer")
        self.proto = Protocol(self, opened).accept(connection)
        self.generator = None
        self._teardown = None
        self._delay.reset()
        self.reactor.adopt(self)

    def send(self, data: bytes) -> None:
        """Send whole messages; a peer that lets too much pile up is told that we are out of resources."""
        if self.proto is None:
            return
        connection = self.proto.connection
        try:
            connection.queue(data)
        except MemoryError:
            self.cease(Notify(6, 8, b""), "out of memory for what it is to hear")
            return
        self._report_taken()
        if connection.unsent > MAX_OUTPUT:
            self.cease(Notify(6, 8, b""))
        else:
            self._await_output()

    def _await_output(self) -> None:
        """Have a turn when the socket takes more, if something waits for that."""
        if self.proto is not None and self.established():
            wanted = self.proto.connection.unsent > 0
            self.reactor.await_output(self.proto.fd(), wanted=wanted)
            if wanted:
                self.reactor.stir(self)

    def _report_taken(self) -> None:
        """Let the parent send more, if the socket took enough to be worth a frame."""
        if self.proto is not None and self.proto.connection.taken >= TAKEN_AT_ONCE:
            self.reactor.uplink.taken(self.proto.generation, self.proto.connection.taken)
            self.proto.connection.taken = 0

    def cease(self, notify: Any, text: str = "") -> None:
        """End the session at once, with a NOTIFICATION, also where graceful restart is negotiated."""
        if self.proto is None:
            return
        for _ in self.proto.new_notification(notify):
            pass  # our connection takes it in the first step
        self._reset(text, notify)

    def remove(self) -> None:
        """Leave: the configuration does not have this peer any more, or has it with another AS or router id, which to
        ExaBGP is another peer."""
        if self.reactor.config.group_of(self.address) is None:
            self.cease(Notify(6, 3, b""), "the peer was removed from the configuration")
        else:
            self.cease(Notify(6, 6, b""), CHANGED)
        super().remove()
        self.reactor.watch(self)

    def shutdown(self) -> None:
        """Leave with the process; silently, so that a graceful-restart helper keeps our routes, if asked so."""
        if self.reactor.notify:
            self.cease(Notify(6, 2, b""), "the router shuts down")
        super().shutdown()

    def reestablish(self, restart_neighbor: Any = None) -> None:
        """Start over with a changed configuration."""
        self.cease(Notify(6, 6, b""), CHANGED)
        if restart_neighbor is not None:
            self.neighbor = restart_neighbor
        self._delay.reset()

    def reconfigure(self, restart_neighbor: Any = None) -> None:
        """Take over an equal configuration. ExaBGP would look for changed routes later, and reset the session."""
        if restart_neighbor is not None:
            self.neighbor = restart_neighbor

    def resend(self, enhanced: bool, family: Any = None) -> None:
        """The parent answers a ROUTE-REFRESH."""

    def _main(self) -> Iterator[Any]:
        proto = self.proto
        assert proto is not None
        connection = proto.connection
        if not proto.negotiated.holdtime:
            connection.keep_alive()
        self.reactor.met.add(self.address)
        dynamic = self.address in self.reactor.dynamic
        up = Up(self.address, connection.local, dynamic, proto.received_open, proto.sent_open)
        self.reactor.uplink.up(proto.generation, up)
        self.reactor.sessions[proto.generation] = self
        yield from super()._main()

    def _close(self, message: str = "", error: Any = "") -> None:
        proto = self.proto
        if proto is not None:
            established = self.reactor.sessions.pop(proto.generation, None) is not None
            self.reactor.release(proto.fd())
            down = Down(self.address, reason(proto, message, error), proto.notification, established)
            self.reactor.uplink.down(proto.generation, down)
        super()._close(message, error)

    def _reset(self, message: str = "", error: Any = "") -> None:
        if self.address in self.reactor.dynamic:
            if self.established() and self._helped and self.address not in self.reactor.shut:
                self.reactor.keep_place(self.address, on=True)  # until the parent says otherwise
            self._restart = False
            self._teardown = 6
            self.reactor.forget(self)
        super()._reset(message, error)
