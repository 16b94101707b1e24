"""The daemons that are measured, one module each."""

from __future__ import annotations

from benchmarks.contenders.bird import Bird
from benchmarks.contenders.contender import Contender, Settings
from benchmarks.contenders.frr import Frr
from benchmarks.contenders.routerd import Routerd

KINDS: dict[str, type[Contender]] = {"routerd": Routerd, "frr": Frr, "bird": Bird}
"""Every contender by the name that the command line and the recorded figures use."""

__all__ = ["KINDS", "Bird", "Contender", "Frr", "Routerd", "Settings"]
