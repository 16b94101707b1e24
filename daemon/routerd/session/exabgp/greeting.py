"""The first message on a connection, which has to be an OPEN (RFC 4271 section 8.2.2)."""

from __future__ import annotations

from collections.abc import Callable

from exabgp.bgp.message import Notify
from exabgp.reactor.network.error import LostConnection

from routerd.core.message import Notification, Open
from routerd.session.exabgp.connection import Connection

_OPEN = 1
_NOTIFICATION = 3
_LONGEST_OPEN = 4096


class Declined(LostConnection):  # type: ignore[misc]
    """The peer has said a NOTIFICATION in place of its OPEN."""

    def __init__(self, said: Notification) -> None:
        super().__init__("the peer has changed its mind")
        self.said = said


def read_open(connection: Connection, judge: Callable[[str, bytes], Open]) -> Open | None:
    """Return a connection's OPEN if `judge` finds it valid for the address; None while it has not come.

    It stays in the connection, to be read again. LostConnection, OpenError or Notify for anything else.
    """
    first = connection.peek()
    if first is None and connection.receive(_LONGEST_OPEN):
        first = connection.peek()
    if first is None:
        return None
    kind, body = first
    if kind == _NOTIFICATION:
        raise Declined(Notification(False, body[0], body[1], body[2:]))
    if kind != _OPEN:
        raise Notify(5, 1, bytes([kind]))  # RFC 6608 section 4
    return judge(connection.peer, body)
