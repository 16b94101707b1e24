"""One peer that is dialled: its socket, from the SYN until the peer's OPEN."""

from __future__ import annotations

import errno
import os
import select
import socket
from dataclasses import dataclass, field
from typing import Any

from exabgp.protocol.family import AFI
from exabgp.reactor.network.error import NetworkError

from routerd.session.backoff import Backoff
from routerd.session.configuration import Peer, PeerGroup, SpeakerConfig
from routerd.session.exabgp import ttl
from routerd.session.exabgp.connection import Connection
from routerd.session.exabgp.listener import TCP_MD5SIG_EXT, md5sig
from routerd.session.exabgp.protocol import Protocol
from routerd.session.text import external


@dataclass(slots=True, eq=False)
class Dial:
    """How far the router has come with a peer. With neither `io` nor `proto` it waits, or there is a session.

    `io` is the socket while it connects, `proto` the connection from then on until the peer's OPEN has come.
    `refused` tells that the last connection ended so. In monotonic seconds, `began` and `connected` are when, and
    `awaited` until when the peer has time for a graceful restart.
    """

    peer: Peer
    group: PeerGroup
    backoff: Backoff = field(default_factory=Backoff)
    io: socket.socket | None = None
    proto: Protocol | None = None
    refused: bool = False
    began: float = float("-inf")
    connected: float = 0.0
    awaited: float = float("-inf")

    @property
    def fd(self) -> int:
        """The file descriptor that it waits for; -1 for none."""
        if self.proto is not None:
            return int(self.proto.fd())
        return -1 if self.io is None else self.io.fileno()

    @property
    def where(self) -> str:
        """What is dialled, for people."""
        source = f" from {self.peer.local_address}" if self.peer.local_address else ""
        return f"{self.peer.address} port {self.peer.port}{source}"

    def open(self, config: SpeakerConfig) -> None:
        """Begin to connect, with all that a connection of this peer has to have; OSError where that cannot be."""
        address = self.peer.address
        family, length = (socket.AF_INET6, 128) if ":" in address else (socket.AF_INET, 32)
        self.io = socket.socket(family, socket.SOCK_STREAM)
        self.io.setblocking(False)
        ttl.dial(self.io, self.group, external=external(config, self.group))
        if self.group.password is not None:
            key = md5sig(f"{address}/{length}", self.group.password.encode())
            self.io.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG_EXT, key)
        if self.peer.local_address is not None:
            self.io.bind((self.peer.local_address, 0))
        try:
            self.io.connect((address, self.peer.port))
        except BlockingIOError:
            return  # as wanted

    def is_answered(self) -> bool:
        """Tell whether the kernel knows by now what became of the SYN."""
        assert self.io is not None
        poller = select.poll()
        poller.register(self.io, select.POLLOUT)
        return bool(poller.poll(0))

    def introduce(self, peer: Any, now: float) -> None:
        """Send our OPEN on the connection, if it is there; OSError, NetworkError or MemoryError if not."""
        io, address = self.io, self.peer.address
        assert io is not None
        if failed := io.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(failed, os.strerror(failed))
        local = io.getsockname()[0].partition("%")[0]
        connection = Connection(AFI.ipv6 if ":" in address else AFI.ipv4, address, local, io)
        proto = Protocol(peer, None).accept(connection)
        proto.introduce()
        self.io, self.proto, self.connected = None, proto, now

    def close(self, notify: Any = None) -> None:
        """End the connection, if there is one: with a NOTIFICATION, if the router has introduced itself."""
        io, proto = self.io, self.proto
        self.io = self.proto = None
        if io is not None:
            io.close()
        if proto is not None:
            if notify is not None:
                proto.connection.queue(notify.message())
            proto.connection.close()

    def why(self, error: OSError | NetworkError | MemoryError) -> str:
        """Return why there is no connection, for people."""
        number = error.errno if isinstance(error, OSError) else None
        if number == errno.ECONNREFUSED:
            return f"{self.where} refuses the connection: nobody listens there"
        if number == errno.EADDRNOTAVAIL and self.peer.local_address is not None:
            return f"this router has no address {self.peer.local_address} to dial {self.peer.address} from"
        return f"no connection to {self.where}: {os.strerror(number) if number else error or 'out of memory'}"
