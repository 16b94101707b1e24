"""Frames: what the ExaBGP child and its parent say to each other over a stream socket.

A frame is a header of 9 bytes, then its payload: length of the payload (u32), kind (u8), generation (u32), all in
network order. The generation numbers the session; the frames that open or end one carry the peer's address too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from routerd.core.message import Notification

HEADER = Struct("!IBI")
MAX_PAYLOAD = 1 << 28
_LENGTH = Struct("!I")
_PORTS = Struct("!HH")


class Kind(IntEnum):
    """What a frame says; below 32 from the child to the parent, from 32 on the other way."""

    LISTENING = 1
    UP = 2
    DOWN = 3
    UPDATE = 4
    REFRESH = 5
    TAKEN = 6
    LOG = 7
    FAILED = 8
    DIALLING = 9
    CONFIGURE = 32
    SEND = 33
    CLOSE = 34
    STOP = 35
    KEEP_PLACE = 36
    SHUTDOWN = 37
    DIAL = 38


Frame = tuple[int, int, bytes]
"""Kind, generation, payload."""


@dataclass(frozen=True, slots=True)
class Dialling:
    """The payload of a DIALLING frame: how far the router has come with dialling a peer, a line for people.

    `again` is in how many seconds it dials next; None while something is under way. `failed` tells that there was no
    connection. An empty `state`: there is nothing to dial, such as while a session stands.
    """

    peer: str
    state: str
    again: float | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class RawUpdate:
    """An UPDATE as it came: `body` is the message without its 19-byte header (RFC 4271 section 4.3)."""

    peer: str
    generation: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Up:
    """The payload of an UP frame; `received` and `sent` are OPEN bodies (RFC 4271 section 4.2), `ports` the router's
    TCP port and the peer's."""

    peer: str
    local: str
    dynamic: bool
    received: bytes
    sent: bytes
    ports: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Down:
    """The payload of a DOWN frame; `notification` is None when the connection was lost without one.

    A connection that was not `established` never had an UP frame. Of the end of a session that is `urgent` a copy
    overtakes all frames in line.
    """

    peer: str
    reason: str
    notification: Notification | None
    established: bool = False
    urgent: bool = False


def frame(kind: Kind, generation: int = 0, payload: bytes = b"") -> bytes:
    """Return one frame, ready to be written."""
    return HEADER.pack(len(payload), kind, generation) + payload


def pack(*fields: bytes | str) -> bytes:
    """Return a payload of several fields, each behind its length (u32); text is UTF-8."""
    raw = [field.encode() if isinstance(field, str) else field for field in fields]
    return b"".join(_LENGTH.pack(len(field)) + field for field in raw)


def unpack(payload: bytes) -> list[bytes]:
    """Return the fields that `pack` joined; ValueError when one overruns the payload."""
    fields: list[bytes] = []
    offset = 0
    while offset < len(payload):
        start = offset + _LENGTH.size
        if start > len(payload):
            raise ValueError("a field's length is cut off")
        offset = start + int.from_bytes(payload[offset:start], "big")
        if offset > len(payload):
            raise ValueError("a field overruns its frame")
        fields.append(payload[start:offset])
    return fields


def pack_up(up: Up) -> bytes:
    """Return the payload of an UP frame."""
    return pack(up.peer, up.local, bytes([up.dynamic]), up.received, up.sent, _PORTS.pack(*up.ports))


def unpack_up(payload: bytes) -> Up:
    """Return what an UP frame says; ValueError on a malformed one."""
    peer, local, dynamic, received, sent, ports = unpack(payload)
    return Up(peer.decode(), local.decode(), dynamic == b"\1", received, sent, _PORTS.unpack(ports))


def pack_down(down: Down) -> bytes:
    """Return the payload of a DOWN frame."""
    said = down.notification
    raw = b"" if said is None else bytes([said.sent, said.code, said.subcode]) + said.data
    return pack(down.peer, down.reason, raw, bytes([down.established, down.urgent]))


def unpack_down(payload: bytes) -> Down:
    """Return what a DOWN frame says; ValueError on a malformed one."""
    peer, reason, raw, (established, urgent) = unpack(payload)
    said = Notification(bool(raw[0]), raw[1], raw[2], raw[3:]) if len(raw) >= 3 else None
    return Down(peer.decode(), reason.decode(), said, bool(established), bool(urgent))


def pack_dialling(dialling: Dialling) -> bytes:
    """Return the payload of a DIALLING frame."""
    again = "" if dialling.again is None else f"{dialling.again:.3f}"
    return pack(dialling.peer, dialling.state, again, bytes([dialling.failed]))


def unpack_dialling(payload: bytes) -> Dialling:
    """Return what a DIALLING frame says; ValueError on a malformed one."""
    peer, state, again, failed = unpack(payload)
    return Dialling(peer.decode(), state.decode(), float(again) if again else None, failed == b"\1")


class Splitter:
    """Cuts a byte stream into frames; what is left of an incomplete one waits for the next piece."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes, in order; ValueError when the stream makes no sense."""
        if self._rest:
            data = self._rest + data
        frames: list[Frame] = []
        offset, size, header = 0, len(data), HEADER.size
        unpack_from = HEADER.unpack_from
        while size - offset >= header:
            length, kind, generation = unpack_from(data, offset)
            if length > MAX_PAYLOAD:
                raise ValueError(f"a frame of {length} bytes: the stream is out of step")
            end = offset + header + length
            if end > size:
                break
            frames.append((kind, generation, data[offset + header : end]))
            offset = end
        self._rest = data[offset:]
        return frames
