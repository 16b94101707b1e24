"""Peers that announce nothing and count what is announced to them: a generator whose peers listen.

Says `begun` before it dials, `up` when all sessions are up, and `received` once every peer has heard as many host
routes as `--expect` says. It takes no commands but `quit`.
"""

from __future__ import annotations

import argparse
import socket
import struct

from benchmarks.generator import Generator, arguments

_HOST_ROUTE = 5
"""Bytes of a /32 in an UPDATE."""


class Counter:
    """The host routes that one peer was told."""

    def __init__(self) -> None:
        self.routes = 0
        self._rest = b""

    def take(self, data: bytes) -> None:
        """Count the announced and withdrawn host routes of what came in; the rest of a message waits."""
        data = self._rest + data
        offset = 0
        while offset + 19 <= len(data):
            length, kind = struct.unpack_from("!HB", data, offset + 16)
            if offset + length > len(data):
                break
            if kind == 2:
                (withdrawn,) = struct.unpack_from("!H", data, offset + 19)
                (attributes,) = struct.unpack_from("!H", data, offset + 21 + withdrawn)
                self.routes += (length - 23 - withdrawn - attributes) // _HOST_ROUTE - withdrawn // _HOST_ROUTE
            offset += length
        self._rest = data[offset:]


class Sink(Generator):
    """Peers that listen."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self._counters: dict[socket.socket, Counter] = {}
        self._short = options.peers
        """How many peers have not heard all yet."""

    def run(self) -> None:
        """Say when the dialling begins."""
        self.say("begun")
        super().run()

    def dial(self, number: int) -> socket.socket:
        """Count from the first byte on."""
        sock = super().dial(number)
        self._counters[sock] = Counter()
        return sock

    def _read(self, sock: socket.socket) -> None:
        data = sock.recv(1 << 20)
        if not data:
            raise SystemExit("the router closed a session")
        self._greet(sock, data)
        counter = self._counters[sock]
        before = counter.routes
        counter.take(data)
        if before < self.options.expect <= counter.routes:
            self._short -= 1
            if not self._short:
                self.say("received")


def main() -> None:
    """Dial and count."""
    parser = arguments()
    parser.add_argument("--expect", type=int, required=True, help="host routes that each peer is to hear")
    Sink(parser.parse_args()).run()


if __name__ == "__main__":
    main()
