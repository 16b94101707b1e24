"""The programs that speak BGP on the nodes, one module each."""

from __future__ import annotations

from routerd.lab.speakers.bird import Bird
from routerd.lab.speakers.embedded import Embedded
from routerd.lab.speakers.frr import Frr
from routerd.lab.speakers.gobgp import GoBgp
from routerd.lab.speakers.speaker import Session, Speaker

KINDS: dict[str, type[Speaker]] = {"embedded": Embedded, "gobgp": GoBgp, "frr": Frr, "bird": Bird}
"""Every kind of speaker by the name that `--speaker` takes."""

__all__ = ["KINDS", "Bird", "Embedded", "Frr", "GoBgp", "Session", "Speaker"]
