"""Prometheus and mosquitto beside the lab, where they are installed: what its router tells them can be looked at."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from routerd.lab.forwarding import forward
from routerd.lab.laboratory import Laboratory
from routerd.lab.namespaces import PATH
from routerd.lab.process import Process, tail
from routerd.lab.waiting import LabError, until

_METRICS = 9179
_ALARMS = Path(__file__).parents[3] / "config" / "prometheus" / "alerts.yml"
"""Of the repository; an installed routerd has no such file."""
SITE = "lab"


class Observer(NamedTuple):
    """A program: where it listens in the router's namespace, its file's name and text and how it is told of it, what
    the router's configuration says of it, and what looks at it, with {port} in place of the machine's port."""

    name: str
    port: int
    file: str
    text: str
    arguments: Sequence[str]
    router: str
    looks: Sequence[str]


def _prometheus(directory: Path) -> Observer:
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(_ALARMS)] if _ALARMS.exists() else [],
        "scrape_configs": [{"job_name": "routerd", "static_configs": [{"targets": [f"127.0.0.1:{_METRICS}"]}]}],
    }
    return Observer(
        "prometheus",
        9090,
        "prometheus.yml",
        json.dumps(config),  # which is YAML, too
        (
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'prometheus'}",
            "--web.listen-address=127.0.0.1:9090",
        ),
        f'[metrics]\nlisten = "127.0.0.1:{_METRICS}"\n',
        ("http://127.0.0.1:{port}/ in a browser: Alerts, or Graph with routerd_node_buckets, for one",),
    )


def _mosquitto(directory: Path) -> Observer:
    return Observer(
        "mosquitto",
        1883,
        "mosquitto.conf",
        # In a user namespace there is no other user to become.
        "listener 1883 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n",
        ("-c", str(directory / "mosquitto.conf")),
        f'[mqtt]\nbroker = "mqtt://127.0.0.1:1883"\nsite = "{SITE}"\nrouter = "router"\n',
        (
            f"{sys.executable} -m routerd fleet --watch --site {SITE} --broker mqtt://127.0.0.1:{{port}}",
            "mosquitto_sub -v -h 127.0.0.1 -p {port} -t 'routerd/#'",
        ),
    )


@contextmanager
def observed(lab: Laboratory, config: str) -> Iterator[list[str]]:
    """Start what is installed, and have the router, which does not run yet, tell it how it is; end it with the block.

    `config` is the router's configuration without that. Yields lines for people: what to open and to run from the
    machine, and what is missing.
    """
    directory = lab.daemon.config.parent
    lines = []
    with ExitStack() as stack:
        for each in (_prometheus(directory), _mosquitto(directory)):
            try:
                port = _start(lab, each, directory, stack)
            except LabError as error:
                lines.append(f"{each.name}: {error}; the lab goes on without")
                continue
            config += f"\n{each.router}"
            lines += [f"{each.name}:", *(f"  {look.format(port=port)}" for look in each.looks)]
        lab.daemon.configure(config)
        yield lines


def _start(lab: Laboratory, observer: Observer, directory: Path, stack: ExitStack) -> int:
    """Start a program and return the machine's port that leads to it; LabError if it is not there or does not run."""
    program = shutil.which(observer.name, path=PATH)
    if program is None:
        raise LabError(f"not installed; it is in the Debian package {observer.name}")
    (directory / observer.file).write_text(observer.text)
    log = directory / f"{observer.name}.log"
    process = Process(lab.fabric.router, [program, *observer.arguments], log)
    stack.callback(process.kill)

    def listening() -> str:
        if not process.running:
            raise LabError(f"it ended:\n{tail(log)}")
        return "" if lab.fabric.router.run("ss", "-Htln", f"sport = :{observer.port}") else "nothing listens"

    until(listening, 20, "it listens")
    forwarder, port = forward(lab.fabric.router, observer.port, log)
    stack.callback(forwarder.kill)
    return port
