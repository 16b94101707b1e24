"""The real mosquitto, and what it is told: a broker that dies and comes back, and a reader of all that it hears."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.netns import Namespace

PROGRAM = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
needs_mosquitto = pytest.mark.skipif(PROGRAM is None, reason="needs Debian's mosquitto and mosquitto-clients")


_ports = itertools.count(18830)
"""For brokers in namespaces of a test's own."""


class Mosquitto:
    """A broker on 127.0.0.1, which retains nothing over its death. `more` are lines of its configuration."""

    def __init__(self, directory: Path, inside: Namespace | None = None, more: str = "allow_anonymous true") -> None:
        self.port = next(_ports) if inside else free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._inside = inside
        self._file = directory / "mosquitto.conf"
        self._log = directory / "mosquitto.log"
        self._process: subprocess.Popen[str] | None = None
        self.configure(more)

    def configure(self, more: str) -> None:
        """Write its configuration, for the next start."""
        self._file.write_text(
            f"listener {self.port} 127.0.0.1\npersistence false\nuser root\nset_tcp_nodelay true\n{more}\n"
        )

    def spawn(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Start a program where the broker is."""
        if self._inside is not None:
            return self._inside.spawn(*command, **options)
        return subprocess.Popen(command, text=True, **options)

    def start(self) -> None:
        """Start it, and wait until it listens."""
        assert PROGRAM is not None
        with self._log.open("a") as log:
            self._process = self.spawn(PROGRAM, "-c", str(self._file), stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            if self.publish("started", "yes", check=False):
                return
            time.sleep(0.02)
        raise AssertionError(f"mosquitto does not run:\n{self._log.read_text()}")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def publish(self, topic: str, payload: str, *options: str, check: bool = True) -> bool:
        """Publish a message; return whether that worked."""
        command = ("mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-p", str(self.port), "-t", topic, "-m", payload)
        done = self.spawn(*command, *options, stderr=subprocess.PIPE)
        said = done.communicate(timeout=10)[1]
        refused = done.returncode and "Connection refused" not in said  # by who checks users, for one: it runs
        assert not check or not done.returncode, said
        return not done.returncode or bool(refused)

    def flood(self, topic: str, lines: str) -> None:
        """Publish each line, as fast as that goes."""
        command = ("mosquitto_pub", "-V", "5", "-h", "127.0.0.1", "-p", str(self.port), "-t", topic, "-l")
        self.spawn(*command, stdin=subprocess.PIPE).communicate(lines, timeout=30)


class Reader:
    """Hears all that a broker is told below a topic from when it is made: `states` is what is retained, `heard` what
    came, in order."""

    def __init__(self, broker: Mosquitto, topic: str = "routerd/#", *options: str) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.states: dict[str, Any] = {}
        self.stale: set[str] = set()
        """Topics that the broker had retained when this began."""
        command = ("mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-p", str(broker.port), "-t", topic, "-q", "1")
        line_by_line = ("stdbuf", "-oL", *command, "-d", "-F", "%r %t %p")
        self._process = broker.spawn(*line_by_line, *options, stdout=subprocess.PIPE)
        self._subscribed = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        assert self._subscribed.wait(10), "mosquitto_sub does not subscribe"

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("Subscribed "):
                self._subscribed.set()
            retained, topic, *payload = line.rstrip("\n").split(" ", 2)
            if retained not in ("0", "1"):
                continue  # what mosquitto_sub says of itself
            said = _parsed(payload[0]) if payload and payload[0] else None
            self.heard.append((topic, said))
            if retained == "1":
                self.stale.add(topic)
            if said is None:
                self.states.pop(topic, None)
            else:
                self.states[topic] = said

    def close(self) -> None:
        """Stop."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def mosquitto(
    directory: Path, inside: Namespace | None = None, more: str = "allow_anonymous true"
) -> Iterator[Mosquitto]:
    """Run a broker."""
    broker = Mosquitto(directory, inside, more)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


@contextmanager
def reading(broker: Mosquitto, topic: str = "routerd/#", *options: str) -> Iterator[Reader]:
    """Read what a broker is told."""
    reader = Reader(broker, topic, *options)
    try:
        yield reader
    finally:
        reader.close()


def _parsed(payload: str) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
