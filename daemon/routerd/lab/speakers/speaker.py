"""What every node's BGP speaker can do, whatever program it is."""

from __future__ import annotations

import ipaddress
import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from routerd.lab.namespaces import PATH, Namespace
from routerd.lab.process import Process, tail
from routerd.lab.waiting import LabError, until


@dataclass(frozen=True, slots=True)
class Session:
    """How a node speaks with its routers. Times are seconds; the defaults are Cilium's with its advised timers.

    `local` and `routers` are the sessions' addresses, all of one family. `next_hops` are the node's addresses,
    IPv4 and IPv6, that it announces. `restart_time` 0 leaves graceful restart out.
    """

    asn: int
    router_id: str
    local: str
    next_hops: tuple[str, str]
    routers: tuple[str, ...]
    router_asn: int
    hold_time: int = 9
    keepalive: int = 3
    connect_retry: int = 5
    multihop: int = 2
    restart_time: int = 15
    password: str | None = None

    @property
    def external(self) -> bool:
        """Whether it is eBGP; only then has `multihop` a meaning."""
        return self.asn != self.router_asn

    def next_hop(self, prefix: str) -> str:
        """Return the node's address of the family of `prefix`."""
        return self.next_hops[0 if version(prefix) == 4 else 1]


def version(prefix: str) -> int:
    """Return 4 or 6."""
    return ipaddress.ip_network(prefix).version


class Speaker(ABC):
    """A BGP speaker inside a node's namespace. It dials out to the routers and never listens.

    `prefixes` is what it announces; a speaker that starts again announces it again.
    """

    programs: ClassVar[tuple[str, ...]] = ()
    """What must be installed, as names or absolute paths."""
    package: ClassVar[str] = ""
    """The Debian package that has them."""

    def __init__(self, namespace: Namespace, directory: Path, session: Session) -> None:
        """Prepare a speaker; `directory` exists and is its own, for its configuration, sockets and log."""
        self.namespace = namespace
        self.directory = directory
        self.session = session
        self.log = directory / "speaker.log"
        self.prefixes: list[str] = []
        self._process: Process | None = None

    @classmethod
    def require(cls) -> None:
        """LabError with the package to install if a program is missing."""
        for program in cls.programs:
            if shutil.which(program, path=PATH) is None:
                raise LabError(f"{program} is not installed; it is in the Debian package {cls.package}")

    @property
    def process(self) -> Process:
        """The running program; LabError if it was not started."""
        if self._process is None:
            raise LabError(f"the speaker of {self.namespace.name} is not running")
        return self._process

    def start(self) -> None:
        """Start it; it dials the routers at once and announces `prefixes`. LabError if it does not come up."""
        self.require()
        self._process = process = self._launch()

        def answers() -> str:
            if not process.running:
                raise LabError(f"{process.name} ended: {tail(self.log)}")
            probe = self._probe()
            if not probe:
                return ""
            done = self.namespace.attempt(*probe)
            return "" if done.returncode == 0 else (done.stderr or done.stdout).strip() or "no answer"

        until(answers, 10, f"{process.name} takes commands")
        self._started()

    def announce(self, *prefixes: str) -> None:
        """Announce more prefixes, at once if it runs, else when it starts."""
        new = [prefix for prefix in dict.fromkeys(prefixes) if prefix not in self.prefixes]
        self.prefixes += new
        if self._process is not None:
            self._change(new, [])

    def withdraw(self, *prefixes: str) -> None:
        """Withdraw prefixes; ValueError for one that it does not announce."""
        for prefix in prefixes:
            self.prefixes.remove(prefix)
        if self._process is not None:
            self._change([], list(prefixes))

    def stop(self) -> None:
        """Stop it as its service manager does, with SIGTERM."""
        self.process.stop()
        self._process = None

    def kill(self) -> None:
        """Kill it, if it runs: no NOTIFICATION is sent, but the kernel still closes its connection."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def close(self) -> None:
        """Kill it and let go of what it holds; it cannot start again."""
        self.kill()

    @abstractmethod
    def _launch(self) -> Process:
        """Write the configuration and start the program."""

    def _probe(self) -> list[str]:
        """Return a command that succeeds once the program takes orders; none needed if empty."""
        return []

    def _started(self) -> None:
        """Do what must be done once the program takes orders: nothing, for most."""
        return

    @abstractmethod
    def _change(self, announced: list[str], withdrawn: list[str]) -> None:
        """Tell the running program; `prefixes` has the change already."""
