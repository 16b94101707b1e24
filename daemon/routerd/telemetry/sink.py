"""Where the log goes: standard error, which may be full, closed or stuck. None of that may stop or delay routing."""

from __future__ import annotations

import contextlib
import os
import select
from functools import cached_property

STUCK = "nobody reads it"


class Sink:
    """A file descriptor as the text file that structlog prints to. What cannot be written at once is counted.

    structlog's lock sees to it that a line is written and flushed by one thread at a time.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines = 0
        self._untold = 0
        self._reason = ""
        self._line = ""
        self._cut = False

    @property
    def lost(self) -> tuple[int, str]:
        """How many lines were lost, and why the last line was, or "" if it was written."""
        return self._lines, self._reason

    def spared(self) -> None:
        """A line went another way: what hindered the last one is past."""
        self._reason = ""

    def write(self, text: str) -> int:
        """Take a part of a line; `flush` writes it."""
        self._line += text
        return len(text)

    def flush(self) -> None:
        """Write the line, if that needs no waiting."""
        told = f"{self._untold} lines of the log were lost here\n" if self._untold else ""
        self._reason = self._write((told + self._line).encode(errors="backslashreplace"))
        self._line = ""
        self._untold = self._untold + 1 if self._reason else 0
        self._lines += bool(self._reason)

    @cached_property
    def _own(self) -> int:
        """The descriptor; of a terminal another one, which does not block: poll(2) tells that it takes something, and
        not how much."""
        with contextlib.suppress(OSError):
            if os.isatty(self._descriptor):
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                return os.open(f"/proc/self/fd/{self._descriptor}", flags)
        return self._descriptor

    def _write(self, octets: bytes) -> str:
        """Write octets; return why that failed. A line that was cut short is ended before the next one."""
        poll = select.poll()
        poll.register(self._own, select.POLLOUT)
        octets = b"\n" + octets if self._cut else octets
        try:
            while octets:
                if not poll.poll(0):
                    return STUCK
                written = os.write(self._own, octets[: select.PIPE_BUF])
                self._cut = not octets[:written].endswith(b"\n")
                octets = octets[written:]
        except BlockingIOError:
            return STUCK
        except OSError as error:
            return os.strerror(error.errno) if error.errno else str(error)
        return ""
