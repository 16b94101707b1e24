"""A test that runs alone waits for the others, and those that come later wait for it."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.support.turns import turn


def test_who_runs_alone_waits_and_is_not_overtaken(tmp_path: Path) -> None:
    order: list[str] = []

    def run(name: str, alone: bool) -> None:
        with turn(tmp_path, alone=alone):
            order.append(name)

    def begin(name: str, alone: bool) -> threading.Thread:
        thread = threading.Thread(target=run, args=(name, alone))
        thread.start()
        thread.join(0.2)  # what may run does; what may not waits longer than this
        return thread

    with turn(tmp_path, alone=False):
        begin("beside", False)
        waiting = [begin("alone", True), begin("later", False)]
        assert order == ["beside"]
    for thread in waiting:
        thread.join()
    assert order == ["beside", "alone", "later"]
