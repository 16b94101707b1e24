"""TLS on a connection to the partner. Loaded where it is configured.

By hand, as asyncio's closes a connection before the other side is told what is wrong with its certificate.
"""

from __future__ import annotations

import asyncio
import ssl

_AT_ONCE = 65536


class Tls:
    """Reads and writes as the streams do that it is on. What is read raises ssl.SSLError, EOFError or OSError."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext, *, listens: bool
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=listens)
        self._buffer = bytearray()

    async def handshake(self) -> bytes:
        """Agree on the keys, and verify who the other side is; return its certificate (DER)."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._receive()
            else:
                return self._tls.getpeercert(binary_form=True) or b""
            finally:
                self._flush()  # also what is wrong, if it failed

    async def readexactly(self, size: int) -> bytes:
        """Return so many octets."""
        while len(self._buffer) < size:
            try:
                self._buffer += self._tls.read(_AT_ONCE)
            except ssl.SSLWantReadError:
                await self._receive()
            except ssl.SSLZeroReturnError:
                raise EOFError from None
            finally:
                self._flush()
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def write(self, octets: bytes) -> None:
        """Send something, without waiting."""
        left = memoryview(octets)
        while left:
            left = left[self._tls.write(left) :]
        self._flush()

    async def _receive(self) -> None:
        self._flush()
        octets = await self._reader.read(_AT_ONCE)
        if not octets:
            raise EOFError
        self._incoming.write(octets)

    def _flush(self) -> None:
        if octets := self._outgoing.read():
            self._writer.write(octets)
