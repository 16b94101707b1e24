"""What is outside of the core, as it was when a scrape began."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from routerd.core.histogram import Histogram
from routerd.telemetry.metrics.figures import Figures


@dataclass(frozen=True, slots=True)
class Process:
    """One of routerd's processes: `name` is daemon or speaker, its resident memory in octets, its CPU seconds."""

    name: str
    resident: int
    cpu: float


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Times are seconds since 1970. `build` has the labels of `routerd_build_info`."""

    build: Mapping[str, str]
    started: float
    processes: tuple[Process, ...]
    speaker_up: bool
    speaker_restarts: int
    session_refusals: int
    unwritten: int
    stretches: Histogram
    config_hash: str
    config_changed: float
    config_unconfirmed: bool
    config_differs: bool
    reloads: Mapping[str, int]
    sysctls_wrong: int
    dropped_segments: Mapping[str, int]
    watcher_failures: Mapping[str, int]
    lost_lines: int
    events: int
    last_scrape: float
    problems: Mapping[str, int] | None
    """None while it is not known what there is."""
    others: Figures
