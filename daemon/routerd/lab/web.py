"""The nodes' little web server, and a client that counts who answers.

Both run as `python -m routerd.lab.web` inside a namespace: `serve NAME` and `get ADDRESS COUNT`.
"""

from __future__ import annotations

import http.client
import http.server
import json
import select
import socket
import socketserver
import sys
from collections import Counter
from typing import TypedDict

PORT = 80
TIMEOUT = 2.0
"""Seconds until the client gives up on an answer."""
PACE = 0.005
"""Seconds between two requests of a client that goes on until it is told to stop."""


class Tally(TypedDict):
    """What came of a number of requests, each on a TCP connection of its own."""

    answers: dict[str, int]
    """How many requests each node answered, by its name."""
    retried: int
    """Requests that were answered at the second try: their connection broke at the first."""
    failed: int
    last_error: str


class _Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 128
    body = b""

    def server_bind(self) -> None:
        # One socket serves both families; and not HTTPServer.server_bind, which asks DNS for a name.
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "", PORT


class _Answer(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"  # a connection outlives a request, if the client wants that

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: hundreds of requests are the point."""


def serve(name: str) -> None:
    """Answer every GET on port 80 of every address with `name`, until killed."""
    with _Server(("::", PORT), _Answer) as server:
        server.body = name.encode()
        server.serve_forever()


def get(address: str, count: int) -> Tally:
    """Make `count` requests one after the other; 0 means until standard input is closed."""
    tally = Tally(answers={}, retried=0, failed=0, last_error="")
    answers: Counter[str] = Counter()
    made = 0
    while made < count if count else not select.select([sys.stdin], [], [], PACE)[0]:
        made += 1
        for attempt in (1, 2):
            try:
                answers[_fetch(address)] += 1
            except (OSError, http.client.HTTPException) as error:
                tally["last_error"] = f"{type(error).__name__}: {error}"
                tally["retried" if attempt == 1 else "failed"] += 1
            else:
                break
    tally["answers"] = dict(answers)
    tally["retried"] -= tally["failed"]
    return tally


def _fetch(address: str) -> str:
    connection = http.client.HTTPConnection(address, PORT, timeout=TIMEOUT)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        print(json.dumps(get(sys.argv[2], int(sys.argv[3]))))
