"""Make the recordings anew, with real speakers: `python -m tests.conformance.record [embedded gobgp frr bird]`.

Each kind gives two: a life of routerd in which nodes come, change their minds, die and return, and a second start of
routerd over the FIB that the first one left.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from routerd.lab.laboratory import Laboratory, laboratory
from routerd.lab.topology import standard

CASES = Path(__file__).parent / "cases"
CONFIG = Path(__file__).parents[2] / "config" / "lab.toml"
VIP = "172.16.1.1"


def main(kinds: list[str]) -> None:
    """Record the given kinds of speakers."""
    for kind in kinds:
        with laboratory(standard(kind), CONFIG.read_text(encoding="utf-8")) as lab:
            os.environ["ROUTERD_RECORD"] = str(CASES / f"{kind}-life.jsonl")
            lab.daemon.start()
            _live(lab)
            lab.daemon.stop()
            os.environ["ROUTERD_RECORD"] = str(CASES / f"{kind}-restart.jsonl")
            lab.daemon.start()
            _everybody(lab)
            lab.daemon.stop()
        print(f"{kind}: recorded")


def _live(lab: Laboratory) -> None:
    names = [node.name for node in lab.topology.nodes]
    for name in names:
        lab.boot(name)
    _everybody(lab)
    last = lab.speakers[names[-1]]
    last.withdraw(f"{VIP}/32")
    lab.wait_for_next_hops(VIP, names[:-1], 30)
    last.announce(f"{VIP}/32")
    lab.wait_for_next_hops(VIP, names, 30)
    lab.lose(names[1])
    lab.wait_for_next_hops(VIP, [names[0], names[2]], 60)
    lab.boot(names[1])
    _everybody(lab)


def _everybody(lab: Laboratory) -> None:
    names = [node.name for node in lab.topology.nodes]
    lab.wait_for_sessions(names, 60)
    lab.wait_for_next_hops(VIP, names, 60)


if __name__ == "__main__":
    main(sys.argv[1:] or ["embedded", "gobgp", "frr", "bird"])
