"""`routerd lab --observe`: the real prometheus and mosquitto beside the lab, reached from the machine itself."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from routerd.lab import observers
from routerd.lab.forwarding import forward
from routerd.lab.namespaces import namespace
from routerd.lab.observers import observed
from routerd.lab.traffic import serve
from routerd.lab.waiting import until
from routerd.lab.web import PORT
from tests.lab.test_story import Run, lab, nobodys_python
from tests.support.mosquitto import needs_mosquitto
from tests.support.netns import needs_root
from tests.support.nobody import everybodys_python
from tests.support.prometheus import needs_prometheus

pytestmark = needs_root


@contextlib.contextmanager
def _run(user: str) -> Iterator[Run]:
    with contextlib.ExitStack() as stack:
        python = None
        if user != "root":
            python = nobodys_python(stack.enter_context(everybodys_python()))
        yield stack.enter_context(lab("--observe", python=python))


def _asked(url: str, expression: str) -> dict[str, str]:
    """Return what Prometheus says that an expression is, by the name of the peer."""
    place = urlsplit(url)
    with urllib.request.urlopen(
        f"{place.scheme}://{place.netloc}/api/v1/query?query={expression}", timeout=5
    ) as page:
        found = json.load(page)["data"]["result"]
    return {each["metric"].get("name", ""): each["value"][1] for each in found}


@needs_prometheus
@needs_mosquitto
@pytest.mark.parametrize("user", ["root", pytest.param("nobody", marks=pytest.mark.long)])
def test_what_it_prints_works_and_ends_with_the_lab(user: str) -> None:
    with _run(user) as run:
        run.wait_for("✔ The nodes boot")
        (url,) = re.findall(r"^  (http://\S+) in a browser", run.text, re.MULTILINE)
        fleet, subscription = re.findall(r"^  (.* fleet .*|mosquitto_sub .*)$", run.text, re.MULTILINE)
        until(lambda: "" if _asked(url, "up") == {"": "1"} else "no scrape", 10, "the router is scraped")
        until(lambda: "" if "1" in _asked(url, "routerd_peer_up").values() else "none", 10, "a peer is up there")
        with urllib.request.urlopen(url, timeout=5) as page:
            assert page.status == 200
        assert _output(*subscription.replace("'", "").split(), "-C", "1").startswith("routerd/v1/lab/router/")
        if user == "root":  # the other's Python has its modules where nobody but it sees them
            command = fleet.replace("--watch", "--json").split()

            def others() -> str:
                states = [(router["name"], router["state"]) for router in json.loads(_output(*command))["routers"]]
                return "" if states == [("router", "up")] else str(states)

            until(others, 20, "the router is up there")  # the story goes on, and at its end stops and starts it
        run.child.send_signal(signal.SIGTERM)
        assert run.finish() == 128 + signal.SIGTERM
    assert _refused(urlsplit(url).port)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout


def _refused(port: int | None) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port or 0)) != 0


class _Daemon:
    """Takes note of how it is configured."""

    def __init__(self, directory: Path) -> None:
        self.config = directory / "routerd.toml"

    def configure(self, text: str) -> None:
        self.config.write_text(text)


def _lab(directory: Path, router: Any = None) -> Any:
    return SimpleNamespace(daemon=_Daemon(directory), fabric=SimpleNamespace(router=router))


def test_what_is_not_installed_is_named_and_not_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observers, "PATH", str(tmp_path))
    made = _lab(tmp_path)
    with observed(made, "the rest") as lines:
        assert made.daemon.config.read_text() == "the rest"
    assert lines == [
        f"{name}: not installed; it is in the Debian package {name}; the lab goes on without"
        for name in ("prometheus", "mosquitto")
    ]


def test_what_does_not_run_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "prometheus"
    program.write_text("#!/bin/sh\necho unknown flag\nexit 2\n")
    program.chmod(0o755)
    monkeypatch.setattr(observers, "PATH", str(tmp_path))
    with namespace("router") as router, observed(_lab(tmp_path, router), "") as lines:
        assert lines[0] == "prometheus: it ended:\nunknown flag; the lab goes on without"


def test_a_port_that_is_taken_is_forwarded_from_another(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # or somebody else has it
            stack.enter_context(socket.create_server(("127.0.0.1", PORT)))
        inside = stack.enter_context(namespace("inside"))
        stack.callback(serve(inside, tmp_path / "web.log").kill)
        forwarder, port = forward(inside, PORT, tmp_path / "log")
        stack.callback(forwarder.kill)
        assert port != PORT
        for _ in range(3):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
                assert page.read().decode().strip() == "inside"
        assert os.stat(f"/proc/{forwarder.pid}/ns/net").st_ino == os.stat(f"/proc/{inside.pid}/ns/net").st_ino
