"""What all daemons under test have in common: how they are started, asked and watched.

The configurations are equal: AS 65000, eBGP peers that dial in from the whole network (AS 65001 nodes, AS 65002
sinks), the same hold time, 64 paths, routes with metric 20 in the main table, policies that accept and announce all.
"""

from __future__ import annotations

import shutil
import socket
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from benchmarks import processes
from benchmarks.net import ROUTER, inside
from routerd.lab.namespaces import PATH, Namespace
from routerd.lab.process import Process, tail

PATIENCE = 30.0
"""Seconds that a daemon may take to listen."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """The router is one of two: names and addresses of both, the key that they share, and the seed of their kernels.
    Buckets may move once they are idle for `idle` seconds."""

    router: str
    partner: str
    own_address: str
    partner_address: str
    key_file: Path
    seed: int
    idle: float


@dataclass(frozen=True, slots=True)
class Settings:
    """What a work asks of a daemon: the hold time in seconds, whether learned routes are announced, whether it is
    to forward with the routes that it finds when it starts, until the nodes have said theirs (graceful restart),
    whether it has a partner; and every how many seconds it is to compare the kernel with what it should have, if
    that is not for it to say."""

    hold: int = 90
    advertise: bool = False
    graceful: bool = False
    audit: float = 0.0
    pairing: Pairing | None = None


@dataclass(frozen=True, slots=True)
class Stretches:
    """`counts` of stretches by the `bounds` in seconds that they do not exceed, the last one of what exceeds all; and
    the `longest` one, in seconds."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    longest: float

    def since(self, before: Stretches) -> float:
        """Return a bound of all stretches since then, in seconds: the least that is known."""
        new = [now - then for now, then in zip(self.counts, before.counts, strict=True)]
        limits = (*self.bounds, self.longest)
        return max((limit for limit, count in zip(limits, new, strict=True) if count), default=0.0)


class BenchError(Exception):
    """A daemon, or the generator, did not do what the benchmark needs."""


class Contender(ABC):
    """A daemon in the router's namespace; `directory` is its own, for its files."""

    name: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]

    def __init__(self, router: Namespace, directory: Path, settings: Settings) -> None:
        self.router = router
        self.directory = directory
        self.settings = settings
        self.processes: list[Process] = []

    @classmethod
    def missing(cls) -> list[str]:
        """Return the programs that are not installed."""
        return [name for name in cls.programs if shutil.which(name, path=PATH) is None]

    @classmethod
    @abstractmethod
    def version(cls) -> str:
        """Return the program's name and version."""

    @abstractmethod
    def launch(self) -> None:
        """Start the processes and return at once."""

    @abstractmethod
    def status_command(self) -> list[str]:
        """Return the command with which an operator asks for the state of all peers."""

    def start(self) -> None:
        """Start it and wait until it takes connections; BenchError with its log if it does not."""
        self.launch()
        deadline = time.monotonic() + PATIENCE
        while not self._listens():
            self.check()
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name} does not listen:\n{self.logs()}")
            time.sleep(0.05)

    def pause_kernel(self) -> None:  # noqa: B027 - most daemons load quickly enough as they are
        """Write no routes until `resume_kernel`, to load a table that is only the stage of a measurement."""

    def resume_kernel(self) -> None:  # noqa: B027
        """Write routes again, and what has gathered meanwhile."""

    def stretches(self) -> Stretches | None:
        """Return how long its event loop was busy at a stretch since its start; None if it does not say."""
        return None

    def ask(self, resource: str, **query: str | int) -> None:
        """Ask its API something; BenchError if it has none, or does not answer."""
        raise BenchError(f"{self.name} has no API")

    def check(self) -> None:
        """BenchError with its log if a process of it has ended."""
        for process in self.processes:
            if not process.running:
                raise BenchError(f"{process.name} has ended:\n{self.logs()}")

    def kill(self) -> None:
        """Kill all of it."""
        for pid in self.pids():
            processes.kill(pid)
        for process in self.processes:
            process.kill()
        self.processes.clear()

    def pids(self) -> list[int]:
        """Return the ids of all its processes, children included."""
        roots = [process.pid for process in self.processes if process.running]
        return processes.family(roots)

    def logs(self) -> str:
        """Return the ends of its logs."""
        return "\n".join(f"--- {log.name}\n{tail(log)}" for log in sorted(self.directory.glob("*.log")))

    def run(self, *argv: str) -> Process:
        """Start a process of the daemon in the router's namespace."""
        process = Process(self.router, argv, self.directory / f"{Path(argv[0]).name}.log")
        self.processes.append(process)
        return process

    def _listens(self) -> bool:
        """Tell whether the port is open, without a connection that the daemon would have to refuse."""
        with inside(self.router):
            table = Path("/proc/thread-self/net/tcp").read_text()
        own = socket.inet_aton(ROUTER)[::-1].hex().upper()
        return any(f" {address}:00B3 00000000:0000 0A" in table for address in ("00000000", own))
