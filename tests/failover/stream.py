"""A steady stream of numbered UDP packets through the router, and the count of those that did not arrive.

    with stream(client, nodes, VIPS) as finish:
        ...
    report = finish()

As a program (`send RATE ADDRESS...`, `receive`) it runs inside a namespace, until its standard input is closed.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.netns import Namespace

PORT = 9000
FLOWS = 32
"""Per address: every flow has a source port of its own."""
BURST = 64
"""Packets sent at once, at most: a sender that had no processor for a while must not overrun the receiver."""
_SO_RCVBUFFORCE = 33
_NUMBER = struct.Struct("!I")


@dataclass(frozen=True)
class Report:
    """What became of the packets; `unsent` are those that the sender's own kernel refused (no route, refused)."""

    sent: int
    unsent: int
    lost: int
    duplicates: int
    seconds: float

    @property
    def rate(self) -> float:
        """Packets a second."""
        return self.sent / self.seconds

    def __str__(self) -> str:
        return (
            f"{self.sent} packets in {self.seconds:.1f} s ({self.rate:.0f}/s): {self.lost} lost, "
            f"{self.unsent} not sent, {self.duplicates} twice"
        )


def send(rate: float, addresses: Sequence[str]) -> None:
    """Send to all addresses in turn, from many ports, `rate` packets a second in all."""
    sockets = []
    for _ in range(FLOWS):
        for address in addresses:
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
            sock.connect((address, PORT))
            sockets.append(sock)
    count = unsent = 0
    print("ready", flush=True)
    started = time.monotonic()
    while not select.select([sys.stdin], [], [], 0.002)[0]:
        due = int((time.monotonic() - started) * rate)
        while count < due:
            for _ in range(min(BURST, due - count)):
                try:
                    sockets[count % len(sockets)].send(_NUMBER.pack(count))
                except OSError:
                    unsent += 1
                count += 1
            time.sleep(0)
    print(json.dumps({"sent": count, "unsent": unsent, "seconds": time.monotonic() - started}))


def receive() -> None:
    """Take in packets; told to stop, go on until none has come for half a second."""
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 64 << 20)
    sock.bind(("::", PORT))
    sock.setblocking(False)
    print("ready", flush=True)
    seen = bytearray(1 << 24)
    received = duplicates = 0
    watched: list[Any] = [sys.stdin, sock]
    last = time.monotonic()
    while sys.stdin in watched or time.monotonic() - last < 0.5:
        ready, _, _ = select.select(watched, [], [], 0.1)
        if sys.stdin in ready:
            watched.remove(sys.stdin)
            last = time.monotonic()
        if sock in ready:
            last = time.monotonic()
            try:
                while True:
                    (number,) = _NUMBER.unpack(sock.recv(64))
                    duplicates += seen[number]
                    received += not seen[number]
                    seen[number] = 1
            except BlockingIOError:
                time.sleep(0.002)  # let some gather: a wake-up each costs more than the packet
    print(json.dumps({"received": received, "duplicates": duplicates}))


def _wait(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


@contextmanager
def stream(
    client: Namespace, nodes: Namespace, addresses: Sequence[str], rate: float = 12_000
) -> Iterator[Callable[[], Report]]:
    """Send from `client` to `addresses`, received in `nodes`; what is yielded ends it and returns the report."""
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    program = (sys.executable, "-m", "tests.failover.stream")
    receiver = nodes.spawn(*program, "receive", **options)
    _wait(receiver)
    sender = client.spawn(*program, "send", str(rate), *addresses, **options)
    _wait(sender)

    def finish() -> Report:
        sent = json.loads(sender.communicate()[0])
        received = json.loads(receiver.communicate()[0])
        lost = sent["sent"] - sent["unsent"] - received["received"]
        return Report(sent["sent"], sent["unsent"], lost, received["duplicates"], sent["seconds"])

    try:
        yield finish
    finally:
        for process in (sender, receiver):
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(float(sys.argv[2]), sys.argv[3:])
    else:
        receive()
