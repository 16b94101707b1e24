"""Memory and CPU time of running processes, from /proc."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

_LATENCY = Path("/dev/cpu_dma_latency")
"""How long CPUs may take to wake up."""
_CACHES, _COMPACT = Path("/proc/sys/vm/drop_caches"), Path("/proc/sys/vm/compact_memory")


def drop_caches() -> None:
    """Let go of what the machine's memory holds of files."""
    os.sync()
    _CACHES.write_text("3")


def compact() -> None:
    """Move together what the machine's memory holds: what is started from now on gets memory in one piece, whatever
    ran before."""
    _COMPACT.write_text("1")


def family(roots: Iterable[int]) -> list[int]:
    """Return these processes and all their descendants that live."""
    found: list[int] = []
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for task in _tasks(pid):
            with contextlib.suppress(OSError):  # it ended in the meantime
                waiting.extend(map(int, (task / "children").read_text().split()))
    return found


def memory(pids: Iterable[int]) -> float:
    """Return the proportional set size of processes together, in bytes: what they share counts once."""
    return 1024.0 * sum(_kibibytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss") for pid in pids)


def kernel_memory() -> float:
    """Return what the machine's kernel holds in slabs, vmalloc and per-CPU areas, in bytes.

    Routes, nexthop groups and the buckets of resilient ones lie there, and belong to no process.
    """
    return 1024.0 * sum(_kibibytes(Path("/proc/meminfo"), name) for name in ("Slab", "VmallocUsed", "Percpu"))


def peak(pids: Iterable[int]) -> float:
    """Return the sum of the largest resident sets that the processes ever had, in bytes."""
    return 1024.0 * sum(_kibibytes(Path(f"/proc/{pid}/status"), "VmHWM") for pid in pids)


def cpu(pids: Iterable[int]) -> float:
    """Return the time that the processes have been on a CPU, in seconds: the first field of schedstat."""
    total = 0
    for pid in pids:
        for task in _tasks(pid):
            with contextlib.suppress(OSError):  # a thread that ended
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def kill(pid: int) -> None:
    """Kill a process that may have ended already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _kibibytes(file: Path, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", file.read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Have this process run as soon as it can, and let no CPU go to sleep meanwhile.

    Else what it waits for is seen only when whoever has brought it about, and goes on with other things on the same
    CPU, lets go of it; and what a CPU takes to wake up counts with what is done then (PM QoS,
    Documentation/power/pm_qos_interface.rst: the request holds as long as the file is open).
    """
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    with contextlib.ExitStack() as stack:
        if _LATENCY.exists():
            stack.enter_context(_LATENCY.open("wb", buffering=0)).write(bytes(4))  # microseconds
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        stack.callback(os.sched_setscheduler, 0, *before)
        yield
