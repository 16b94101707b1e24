"""The API's server in the test's own process, over answers that the test makes up."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

from routerd.api import server
from routerd.api.models import DrainView, VersionView

NOBODY = 65534
VERSION = VersionView(routerd="1", exabgp="2", python="3", kernel="4")
DRAIN = DrainView(name="a", drain="operator", buckets=0, groups=0, sole=0, empty=True, changed=True, unstored="")
ASK = b"GET /v1/version HTTP/1.1\r\nHost: a\r\n\r\n"


class Served:
    """A server in this process, and what it asks of its source."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = Mock()
        self.source.version.return_value = VERSION
        self.source.drain = AsyncMock(return_value=DRAIN)
        self.source.set_drain = AsyncMock(return_value=DRAIN)

    async def ask(self, octets: bytes = ASK) -> tuple[int, Any]:
        """Return the status and the answer; 0 if it was closed without one."""
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        try:
            writer.write(octets)
            return await answer(reader)
        finally:
            writer.close()

    def nobody(self, script: str, *groups: int) -> subprocess.Popen[str]:
        """Start Python as another user, with a function `dial`, and `ask` that prints an answer."""
        prelude = f"""
            import os, socket, sys
            os.setgroups({list(groups)!r})
            os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
            os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
            HEAD = "{{}} {{}} HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n"
            def dial():
                client = socket.socket(socket.AF_UNIX)
                client.connect({str(self.path)!r})
                return client
            def ask(method, path):
                client = dial()
                client.sendall(HEAD.format(method, path).encode())
                print(b"".join(iter(lambda: client.recv(65536), b"")).decode())
        """
        program = textwrap.dedent(prelude) + textwrap.dedent(script)
        command = [sys.executable, "-c", program]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    async def as_nobody(self, method: str, *groups: int, path: str = "/v1/peers/a/drain") -> str:
        """Return what another user is answered who asks about a drain, or something else."""
        with self.nobody(f"ask({method!r}, {path!r})", *groups) as process:
            return (await asyncio.to_thread(process.communicate, timeout=30))[0]


async def answer(reader: asyncio.StreamReader) -> tuple[int, Any]:
    """Read one answer."""
    async with asyncio.timeout(10):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = re.search(r"content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, None
    return int(head.split()[1]), json.loads(body) if body.startswith(b"{") else body.decode()


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Served]:
    """Serve until the block ends."""
    served = Served(directory / "api.sock")
    listener, _ = server.bind(str(served.path), "root")
    level = logging.getLogger("uvicorn.error").level
    task = asyncio.create_task(server.serve(served.source, listener))
    try:
        yield served
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        listener.bound.close()
        logging.getLogger("uvicorn.error").setLevel(level)
