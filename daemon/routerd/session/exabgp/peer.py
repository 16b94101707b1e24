"""A peer: its session keeps its place or yields it, has its turns, and ends with a NOTIFICATION."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

from exabgp.bgp.message import Notify
from exabgp.reactor.peer import ACTION
from exabgp.reactor.peer import Peer as ExaPeer

from routerd.core.message import Open
from routerd.session.exabgp.connection import MAX_OUTPUT, Connection
from routerd.session.exabgp.protocol import Protocol
from routerd.session.exabgp.reason import reason
from routerd.session.frames import Down, Up
from routerd.session.notification import HARD_RESET

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

    def hear(self) -> bool:
        """Take in what has come, if that needs no turn; False if the session is to have one."""
        if self.proto is None or self.busy:
            return False
        try:
            return self.proto.hear()
        except MemoryError:
            self.cease(Notify(6, 8, b""), "out of memory for what it says")
            return False

    def tend(self, now: float) -> bool:
        """Do what is due, if that is no more than a KEEPALIVE; False if the session is to have a turn."""
        proto = self.proto
        if proto is None or self.busy or proto.connection.unsent:
            return False
        if now >= self.recv_timer.last_read + (proto.negotiated.holdtime or math.inf):
            return False
        proto.keep_alive()
        self._await_output()
        return True

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
            self.reactor.turns.watch(self)
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

        Where the router has dialled, the peer may have dialled at the same time, and its OPEN comes late: that is no
        restart. Whether the node has restarted its kernel tells (`probe`).
        """
        if self.proto is None:
            return True
        standing = self.proto.opened
        assert standing is not None
        if self.proto.dialled:
            return False
        if not self.established():
            return opened.router_id >= standing.router_id
        return self._helped and (opened.asn, opened.router_id) == (standing.asn, standing.router_id)

    @property
    def _restart_time(self) -> int:
        """The seconds that the peer asks for its restart; 0 without graceful restart."""
        opened = None if self.proto is None else self.proto.opened
        graceful = None if opened is None else opened.graceful_restart
        return graceful.time if graceful is not None and self._helped else 0

    @property
    def _helped(self) -> bool:
        """Whether graceful restart is negotiated for some family."""
        opened = None if self.proto is None else self.proto.opened
        theirs = None if opened is None else opened.graceful_restart
        return bool(self.neighbor["capability"]["graceful-restart"] and theirs is not None and theirs.families)

    @property
    def _kept(self) -> bool:
        """Whether the peer's paths outlast the session that ends (RFC 4724, RFC 8538): then all that it has said
        counts, and the news of the end takes its place behind that."""
        if self.proto is None or not self._helped:
            return False
        said = self.proto.notification
        return said is None or (self.proto.soft and (said.code, said.subcode) != HARD_RESET)

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
        """Take a connection that the peer has opened, and that has a valid OPEN."""
        self.reactor.dialler.give_way(self.address)
        self.take(Protocol(self, opened).accept(connection))

    def take(self, proto: Protocol) -> None:
        """Take a connection with a valid OPEN, in place of the one that stands.

        An established session ends silently, so that its paths stay, as stale ones, until they are learned anew.
        """
        if self.proto is not None:
            if not self.established():
                for _ in self.proto.new_notification(Notify(6, 7, b"")):
                    pass  # our connection takes it in the first step
            self._close("replaced by a new connection of the peer")
        self.proto = proto
        self.generator = None
        self._teardown = None
        self._delay.reset()
        self.reactor.turns.adopt(self)
        self.reactor.dialler.rest(self.address)

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
            self.reactor.turns.await_output(self.proto.fd(), wanted=wanted)
            if wanted:
                self.reactor.turns.stir(self)

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
        self.reactor.dialler.drop(self.address, time.monotonic())
        self.reactor.turns.watch(self)

    def shutdown(self) -> None:
        """Leave with the process; silently, so that a graceful-restart helper keeps our routes, if asked so."""
        if self.reactor.notify:
            self.cease(Notify(6, 2, b""), "the router shuts down")
        super().shutdown()

    def reestablish(self, restart_neighbor: Any = None) -> None:
        """Start over with a changed configuration."""
        self.reactor.dialler.drop(self.address, time.monotonic())
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

    def _send_open(self) -> Iterator[Any]:
        """Send our OPEN, unless the connection is ours and has it already."""
        assert self.proto is not None
        if self.proto.introduction is None:
            yield from super()._send_open()
        else:
            yield self.proto.introduction

    def _main(self) -> Iterator[Any]:
        proto = self.proto
        assert proto is not None
        connection = proto.connection
        if not proto.negotiated.holdtime:
            connection.keep_alive()
        self.reactor.met.add(self.address)
        dynamic = self.address in self.reactor.ranges.taken
        opens = proto.received_open, proto.sent_open
        up = Up(self.address, connection.local, dynamic, *opens, connection.ports)
        self.reactor.uplink.up(proto.generation, up)
        self.reactor.sessions[proto.generation] = self
        proto.since = time.monotonic()
        yield from super()._main()

    def _close(self, message: str = "", error: Any = "") -> None:
        proto, awaited, kept = self.proto, self._restart_time, self._kept
        if proto is not None:
            established = self.reactor.sessions.pop(proto.generation, None) is not None
            self.reactor.turns.release(proto.fd())
            urgent = established and not kept
            down = Down(self.address, reason(proto, message, error), proto.notification, established, urgent)
            self.reactor.uplink.down(proto.generation, down)
        super()._close(message, error)
        if proto is not None:
            now = time.monotonic()
            self.reactor.dialler.ended(self.address, down, max(0.0, now - proto.since), now, awaited=awaited)

    def _reset(self, message: str = "", error: Any = "") -> None:
        if self.address in self.reactor.ranges.taken:
            if self.established() and self._helped and self.address not in self.reactor.shut:
                self.reactor.keep_place(self.address, on=True)  # until the parent says otherwise
            self._restart = False
            self._teardown = 6
            self.reactor.forget(self)
        super()._reset(message, error)
