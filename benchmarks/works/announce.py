"""Announcing: peers that dial in and want to hear the whole table that another one announced."""

from __future__ import annotations

import time

from benchmarks.contenders import Contender, Settings
from benchmarks.figures import Figure, Target
from benchmarks.net import SINK_AS
from benchmarks.stage import Values, stage
from benchmarks.works.work import Scale, Work


def _announce(kind: type[Contender], scale: Scale) -> Values:
    """From the first sink's SYN until the last sink has heard everything."""
    routes, sinks = scale.of(100_000), scale.of(100)
    with stage(kind, Settings(advertise=True)) as on:
        on.ready(1)
        on.load(routes)
        time.sleep(1.0)
        heard = on.connect(sinks, "--expect", str(routes), module="sink", first=1, asn=SINK_AS)
        begun = heard.heard("begun")
        return {"announce": [heard.heard("received") - begun]}


WORKS = (
    Work(
        "announce",
        (Figure("announce", "announce 100,000 routes to 100 peers", target=Target(frr=1.0)),),
        _announce,
    ),
)
