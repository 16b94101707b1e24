"""A BMP collector for tests, and a reader that is strict: written from RFC 7854, RFC 8671, RFC 9069 and RFC 4271, it
shares nothing with what it reads. What a message must not say is a `FlawError`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

MARKER = b"\xff" * 16
MONITORING, STATISTICS, PEER_DOWN, PEER_UP, INITIATION, TERMINATION = range(6)


class FlawError(Exception):
    """A message that RFC 7854 does not allow, or one that does not fit to those before."""


def need(fine: object, what: str) -> None:
    if not fine:
        raise FlawError(what)


Key = tuple[str, str]
"""A peer's address (`loc-rib` for the router's own table), and which of its RIBs: pre, post, out, loc."""
Route = tuple[str, str, int | None, tuple[str, ...], tuple[str, ...]]
"""AS path, next hop, MED, communities, large communities."""


@dataclass
class Reading:
    """All that a session has said: the tables as they are now, and what was said on the way."""

    system: dict[int, str] = field(default_factory=dict)
    peers: dict[str, tuple[int, str]] = field(default_factory=dict)
    opens: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    ports: dict[str, tuple[int, int]] = field(default_factory=dict)
    tables: dict[Key, dict[str, Route]] = field(default_factory=dict)
    ends: set[tuple[str, str, int]] = field(default_factory=set)
    downs: list[tuple[str, int, bytes]] = field(default_factory=list)
    statistics: dict[str, dict[tuple[int, int], int]] = field(default_factory=dict)
    terminated: int | None = None
    updates: Counter[Key] = field(default_factory=Counter)
    times: defaultdict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))

    def take(self, kind: int, body: bytes) -> None:
        """Take in a message."""
        need(self.terminated is None, "a message after the termination")
        need(self.system or kind == INITIATION, "the first message is no initiation")
        if kind == INITIATION:
            self.system = {kind: value.decode() for kind, value in tlvs(body)}
            need({1, 2} <= self.system.keys(), "an initiation without sysDescr or sysName")
        elif kind == TERMINATION:
            [(code, value)] = tlvs(body)
            need(code == 1 and len(value) == 2, "a termination without a reason")
            self.terminated = int.from_bytes(value, "big")
        else:
            self._about_peer(kind, body)

    def _about_peer(self, kind: int, body: bytes) -> None:
        need(len(body) >= 42, "a per-peer header that is cut short")
        peer_type, flags = body[0], body[1]
        need(peer_type in (0, 3), f"peer type {peer_type}")
        need(body[2:10] == bytes(8), "a distinguisher of a global instance")
        asn, identifier = struct.unpack("!I4s", body[26:34])
        seconds, microseconds = struct.unpack("!II", body[34:42])
        need((not seconds or seconds > 1_600_000_000) and microseconds < 1_000_000, "a time that is none")
        if peer_type == 3:
            need(body[10:26] == bytes(16) and flags == 0, "a Loc-RIB with an address or flags")
            name, rib = "loc-rib", "loc"
        else:
            need(not flags & 0x2F, f"flags {flags:#x}")
            name = address(body[10:26], v6=bool(flags & 0x80))
            rib = {0: "pre", 0x40: "post", 0x50: "out"}.get(flags & 0x70, "")
            need(rib, f"flags {flags:#x} are of no RIB")
        who = (asn, str(ipaddress.IPv4Address(identifier)))
        self.times[name, rib].append(seconds + microseconds / 1e6)
        rest = body[42:]
        if kind == PEER_UP:
            need(name not in self.peers, f"a second peer up of {name}")
            self.peers[name] = who
            self._up(name, rest, loc_rib=peer_type == 3)
            return
        need(self.peers.get(name) == who, f"{name} has not come up as {who}")
        if kind == PEER_DOWN:
            self._down(name, rest)
        elif kind == MONITORING:
            self._monitor(name, rib, rest)
        else:
            need(kind == STATISTICS, f"message type {kind}")
            [count] = struct.unpack("!I", rest[:4])
            found = list(tlvs(rest[4:]))
            need(len(found) == count, "another number of statistics than said")
            self.statistics[name] = dict(statistic(code, value) for code, value in found)

    def _up(self, name: str, rest: bytes, *, loc_rib: bool) -> None:
        opens, at = [], 20
        need(not loc_rib or rest[:20] == bytes(20), "a Loc-RIB with addresses or ports")
        self.ports[name] = struct.unpack("!HH", rest[16:20])
        for _ in range(2):
            size = int.from_bytes(rest[at + 16 : at + 18], "big")
            opened = rest[at : at + size]
            need(opened[:16] == MARKER and opened[18] == 1 and len(opened) == size >= 29, "no OPEN")
            need(opened[19] == 4 and opened[28] == size - 29, "an OPEN with another version or length")
            opens.append(opened[19:])
            at += size
        self.opens[name] = opens[0], opens[1]
        information = dict(tlvs(rest[at:]))
        need(information == ({3: b"global"} if loc_rib else {}), f"information {information}")

    def _down(self, name: str, rest: bytes) -> None:
        reason, data = rest[0], rest[1:]
        if reason in (1, 3):
            need(
                data[:16] == MARKER and data[18] == 3 and len(data) == int.from_bytes(data[16:18], "big"),
                "no NOTIFICATION",
            )
            data = data[19:]
        else:
            need((reason, len(data)) in ((2, 2), (4, 0)), f"peer down {reason} with {len(data)} octets")
        self.downs.append((name, reason, data))
        del self.peers[name]
        self.tables = {key: table for key, table in self.tables.items() if key[0] != name}
        self.ends = {end for end in self.ends if end[0] != name}

    def _monitor(self, name: str, rib: str, octets: bytes) -> None:
        need(octets[:16] == MARKER and octets[18] == 2, "no UPDATE")
        need(len(octets) == int.from_bytes(octets[16:18], "big") <= 65535, "more or less than one UPDATE")
        table = self.tables.setdefault((name, rib), {})
        self.updates[name, rib] += 1
        withdrawn, announced, end = update(octets[19:])
        if end:
            self.ends.add((name, rib, end))
        for prefix in withdrawn:
            table.pop(prefix, None)
        table.update(announced)


def address(octets: bytes, *, v6: bool) -> str:
    need(v6 or octets[:12] == bytes(12), "an IPv4 address with something in front")
    return str(ipaddress.ip_address(octets if v6 else octets[12:]))


def tlvs(octets: bytes) -> Iterator[tuple[int, bytes]]:
    while octets:
        kind, size = struct.unpack("!HH", octets[:4])
        need(len(octets) >= 4 + size, "a TLV that is cut short")
        yield kind, octets[4 : 4 + size]
        octets = octets[4 + size :]


def statistic(kind: int, value: bytes) -> tuple[tuple[int, int], int]:
    sizes = {7: 8, 8: 8, 11: 4, 14: 8, 15: 8, 9: 11, 10: 11, 16: 11, 17: 11}
    need(len(value) == sizes.get(kind), f"statistic {kind} of {len(value)} octets")
    if len(value) < 11:
        return (kind, 0), int.from_bytes(value, "big")
    need(value[2] == 1, "a SAFI that is not unicast")
    return (kind, int.from_bytes(value[:2], "big")), int.from_bytes(value[3:], "big")


def update(body: bytes) -> tuple[list[str], dict[str, Route], int]:
    """Return what an UPDATE withdraws, what it announces, and of which AFI it is the End-of-RIB, or 0."""
    [size] = struct.unpack("!H", body[:2])
    withdrawn = list(prefixes(body[2 : 2 + size], 4))
    rest = body[2 + size :]
    [size] = struct.unpack("!H", rest[:2])
    attributes, reachable = rest[2 : 2 + size], list(prefixes(rest[2 + size :], 4))
    need(len(attributes) == size, "attributes that are cut short")
    found: dict[int, bytes] = {}
    while attributes:
        flags, code = attributes[0], attributes[1]
        head = 4 if flags & 0x10 else 3
        size = int.from_bytes(attributes[2:head], "big")
        need(code not in found and len(attributes) >= head + size, f"attribute {code} twice, or cut short")
        found[code] = attributes[head : head + size]
        attributes = attributes[head + size :]
    if not body.strip(b"\0"):
        return [], {}, 1
    announced: dict[str, Route] = {}
    if reachable:
        hop = str(ipaddress.IPv4Address(found[3]))
        announced |= dict.fromkeys(reachable, route(found, hop))
    if (reach := found.get(14)) is not None:
        afi, safi, size = struct.unpack("!HBB", reach[:4])
        need(safi == 1 and afi in (1, 2) and size in (16, 32) and reach[4 + size] == 0, "MP_REACH_NLRI")
        hop = str(ipaddress.IPv6Address(reach[4:20]))
        announced |= dict.fromkeys(prefixes(reach[5 + size :], 16 if afi == 2 else 4), route(found, hop))
    if (unreach := found.get(15)) is not None:
        afi, safi = struct.unpack("!HB", unreach[:3])
        need(safi == 1 and afi in (1, 2), "MP_UNREACH_NLRI")
        gone = list(prefixes(unreach[3:], 16 if afi == 2 else 4))
        if not gone and len(found) == 1:
            return [], {}, afi
        withdrawn += gone
    return withdrawn, announced, 0


def route(found: dict[int, bytes], hop: str) -> Route:
    need({1, 2} <= found.keys(), "no ORIGIN or AS_PATH")
    path, words = found[2], list[str]()
    while path:
        need(path[0] == 2, "a segment that is no sequence")
        words += map(str, struct.unpack(f"!{path[1]}I", path[2 : 2 + 4 * path[1]]))
        path = path[2 + 4 * path[1] :]
    med = int.from_bytes(found[4], "big") if 4 in found else None
    pairs = struct.iter_unpack("!HH", found.get(8, b""))
    triples = struct.iter_unpack("!III", found.get(32, b""))
    return (
        " ".join(words),
        hop,
        med,
        tuple(f"{a}:{b}" for a, b in pairs),
        tuple(f"{a}:{b}:{c}" for a, b, c in triples),
    )


def prefixes(octets: bytes, width: int) -> Iterator[str]:
    while octets:
        bits = octets[0]
        size = 1 + (bits + 7) // 8
        need(bits <= 8 * width and len(octets) >= size, "a prefix that is cut short")
        packed = octets[1:size].ljust(width, b"\0")
        yield str(ipaddress.ip_network((packed, bits)))
        octets = octets[size:]


class Collector:
    """Listens; `sessions` has a reading of each connection, the newest last. While `reading` is not set it takes
    nothing. `flaws` must stay empty."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sessions: list[Reading] = []
        self.flaws: list[str] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self.received = 0
        self.keeps = False
        """Whether `messages` has what was read, as it came."""
        self.messages: list[bytes] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        return int(self.sock.getsockname()[1])

    @property
    def last(self) -> Reading:
        """The reading of the newest session; an empty one before the first."""
        return self.sessions[-1] if self.sessions else Reading()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=self.sock)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        reading = Reading()
        self.sessions.append(reading)
        try:
            while True:
                await self.reading.wait()
                version, size, kind = struct.unpack("!BIB", await reader.readexactly(6))
                need(version == 3 and 6 <= size <= 1 << 20, f"version {version}, length {size}")
                body = await reader.readexactly(size - 6)
                if self.keeps:
                    self.messages.append(struct.pack("!BIB", version, size, kind) + body)
                reading.take(kind, body)
                self.received += size
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except Exception as error:  # noqa: BLE001 - whatever the reader stumbles on
            self.flaws.append(f"{type(error).__name__}: {error}")
        finally:
            writer.close()

    def hang_up(self) -> None:
        """Reset all connections."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def close(self) -> None:
        self.reading.set()
        self.hang_up()
        await asyncio.sleep(0)
        if self._server is not None:
            self._server.close()
