"""TCP connections through the router that live on and notice whether they live: a client, and a server per node.

The server says its node's name at connect and echoes lines from then on. Another node knows nothing of a connection
that the router leads to it, and resets it: a flow that changes its node breaks.

As a program (`serve NAME`, `client`) it runs inside a namespace; the client obeys JSON lines on its standard input
and answers each with one. `Flows` and `serving` are for the test.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from routerd.lab.namespaces import Namespace
from routerd.lab.process import Process, tail
from routerd.lab.waiting import LabError, until

PORT = 7000
STALL = 3.0
"""Seconds without an answer after which a connection counts as broken."""
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Flow:
    """One connection. `node` is who answered; it is alive while neither `broken` nor `ended`."""

    def __init__(
        self, address: str, pause: tuple[float, float], life: tuple[float, float] | None, source: str | None = None
    ) -> None:
        self.node = ""
        self.broken = ""
        self.ended = False
        self.exchanges = 0
        self._address = address
        self._source = None if source is None else (source, 0)
        self._pause = pause
        self._life = None if life is None else random.uniform(*life)
        self._local: tuple[Any, ...] = ()

    @property
    def alive(self) -> bool:
        """Whether it goes on."""
        return not self.broken and not self.ended

    async def run(self, connected: asyncio.Event) -> None:
        """Connect, and exchange a line now and then until the life is over, the task is cancelled or it breaks."""
        try:
            async with asyncio.timeout(2 * STALL):
                reader, writer = await asyncio.open_connection(self._address, PORT, local_addr=self._source)
                self._local = writer.get_extra_info("sockname")
                self.node = (await reader.readline()).decode().strip()
        except (OSError, TimeoutError) as error:
            self.broken = f"no connection: {error!r}"
            return
        finally:
            connected.set()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        try:
            await self._talk(reader, writer)
            self.ended = True
        except asyncio.CancelledError:
            self.ended = True
        except (OSError, EOFError, TimeoutError) as error:
            self.broken = f"{self.node} from {self._local[:2]} after {self.exchanges} exchanges: {error!r}"
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        end = None if self._life is None else loop.time() + self._life
        while end is None or loop.time() < end:
            await asyncio.sleep(random.uniform(*self._pause))
            writer.write(b"ping\n")
            async with asyncio.timeout(STALL):
                await reader.readuntil()
            self.exchanges += 1


class _Client:
    """The program that holds the connections, by label, and makes a constant load of new ones."""

    def __init__(self) -> None:
        self._flows: dict[str, list[tuple[Flow, asyncio.Task[None]]]] = {}
        self._load: asyncio.Task[None] | None = None
        self._arrived: Counter[str] = Counter()
        self._one_shots: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        commands = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        while line := await commands.readline():
            command = json.loads(line)
            answer = await getattr(self, command.pop("do"))(**command)
            print(json.dumps(answer), flush=True)

    async def open(
        self,
        label: str,
        address: str,
        count: int,
        *,
        pause: tuple[float, float],
        life: tuple[float, float] | None,
        source: str | None,
    ) -> dict[str, Any]:
        """Open connections and answer once all have a node or failed."""
        made, waiting = self._flows.setdefault(label, []), []
        for index in range(count):
            flow, connected = Flow(address, pause, life, source), asyncio.Event()
            made.append((flow, asyncio.create_task(flow.run(connected))))
            waiting.append(connected.wait())
            if index % 50 == 49:
                await asyncio.sleep(0.02)  # no burst that overruns the server's queue
        await asyncio.gather(*waiting)
        return self._report(label)

    async def settle(self, label: str) -> dict[str, Any]:
        """Answer once every connection has made an exchange that began after now, has ended or is broken."""
        before = [(flow, flow.exchanges) for flow, _ in self._flows[label]]
        # The exchange that is under way may have begun before: two must end.
        while any(flow.alive and flow.exchanges < count + 2 for flow, count in before):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return self._report(label)

    async def report(self, label: str) -> dict[str, Any]:
        return self._report(label)

    async def close(self, label: str) -> dict[str, Any]:
        """Close all connections of a label, and forget them."""
        report = self._report(label)
        tasks = [task for _, task in self._flows.pop(label)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return report

    async def load(self, address: str, rate: float) -> None:
        """Make `rate` short connections a second from now on; 0 ends that."""
        if self._load is not None:
            self._load.cancel()
            await asyncio.gather(self._load, *self._one_shots, return_exceptions=True)
        self._load = asyncio.create_task(self._arrivals(address, rate)) if rate else None

    async def arrived(self) -> dict[str, int]:
        """Answer which nodes got how many of the load's connections since the last time; "" are failures."""
        found, self._arrived = self._arrived, Counter()
        return found

    async def _arrivals(self, address: str, rate: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            # As independent clients come: a Poisson process.
            due += random.expovariate(rate)
            await asyncio.sleep(max(0.0, due - loop.time()))
            task = asyncio.create_task(self._one_shot(address))
            self._one_shots.add(task)
            task.add_done_callback(self._one_shots.discard)

    async def _one_shot(self, address: str) -> None:
        flow = Flow(address, (0, 0), (0, 0))
        await flow.run(asyncio.Event())
        self._arrived[flow.node] += 1

    def _report(self, label: str) -> dict[str, Any]:
        flows = [flow for flow, _ in self._flows[label]]
        return {
            "alive": Counter(flow.node for flow in flows if flow.alive),
            "broken": Counter(flow.node for flow in flows if flow.broken),
            "ended": Counter(flow.node for flow in flows if flow.ended),
            "why": [flow.broken for flow in flows if flow.broken][:3],
        }


async def _serve(name: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(f"{name}\n".encode())
            while line := await reader.readline():
                writer.write(line)
        except OSError:
            return  # the client has reset the connection
        finally:
            writer.close()

    server = await asyncio.start_server(answer, None, PORT, backlog=1024)
    await server.serve_forever()


# ------------------------------------------------------------------------------------------------- for the test


class Report:
    """What has become of connections, each a count by node."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.alive: dict[str, int] = answer["alive"]
        self.broken: dict[str, int] = answer["broken"]
        self.ended: dict[str, int] = answer["ended"]
        self.why: list[str] = answer["why"]

    def __repr__(self) -> str:
        return f"alive {self.alive}, broken {self.broken}, ended {self.ended}, {self.why}"


class Flows:
    """The client, running in its namespace."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child

    def open(
        self,
        label: str,
        address: str,
        count: int = 300,
        *,
        pause: tuple[float, float] = (0.2, 0.5),
        life: tuple[float, float] | None = None,
        source: str | None = None,
    ) -> Report:
        """Open connections that exchange a line every `pause` seconds and close after `life` (least, most), from
        this address of the client's, if one is said."""
        what = {"label": label, "address": address, "count": count, "pause": pause, "life": life, "source": source}
        return Report(self._ask(do="open", **what))

    def settle(self, label: str) -> Report:
        """Wait until each connection has shown whether it lives now."""
        return Report(self._ask(do="settle", label=label))

    def report(self, label: str) -> Report:
        """Return what is known without waiting."""
        return Report(self._ask(do="report", label=label))

    def close(self, label: str) -> Report:
        """Close the connections of a label."""
        return Report(self._ask(do="close", label=label))

    def load(self, address: str, rate: float) -> None:
        """Make `rate` short connections a second from now on; 0 ends that."""
        self._ask(do="load", address=address, rate=rate)

    def arrived(self) -> dict[str, int]:
        """Return which nodes got how many of the load's connections since the last call; "" are failures."""
        return dict(self._ask(do="arrived"))

    def _ask(self, **command: Any) -> Any:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(command) + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise LabError(f"the client ended with status {self._child.wait(5)}")
        return json.loads(line)


@contextmanager
def client(namespace: Namespace) -> Iterator[Flows]:
    """Run the client in a namespace."""
    command = namespace.command("setpriv", "--pdeathsig", "KILL", sys.executable, "-P", __file__, "client")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield Flows(child)
        finally:
            child.kill()


def serve(namespace: Namespace, log: Path) -> Process:
    """Start a node's server and return it once it listens."""
    process = Process(namespace, [sys.executable, "-P", __file__, "serve", namespace.name], log)

    def listening() -> str:
        if not process.running:
            raise LabError(f"{namespace.name}: the server ended:\n{tail(log)}")
        return "" if namespace.run("ss", "-Htln", f"sport = :{PORT}") else "nothing listens"

    until(listening, 10, f"{namespace.name}: server")
    return process


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[2]) if sys.argv[1] == "serve" else _Client().run())
