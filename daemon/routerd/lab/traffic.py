"""Requests from the client's namespace to a VIP."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from routerd.lab import web
from routerd.lab.namespaces import Namespace
from routerd.lab.process import Process, tail
from routerd.lab.waiting import LabError, until

_WEB = (sys.executable, "-m", web.__name__)


def serve(node: Namespace, log: Path) -> Process:
    """Start a node's web server and return it once it answers."""
    process = Process(node, [*_WEB, "serve", node.name], log)

    def listening() -> str:
        if not process.running:
            raise LabError(f"{node.name}: the web server ended:\n{tail(log)}")
        return "" if node.run("ss", "-Htln", f"sport = :{web.PORT}") else "nothing listens"

    until(listening, 10, f"{node.name}: web server")
    return process


def requests(client: Namespace, address: str, count: int) -> web.Tally:
    """Make `count` requests to `address`, each on a fresh TCP connection, and tell who answered."""
    tally: web.Tally = json.loads(client.run(*_WEB, "get", address, str(count)))
    return tally


@contextmanager
def steady_requests(client: Namespace, address: str) -> Iterator[Callable[[], web.Tally]]:
    """Make requests for as long as the block runs. What is yielded ends them and tells who answered."""
    command = client.command("setpriv", "--pdeathsig", "KILL", *_WEB, "get", address, "0")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:

        def finish() -> web.Tally:
            output, _ = child.communicate(timeout=10)
            if child.returncode != 0:
                raise LabError(f"the client of {address} ended with status {child.returncode}")
            tally: web.Tally = json.loads(output)
            return tally

        try:
            yield finish
        finally:
            child.kill()
