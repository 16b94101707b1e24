"""Samples as lines of text, for what has a row a peer, a group or a member: tens of thousands of them.

The library takes 6 us to write a sample, mostly for its labels; here those of a peer are written once, and shared by
all of its samples. The format is Prometheus' text format 0.0.4.
"""

from __future__ import annotations

from routerd.telemetry.metrics.catalogue import Metric


def labels(names: tuple[str, ...], *values: str) -> str:
    """Return labels as they stand between the braces."""
    return ",".join([f'{name}="{escaped(value)}"' for name, value in zip(names, values, strict=True)])


def escaped(text: str) -> str:
    """Return a label's value as it stands between quotes; what is no Unicode is replaced."""
    if text.isascii() and not ('"' in text or "\\" in text or "\n" in text):
        return text
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return text.encode(errors="replace").decode()


class Rows:
    """The samples of one metric."""

    def __init__(self, metric: Metric) -> None:
        self._name = metric.name
        self.lines = [f"# HELP {metric.name} {metric.meaning}\n# TYPE {metric.name} {metric.kind}\n"]

    def add(self, labels: str, value: float) -> None:
        """Add a sample."""
        self.lines.append(f"{self._name}{{{labels}}} {value}\n")
