"""Fifty clients that read everything, over and over, while 100,000 routes are loaded: they delay that by little."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path

import pytest

from tests.daemon.harness import Network, Routerd, becomes, network, node, running
from tests.support import bgp
from tests.support.netns import needs_root

pytestmark = [needs_root, pytest.mark.alone, pytest.mark.long]

CLIENTS = 50
ROUTES = 100_000
ALIKE = 20
TIMES = 5
"""What else the machine does adds to each time: the least is nearest to what it takes."""
_SCHEDULED = 2
"""CPUCLOCK_SCHED of Linux's posix-timers.h: the time of a process, of all its threads that are or were."""
PLACES = (
    "/v1/status", "/v1/peers", "/v1/groups", "/v1/routes", f"/v1/peers/{node(0)}", "/metrics",
)  # fmt: skip
READERS = """
import asyncio, sys

async def read(first):
    answers = 0
    while not over.is_set():
        place = places[(first + answers) % len(places)]
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(f"GET {place} HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n".encode())
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200 "), (place, answer[:200])
        writer.close()
        answers += 1
        if answers == 1 and not next(first_answers):
            print("begun", flush=True)
    return answers

async def main():
    asyncio.get_running_loop().add_reader(0, over.set)
    print(*await asyncio.gather(*(read(number) for number in range(count))))

count, path, *places = int(sys.argv[1]), *sys.argv[2:]
over = asyncio.Event()
first_answers = iter(range(count - 1, -1, -1))
asyncio.run(main())
"""


@contextmanager
def _reading(daemon: Routerd, answered: list[int]) -> Iterator[None]:
    """Read everything, from CLIENTS connections at once; then note how many answers each has had."""
    command = [sys.executable, "-c", READERS, str(CLIENTS), str(daemon.socket), *PLACES]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        yield
        output, _ = process.communicate("\n", timeout=60)
        assert process.returncode == 0
        answered += map(int, output.split())


def _cpu(pid: int) -> float:
    """Return the CPU time of a process so far, in seconds, finer than the ticks of /proc: clock_getcpuclockid(3)."""
    return time.clock_gettime(~pid << 3 | _SCHEDULED)


async def _load(made: Network, daemon: Routerd, readers: Callable[[], AbstractContextManager[None]]) -> float:
    """Have a node announce ROUTES prefixes, each twenty with attributes of their own, and wait until the kernel has
    them; return the daemon's CPU time for that. It has no rest meanwhile: all of it is routing, or reading."""
    names = [f"172.{16 + (n >> 16)}.{n >> 8 & 255}.{n & 255}" for n in range(ROUTES)]
    text = b"".join(
        bgp.update(bgp.attributes(node(0), (65001,), med=i), [f"{each}/32" for each in names[i : i + ALIKE]])
        for i in range(0, ROUTES, ALIKE)
    )
    async with await made.establish(0, hold=0) as client:
        await becomes(lambda: [each["state"] for each in daemon.get("/v1/peers")], ["established"])
        with readers():
            before = _cpu(daemon.pid)
            client.send(text + bgp.end_of_rib())
            await becomes(lambda: names[-1] in made.router.ip("route", "show", names[-1]), True, 120)
            took = _cpu(daemon.pid) - before
        assert daemon.status()["fib"]["routes"] == ROUTES
        return took


async def test_fifty_readers_delay_a_load_by_less_than_a_tenth(tmp_path: Path) -> None:
    answered: list[int] = []
    alone, beside = [], []
    for _ in range(TIMES):
        with network() as made:
            with running(made.router, tmp_path) as daemon:
                alone.append(await _load(made, daemon, nullcontext))
            with running(made.router, tmp_path) as daemon:
                beside.append(await _load(made, daemon, partial(_reading, daemon, answered)))
    print(f"alone {alone} s, beside {CLIENTS} readers {beside} s")
    assert min(beside) < 1.1 * min(alone)
    assert min(answered) >= 2, "a reader has had nothing"
