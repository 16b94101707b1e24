"""Hears what others, and the kernel itself, change under routerd.

Of links, addresses and routerd's nexthops it says coarsely that they changed: dump and reconcile. Of routes, and of
the nexthops that others' routes lead to, it says what changed: they may be a full table, which nobody wants to dump
again. What the kernel flushes of IPv4 with a nexthop, a link or an address it does not announce at all: the audit
finds that.
"""

from __future__ import annotations

import asyncio
import errno
import select
import socket
import time
from collections.abc import Callable, Collection
from typing import Protocol

from routerd.core.message import ForeignRoute, NexthopChange, RouteChange
from routerd.core.route import format_address
from routerd.kernel import dump, filter, neighbour, parse, wire
from routerd.kernel.neighbour import Neighbour

_RTMGRP_LINK, _RTMGRP_IPV4_IFADDR, _RTMGRP_IPV6_IFADDR, _RTMGRP_NEXTHOP = 0x1, 0x10, 0x100, 1 << 31
_RTMGRP_NEIGH, _RTMGRP_IPV4_ROUTE, _RTMGRP_IPV6_ROUTE = 0x4, 0x40, 0x400
_GROUPS = (
    _RTMGRP_LINK
    | _RTMGRP_NEIGH
    | _RTMGRP_IPV4_IFADDR
    | _RTMGRP_IPV6_IFADDR
    | _RTMGRP_IPV4_ROUTE
    | _RTMGRP_IPV6_ROUTE
    | _RTMGRP_NEXTHOP
)
_RECEIVE_BUFFER = 32 << 20
"""Octets. The kernel allows twice as many, and counts 1,280 for a route: another daemon that starts may write or
delete 100,000 within a second."""
_DATAGRAM = 65536
_TURN = 0.003
"""Seconds after which the event loop has its turn again, however many notifications are left. Each time one is read,
threads that work meanwhile may have the interpreter for a while."""

OVERRUN = "netlink overrun: notifications were lost"
"""The reason for reading the kernel again when it has told more than was read."""


class Listener(Protocol):
    """Who is told, on the event loop, and says what is routerd's."""

    def owns(self, id_: int) -> bool:
        """Tell whether a nexthop or group is routerd's."""

    def owns_route(self, route: ForeignRoute) -> bool:
        """Tell whether a route bears routerd's marks."""

    def kernel_changed(self, reason: str) -> None:
        """Links, addresses or routerd's nexthops changed. `reason` is a line for people."""

    def routes_stale(self) -> None:
        """The kernel may have changed routes without a word, or its words were lost."""

    def routes_changed(self, changes: tuple[RouteChange | NexthopChange, ...]) -> None:
        """Others changed routes of the main table, or nexthops that are not routerd's."""

    def not_understood(self, error: Exception) -> None:
        """A notification could not be taken in; those after it are."""


class Monitor:
    """Listens in the namespace in which it is made. The links and addresses that are there then are no news: an IPv6
    address is announced again once the kernel knows that nobody else has it, a second or two after its link came up,
    and whenever a router advertisement extends its life. OSError if netlink fails.

    `ports` are the netlink ports of the sockets that routes, nexthops and groups are written from: what these change
    is filtered out in the kernel. `on_neighbour(entry, port)` is called for neighbours that have failed or are
    foreign; `port` is the netlink port of who did it, 0 for the kernel and for ioctl. Without an entry it means that
    some such may have gone unheard.
    """

    def __init__(
        self, ports: Collection[int], listener: Listener, on_neighbour: Callable[[Neighbour | None, int], None]
    ) -> None:
        self._listener = listener
        self._on_neighbour = on_neighbour
        self._routes = parse.RouteParser()
        self._changes: list[RouteChange | NexthopChange] = []
        self._overrun = False
        self._ports = ports
        self._broken: asyncio.Future[None] | None = None
        self._socket: socket.socket | None = self._open()
        self._links = {link.ifindex: link for link in dump.links()}
        self._addresses = {(each.ifindex, each.address): each for each in dump.addresses()}

    def _open(self) -> socket.socket:
        opened = wire.open_socket(groups=_GROUPS, receive_buffer=_RECEIVE_BUFFER)
        opened.setblocking(False)
        filter.attach(opened, self._ports)
        return opened

    def start(self) -> None:
        """Begin to listen, on the running event loop; OSError if the socket has failed and no other is to be had."""
        loop = asyncio.get_running_loop()
        if self._socket is None:
            self._socket = self._open()
        self._broken = loop.create_future()
        loop.add_reader(self._socket.fileno(), self._read, self._socket)

    async def run(self) -> None:
        """Listen until the socket fails, and raise why. If it has failed before, the kernel is to be read anew: what
        it told meanwhile is lost."""
        if self._socket is None:
            self.start()
            self._lose()
            self._tell_overrun()
        assert self._broken is not None
        await self._broken

    def close(self) -> None:
        """Stop listening; call it on the event loop of `start`."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _read(self, opened: socket.socket) -> None:
        try:
            self._read_turn(opened)
        except OSError as error:
            self.close()
            if self._broken is not None and not self._broken.done():
                self._broken.set_exception(error)
        if self._changes:
            changes, self._changes = tuple(self._changes), []
            self._listener.routes_changed(changes)

    def _read_turn(self, opened: socket.socket) -> None:
        until, more = time.monotonic() + _TURN, True
        while more:
            more = time.monotonic() < until
            try:
                data = opened.recv(_DATAGRAM)
            except BlockingIOError:
                if self._overrun:
                    self._tell_overrun()
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._lose()
                continue
            try:
                self._hear(data)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next may say that a node is lost
                self._listener.not_understood(error)
                self._lose()
        if self._overrun and _is_empty(opened):
            self._tell_overrun()

    def _lose(self) -> None:
        self._overrun = True
        self._on_neighbour(None, 0)

    def _tell_overrun(self) -> None:
        """Something that the kernel told is lost, and the socket is empty: read it from here on.

        What was known of links and addresses may be old, so that every notification is news again.
        """
        self._overrun = False
        self._links.clear()
        self._addresses.clear()
        self._listener.kernel_changed(OVERRUN)
        self._listener.routes_stale()

    def _hear(self, data: bytes) -> None:
        length, kind, flags, _, port = wire.HEADER.unpack_from(data)
        body = (data, wire.HEADER.size, length)
        match kind:
            case wire.RTM_NEWROUTE | wire.RTM_DELROUTE:
                self._route(body, flags, deleted=kind == wire.RTM_DELROUTE)
            case wire.RTM_NEWLINK | wire.RTM_DELLINK if data[wire.HEADER.size] != socket.AF_BRIDGE:
                self._tell(self._link(parse.link(*body), kind == wire.RTM_DELLINK))
            case wire.RTM_NEWADDR | wire.RTM_DELADDR:
                self._tell(self._address(parse.address(*body), kind == wire.RTM_DELADDR))
            case wire.RTM_NEWNEXTHOP | wire.RTM_DELNEXTHOP:
                self._nexthop(body, deleted=kind == wire.RTM_DELNEXTHOP)
            case neighbour.RTM_NEWNEIGH:
                found = neighbour.parse_neighbour(*body)
                if found is not None:
                    self._on_neighbour(found, port)

    def _tell(self, reason: str) -> None:
        if reason:
            self._listener.kernel_changed(reason)

    def _route(self, body: tuple[bytes, int, int], flags: int, *, deleted: bool) -> None:
        prefix, found = self._routes.parse(*body)
        if found and not parse.is_scoped(prefix):
            own = self._listener.owns_route(found[0])
            replaces, appended = bool(flags & wire.NLM_F_REPLACE), bool(flags & wire.NLM_F_APPEND)
            self._changes.append(RouteChange(prefix, found[0], own, deleted, replaces, appended))

    def _nexthop(self, body: tuple[bytes, int, int], *, deleted: bool) -> None:
        found = parse.nexthop(*body)
        if self._listener.owns(found.id):
            self._tell(f"nexthop id {found.id} {'deleted' if deleted else 'changed'} by someone else")
        else:
            self._changes.append(NexthopChange(found.id, None if deleted else found))

    def _link(self, link: parse.Link, deleted: bool) -> str:
        """Return what this means, or an empty string if it brings nothing new."""
        if deleted:
            self._links.pop(link.ifindex, None)
            self._listener.routes_stale()
            return f"interface {link.name} deleted"
        if self._links.get(link.ifindex) == link:
            return ""
        # Routes are flushed with a link, and others (IPv6, several legs) hidden and shown with its carrier.
        self._listener.routes_stale()
        self._links[link.ifindex] = link
        return f"interface {link.name} {'up' if link.up else 'down'}"

    def _address(self, entry: parse.InterfaceAddress, removed: bool) -> str:
        """Return what this means, or an empty string if it brings nothing new."""
        name = self._links[entry.ifindex].name if entry.ifindex in self._links else str(entry.ifindex)
        text = f"address {format_address(entry.address)} on interface {name}"
        key = entry.ifindex, entry.address
        if removed:
            self._addresses.pop(key, None)
            self._listener.routes_stale()
            return f"{text} removed"
        if self._addresses.get(key) == entry:
            return ""
        self._addresses[key] = entry
        return f"{text} added"


def _is_empty(opened: socket.socket) -> bool:
    look = select.poll()
    look.register(opened, select.POLLIN)
    return not look.poll(0)
