"""A BGP load generator on raw sockets: many peers in one process, UPDATEs built beforehand.

Run inside a node's namespace. It dials the router from one source address a peer, and obeys lines on standard input:

    load FIRST COUNT [PEER]    announce host routes, from all peers or from one: `begun`, then `sent`
    withdraw FIRST COUNT       withdraw them: `begun`, then `sent`
    tell CHANGES               JSON, [[PEER, [announced], [withdrawn]], ...], in this order: `begun`, then `sent`
    refresh PEER               ask the router for all that it announces: `begun`
    close PEER..., open PEER   end sessions (`begun`), bring one up again (`up`)
    quit

Host routes and peers are numbers, counted from 0. Answers are JSON lines, with the monotonic time in seconds: `begun`
is when the first byte was about to be handed to the kernel, `sent` when it had taken the last one.

With `--redial`, a peer whose session the router ends dials again, every 0.1 s until it is taken, and announces what
it was told with `tell`, End-of-RIB behind it; `back` is when the last of all peers has.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

MARKER = b"\xff" * 16
KEEPALIVE = MARKER + struct.pack("!HB", 19, 4)
NLRI_ROOM = 4000
AHEAD = 6
"""Sessions that are being set up at the same time."""
REDIAL = 0.1
"""Seconds between two attempts of a peer that lost its session."""
ROUTE_REFRESH = MARKER + struct.pack("!HBHBB", 23, 5, 1, 0, 1)
"""For IPv4 unicast (RFC 2918)."""
END_OF_RIB = MARKER + struct.pack("!HBI", 23, 2, 0)
_CLONE_NEWNET = 0x40000000


def message(kind: int, body: bytes) -> bytes:
    """Return a BGP message with its header."""
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


def hello(asn: int, hold: int, router_id: str, *, graceful: bool = False) -> bytes:
    """Return an OPEN with IPv4 unicast, four-octet AS and route refresh; perhaps graceful restart (120 s, F bit)."""
    capabilities = b"\x01\x04\x00\x01\x00\x01" + b"\x02\x00" + b"\x41\x04" + struct.pack("!I", asn)
    if graceful:
        capabilities += struct.pack("!BBHHBB", 64, 6, 120, 1, 1, 0x80)
    options = b"\x02" + bytes([len(capabilities)]) + capabilities
    head = struct.pack("!BHH", 4, min(asn, 23456) if asn > 65535 else asn, hold) + socket.inet_aton(router_id)
    return message(1, head + bytes([len(options)]) + options)


def attributes(asn: int, next_hop: str, med: int | None) -> bytes:
    """Return ORIGIN, AS_PATH, NEXT_HOP and perhaps MED."""
    path = struct.pack("!BBI", 2, 1, asn)
    found = (
        b"\x40\x01\x01\x00" + b"\x40\x02" + bytes([len(path)]) + path + b"\x40\x03\x04" + socket.inet_aton(next_hop)
    )
    return found if med is None else found + b"\x80\x04\x04" + struct.pack("!I", med)


def host_routes(numbers: range | list[int]) -> Iterator[bytes]:
    """Yield /32 of 20.0.0.0/8 as NLRI, as many at a time as fit an UPDATE."""
    step = NLRI_ROOM // 5
    for start in range(0, len(numbers), step):
        yield b"".join(b"\x20" + (0x14000000 + each).to_bytes(4, "big") for each in numbers[start : start + step])


def updates(asn: int, next_hop: str, first: int, count: int, distinct: int) -> bytes:
    """Return the UPDATEs that announce host routes; with `distinct`, in so many attribute sets (by MED)."""
    if not distinct:
        attrs = attributes(asn, next_hop, None)
        return b"".join(_update(attrs, nlri) for nlri in host_routes(range(first, first + count)))
    size = max(1, count // distinct)
    return b"".join(
        _update(attributes(asn, next_hop, number), nlri)
        for number in range(distinct)
        for nlri in host_routes(range(first + number * size, first + (number + 1) * size))
    )


def _update(attrs: bytes, nlri: bytes) -> bytes:
    return message(2, b"\0\0" + struct.pack("!H", len(attrs)) + attrs + nlri)


def withdrawals(numbers: range | list[int]) -> bytes:
    """Return the UPDATEs that withdraw host routes."""
    return b"".join(message(2, struct.pack("!H", len(nlri)) + nlri + b"\0\0") for nlri in host_routes(numbers))


@contextmanager
def entered(pid: int) -> Iterator[None]:
    """Move this process into the network namespace of another one, and back at the end; 0 stays where it is."""
    if not pid:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/self/ns/net").open("rb") as before, Path(f"/proc/{pid}/ns/net").open("rb") as wanted:
        if libc.setns(wanted.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            libc.setns(before.fileno(), _CLONE_NEWNET)


class Generator:
    """All peers of this process."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.selector = selectors.DefaultSelector()
        self.peers: list[socket.socket | None] = []
        self.output: dict[socket.socket, memoryview] = {}
        self.heard: dict[socket.socket, bytes] = {}
        self.tables: dict[int, set[int]] = {}
        """What each peer has announced by `tell`."""
        self.redials: dict[int, float] = {}
        """When a peer dials again that lost its session."""
        self.up = 0
        self.next_keepalive = time.monotonic() + options.hold / 3

    def connect(self) -> None:
        """Bring all sessions up."""
        for number in range(self.options.peers):
            self.peers.append(self.dial(number))
            # No more than a modest listen backlog (8 in BIRD) takes: a SYN that is dropped costs a second.
            while len(self.peers) - self.up > AHEAD:
                self.turn(1.0)
        while self.up < self.options.peers:
            self.turn(1.0)

    def dial(self, number: int) -> socket.socket:
        """Open a peer's connection and say OPEN; `up` grows once the router has answered."""
        source, timeout = self.source(number), 1.0 if self.options.redial else 30.0
        with entered(self.options.inside[number] if self.options.inside else 0):
            sock = socket.create_connection((self.options.router, self.options.port), timeout, (source, 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(hello(self.options.asn, self.options.hold, source, graceful=self.options.redial) + KEEPALIVE)
        sock.setblocking(False)
        self.heard[sock] = b""
        self.selector.register(sock, selectors.EVENT_READ)
        return sock

    def source(self, number: int) -> str:
        """Return the address of a peer, counted from the first one."""
        (base,) = struct.unpack("!I", socket.inet_aton(self.options.source))
        return socket.inet_ntoa(struct.pack("!I", base + number))

    def turn(self, wait: float) -> None:
        """Read, write and keep alive, for `wait` seconds at most."""
        for key, events in self.selector.select(wait):
            if key.data == "commands":
                self.command(sys.stdin.readline())
            elif isinstance(key.fileobj, socket.socket) and key.fileobj.fileno() >= 0:  # not closed by a command
                if events & selectors.EVENT_READ:
                    self._read(key.fileobj)
                if events & selectors.EVENT_WRITE and key.fileobj in self.output:
                    self._write(key.fileobj)
        self._redial()
        if time.monotonic() > self.next_keepalive:
            self.next_keepalive = time.monotonic() + self.options.hold / 3
            for peer in self.peers:
                if peer is not None and peer not in self.output:
                    peer.send(KEEPALIVE)

    def _read(self, sock: socket.socket) -> None:
        try:
            data = sock.recv(1 << 16)
        except OSError:
            if not self.options.redial:
                raise
            data = b""
        if not data:
            if not self.options.redial:
                raise SystemExit("the router closed a session")
            self._lost(sock)
            return
        self._greet(sock, data)

    def _lost(self, sock: socket.socket) -> None:
        """The router has ended a session."""
        number = self.peers.index(sock)
        self.peers[number] = None
        self.selector.unregister(sock)
        self.output.pop(sock, None)
        self.up -= self.heard.pop(sock, None) is None  # it was up
        self.redials[number] = time.monotonic() + REDIAL
        sock.close()

    def _redial(self) -> None:
        """Dial again for those whose time has come, as many at a time as a router takes."""
        now = time.monotonic()
        due = [number for number, at in self.redials.items() if at <= now]
        for number in due[: AHEAD - len(self.heard)]:
            try:
                self.peers[number] = self.dial(number)
                del self.redials[number]
            except OSError:
                self.redials[number] = time.monotonic() + REDIAL
                break  # the others would fail as well

    def _again(self, sock: socket.socket) -> None:
        """A session is up; announce what the peer had announced on an earlier one."""
        number = self.peers.index(sock) if sock in self.peers else -1
        if (table := self.tables.get(number)) is not None:
            self.queue(number, self._changes(number, sorted(table), []) + END_OF_RIB)
            self._write(sock)
            if self.up == self.options.peers:
                self.say("back")

    def _greet(self, sock: socket.socket, data: bytes) -> None:
        if sock not in self.heard:
            return
        # Up to the first KEEPALIVE, which says that the session is up; nothing after it is of interest.
        buffer = self.heard[sock] + data
        while len(buffer) >= 19:
            (length,) = struct.unpack_from("!H", buffer, 16)
            if len(buffer) < length:
                break
            if buffer[18] == 3 and not self.options.redial:  # else the end of the connection follows
                raise SystemExit(f"NOTIFICATION {buffer[19]}/{buffer[20]}")
            if buffer[18] == 4:
                self.up += 1
                del self.heard[sock]
                self._again(sock)
                return
            buffer = buffer[length:]
        self.heard[sock] = buffer

    def _write(self, sock: socket.socket) -> None:
        view = self.output[sock]
        view = view[sock.send(view[: 1 << 20]) :]
        if view:
            self.output[sock] = view
            return
        del self.output[sock]
        self.selector.modify(sock, selectors.EVENT_READ)
        if not self.output:
            self.say("sent")

    def table(self, what: str, number: int, first: int, count: int) -> bytes:
        """Return the UPDATEs of a peer. All have the same prefixes, unless they are to lie apart."""
        first += number * count if self.options.apart else 0
        if what == "withdraw":
            return withdrawals(range(first, first + count))
        return updates(self.options.asn, self.source(number), first, count, self.options.distinct)

    def start(self, data: dict[int, bytes]) -> None:
        """Say that the work begins, and send."""
        self.say("begun")
        for number, each in data.items():
            self.queue(number, each)

    def queue(self, number: int, data: bytes) -> None:
        """Send data to the router on a peer's session, as fast as it takes it, behind what waits there already."""
        sock = self.peers[number]
        if sock is not None:
            self.output[sock] = memoryview(bytes(self.output.get(sock, b"")) + data)
            self.selector.modify(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def tell(self, changes: Iterable[tuple[int, list[int], list[int]]]) -> None:
        """Announce and withdraw, peer by peer in this order."""
        data = []
        for number, announced, withdrawn in changes:
            end = END_OF_RIB if self.options.redial and number not in self.tables else b""
            table = self.tables.setdefault(number, set())
            table.update(announced)
            table.difference_update(withdrawn)
            data.append((number, self._changes(number, announced, withdrawn) + end))
        self.say("begun")
        for number, each in data:
            self.queue(number, each)
            sock = self.peers[number]
            if sock is not None:
                self._write(sock)

    def _changes(self, number: int, announced: list[int], withdrawn: list[int]) -> bytes:
        attrs = attributes(self.options.asn, self.source(number), None)
        return withdrawals(withdrawn) + b"".join(_update(attrs, nlri) for nlri in host_routes(announced))

    def command(self, line: str) -> None:
        """Obey a line of standard input."""
        words = line.split() or ["quit"]
        numbers = [number for number, peer in enumerate(self.peers) if peer is not None]
        match words:
            case ["load" | "withdraw" as what, first, count, *only]:
                numbers = [int(each) for each in only] or numbers
                self.start({number: self.table(what, number, int(first), int(count)) for number in numbers})
            case ["tell", changes]:
                self.tell(json.loads(changes))
            case ["refresh", number]:
                self.start({int(number): ROUTE_REFRESH})
            case ["close", *several]:
                closed = [sock for each in several if (sock := self.peers[int(each)]) is not None]
                for sock in closed:
                    self.peers[self.peers.index(sock)] = None
                    self.selector.unregister(sock)
                    self.output.pop(sock, None)
                    self.up -= 1
                started = time.monotonic()
                for sock in closed:
                    sock.close()
                self.say("begun", started)
            case ["open", number]:
                wanted = self.up + 1
                self.peers[int(number)] = self.dial(int(number))
                while self.up < wanted:
                    self.turn(1.0)
                self.say("up")
            case _:
                raise SystemExit(0)

    def say(self, event: str, at: float | None = None) -> None:
        """Tell whoever drives the generator."""
        print(json.dumps({"event": event, "time": time.monotonic() if at is None else at}), flush=True)

    def run(self) -> None:
        """Connect, and obey for ever."""
        self.connect()
        self.say("up")
        self.selector.register(sys.stdin, selectors.EVENT_READ, "commands")
        while True:
            self.turn(0.5)


def arguments() -> argparse.ArgumentParser:
    """Return what a process full of peers takes on its command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--router", required=True)
    parser.add_argument("--port", type=int, default=179)
    parser.add_argument("--source", required=True, help="the first peer's address; the others follow it")
    parser.add_argument("--peers", type=int, default=1)
    parser.add_argument("--asn", type=int, default=65001)
    parser.add_argument("--hold", type=int, default=90)
    parser.add_argument("--distinct", type=int, default=0, help="so many attribute sets; 0: one, in full UPDATEs")
    parser.add_argument("--apart", action="store_true", help="peers do not share prefixes: each has the next ones")
    parser.add_argument("--redial", action="store_true", help="dial again when the router ends a session")
    parser.add_argument("--inside", type=int, nargs="+", metavar="PID", help="each peer's own network namespace")
    return parser


if __name__ == "__main__":
    Generator(arguments().parse_args()).run()
