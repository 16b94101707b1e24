"""Hears what others, and the kernel itself, change under routerd, and says so coarsely: dump and reconcile.

The route groups are not joined: every listener makes the kernel announce each route under a replaced group
(100,000 notifications), and what it flushes with a nexthop it does not announce at all. The audit finds those.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import socket
import struct
from collections.abc import Callable

from routerd.core.route import format_address
from routerd.kernel import neighbour, parse, wire
from routerd.kernel.neighbour import Neighbour

_RTMGRP_LINK, _RTMGRP_IPV4_IFADDR, _RTMGRP_IPV6_IFADDR, _RTMGRP_NEXTHOP = 0x1, 0x10, 0x100, 1 << 31
_RTMGRP_NEIGH = 0x4
_GROUPS = _RTMGRP_LINK | _RTMGRP_NEIGH | _RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR | _RTMGRP_NEXTHOP
_RECEIVE_BUFFER = 4 << 20
_DATAGRAM = 65536
_TURN = 256
"""Notifications that are read before the event loop has its turn again."""

_SO_ATTACH_FILTER = 26
_TYPE_OFFSET = 4
_STATE_OFFSET, _FLAGS_OFFSET = wire.HEADER.size + 8, wire.HEADER.size + 10
_TOLD = neighbour.NUD_FAILED | neighbour.NUD_NOARP | neighbour.NUD_PERMANENT
_PORT_OFFSET = 12
"""Where struct nlmsghdr has the port id of whoever asked for the change; 0 for the kernel's own doing."""

OVERRUN = "netlink overrun: notifications were lost"
"""The reason for reading the kernel again when it has told more than was read."""


class Monitor:
    """Calls `on_change(reason)` on the event loop when links, addresses or routerd's nexthops change.

    `port` is the netlink port of the writer, whose changes are filtered out in the kernel; `owns` tells whether
    a nexthop id is routerd's. `reason` is a line for people. `on_neighbour(entry, port)` is called for neighbours
    that have failed or are foreign; `port` is the netlink port of who did it, 0 for the kernel and for ioctl. Watches
    the namespace in which it is made.
    """

    def __init__(
        self,
        port: int,
        owns: Callable[[int], bool],
        on_change: Callable[[str], None],
        on_neighbour: Callable[[Neighbour, int], None],
    ) -> None:
        self._on_neighbour = on_neighbour
        self._owns = owns
        self._on_change = on_change
        self._links: dict[int, parse.Link] = {}
        self._addresses: set[parse.InterfaceAddress] = set()
        self._socket = wire.open_socket(groups=_GROUPS, receive_buffer=_RECEIVE_BUFFER)
        self._socket.setblocking(False)
        _filter(self._socket, port)

    def start(self) -> None:
        """Begin to listen, on the running event loop."""
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    def close(self) -> None:
        """Stop listening; call it on the event loop of `start`."""
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()

    def _read(self) -> None:
        for _ in range(_TURN):
            try:
                data = self._socket.recv(_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                # What was known of links and addresses may be old now, so that every notification is news again.
                self._links.clear()
                self._addresses.clear()
                self._on_change(OVERRUN)
                continue
            if reason := self._reason(data):
                self._on_change(reason)

    def _reason(self, data: bytes) -> str:
        """Return what a notification means, or an empty string if it brings nothing new."""
        length, kind, _, _, port = wire.HEADER.unpack_from(data)
        body = (data, wire.HEADER.size, length)
        match kind:
            case wire.RTM_NEWLINK | wire.RTM_DELLINK:
                return self._link(parse.link(*body), kind == wire.RTM_DELLINK)
            case wire.RTM_NEWADDR | wire.RTM_DELADDR:
                return self._address(parse.address(*body), kind == wire.RTM_DELADDR)
            case wire.RTM_NEWNEXTHOP | wire.RTM_DELNEXTHOP:
                id_ = parse.nexthop(*body).id
                if not self._owns(id_):
                    return ""
                done = "deleted" if kind == wire.RTM_DELNEXTHOP else "changed"
                return f"nexthop id {id_} {done} by someone else"
            case neighbour.RTM_NEWNEIGH:
                found = neighbour.parse_neighbour(*body)
                if found is not None:
                    self._on_neighbour(found, port)
        return ""

    def _link(self, link: parse.Link, deleted: bool) -> str:
        if deleted:
            self._links.pop(link.ifindex, None)
            return f"interface {link.name} deleted"
        if self._links.get(link.ifindex) == link:
            return ""
        self._links[link.ifindex] = link
        return f"interface {link.name} {'up' if link.up else 'down'}"

    def _address(self, entry: parse.InterfaceAddress, removed: bool) -> str:
        """IPv6 addresses are announced again whenever a router advertisement extends their life."""
        name = self._links[entry.ifindex].name if entry.ifindex in self._links else str(entry.ifindex)
        text = f"address {format_address(entry.address)} on interface {name}"
        if removed:
            self._addresses.discard(entry)
            return f"{text} removed"
        if entry in self._addresses:
            return ""
        self._addresses.add(entry)
        return f"{text} added"


def _filter(sock: socket.socket, port: int) -> None:
    """Attach a classic BPF filter that drops what `port` caused, and ordinary neighbours that have not failed: every
    probe changes a neighbour's state twice."""
    # BPF loads words in network order, the header has the host's.
    (swapped,) = struct.unpack(">I", struct.pack("=I", port))
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (0x20, 0, 0, _PORT_OFFSET),  # load the word at the offset
            (0x15, 6, 0, swapped),  # equal: drop
            (0x28, 0, 0, _TYPE_OFFSET),  # load the half word at the offset
            (0x15, 0, 5, socket.htons(neighbour.RTM_NEWNEIGH)),  # not a neighbour: keep
            (0x28, 0, 0, _STATE_OFFSET),
            (0x45, 3, 0, socket.htons(_TOLD)),  # any of these bits: keep
            (0x30, 0, 0, _FLAGS_OFFSET),  # load the byte at the offset
            (0x45, 1, 0, neighbour.NTF_EXT_LEARNED),  # keep
            (0x06, 0, 0, 0),
            (0x06, 0, 0, 0xFFFFFFFF),  # keep all
        )
    )
    buffer = ctypes.create_string_buffer(program, len(program))
    sock.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    )
