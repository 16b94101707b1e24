"""A steady stream of UDP packets from the client to VIPs, and how many of them do not arrive.

As a program (RATE FLOWS FIRST COUNT) it sends, until its standard input is closed; then it says what it sent. The
flows are those of `flows`. Whoever takes packets in reads none of them: the kernel counts what no longer fits.
"""

from __future__ import annotations

import json
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fib import BASE
from benchmarks.flows import FIRST_PORT, PORT
from benchmarks.net import CLIENT, Site, inside
from routerd.lab.namespaces import Namespace

ROOT = Path(__file__).parents[1]
BURST = 256
"""Packets between two looks at the clock, at most."""
_LAST = 0.2
"""Seconds that the last packets may take."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the packets, and how many a second there were."""

    sent: int
    lost: int
    rate: float


@contextmanager
def stream(site: Site, vips: range, each: int, rate: int) -> Iterator[Callable[[], Report]]:
    """Send `rate` packets a second in all, in `each` flows to every VIP. What is yielded ends that and tells."""
    command = [sys.executable, "-m", "benchmarks.packets", str(rate), str(each), str(vips.start), str(len(vips))]
    with ExitStack() as stack:
        hosts = [stack.enter_context(_Host(place)) for place in site.each or (site.nodes,)]
        sender = subprocess.Popen(
            site.client.command("setpriv", "--pdeathsig", "KILL", *command),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        stack.enter_context(sender)
        stack.callback(sender.kill)
        assert sender.stdout is not None
        sender.stdout.readline()  # it is about to send

        def finish() -> Report:
            said = json.loads(sender.communicate(timeout=10)[0])
            time.sleep(_LAST)
            return Report(said["sent"], said["sent"] - sum(host.taken() for host in hosts), said["rate"])

        yield finish


class _Host:
    """A socket that takes packets to any VIP."""

    def __init__(self, place: Namespace) -> None:
        with inside(place):
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._counters = Path(f"/proc/{place.pid}/net/snmp")

    def __enter__(self) -> _Host:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self._socket.setblocking(False)
        self._before = self._dropped()
        self._socket.bind(("0.0.0.0", PORT))
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def taken(self) -> int:
        """Return how many packets came: those that wait, and those for which there was no room."""
        waiting = 0
        with suppress(BlockingIOError):
            while self._socket.recv(64):
                waiting += 1
        return waiting + self._dropped() - self._before

    def _dropped(self) -> int:
        names, values = re.findall(r"^Udp: (.*)$", self._counters.read_text(), re.MULTILINE)
        return int(dict(zip(names.split(), values.split(), strict=True))["RcvbufErrors"])


def send(rate: int, each: int, vips: range) -> None:
    """Send to all flows in turn until the standard input is closed."""
    sockets = []
    for port in range(FIRST_PORT, FIRST_PORT + each):
        for vip in vips:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((CLIENT, port))
            sock.connect((socket.inet_ntoa((BASE + vip).to_bytes(4, "big")), PORT))
            sockets.append(sock)
    calls = [sock.send for sock in sockets]
    count = done = 0
    print("ready", flush=True)
    started = time.monotonic()
    while not select.select([sys.stdin], [], [], 0 if count < done else 0.001)[0]:
        done = int((time.monotonic() - started) * rate)
        for _ in range(min(BURST, done - count)):
            calls[count % len(calls)](b"packet")
            count += 1
    print(json.dumps({"sent": count, "rate": count / (time.monotonic() - started)}))


if __name__ == "__main__":
    _rate, _each, _first, _count = map(int, sys.argv[1:])
    send(_rate, _each, range(_first, _first + _count))
