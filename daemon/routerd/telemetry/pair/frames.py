"""Frames on a connection to the partner: four octets with the length, the payload, and once both have proved who they
are the HMAC-SHA-256 of the frame's number and the payload. A frame that was changed, left out, or came twice ends the
connection.
"""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING

from routerd.telemetry.pair.codec import LARGEST

if TYPE_CHECKING:
    import ssl

    from routerd.telemetry.pair.tls import Tls

MAC = 32
FIRST_FRAMES = 1024
"""Octets of a frame of somebody who has yet to prove who it is."""


class FrameError(Exception):
    """What came is no frame of the partner's: why."""


class Frames:
    """Those of one connection, both ways. What is read raises EOFError at its end, and OSError if it breaks."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._tls: Tls | None = None
        self._saying = self._hearing = b""
        self._said = self._heard = 0

    def secure(self, saying: bytes, hearing: bytes) -> None:
        """From now on all frames are authenticated, with a key for each direction."""
        self._saying, self._hearing = saying, hearing

    async def encrypt(self, context: ssl.SSLContext, *, listens: bool) -> bytes:
        """From now on all goes over TLS; return the other side's certificate (DER), or raise ssl.SSLError."""
        from routerd.telemetry.pair.tls import Tls

        tls = Tls(self._reader, self._writer, context, listens=listens)
        certificate = await tls.handshake()
        self._tls = tls
        return certificate

    @property
    def waiting(self) -> int:
        """Octets that wait for the other side."""
        return self._writer.transport.get_write_buffer_size()

    def write(self, payload: bytes) -> None:
        """Send a frame, without waiting."""
        mac = b""
        if self._saying:
            mac = _mac(self._saying, self._said, payload)
            self._said += 1
        (self._tls or self._writer).write((len(payload) + len(mac)).to_bytes(4) + payload + mac)

    async def read(self) -> bytes:
        """Return the next frame's payload; FrameError if it is not the one that the other side has sent."""
        reader = self._tls or self._reader
        size = int.from_bytes(await reader.readexactly(4))
        if not self._hearing:
            if size > FIRST_FRAMES:
                raise FrameError("it speaks another language")
            return await reader.readexactly(size)
        if not MAC <= size <= LARGEST + MAC:
            raise FrameError(f"a frame of {size} octets came")
        frame = await reader.readexactly(size)
        payload, mac = frame[:-MAC], frame[-MAC:]
        if not hmac.compare_digest(_mac(self._hearing, self._heard, payload), mac):
            raise FrameError("a frame came that the partner has not sent so")
        self._heard += 1
        return payload


def _mac(key: bytes, number: int, payload: bytes) -> bytes:
    return hmac.digest(key, number.to_bytes(8) + payload, "sha256")
