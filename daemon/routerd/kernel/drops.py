"""What the kernel drops before anybody hears of it: TCP segments with a wrong signature, or from too far away.

Nothing but counters of the network namespace (/proc/net/netstat) tells of them, and they do not say whose they were.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

COUNTERS = ("TCPMD5NotFound", "TCPMD5Unexpected", "TCPMD5Failure", "TCPMinTTLDrop")
"""Signature missing, not expected, wrong (RFC 2385); TTL too low (RFC 5082). linux/snmp.h, proc.c."""

_NETSTAT = Path("/proc/thread-self/net/netstat")


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many segments since the first look, and when the last of them was noticed, in monotonic seconds."""

    count: int
    last: float


class Drops:
    """The counters since the first look. `seen` has those that have risen."""

    def __init__(self) -> None:
        self._first = self._before = read()
        self.seen: dict[str, Dropped] = {}

    def look(self, now: float) -> dict[str, int]:
        """Read the counters again, and return by how much each has risen since the last look."""
        found = read()
        risen = {name: found[name] - self._before[name] for name in COUNTERS if found[name] > self._before[name]}
        self.seen |= {name: Dropped(found[name] - self._first[name], now) for name in risen}
        self._before = found
        return risen


def read() -> dict[str, int]:
    """Return the present counters; 0 for one that this kernel lacks."""
    return parse(_NETSTAT.read_text().splitlines())


def parse(lines: Iterable[str]) -> dict[str, int]:
    """Return the counters from pairs of lines: `TcpExt: NAME...` and `TcpExt: VALUE...`."""
    rows = [line.split()[1:] for line in lines if line.startswith("TcpExt:")]
    found = dict(zip(*rows[:2], strict=True)) if len(rows) >= 2 else {}
    return {name: int(found.get(name, 0)) for name in COUNTERS}
