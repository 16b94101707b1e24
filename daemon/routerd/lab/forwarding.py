"""From the machine's 127.0.0.1 into a namespace of the lab: a port that a browser reaches, without a route there."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import sys
from pathlib import Path

from routerd.lab.namespaces import Namespace
from routerd.lab.process import Process

_CHUNK = 65536


def forward(namespace: Namespace, port: int, log: Path) -> tuple[Process, int]:
    """Forward the same port of the machine's 127.0.0.1, or a free one if it is taken, to 127.0.0.1 in a namespace.

    Returns the process that does it, and the port. A socket stays in the namespace in which it was made: the process
    runs inside, and accepts from outside, so that this takes no more rights than the lab has.
    """
    with _listener(port) as listener:
        command = [sys.executable, "-m", __name__, str(listener.fileno()), str(port)]
        return Process(namespace, command, log, inherited=(listener.fileno(),)), listener.getsockname()[1]


def _listener(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        return socket.create_server(("127.0.0.1", 0))


async def _serve(listener: socket.socket, port: int) -> None:
    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        writer.close()

    server = await asyncio.start_server(accepted, sock=listener)
    await server.serve_forever()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the reader ends, and say so to the other side; close it if it has failed."""
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


if __name__ == "__main__":
    asyncio.run(_serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])))
