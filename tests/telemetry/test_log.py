"""The log: its form where standard error leads, and that it never stops or delays the daemon."""

from __future__ import annotations

import json
import os
import pty
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from routerd.telemetry.sink import STUCK, Sink

SAY = """
import logging, structlog
from routerd.telemetry import journald, log
journald.SOCKET = SOCKET
log.configure(*ARGUMENTS)
logger = structlog.get_logger()
logger.info("peer up", peer="k8s-w0", gateway="10.0.0.1")
logger.warning("neighbour is silent", gateway="10.0.0.1", reason="no answer\\x1b[2J")
logger.error("kernel refused", errno=22)
logging.getLogger("library").warning("odd")
try:
    1 / 0
except ZeroDivisionError as error:
    logger.critical("crashed", exc_info=error)
"""


def say(stream: str, *arguments: str, journal: Path = Path("/nonexistent")) -> str:
    """Return what a process logs to a pipe; `stream` is what JOURNAL_STREAM says of it, `{}` the truth. `journal` is
    the journal's socket."""
    read, write = os.pipe()
    found = os.fstat(write)
    environment = os.environ | {"JOURNAL_STREAM": stream.format(f"{found.st_dev}:{found.st_ino}")}
    program = SAY.replace("ARGUMENTS", repr(arguments)).replace("SOCKET =", f"SOCKET = {str(journal)!r} #")
    subprocess.run([sys.executable, "-c", program], stderr=write, env=environment, check=True)
    os.close(write)
    with open(read, encoding="utf-8") as pipe:
        return pipe.read()


def test_levels_reach_the_journal_as_priorities() -> None:
    lines = say("{}").splitlines()
    assert lines[:4] == [
        "<6>peer up  peer=k8s-w0 gateway=10.0.0.1",
        "<4>neighbour is silent  gateway=10.0.0.1 reason='no answer\\x1b[2J'",
        "<3>kernel refused  errno=22",
        "<4>odd  logger=library",
    ]
    assert lines[4] == "<2>crashed"
    assert lines[-1] == "<2>ZeroDivisionError: division by zero"
    assert all(line.startswith("<2>") for line in lines[4:]), "each line of a traceback has the priority"
    assert not re.search(r"\d\d:\d\d:\d\d", "\n".join(lines)), "the journal has the time"


def test_the_journal_gets_fields(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "socket"))
        assert say("{}", journal=tmp_path / "socket") == "", "nothing twice"
        events = [_fields(journal.recv(1 << 16)) for _ in range(5)]
    assert events[0] == {
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "routerd",
        "MESSAGE": "peer up  peer=k8s-w0 gateway=10.0.0.1",
        "ROUTERD_EVENT": "peer up",
        "ROUTERD_PEER": "k8s-w0",
        "ROUTERD_GATEWAY": "10.0.0.1",
    }
    assert events[1]["ROUTERD_REASON"] == "no answer\x1b[2J"
    assert [event["PRIORITY"] for event in events] == ["6", "4", "3", "4", "2"]
    assert events[4]["ROUTERD_EXCEPTION"].endswith("\nZeroDivisionError: division by zero")


def _fields(datagram: bytes) -> dict[str, str]:
    """Read the journal's native protocol: NAME=value, or NAME, the value's length and the value."""
    fields = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack_from("<Q", rest)
            value, rest = rest[8 : 8 + length], rest[9 + length :]
        fields[name.decode()] = value.decode()
        datagram = rest
    return fields


def test_the_journal_that_does_not_take_an_event_gets_lines(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "socket"))
        while True:  # until it is full
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
                    other.setblocking(False)
                    other.sendto(b"MESSAGE=x\n", str(tmp_path / "socket"))
            except BlockingIOError:
                break
        assert say("{}", journal=tmp_path / "socket").startswith("<6>peer up  peer=k8s-w0")


@pytest.mark.parametrize("stream", ["", "1:1"])
def test_a_pipe_that_is_not_the_journal_gets_json(stream: str) -> None:
    first = json.loads(say(stream).splitlines()[0])
    assert (first["event"], first["level"], first["peer"]) == ("peer up", "info", "k8s-w0")
    assert first["timestamp"]


def test_a_form_that_is_asked_for() -> None:
    assert json.loads(say("{}", "info", "json").splitlines()[0])["event"] == "peer up"
    assert say("", "info", "journal").startswith("<6>peer up")
    assert "peer up" in say("", "info", "console").splitlines()[0]
    assert "peer up" not in say("", "warning")


# ------------------------------------------------------------------------------------- where it cannot be written


def _put(sink: Sink, line: str) -> None:
    sink.write(line)
    sink.write("\n")
    sink.flush()


def _full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def _broken() -> int:
    read, write = os.pipe()
    os.close(read)
    return write


def _closed() -> int:
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    return write


@pytest.mark.parametrize(
    ("made", "reason"),
    [(_full, "No space left on device"), (_broken, "Broken pipe"), (_closed, "Bad file descriptor")],
)
def test_lines_that_cannot_be_written_are_counted(made: Callable[[], int], reason: str) -> None:
    sink = Sink(made())
    assert sink.lost == (0, "")
    _put(sink, "one")
    _put(sink, "two")
    assert sink.lost == (2, reason)


def test_a_pipe_that_nobody_reads_delays_nothing_and_tells_later_what_is_missing() -> None:
    read, write = os.pipe()
    sink = Sink(write)
    line = "x" * 9_999
    for _ in range(20):
        _put(sink, line)
    lost, reason = sink.lost
    assert (lost > 0, reason) == (True, STUCK)
    os.set_blocking(read, False)
    said = os.read(read, 1 << 20)
    _put(sink, "again")
    assert sink.lost == (lost, "")
    said += os.read(read, 1 << 20)
    assert said.decode().splitlines()[-2:] == [f"{lost} lines of the log were lost here", "again"]
    assert said.count(b"\n") == 20 - lost + said.decode().splitlines().count("") + 2 + (b"x\n10 " not in said)
    os.close(read)
    os.close(write)


def test_a_terminal_that_nobody_reads_delays_nothing() -> None:
    """Its other end may be a multiplexer that was stopped."""
    controller, terminal = pty.openpty()
    sink = Sink(terminal)
    began = time.monotonic()
    for _ in range(2_000):
        _put(sink, "x" * 99)
    assert time.monotonic() - began < 5
    assert sink.lost[1] == STUCK
    os.close(terminal)
    os.close(controller)


def test_a_file_is_written_as_it_is(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        sink = Sink(file.fileno())
        _put(sink, "\u00e4" * 10_000)
        _put(sink, "two")
    assert (tmp_path / "log").read_text() == "\u00e4" * 10_000 + "\ntwo\n"
