"""All works, in the order in which they are run and shown."""

from __future__ import annotations

from benchmarks.figures import Figure
from benchmarks.works import (
    announce,
    at_once,
    beside,
    empty,
    flap,
    idle,
    loads,
    losses,
    pair,
    restart,
    rolling,
    stretches,
    subsets,
    updates,
)
from benchmarks.works.work import Scale, Work

WORKS: tuple[Work, ...] = (
    *loads.WORKS,
    *losses.WORKS,
    *updates.WORKS,
    *idle.WORKS,
    *announce.WORKS,
    *empty.WORKS,
    *subsets.WORKS,
    *beside.WORKS,
    *rolling.WORKS,
    *at_once.WORKS,
    *flap.WORKS,
    *restart.WORKS,
    *pair.WORKS,
    *stretches.WORKS,
)
FIGURES: dict[str, Figure] = {figure.key: figure for work in WORKS for figure in work.figures}

__all__ = ["FIGURES", "WORKS", "Scale", "Work"]
