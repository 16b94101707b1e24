"""Dialling: the connections that the router opens, until the peer has sent its OPEN on them.

The router's own OPEN goes out at once, as the peer may be one that waits for it. From the peer's OPEN on, the
connection is like one that the peer has opened. Where both sides dial, RFC 4271 section 6.8 decides (`precedes`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from exabgp.bgp.message import Notify
from exabgp.reactor.network.error import LostConnection, NetworkError

from routerd.core.deadlines import Deadlines
from routerd.core.message import Notification, Open
from routerd.core.route import parse_address
from routerd.session.backoff import FIRST, RESTARTING, Backoff, Outcome
from routerd.session.configuration import SpeakerConfig
from routerd.session.exabgp.dial import Dial
from routerd.session.exabgp.greeting import Declined, read_open
from routerd.session.frames import Dialling, Down
from routerd.session.notification import words
from routerd.session.open import OpenError

CONNECT_WAIT = 10.0
"""Seconds that a peer has to answer the SYN, which the kernel repeats after 1, 3 and 7 s."""
OPEN_WAIT = 30.0
"""Seconds that it has for its OPEN then, and then for its KEEPALIVE."""
PRECEDENCE = 5.0
"""Seconds that a connection which the peer has opened waits for the OPEN on that of the router, at most."""


class Dialler:
    """Dials the peers that are to be dialled and have no session. `reactor` has the peers, and judges their OPENs."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._dials: dict[str, Dial] = {}  # address -> dial
        self._fds: dict[int, Dial] = {}
        self._dues = Deadlines[str]()

    def __contains__(self, fd: int) -> bool:
        return fd in self._fds

    @property
    def next(self) -> float | None:
        """When something is to be done though no socket has anything."""
        return self._dues.next

    # ------------------------------------------------------------------------------------------ what is wanted

    def configure(self, config: SpeakerConfig, now: float) -> None:
        """Dial whom the configuration says, at once if that is news. Sessions are left alone."""
        wanted = {peer.address: peer for peer in config.peers if peer.connect}
        for address in self._dials.keys() - wanted.keys():
            self.drop(address, now)
            self.rest(address)
            del self._dials[address]
        for address, peer in wanted.items():
            group, dial = config.peer_groups[peer.group], self._dials.get(address)
            if dial is None or (dial.peer, dial.group) != (peer, group):
                self.drop(address, now)
                self._dials[address] = Dial(peer, group)
                self._dues.set(address, now)

    def drop(self, address: str, now: float) -> None:
        """Give up what is under way with a peer, for a change of its configuration, and begin anew at once."""
        if (dial := self._dials.get(address)) is not None:
            self._close(dial, Notify(6, 6, b""))
            self._dues.set(address, now)

    def halt(self, address: str, notify: Any) -> None:
        """The operator has shut a peer down: end what is under way with it, and dial it no more (`_is_free`)."""
        if (dial := self._dials.get(address)) is not None:
            self._close(dial, notify)
            self.rest(address)

    def dial_at_once(self, address: str, now: float) -> None:
        """The operator wants the peer to have a session: whatever came of earlier attempts is past, and one that is
        under way may be one that nobody answers."""
        if (dial := self._dials.get(address)) is not None:
            self._close(dial, Notify(6, 4, b""))
            dial.backoff, dial.refused = Backoff(), False
            self._dues.set(address, now)

    def hurry(self, address: str, now: float) -> None:
        """Somebody is there: a connection of the peer's has come to nothing. Dial at once, but not twice a second.

        Where a session was refused, that is no reason to ask again.
        """
        dial = self._dials.get(address)
        if dial is not None and dial.fd == -1 and not dial.refused and self._is_free(address):
            self._dues.set(address, max(now, dial.began + FIRST))

    # ---------------------------------------------------------------------------------------------- collisions

    def precedes(self, address: str, opened: Open, now: float) -> bool:
        """Tell whether a connection that the peer has opened, with this valid OPEN, has to wait for the router's own.

        RFC 4271 section 6.8 keeps that of the speaker with the higher identifier, of equal ones that with the higher
        AS (RFC 6286 section 2.3). If that is the router, the peer's connection waits, for the router's may yet fail.
        If it is the peer, the router's gives way: but not once it has both OPENs. The KEEPALIVE is on its way then,
        with which the session is established for the peer, and an established one is what both sides keep. The peer's
        connection has not been sent an OPEN meanwhile, so that the peer cannot take it for the session.
        """
        peer = self._reactor.peer_at(address)
        if peer is not None and peer.proto is not None:
            return bool(peer.proto.dialled and not peer.established())
        dial = self._dials.get(address)
        if dial is None or dial.proto is None or now >= dial.connected + PRECEDENCE:
            return False
        router = self._reactor.config.router
        return (parse_address(router.router_id), router.asn) > (opened.router_id, opened.asn)

    def give_way(self, address: str) -> None:
        """Another connection becomes the session: end that of the router, if there is one."""
        if (dial := self._dials.get(address)) is not None:
            self._close(dial, Notify(6, 7, b""))

    def rest(self, address: str) -> None:
        """There is nothing to dial, such as while there is a session."""
        if address in self._dials:
            self._dues.set(address, None)
            self._reactor.uplink.dialling(Dialling(address, ""))

    def ended(self, address: str, down: Down, lived: float, now: float, *, awaited: int = 0) -> None:
        """A session that has stood for so many seconds has ended, or a connection that was to become one.

        A peer that restarts gracefully is awaited for so many seconds.
        """
        if (dial := self._dials.get(address)) is not None:
            outcome = Outcome.of(down.notification)
            delay = dial.backoff.after_session(lived, outcome) if down.established else dial.backoff.after(outcome)
            dial.refused = outcome is Outcome.REFUSED
            if down.established:
                dial.awaited = now + awaited
            self._wait(dial, down.reason, delay, now)

    # ------------------------------------------------------------------------------------------------- attempts

    def turn(self, ready: Iterable[int], now: float) -> None:
        """Go on with the connections whose sockets have something, and with what is due."""
        for fd in ready:
            if (dial := self._fds.get(fd)) is not None:
                self._go_on(dial, now)
        for address in self._dues.due(now):
            dial = self._dials[address]
            if dial.proto is not None:
                self._go_on(dial, now)  # what has come in time counts, if nobody has looked
                if dial.proto is not None:
                    self._refuse(dial, Notify(4, 0, b""), f"no OPEN within {OPEN_WAIT:g} s", now)
            elif dial.io is not None and dial.is_answered():
                self._connected(dial, now)
            elif dial.io is not None:
                self._fail(dial, f"no answer from {dial.where} within {CONNECT_WAIT:g} s", now)
            elif self._is_free(address):
                self._begin(dial, now)

    def _is_free(self, address: str) -> bool:
        """Tell whether the peer may have a session, and has neither one nor a connection that becomes one."""
        peer = self._reactor.peer_at(address)
        return address not in self._reactor.shut and peer is not None and peer.proto is None and not peer.stopping()

    def _begin(self, dial: Dial, now: float) -> None:
        """Open a connection; it is there, or not to be had, when its socket takes something."""
        dial.began = now
        try:
            dial.open(self._reactor.config)
        except OSError as error:
            self._fail(dial, dial.why(error), now)
            return
        self._watch(dial, output=True)
        self._dues.set(dial.peer.address, now + CONNECT_WAIT)
        self._report(dial, f"connecting to {dial.where}")

    def _go_on(self, dial: Dial, now: float) -> None:
        if dial.proto is None:
            self._connected(dial, now)
        else:
            self._hear(dial, now)

    def _connected(self, dial: Dial, now: float) -> None:
        """The connection is there, if it is."""
        self._unwatch(dial)
        try:
            dial.introduce(self._reactor.peer_at(dial.peer.address), now)
        except (OSError, NetworkError, MemoryError) as error:
            self._fail(dial, dial.why(error), now)
            return
        self._watch(dial, output=False)
        self._dues.set(dial.peer.address, now + OPEN_WAIT)
        self._report(dial, f"connected to {dial.where}, and waits for its OPEN")

    def _hear(self, dial: Dial, now: float) -> None:
        """The peer has said something, or has closed: with a valid OPEN the connection becomes the peer's own."""
        proto = dial.proto
        assert proto is not None
        try:
            opened = read_open(proto.connection, self._reactor.judge)
        except Declined as declined:
            self._give_up(dial, declined.said, words(declined.said), now)
        except LostConnection as lost:
            self._give_up(dial, None, f"{dial.where} ends the connection before its OPEN: {lost}", now)
        except OpenError as error:
            self._refuse(dial, Notify(2, error.subcode, error.data), str(error), now)
        except Notify as notify:
            self._refuse(dial, notify, "", now)
        except MemoryError:
            self._refuse(dial, Notify(6, 8, b""), "out of memory", now)
        else:
            if opened is not None:
                self._unwatch(dial)
                dial.proto = None
                proto.opened, proto.admitted = opened, now
                proto.peer.take(proto)

    # ------------------------------------------------------------------------------------------ what came of it

    def _fail(self, dial: Dial, why: str, now: float) -> None:
        """There is no connection."""
        self._close(dial)
        dial.refused = False
        self._wait(dial, why, dial.backoff.after(Outcome.AWAY), now, failed=True)

    def _refuse(self, dial: Dial, notify: Any, why: str, now: float) -> None:
        """End a connection with a NOTIFICATION."""
        said = Notification(True, notify.code, notify.subcode, notify.data)
        assert dial.proto is not None
        dial.proto.connection.queue(notify.message())
        self._give_up(dial, said, words(said, why), now)

    def _give_up(self, dial: Dial, said: Notification | None, why: str, now: float) -> None:
        """A connection has not become a session, with what was said, by whichever side."""
        assert dial.proto is not None
        self._reactor.uplink.down(dial.proto.generation, Down(dial.peer.address, why, said))
        self._close(dial)
        outcome = Outcome.of(said)
        dial.refused = outcome is Outcome.REFUSED
        self._wait(dial, why, dial.backoff.after(outcome), now)

    def _wait(self, dial: Dial, why: str, delay: float, now: float, *, failed: bool = False) -> None:
        if now < dial.awaited and not dial.refused:
            delay = min(delay, RESTARTING)
        self._dues.set(dial.peer.address, now + delay)
        self._report(dial, why, delay, failed=failed)

    def _report(self, dial: Dial, state: str, again: float | None = None, *, failed: bool = False) -> None:
        self._reactor.uplink.dialling(Dialling(dial.peer.address, state, again, failed))

    # -------------------------------------------------------------------------------------------------- sockets

    def _watch(self, dial: Dial, *, output: bool) -> None:
        self._fds[dial.fd] = dial
        self._reactor.turns.poll(dial.fd, output=output)

    def _unwatch(self, dial: Dial) -> None:
        if self._fds.pop(dial.fd, None) is not None:
            self._reactor.turns.unpoll(dial.fd)

    def _close(self, dial: Dial, notify: Any = None) -> None:
        """End what is under way, if anything is: with a NOTIFICATION, if the router has introduced itself."""
        self._unwatch(dial)
        dial.close(notify)
