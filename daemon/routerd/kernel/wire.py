"""Netlink on raw sockets: headers, attributes, errors and dumps.

pyroute2 builds an object for every attribute, which takes seconds and stalls the event loop at 100,000 routes;
what is frequent is therefore packed and parsed here. Source: kernel doc userspace-api/netlink/intro.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEXTHOP, RTM_DELNEXTHOP, RTM_GETNEXTHOP = 104, 105, 106
RTM_NEWNEXTHOPBUCKET, RTM_GETNEXTHOPBUCKET = 116, 118

NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE = 1, 2, 3
NLM_F_REQUEST, NLM_F_ACK = 0x1, 0x4
NLM_F_DUMP_INTR = 0x10
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE, NLM_F_APPEND = 0x100, 0x200, 0x400, 0x800
NLM_F_DUMP = 0x300
NLM_F_ACK_TLVS = 0x200

RTN_UNICAST = 1
TABLE = 254
"""The routing table that routerd's routes are in, and others' are read of: RT_TABLE_MAIN. In struct rtmsg it has an
octet."""

HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, port id."""

_ATTRIBUTE = struct.Struct("=HH")
_U32 = struct.Struct("=I")
_ERROR_HEADER = 4 + HEADER.size
_NLMSGERR_ATTR_MSG = 1
_TYPE_MASK = 0x3FFF
_DATAGRAM = 65536

_SOL_NETLINK = 270
_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK = 10, 11, 12
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33


class DumpInterruptedError(OSError):
    """The tables changed under a dump, which may therefore lack or repeat entries (NLM_F_DUMP_INTR)."""


def open_socket(
    *, groups: int = 0, send_buffer: int = 0, receive_buffer: int = 0, protocol: int = socket.NETLINK_ROUTE
) -> socket.socket:
    """Open a netlink socket in the network namespace of the calling thread.

    `groups` is the legacy bit mask of multicast groups. Buffers are bytes, 0 for the default; beyond the limits
    of net.core they need CAP_NET_ADMIN in the initial user namespace, else the kernel gives what it allows.
    """
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
        sock.setsockopt(_SOL_NETLINK, option, 1)
    for size, force, modest in (
        (send_buffer, _SO_SNDBUFFORCE, socket.SO_SNDBUF),
        (receive_buffer, _SO_RCVBUFFORCE, socket.SO_RCVBUF),
    ):
        if size:
            try:
                sock.setsockopt(socket.SOL_SOCKET, force, size)
            except PermissionError:
                sock.setsockopt(socket.SOL_SOCKET, modest, size)
    sock.bind((0, groups))
    return sock


def attribute(kind: int, payload: bytes) -> bytes:
    """Return one attribute (struct nlattr), padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def attributes(data: bytes, offset: int, end: int) -> dict[int, bytes]:
    """Return the attributes of `data[offset:end]` by type, their flag bits (nested, byte order) removed."""
    found: dict[int, bytes] = {}
    while offset + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4:
            raise ValueError(f"netlink attribute of {length} bytes")
        found[kind & _TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def request(kind: int, flags: int, body: bytes, sequence: int = 0) -> bytes:
    """Return a whole request message."""
    return HEADER.pack(HEADER.size + len(body), kind, flags | NLM_F_REQUEST, sequence, 0) + body


def numbered(sequence: int, message: bytes) -> bytes:
    """Return a request with another sequence number."""
    return message[:8] + _U32.pack(sequence) + message[12:]


def error(data: bytes, offset: int = 0) -> tuple[int, int, str]:
    """Return sequence, positive errno (0: acknowledged) and text of the NLMSG_ERROR message at `offset`.

    The text is the extended acknowledgement, else what the C library says for the errno.
    """
    length, _, flags, sequence, _ = HEADER.unpack_from(data, offset)
    number = -struct.unpack_from("=i", data, offset + HEADER.size)[0]
    text = b""
    if flags & NLM_F_ACK_TLVS:
        found = attributes(data, offset + HEADER.size + _ERROR_HEADER, offset + length)
        text = found.get(_NLMSGERR_ATTR_MSG, b"").rstrip(b"\0")
    return sequence, number, text.decode(errors="replace") or os.strerror(number)


def query(message: bytes, *, protocol: int = socket.NETLINK_ROUTE) -> bytes:
    """Send a GET for one object and return the answer; OSError with the kernel's errno and text if refused."""
    with open_socket(protocol=protocol) as sock:
        sock.send(message)
        data = sock.recv(_DATAGRAM)
    if HEADER.unpack_from(data)[1] == NLMSG_ERROR:
        _, number, text = error(data)
        raise OSError(number, text)
    return data


def dump(
    kind: int, body: bytes, *, consistent: bool = False, protocol: int = socket.NETLINK_ROUTE
) -> Iterator[tuple[bytes, int, int]]:
    """Yield (datagram, start, end) of every message body that a dump request of type `kind` brings.

    With `consistent`, raises DumpInterruptedError at the end if the tables changed meanwhile. Raises OSError with the
    kernel's errno if the dump is refused. Blocks; every dump has a socket of its own.
    """
    with open_socket(protocol=protocol) as sock:
        _make_room(sock)
        yield from dump_on(sock, kind, body, consistent=consistent)


def _make_room(sock: socket.socket) -> None:
    """Have dumps on a new socket begin with 32 KB, as much as the kernel takes at a time once it has seen a recv() of
    that. It begins with 4 KB, and ends the dump without a word if the first route, with its legs, does not fit."""
    sock.send(request(NLMSG_NOOP, NLM_F_ACK, b""))
    sock.recv(_DATAGRAM)


def dump_on(
    sock: socket.socket, kind: int, body: bytes, *, consistent: bool = False
) -> Iterator[tuple[bytes, int, int]]:
    """Do as `dump`, on a socket that is kept, for what is asked often. It is of no use any more if the dump was not
    read to its end."""
    sock.send(request(kind, NLM_F_DUMP, body))
    interrupted = 0
    while True:
        data = sock.recv(_DATAGRAM)
        offset = 0
        while offset < len(data):
            length, answer, flags, _, _ = HEADER.unpack_from(data, offset)
            interrupted |= flags & NLM_F_DUMP_INTR
            if answer in (NLMSG_DONE, NLMSG_ERROR):
                number = -struct.unpack_from("=i", data, offset + HEADER.size)[0]
                if number:
                    raise OSError(number, os.strerror(number))
                if interrupted and consistent:
                    raise DumpInterruptedError("the tables changed during the dump")
                return
            yield data, offset + HEADER.size, offset + length
            offset += (length + 3) & ~3


def dump_alike(kind: int, body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (datagram, size, end) of a dump whose messages are all of one size, header included; they are in the
    datagram up to `end`. Raises OSError with the kernel's errno if the dump is refused."""
    with open_socket() as sock:
        sock.send(request(kind, NLM_F_DUMP, body))
        while True:
            data = sock.recv(_DATAGRAM)
            size, answer, *_ = HEADER.unpack_from(data)
            end = len(data) // size * size if answer not in (NLMSG_DONE, NLMSG_ERROR) else 0
            if end:
                yield data, size, end
            if end < len(data):
                number = -struct.unpack_from("=i", data, end + HEADER.size)[0]
                if number:
                    raise OSError(number, os.strerror(number))
                return
