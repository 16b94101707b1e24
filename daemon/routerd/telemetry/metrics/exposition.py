"""The page that a scrape is answered with, in slices.

This module brings the library along: it is loaded with the first scrape.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from routerd.api.slices import Slices
from routerd.api.views import groups
from routerd.core.router import Router
from routerd.telemetry.metrics import families
from routerd.telemetry.metrics.compatibility import frr_exporter, gobgp
from routerd.telemetry.metrics.nodes import nodes
from routerd.telemetry.metrics.packets import PacketCounts
from routerd.telemetry.metrics.peers import PeerRows
from routerd.telemetry.metrics.rows import Rows
from routerd.telemetry.metrics.surroundings import Surroundings
from routerd.telemetry.metrics.tally import Tally

_LINES = 2000
"""Lines that are joined at a stretch."""


class Families(Collector):
    """A few metrics, as the library collects them."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""
        return self._metrics


def exposition(
    router: Router,
    tally: Tally,
    packets: PacketCounts,
    found: Surroundings,
    *,
    bucket_counts: groups.Counts,
    now: float,
    compatibility: Sequence[str] = (),
) -> Slices[bytes]:
    """Return all metrics in Prometheus' text format; under other programs' names, too, which `compatibility` has."""
    parts: list[bytes] = []
    peers = PeerRows(router, tally, now)
    buckets = yield from groups.buckets(router, bucket_counts)
    rows = yield from peers.make(buckets)
    rows += yield from nodes(router, packets, buckets)
    for program, made in (("frr_exporter", frr_exporter), ("gobgp", gobgp)):
        if program in compatibility:
            rows += yield from made(router, tally, peers.counts, now)
    for few in (
        families.fib(router, tally, found.unwritten),
        families.times(tally, found.stretches),
        families.health(router, tally, found),
        families.process(found),
        families.others(found.others),
        families.pair(found.others.pair),
    ):
        yield
        parts.append(generate_latest(Families(few)))
    for each in rows:
        parts += yield from _written(each)
    yield
    return b"".join(parts)


def _written(rows: Rows) -> Slices[list[bytes]]:
    parts: list[bytes] = []
    for start in range(0, len(rows.lines), _LINES):
        yield
        parts.append("".join(rows.lines[start : start + _LINES]).encode())
    return parts
