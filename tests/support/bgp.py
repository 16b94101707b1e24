"""A raw BGP speaker for tests: it dials in like a node, says an OPEN of your choice, and shows what it hears.

    node = await connect("127.0.0.1", 1790, source="127.0.0.2", asn=65001)
    await node.establish()
    node.send(update(attributes(next_hop="127.0.0.2", as_path=[65001]), ["172.16.0.1/32"]))
    node.send(end_of_rib())
    kind, body = await node.expect(UPDATE)
    await node.close()

The socket is made before the first `await`, so a caller that has entered a network namespace gets it there.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH = 1, 2, 3, 4, 5
IPV4, IPV6 = 1, 2
MARKER = b"\xff" * 16
_TCP_MD5SIG = 14
_TCP_REPAIR = 19


@dataclass(frozen=True)
class Graceful:
    """A Graceful Restart capability: R and N bits, time in seconds, AFI -> F bit."""

    restarting: bool = False
    notification: bool = False
    time: int = 120
    families: dict[int, bool] = field(default_factory=lambda: {IPV4: True})


def message(kind: int, body: bytes = b"") -> bytes:
    """Return a whole BGP message (RFC 4271 section 4.1)."""
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


def open_message(
    *,
    asn: int = 65001,
    hold: int = 90,
    router_id: str = "10.0.0.1",
    families: Sequence[int] = (IPV4, IPV6),
    graceful: Graceful | None = None,
    as4: bool = True,
    refresh: bool = True,
    extended: bool = False,
    capabilities: bytes = b"",
) -> bytes:
    """Return an OPEN. `families` are AFIs (unicast); `capabilities` is appended raw."""
    caps = b"".join(struct.pack("!BBHBB", 1, 4, afi, 0, 1) for afi in families)
    if refresh:
        caps += bytes([2, 0])
    if extended:
        caps += bytes([6, 0])
    if graceful is not None:
        head = graceful.restarting << 15 | graceful.notification << 14 | graceful.time
        flags = graceful.families.items()
        value = struct.pack("!H", head) + b"".join(struct.pack("!HBB", afi, 1, bit << 7) for afi, bit in flags)
        caps += bytes([64, len(value)]) + value
    if as4:
        caps += struct.pack("!BBI", 65, 4, asn)
    caps += capabilities
    parameters = bytes([2, len(caps)]) + caps if caps else b""
    short_as = asn if asn < 65536 else 23456
    identifier = ipaddress.IPv4Address(router_id).packed
    body = struct.pack("!BHH4sB", 4, short_as, hold, identifier, len(parameters)) + parameters
    return message(OPEN, body)


def nlri(prefixes: Iterable[str]) -> bytes:
    """Return prefixes as they stand in an UPDATE."""
    networks = map(ipaddress.ip_network, prefixes)
    return b"".join(bytes([n.prefixlen]) + n.network_address.packed[: (n.prefixlen + 7) // 8] for n in networks)


def attribute(code: int, value: bytes, flags: int = 0x40) -> bytes:
    """Return one path attribute; a long value gets the extended length."""
    if len(value) > 255:
        return struct.pack("!BBH", flags | 0x10, code, len(value)) + value
    return bytes([flags, code, len(value)]) + value


def attributes(
    next_hop: str | None = None, as_path: Sequence[int] = (), origin: int = 0, med: int | None = None
) -> bytes:
    """Return ORIGIN, AS_PATH (four octets) and, where given, NEXT_HOP (IPv4) and MED."""
    path = struct.pack(f"!BB{len(as_path)}I", 2, len(as_path), *as_path) if as_path else b""
    raw = attribute(1, bytes([origin])) + attribute(2, path)
    if next_hop is not None:
        raw += attribute(3, ipaddress.IPv4Address(next_hop).packed)
    if med is not None:
        raw += attribute(4, struct.pack("!I", med), 0x80)
    return raw


def mp_reach(next_hop: str, prefixes: Iterable[str]) -> bytes:
    """Return MP_REACH_NLRI for IPv6 unicast (RFC 4760 section 3)."""
    packed = ipaddress.IPv6Address(next_hop).packed
    return attribute(14, struct.pack("!HBB", IPV6, 1, len(packed)) + packed + b"\0" + nlri(prefixes), 0x80)


def mp_unreach(prefixes: Iterable[str]) -> bytes:
    """Return MP_UNREACH_NLRI for IPv6 unicast; without prefixes it is the End-of-RIB."""
    return attribute(15, struct.pack("!HB", IPV6, 1) + nlri(prefixes), 0x80)


def update(attrs: bytes = b"", announced: Iterable[str] = (), withdrawn: Iterable[str] = ()) -> bytes:
    """Return an UPDATE of raw attributes and IPv4 prefixes."""
    gone = nlri(withdrawn)
    return message(
        UPDATE, struct.pack("!H", len(gone)) + gone + struct.pack("!H", len(attrs)) + attrs + nlri(announced)
    )


def end_of_rib(family: int = IPV4) -> bytes:
    """Return the End-of-RIB marker of a family (RFC 4724 section 2)."""
    return update() if family == IPV4 else update(mp_unreach(()))


def notification(code: int, subcode: int, data: bytes = b"") -> bytes:
    """Return a NOTIFICATION."""
    return message(NOTIFICATION, bytes([code, subcode]) + data)


class ClosedError(Exception):
    """The router has closed the connection."""


class Client:
    """One connection. Made by `connect`; `close` it, or use it in `async with`.

    `heard` has all messages that came, as (type, body) pairs; `expect` consumes them in order.
    """

    def __init__(self, sock: socket.socket, hold: int, hello: bytes) -> None:
        self.sock = sock
        self.heard: list[tuple[int, bytes]] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self._hold = hold
        self.hello = hello
        self._arrived = asyncio.Event()
        self._next = 0
        self._ended = False
        self._out = bytearray()
        self._flushed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def start(self) -> None:
        """Begin to read. `connect` calls this."""
        self._tasks.append(asyncio.create_task(self._read()))

    async def establish(self, keepalive: bool = True) -> bytes:
        """Exchange OPENs and KEEPALIVEs and return the router's OPEN body; go on with KEEPALIVEs unless told not."""
        self.introduce()
        _, body = await self.expect(OPEN)
        self.send(message(KEEPALIVE))
        await self.expect(KEEPALIVE)
        hold = min(self._hold, int.from_bytes(body[3:5], "big"))
        if keepalive and hold:
            self._tasks.append(asyncio.create_task(self._keep_alive(hold / 3)))
        return body

    def introduce(self) -> None:
        """Send the OPEN."""
        self.send(self.hello)

    def send(self, data: bytes) -> None:
        """Send bytes, in order, without waiting; `flushed` waits. What the kernel takes is sent at once: a test that
        goes on without a turn of the loop must not keep it back."""
        waited = bool(self._out)
        self._out += data
        self._flushed.clear()
        if not waited:
            asyncio.get_running_loop().add_writer(self.sock, self._write)
            self._write()

    def _write(self) -> None:
        try:
            del self._out[: self.sock.send(self._out)]
        except BlockingIOError:
            return
        except OSError:
            self._out.clear()
        if not self._out:
            self._flushed.set()
            asyncio.get_running_loop().remove_writer(self.sock)

    async def flushed(self, seconds: float = 30.0) -> None:
        """Wait until the kernel has taken everything that was sent."""
        async with asyncio.timeout(seconds):
            await self._flushed.wait()

    async def expect(self, kind: int, seconds: float = 5.0) -> tuple[int, bytes]:
        """Return the next message of a type, past all others; ClosedError at the end, TimeoutError without one."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    while self._next < len(self.heard):
                        self._next += 1
                        if self.heard[self._next - 1][0] == kind:
                            return self.heard[self._next - 1]
                    if self._ended:
                        raise ClosedError(f"closed by the router; heard {[k for k, _ in self.heard]}")
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise TimeoutError(f"no message {kind} within {seconds} s; heard {[k for k, _ in self.heard]}") from None

    async def next(self, seconds: float = 30.0) -> tuple[int, bytes]:
        """Return the next message of any type; ClosedError at the end."""
        async with asyncio.timeout(seconds):
            while self._next == len(self.heard):
                if self._ended:
                    raise ClosedError(f"closed by the router; heard {[k for k, _ in self.heard]}")
                self._arrived.clear()
                await self._arrived.wait()
        self._next += 1
        return self.heard[self._next - 1]

    async def closed(self, seconds: float = 5.0) -> None:
        """Wait until the router closes the connection."""
        async with asyncio.timeout(seconds):
            while not self._ended:
                self._arrived.clear()
                await self._arrived.wait()

    async def close(self) -> None:
        """Close the connection without a NOTIFICATION, as a crash would."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        loop = asyncio.get_running_loop()
        if self.sock.fileno() != -1:
            loop.remove_writer(self.sock)
        self.sock.close()

    async def vanish(self) -> None:
        """Lose the connection as a node does that is power-cycled: without a word or a trace (needs root)."""
        self.sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
        await self.close()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        data = b""
        while True:
            await self.reading.wait()
            try:
                piece = await loop.sock_recv(self.sock, 1 << 16)
            except OSError:
                piece = b""
            if not piece:
                break
            data += piece
            while len(data) >= 19 and len(data) >= (length := int.from_bytes(data[16:18], "big")):
                self.heard.append((data[18], data[19:length]))
                data = data[length:]
            self._arrived.set()
        self._ended = True
        self._arrived.set()

    async def _keep_alive(self, interval: float) -> None:
        while not self._ended:
            await asyncio.sleep(interval)
            self.send(message(KEEPALIVE))


async def connect(
    host: str,
    port: int = 179,
    *,
    source: str | None = None,
    password: str | None = None,
    seconds: float = 5.0,
    asn: int = 65001,
    hold: int = 90,
    ttl: int | None = None,
    **options: object,
) -> Client:
    """Dial in, from `source` if given, with a TCP MD5 `password` if given, all packets with this `ttl`; `options` go
    to `open_message`. A host that cannot be reached yet, after a link was down, is tried again, as a speaker does."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    if source is not None:
        sock.bind((source, 0))
    if ttl is not None and family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    elif ttl is not None:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
    if password is not None:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_MD5SIG, _md5sig(host, password.encode()))
    try:
        async with asyncio.timeout(seconds):
            await _dial(sock, (host, port))
    except BaseException:
        sock.close()
        raise
    client = Client(sock, hold, open_message(asn=asn, hold=hold, **options))  # type: ignore[arg-type]
    client.start()
    return client


async def _dial(sock: socket.socket, address: tuple[str, int]) -> None:
    while True:
        try:
            return await asyncio.get_running_loop().sock_connect(sock, address)
        except OSError as error:
            # After a connect() that failed later Linux answers the next one once with ECONNABORTED.
            if error.errno not in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNABORTED):
                raise
        await asyncio.sleep(0.1)


class Listener:
    """A raw speaker that listens at an address, for routers that dial; `options` go to `open_message`."""

    def __init__(
        self, host: str, port: int, *, password: tuple[str, str] | None = None, hold: int = 90, **options: object
    ):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if password is not None:  # the router's address, and the key
            self.sock.setsockopt(socket.IPPROTO_TCP, _TCP_MD5SIG, _md5sig(password[0], password[1].encode()))
        try:
            self.sock.bind((host, port))
        except OSError:
            self.sock.close()
            raise
        self.sock.listen(16)
        self._hold = hold
        self._hello = open_message(hold=hold, **options)  # type: ignore[arg-type]

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    async def accept(self, seconds: float = 10.0) -> Client:
        """Return the next connection."""
        async with asyncio.timeout(seconds):
            sock, _ = await asyncio.get_running_loop().sock_accept(self.sock)
        client = Client(sock, self._hold, self._hello)
        client.start()
        return client


def _md5sig(host: str, key: bytes) -> bytes:
    address = ipaddress.ip_address(host)
    head = struct.pack("=HH", socket.AF_INET if address.version == 4 else socket.AF_INET6, 0)
    if address.version == 6:
        head += bytes(4)
    return (head + address.packed).ljust(128, b"\0") + struct.pack("=BBHi80s", 0, 0, len(key), 0, key)
