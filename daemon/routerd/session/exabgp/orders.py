"""What the parent wants of the reactor, carried out."""

from __future__ import annotations

import time
from typing import Any

from exabgp.bgp.message import Notify

from routerd.session.configuration import unpack_config
from routerd.session.frames import Frame, Kind, unpack
from routerd.session.notification import RESET, SHUTDOWN, SHUTDOWN_COMMUNICATION, communication


class Orders:
    """Takes the parent's frames. `reactor` has the sessions that they are about."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def handle(self, received: Frame) -> None:
        """Do what a frame says; nothing if it is about a session that has ended meanwhile."""
        kind, generation, payload = received
        reactor = self._reactor
        if kind == Kind.STOP:
            reactor.notify = payload == b"\1"
            reactor.stop()
        elif kind == Kind.CONFIGURE:
            try:
                reactor.configure(unpack_config(payload))
            except (OSError, ValueError) as error:
                reactor.uplink.log("error", f"the new configuration is not fully in force: {error}")
        elif kind == Kind.KEEP_PLACE:
            address, on = unpack(payload)
            reactor.keep_place(address.decode(), on=on == b"\1")
        elif kind == Kind.SHUTDOWN:
            address, on, text = unpack(payload)
            self._shut(address.decode(), text, on=on == b"\1")
        elif kind == Kind.DIAL:
            reactor.dialler.dial_at_once(unpack(payload)[0].decode(), time.monotonic())
        elif (peer := reactor.sessions.get(generation)) is None:
            return
        elif kind == Kind.SEND:
            peer.send(payload)
        elif kind == Kind.CLOSE:
            codes, text = unpack(payload)
            peer.cease(Notify(codes[0], codes[1], _data(codes, text)), text.decode())
            if tuple(codes) == RESET:
                reactor.dialler.dial_at_once(peer.address, time.monotonic())

    def _shut(self, address: str, text: bytes, *, on: bool) -> None:
        """Give a peer no session, not even one that is about to be; or let it have one again."""
        reactor = self._reactor
        if not on:
            reactor.shut.pop(address, None)
            reactor.dialler.dial_at_once(address, time.monotonic())
            return
        reactor.shut[address] = _data(bytes(SHUTDOWN), text)
        reactor.pending.turn_away(address, reactor.shutdown_of(address))
        if (peer := reactor.peer_at(address)) is not None:
            peer.cease(reactor.shutdown_of(address))
        reactor.dialler.halt(address, reactor.shutdown_of(address))


def _data(codes: bytes, text: bytes) -> bytes:
    """Return the data of a NOTIFICATION: what may be said to the peer's operator, where it may stand."""
    return communication(text.decode()) if tuple(codes) in SHUTDOWN_COMMUNICATION else b""
