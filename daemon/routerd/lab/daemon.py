"""The real routerd in the router's namespace."""

from __future__ import annotations

import http.client
import json
import socket
import sys
from pathlib import Path
from typing import cast

from routerd.api.models import StatusView
from routerd.config.load import parse
from routerd.lab.namespaces import Namespace
from routerd.lab.process import Process, tail
from routerd.lab.waiting import LabError, until

LAB_CONFIG = Path(__file__).with_name("lab.toml")
_ROUTERD = (sys.executable, "-m", "routerd")


class Daemon:
    """routerd with a configuration of its own; its socket and its log are in `directory`."""

    def __init__(self, router: Namespace, directory: Path, config: str) -> None:
        """Write down the configuration `config`, its `[api] socket` moved; ConfigError if it is not valid."""
        self.socket = directory / "routerd.sock"
        self.log = directory / "routerd.log"
        self.config = directory / "routerd.toml"
        self._router = router
        self._process: Process | None = None
        self.configure(config)

    def configure(self, config: str) -> None:
        """Replace the file's text; a running daemon is not told. ConfigError if it is not valid."""
        written = parse(config).api.socket
        if f'"{written}"' not in config:
            raise LabError(f'the configuration must name its socket: [api] socket = "{written}"')
        self.config.write_text(config.replace(f'"{written}"', f'"{self.socket}"'))

    @property
    def process(self) -> Process:
        """The running daemon; LabError if it was not started."""
        if self._process is None:
            raise LabError("routerd is not running")
        return self._process

    @property
    def runs(self) -> bool:
        """Whether it was started, and not stopped or killed since."""
        return self._process is not None

    def start(self) -> None:
        """Start it and wait until its API answers; LabError with the end of its log if it does not."""
        self._process = process = Process(self._router, [*_ROUTERD, "run", "--config", str(self.config)], self.log)

        def answers() -> str:
            if not process.running:
                raise LabError(f"routerd ended:\n{tail(self.log)}")
            return "" if self.status() else f"no answer on {self.socket}"

        until(answers, 20, "routerd answers on its socket")

    def reload(self, config: str) -> None:
        """Have the running daemon take another configuration; LabError with its answer if it does not."""
        self.configure(config)
        done = self._router.attempt(*_ROUTERD, "reload", "--socket", str(self.socket))
        if done.returncode != 0:
            raise LabError(f"routerd reload has failed:\n{done.stdout}{done.stderr}")

    def stop(self) -> None:
        """Stop it with SIGTERM: the FIB stays. LabError if it reports failure."""
        status = self.process.stop()
        self._process = None
        if status != 0:
            raise LabError(f"routerd ended with status {status}:\n{tail(self.log)}")

    def kill(self) -> None:
        """Kill it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def status(self) -> StatusView | None:
        """Return `GET /v1/status`; None while it does not answer."""
        connection = _UnixConnection(self.socket)
        try:
            connection.request("GET", "/v1/status")
            response = connection.getresponse()
            body = response.read()
        except (FileNotFoundError, ConnectionError, http.client.HTTPException):
            return None  # it is not up yet, or on its way down: what the caller waits for
        finally:
            connection.close()
        return cast("StatusView", json.loads(body)) if response.status == 200 else None

    def established(self) -> set[str]:
        """Return the addresses of the peers whose sessions are up."""
        status = self.status()
        peers = status["peers"] if status else []
        return {peer["address"] for peer in peers if peer["state"] == "established"}

    def screen(self) -> str:
        """Return what `routerd status` prints for people."""
        return self._router.attempt(*_ROUTERD, "status", "--socket", str(self.socket)).stdout


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
