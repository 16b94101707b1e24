"""Connections from the client to a VIP that stay open, and notice whether their node still knows them.

Runs as `python -m routerd.lab.connections ADDRESS COUNT` inside a namespace. It opens them, and asks on each, about
twice a second, who answers. Each line on standard input is answered with a line: a Held, once each connection has
shown how it is since then.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

from routerd.lab import web
from routerd.lab.namespaces import Namespace
from routerd.lab.waiting import LabError

_PAUSE = (0.4, 0.8)
"""Seconds between two requests on a connection, least and most."""
_PATIENCE = 4.0
"""Seconds without an answer after which a connection counts as broken."""
_REQUEST = b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n"


class Held(TypedDict):
    """How connections are that were opened once."""

    alive: dict[str, int]
    """How many live, by the node that they lead to."""
    broken: dict[str, int]
    errors: dict[str, int]
    """Why they broke, and how many each."""


class Connections:
    """So many connections from a namespace, held by a process of their own."""

    def __init__(self, client: Namespace, address: str, count: int) -> None:
        command = client.command(
            "setpriv", "--pdeathsig", "KILL", sys.executable, "-m", __name__, address, str(count)
        )
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def look(self) -> Held:
        """Return how they are, once each has shown it; LabError if the process has ended."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write("\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise LabError(f"who holds the connections ended with status {self._child.wait(5)}")
        held: Held = json.loads(line)
        return held

    def close(self) -> None:
        """Close them."""
        self._child.kill()
        self._child.communicate()


class _Connection:
    def __init__(self, address: str) -> None:
        self.node, self.broken = "", ""
        self.asked = 0
        self._address = address

    async def run(self) -> None:
        try:
            async with self._opened() as (reader, writer):
                while True:
                    writer.write(_REQUEST)
                    async with asyncio.timeout(_PATIENCE):
                        head = await reader.readuntil(b"\r\n\r\n")
                        length = int(head.lower().partition(b"content-length:")[2].split()[0])
                        self.node = (await reader.readexactly(length)).decode()
                    self.asked += 1
                    await asyncio.sleep(random.uniform(*_PAUSE))
        except (OSError, EOFError, ValueError, IndexError) as error:
            self.broken = f"{type(error).__name__}: {error}"

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection(self._address, web.PORT)
        try:
            yield reader, writer
        finally:
            writer.close()


async def _hold(address: str, count: int) -> None:
    connections = [_Connection(address) for _ in range(count)]
    tasks = []
    for connection in connections:
        tasks.append(asyncio.create_task(connection.run()))
        await asyncio.sleep(0.002)  # no burst that overruns a server's queue
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while await orders.readline():
        print(json.dumps(await _shown(connections)), flush=True)


async def _shown(connections: list[_Connection]) -> Held:
    before = [(connection, connection.asked) for connection in connections]
    # The request that is under way may have been answered before: two must be.
    while any(not each.broken and each.asked < asked + 2 for each, asked in before):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return Held(
        alive=dict(Counter(each.node for each in connections if not each.broken)),
        broken=dict(Counter(each.node for each in connections if each.broken)),
        errors=dict(Counter(f"{each.node}: {each.broken}" for each in connections if each.broken)),
    )


if __name__ == "__main__":
    asyncio.run(_hold(sys.argv[1], int(sys.argv[2])))
