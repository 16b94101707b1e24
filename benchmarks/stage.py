"""One daemon in fresh namespaces with its peers: what every work begins with."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import processes, stretch, tables
from benchmarks.contenders import Contender, Settings
from benchmarks.contenders.contender import BenchError
from benchmarks.fib import Fib
from benchmarks.net import NODE_AS, Site, node, site
from benchmarks.peers import PATIENCE, Peers
from benchmarks.subsets import Changes, Placement, introduced, wanted

SETTLE = 0.5
"""Seconds between a work and the next one on the same daemon."""
ESTABLISHED = 1.5
"""Seconds that sessions are up when a work begins: what a daemon does or leaves at first is past."""
_QUIET = 0.05
"""Seconds of CPU time in half a second that a daemon may use when it has nothing to do."""
_MANY = 250
"""Peers, from which on the machine's neighbour table may be too small."""
Values = dict[str, list[float]]
"""What a work measured: figure -> values, in seconds, bytes or shares."""


@dataclass
class Stage:
    """A running daemon, the FIB that it fills, and the peers that were asked for (first process of several)."""

    contender: Contender
    site: Site
    fib: Fib
    stack: ExitStack
    processes: list[Peers] = field(default_factory=list)

    @property
    def peers(self) -> Peers:
        """The first process full of peers."""
        return self.processes[0]

    def connect(
        self, count: int, *options: str, module: str = "generator", first: int = 0, asn: int = NODE_AS
    ) -> Peers:
        """Start peers, from node `first` on; they dial in at once. `options` go to their command line."""
        if count > _MANY:
            self.site.introduce(first, count)
        where = ("--source", node(first), "--peers", str(count), "--asn", str(asn))
        hold = ("--hold", str(self.contender.settings.hold))
        inside = [str(place.pid) for place in self.site.each[first : first + count]]
        if inside:
            options = (*options, "--inside", *inside)
        peers = Peers(self.site.nodes, module, *where, *hold, *options, check=self.contender.check)
        self.stack.callback(peers.kill)
        self.processes.append(peers)
        return peers

    def ready(self, count: int, *options: str) -> Peers:
        """Start peers, and wait until their sessions are up."""
        peers = self.connect(count, *options)
        peers.heard("up")
        time.sleep(ESTABLISHED)
        return peers

    def load(self, routes: int, legs: int = 1, command: str = "", *, total: int = 0) -> float:
        """Have all peers announce, and return the seconds until the FIB is complete.

        `routes` is of one peer; `total` of all together, if they lie apart.
        """
        begun = self.peers.do(command or f"load 0 {routes}")
        return self.fib.loaded(total or routes, legs, self.contender.check) - begun

    def tell(self, changes: Changes) -> float:
        """Have peers announce and withdraw single VIPs in this order, and return when they began."""
        return self.peers.do(f"tell {json.dumps(changes, separators=(',', ':'))}")

    def place(self, placement: Placement, patience: float) -> float:
        """Have the nodes announce their VIPs, and return the seconds until the kernel has all of them right."""
        begun = self.tell(introduced(placement))
        return tables.right(self.fib, wanted(placement), self.contender.check, patience=patience) - begun

    def quiet(self, patience: float = PATIENCE) -> None:
        """Wait until the daemon has digested what it was sent; BenchError if it is busy for so many seconds."""
        before, deadline = -1.0, time.monotonic() + patience
        while (now := processes.cpu(self.contender.pids())) - before > _QUIET:
            if time.monotonic() > deadline:
                raise BenchError(f"still busy after {patience:g} s")
            before = now
            time.sleep(0.5)

    def status(self) -> float:
        """Return the seconds from the operator's command to its last line, the program's own start included."""
        command = self.site.router.command(*self.contender.status_command())
        started = time.monotonic()
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
        took = time.monotonic() - started
        if done.returncode:
            raise BenchError(f"{' '.join(command)}: {done.stderr.decode()}")
        return took

    def lose(self, number: int, routes: int) -> float:
        """Close a peer's connection, and return the seconds until no route leads to it."""
        begun = self.peers.do(f"close {number}")
        return self.fib.without(node(number), range(routes), self.contender.check) - begun


@contextmanager
def stage(
    kind: type[Contender], settings: Settings | None = None, apart: int = 0, place: Site | None = None
) -> Iterator[Stage]:
    """Start a daemon in namespaces of its own, and of `apart` nodes, or in those of `place`; at the end everything is
    taken away."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="routerd-bench-")))
        directory.chmod(0o711)  # FRR's own user passes through
        own = directory / kind.name
        own.mkdir()
        place = place or stack.enter_context(site(apart))
        # The kernel takes namespaces down in the background: so the routes go before, or the next run would notice.
        stack.callback(place.router.attempt, "ip", "link", "set", "eth0", "down")
        contender = kind(place.router, own, settings or Settings())
        stack.callback(contender.kill)
        fib = Fib(place.router)
        stack.callback(fib.close)
        contender.start()
        yield Stage(contender, place, fib, stack)
        stretch.note(contender)  # before the peers go: to delete all routes with the last one takes the kernel 40 ms
