"""Debian's prometheus and promtool, and certificates for TLS."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.netns import Namespace

needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")), reason="needs prometheus and promtool"
)


def promtool(*words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool, with a text on its standard input."""
    return subprocess.run(["promtool", *words], input=text, capture_output=True, text=True, check=False, timeout=60)


def samples(page: str) -> dict[str, float]:
    """Return the values of a page by metric and labels, as they stand there."""
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in page.splitlines() if not line.startswith("#"))
    }


def value(page: str, name: str, **labels: str) -> float:
    """Return the sum of the samples of a metric with these labels, among others; 0 if there are none."""
    return sum(
        number
        for text, number in samples(page).items()
        if text.partition("{")[0] == name and all(f'{key}="{each}"' in text for key, each in labels.items())
    )


def names_in(expression: str) -> set[str]:
    """Return the metrics of routerd's that an expression names; of a histogram, its own name."""
    return {
        re.sub(r"_(bucket|sum|count)$", "", name) if re.search(r"_seconds_(bucket|sum|count)$", name) else name
        for name in re.findall(r"\brouterd_[a-z_]+\b", expression)
    }


def self_signed(directory: Path, address: str) -> tuple[Path, Path]:
    """Make a certificate for an address; return it and its key."""
    certificate, key = directory / "metrics.pem", directory / "metrics.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
         "2", "-subj", "/CN=routerd", "-addext", f"subjectAltName=IP:{address}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


class Prometheus:
    """A Prometheus that scrapes one target, and is asked over loopback of its namespace."""

    def __init__(self, inside: Namespace) -> None:
        self._inside = inside

    def ask(self, resource: str, **query: str) -> Any:
        """Return the data that the API answers with; None while it does not answer."""
        words = [word for name, each in query.items() for word in ("--data-urlencode", f"{name}={each}")]
        command = ["curl", "-sS", "--get", *words, f"http://127.0.0.1:9090/api/v1/{resource}"]
        process = self._inside.spawn(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        output, _ = process.communicate(timeout=20)
        return json.loads(output)["data"] if process.returncode == 0 and output.startswith("{") else None

    def query(self, expression: str) -> dict[str, float]:
        """Return what an expression is now, by the label `name` or else `instance`."""
        found = self.ask("query", query=expression)
        return {
            each["metric"].get("name", each["metric"].get("instance", "")): float(each["value"][1])
            for each in (found or {"result": []})["result"]
        }


@contextmanager
def prometheus(inside: Namespace, directory: Path, scrape: str, rules: Sequence[Path] = ()) -> Iterator[Prometheus]:
    """Run a Prometheus in a namespace until the block ends; `scrape` is the YAML of the only job."""
    config = directory / "prometheus.yml"
    files = json.dumps([str(path) for path in rules])
    head = f"global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\nrule_files: {files}\n"
    config.write_text(f"{head}scrape_configs:\n{textwrap.indent(scrape, '  ')}")
    assert promtool("check", "config", str(config)).returncode == 0
    with (directory / "prometheus.log").open("w") as log:
        process = inside.spawn(
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}",
            "--web.listen-address=127.0.0.1:9090", stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        found = Prometheus(inside)
        deadline = time.monotonic() + 20
        while found.ask("status/buildinfo") is None:
            assert process.poll() is None, (directory / "prometheus.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield found
    finally:
        process.terminate()
        process.wait(10)


def series(phases: Sequence[tuple[int, str]], job: Mapping[str, str]) -> list[dict[str, str]]:
    """Return pages as input series of promtool's unit tests: each page is scraped so many times, one after the other.

    A sample that a page has not is absent then.
    """
    pages = [(times, samples(page)) for times, page in phases]
    labels = ",".join(f'{name}="{each}"' for name, each in job.items())
    found = []
    for text in dict.fromkeys(text for _, page in pages for text in page):
        name, _, own = text.partition("{")
        values = [
            word for times, page in pages for word in [format(page[text], ".17g") if text in page else "_"] * times
        ]
        inner = ",".join(part for part in (own.removesuffix("}"), labels) if part)
        found.append({"series": f"{name}{{{inner}}}", "values": " ".join(values)})
    return found


def ringing(
    alarms: Path, directory: Path, *played: tuple[int, list[dict[str, str]], Sequence[str]], step: str = "1m"
) -> set[str]:
    """Return which alarms ring, as promtool finds them: each of some names, after so many minutes of some series, of
    which a value is a step."""
    tests = [
        {
            "interval": step,
            "input_series": found,
            "alert_rule_test": [{"eval_time": f"{minutes}m", "alertname": each, "exp_alerts": []} for each in names],
        }
        for minutes, found, names in played
    ]
    file = directory / "alarms.yml"
    file.write_text(json.dumps({"rule_files": [str(alarms)], "evaluation_interval": step, "tests": tests}))
    tested = promtool("test", "rules", str(file))
    # It fails for each that rings, for none is expected, and names it.
    rung = re.findall(r"alertname: (\w+),", tested.stdout + tested.stderr)
    assert bool(tested.returncode) == bool(rung), tested.stderr
    return set(rung)
