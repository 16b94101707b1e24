"""The TTL, or hop limit, of a connection: what is sent, and what is taken (RFC 5082)."""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

from routerd.session.configuration import PeerGroup

SENT = 255
"""What a listening socket sends, and so the SYN-ACK, which comes before anybody knows whose it is: a peer with TTL
security takes nothing less. What is refused says so with it, too."""

_DEFAULT = -1
_TCP_SAVE_SYN = 27  # linux/tcp.h
_TCP_SAVED_SYN = 28
_SYN_SIZE = 256


class _Options(NamedTuple):
    """Of one family: level, what is sent, what is taken at least, and where the SYN has it (linux/in.h, in6.h)."""

    level: int
    sent: int
    least: int
    offset: int


_OPTIONS = {
    socket.AF_INET: _Options(socket.IPPROTO_IP, socket.IP_TTL, 21, 8),
    socket.AF_INET6: _Options(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 73, 7),
}


def prepare(listening: socket.socket) -> None:
    """Have a listening socket send the largest TTL, and keep the SYNs that it gets."""
    options = _OPTIONS[socket.AddressFamily(listening.family)]
    listening.setsockopt(options.level, options.sent, SENT)
    listening.setsockopt(socket.IPPROTO_TCP, _TCP_SAVE_SYN, 1)


def dial(dialling: socket.socket, group: PeerGroup, *, external: bool) -> None:
    """Set what a peer of the group is sent and has to send, before it is dialled: its SYN-ACK counts, too."""
    options = _OPTIONS[socket.AddressFamily(dialling.family)]
    if group.ttl_security:
        dialling.setsockopt(options.level, options.sent, SENT)
        dialling.setsockopt(options.level, options.least, group.least_ttl)
    else:
        dialling.setsockopt(options.level, options.sent, group.multihop if external else _DEFAULT)


def enforce(accepted: socket.socket, group: PeerGroup, *, external: bool) -> str:
    """Set what a peer of the group is sent and has to send. Return why it cannot be let in; empty if it can.

    The kernel drops later packets whose TTL is too low. The SYN came before that was known: it is looked at here.
    """
    options = _OPTIONS[socket.AddressFamily(accepted.family)]
    try:
        if not group.ttl_security:
            accepted.setsockopt(options.level, options.sent, group.multihop if external else _DEFAULT)
            return ""
        accepted.setsockopt(options.level, options.least, group.least_ttl)
        syn = accepted.getsockopt(socket.IPPROTO_TCP, _TCP_SAVED_SYN, _SYN_SIZE)
    except OSError as error:
        return f"its TTL cannot be set: {os.strerror(error.errno or 0)}"
    if len(syn) > options.offset and syn[options.offset] < group.least_ttl:  # empty after a SYN cookie
        return f"TTL security: it came with a TTL of {syn[options.offset]}, at least {group.least_ttl} is wanted"
    return ""
