"""`routerd events` with a daemon that does not say all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from routerd.cli.events import line, show
from routerd.cli.screen import Screen
from tests.cli.test_dumping import HEAD, answering

EVENT = {"boot": "a", "sequence": 1, "time": "2026-01-31T14:00:00.000+00:00", "level": "info", "event": "ready"}
SAID = f"id: a:1\nevent: ready\ndata: {json.dumps(EVENT)}\n\n".encode()
CHUNK = b"%x\r\n%s\r\n" % (len(SAID), SAID)


def test_what_is_kept_ends_where_the_daemon_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(tmp_path, HEAD + CHUNK + b"0\r\n\r\n") as path:
        assert show(path, as_json=True, follow=False, since=None, peer=None) == 0
    assert json.loads(capsys.readouterr().out) == EVENT


def test_events_that_are_broken_off_are_not_taken_for_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(tmp_path, HEAD + CHUNK) as path, pytest.raises(SystemExit) as end:
        show(path, as_json=False, follow=False, since=None, peer=None)
    assert end.value.code == 1
    assert "incomplete" in capsys.readouterr().err


def test_a_field_is_written_so_that_it_can_be_read() -> None:
    said = {
        "peer": "w1",
        "reason": "no answer",
        "listen": ["0.0.0.0", "::"],
        "what": "",
        "from": "\x1b[2J",
        "count": 2,
    }
    told = line(Screen(240, colours=False), {**EVENT, **said})  # type: ignore[typeddict-item]
    assert told.partition("  ")[2] == (
        'ready  peer=w1 reason="no answer" listen=["0.0.0.0", "::"] what="" from="\\u001b[2J" count=2'
    )
