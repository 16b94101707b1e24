"""The listening sockets: binding, TCP MD5 keys per peer and per range, and taking connections in."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from typing import Any

from exabgp.protocol.family import AFI
from exabgp.protocol.ip import IP
from exabgp.reactor.listener import Listener as ExaListener
from exabgp.reactor.network.error import NetworkError

from routerd.session.configuration import SpeakerConfig
from routerd.session.exabgp import ttl
from routerd.session.exabgp.connection import Connection

TCP_MD5SIG_EXT = 32  # linux/tcp.h
_FLAG_PREFIX = 1
_KEY_SIZE = 80
_ACCEPTS = 128

Keys = dict[str, bytes]


class Listener(ExaListener):  # type: ignore[misc]
    """Binds, keys and accepts by itself; ExaBGP's reactor only asks it once per turn whether something came."""

    def __init__(self, reactor: Any, backlog: int = 1024) -> None:
        super().__init__(reactor, backlog)
        self._keys: dict[socket.socket, Keys] = {}
        self.dialled = True
        """Whether a connection may wait to be taken in."""

    def apply(self, config: SpeakerConfig) -> None:
        """Listen where the configuration says, with its keys.

        OSError with a text that names the place when one cannot be bound; all others are.
        """
        wanted = {(IP.create(address).top(), config.router.port) for address in config.router.listen}
        # First, because a wildcard and an address of its family cannot listen on one port at a time.
        self.close_unwanted(wanted)
        bound = {(entry[0], entry[1]) for entry in self._sockets.values()}
        failed: OSError | None = None
        for place in sorted(wanted - bound):
            try:
                self._bind(*place)
            except OSError as error:
                failed = failed or error
        keys = md5_keys(config)
        for sock in self._sockets:
            self._set_keys(sock, keys)
        self._keys = {sock: kept for sock, kept in self._keys.items() if sock in self._sockets}
        if failed is not None:
            raise failed

    @property
    def places(self) -> list[str]:
        """Where it listens: `address port`."""
        return [f"{entry[0]} {entry[1]}" for entry in self._sockets.values()]

    def _bind(self, address: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT and address == "::":
                return  # a kernel without IPv6: the wildcard asks for whatever there is
            raise
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            ttl.prepare(sock)
            sock.setblocking(False)
            sock.bind((address, port))
            sock.listen(self._backlog)
        except OSError as error:
            sock.close()
            text = f"cannot listen on {address} port {port}: {os.strerror(error.errno or 0)}"
            if error.errno == errno.EACCES:
                text += " (a port below 1024 needs CAP_NET_BIND_SERVICE)"
            raise OSError(error.errno, text) from None
        self._sockets[sock] = (address, port, None, None)
        self._reactor.turns.poll(sock.fileno())
        self.serving = True

    def _set_keys(self, sock: socket.socket, wanted: Keys) -> None:
        """Make the kernel's keys for a socket equal to `wanted` (network -> key), of the socket's family alone."""
        version = 6 if sock.family == socket.AF_INET6 else 4
        wanted = {net: key for net, key in wanted.items() if ipaddress.ip_network(net).version == version}
        present = self._keys.get(sock, {})
        for network in present.keys() - wanted.keys():
            sock.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG_EXT, md5sig(network, b""))
        for network, key in wanted.items():
            if present.get(network) != key:
                self._set_key(sock, network, key, len(wanted))
        self._keys[sock] = wanted

    @staticmethod
    def _set_key(sock: socket.socket, network: str, key: bytes, number: int) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG_EXT, md5sig(network, key))
        except OSError as error:
            text = f"cannot set the password of {network}: {os.strerror(error.errno or 0)}"
            if error.errno == errno.ENOMEM:
                text += (
                    f" (the kernel has no room for {number} passwords on a socket: raise net.core.optmem_max, "
                    "160 octets for each, or give nodes of one range one password there)"
                )
            raise OSError(error.errno, text) from None

    def listen_on(self, *_: Any) -> bool:
        """Do nothing: `apply` has bound the sockets and set the keys."""
        return True

    def incoming(self) -> bool:
        """Take in all connections that wait. False, because nothing is left for ExaBGP to do with them."""
        if not self.dialled:
            return False
        self.dialled = False  # what is left after this, poll reports again
        for sock in self._sockets:
            for _ in range(_ACCEPTS):
                try:
                    io = sock.accept()[0]
                except BlockingIOError:
                    break
                except OSError as error:  # ECONNABORTED, or out of file descriptors
                    self._reactor.uplink.log("warning", f"accept: {os.strerror(error.errno or 0)}")
                    break
                self._take_in(io)
        return False

    def _take_in(self, io: socket.socket) -> None:
        try:
            peer, local = (end[0].partition("%")[0] for end in (io.getpeername(), io.getsockname()))
            afi = AFI.ipv6 if io.family == socket.AF_INET6 else AFI.ipv4
            connection = Connection(afi, peer, local, io)
        except (OSError, NetworkError) as error:  # gone before we looked at it
            self._reactor.uplink.log("info", f"a connection was lost at once: {error}")
            io.close()
            return
        self._reactor.meet(connection)


def md5_keys(config: SpeakerConfig) -> Keys:
    """Return the TCP MD5 key (RFC 2385) of every network that has one; a static peer is a network of its own."""
    networks = [(each.range, each.group) for each in config.dynamic_peers]
    networks += [(str(ipaddress.ip_network(peer.address)), peer.group) for peer in config.peers]
    passwords = {network: config.peer_groups[group].password for network, group in networks}
    return {network: text.encode() for network, text in passwords.items() if text is not None}


def md5sig(network: str, key: bytes) -> bytes:
    """Return a `struct tcp_md5sig` (linux/tcp.h): socket address, flags, prefix length, key; no key deletes."""
    net = ipaddress.ip_network(network)
    packed = net.network_address.packed
    if net.version == 4:
        address = struct.pack("=HH4s", socket.AF_INET, 0, packed)
    else:
        address = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, packed, 0)
    tail = struct.pack(f"=BBHi{_KEY_SIZE}s", _FLAG_PREFIX, net.prefixlen, len(key), 0, key)
    return address.ljust(128, b"\0") + tail
