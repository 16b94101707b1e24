"""TCP servers of nodes that have a namespace each, in one process: NUMBER OF PIDs. They greet with the node's number.

They answer as those of tests.failover.flows, whose client holds the connections: a line for a line. A node knows
nothing of another one's connections, and resets them.
"""

from __future__ import annotations

import asyncio
import socket
import sys

from tests.failover.flows import PORT

from benchmarks.generator import entered


async def _serve(number: int, pid: int) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(f"{number}\n".encode())
            while line := await reader.readline():
                writer.write(line)
        except OSError:
            return  # the client has reset the connection
        finally:
            writer.close()

    with entered(pid):
        sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("0.0.0.0", PORT))
    return await asyncio.start_server(answer, sock=sock, backlog=1024)


async def _main(pids: list[int]) -> None:
    servers = [await _serve(number, pid) for number, pid in enumerate(pids)]
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(_main([int(pid) for pid in sys.argv[1:]]))
