"""What a router of a pair was given, written down and read again, leads to the same effects."""

from __future__ import annotations

import io

import pytest

from routerd.config.load import parse
from routerd.core.message import Arrange, BucketsRead, Effect, Input, Program
from routerd.core.router import Router
from routerd.service.recording import Recorder, read
from tests.core.pair.test_histories import History
from tests.support.pairs import PAIRED


def test_a_history_replays_to_the_same_effects(monkeypatch: pytest.MonkeyPatch) -> None:
    handle = Router.handle
    given: dict[Router, list[tuple[Input, float, list[Effect]]]] = {}

    def watched(router: Router, message: Input, now: float) -> list[Effect]:
        effects = handle(router, message, now)
        given.setdefault(router, []).append((message, now, list(effects)))
        return effects

    monkeypatch.setattr(Router, "handle", watched)
    history = History(5)
    for _ in range(25):
        history.step()
    monkeypatch.undo()
    programs = [
        each for run in given.values() for _, _, effects in run for each in effects if isinstance(each, Program)
    ]
    assert any(isinstance(operation, Arrange) for program in programs for operation in program.operations)
    for router, run in given.items():
        file = io.StringIO()
        recorder = Recorder(file, router.config, router.started)
        for message, now, _ in run:
            recorder.take(message, now)
        file.seek(0)
        config, started, messages = read(file)
        again = Router(config, started)
        assert [again.handle(message, now) for now, message in messages] == [effects for _, _, effects in run]


def test_a_mask_of_many_buckets_can_be_written_down() -> None:
    file = io.StringIO()
    message = BucketsRead(1, (2,) * 16384, 1 << 16383)
    Recorder(file, parse(PAIRED), 0.0).take(message, 1.0)
    file.seek(0)
    assert list(read(file)[2]) == [(1.0, message)]
