"""The child's end of the socket to its parent. It stands where ExaBGP keeps its helper processes."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator

from routerd.session.frames import (
    Dialling,
    Down,
    Frame,
    Kind,
    Splitter,
    Up,
    frame,
    pack,
    pack_dialling,
    pack_down,
    pack_up,
)

BACKLOG = 4 << 20
"""Bytes of frames that may wait for the parent before the peers are not read any more."""

_READ = 256 << 10


class Uplink:
    """Writes frames without ever blocking, and hands the parent's frames to `handle`.

    `fds`, `received`, `start`, `broken` and the like are what ExaBGP's reactor asks of its `Processes`.
    """

    terminate_on_error = False

    def __init__(self, stream: socket.socket, urgent: socket.socket) -> None:
        self._stream = stream
        self._urgent = urgent
        self._out = bytearray()
        self._input = memoryview(bytearray(_READ))
        self._splitter = Splitter()
        self._pending: list[Frame] = []
        self.handle: Callable[[Frame], None] | None = None
        self.lost: Callable[[], None] | None = None
        self.fds = [stream.fileno()]
        self.called = True
        """Whether the parent may have said something."""

    # ------------------------------------------------------------------------------------------ to the parent

    def up(self, generation: int, up: Up) -> None:
        """Report a session that is established."""
        self._out += frame(Kind.UP, generation, pack_up(up))

    def down(self, generation: int, down: Down) -> None:
        """Report the end of a session or of an attempt."""
        message = frame(Kind.DOWN, generation, pack_down(down))
        self._out += message
        if not down.urgent:
            return
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            # All of it, for it is less than the kernel puts into one buffer, or nothing: then the copy must do.
            self._urgent.send(message)

    def updates(self, frames: list[bytes]) -> None:
        """Pass on UPDATE frames of one session, made by `frames.frame`: at once, if nothing waits."""
        waited = bool(self._out)
        self._out += b"".join(frames)
        if not waited:
            self.flush()

    def refresh(self, generation: int, body: bytes) -> None:
        """Pass on a ROUTE-REFRESH."""
        self._out += frame(Kind.REFRESH, generation, body)

    def taken(self, generation: int, octets: int) -> None:
        """Report that the socket of a session took octets of what was sent to it."""
        self._out += frame(Kind.TAKEN, generation, octets.to_bytes(8, "big"))

    def dialling(self, dialling: Dialling) -> None:
        """Report how far the router has come with dialling a peer."""
        self._out += frame(Kind.DIALLING, 0, pack_dialling(dialling))

    def listening(self, addresses: list[str]) -> None:
        """Report what is bound now."""
        self._out += frame(Kind.LISTENING, 0, pack(*addresses))

    def log(self, level: str, text: str) -> None:
        """Report a line for the log; `level` is a method of the parent's logger."""
        self._out += frame(Kind.LOG, 0, pack(level, text))

    def failed(self, reason: str) -> None:
        """Report why the child ends."""
        self._out += frame(Kind.FAILED, 0, pack(reason))

    @property
    def waiting(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._out)

    @property
    def full(self) -> bool:
        """Whether the parent is so far behind that the peers have to wait."""
        return len(self._out) > BACKLOG

    def flush(self) -> None:
        """Write what the socket takes now."""
        while self._out:
            try:
                del self._out[: self._stream.send(self._out)]
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                self._out.clear()
                self._hang_up()

    def drain(self, seconds: float) -> None:
        """Write everything, but give up after so many seconds: the parent may have stopped reading."""
        deadline = time.monotonic() + seconds
        self.flush()
        while self._out and (left := deadline - time.monotonic()) > 0:
            select.select([], [self._stream], [], left)
            self.flush()

    # ---------------------------------------------------------------------------------------- from the parent

    def first(self) -> Frame | None:
        """Wait for the parent's first CONFIGURE, and leave the rest for `received`; None when the parent is gone."""
        while True:
            for place, (kind, _, _) in enumerate(self._pending):
                if kind == Kind.CONFIGURE:
                    return self._pending.pop(place)
            select.select([self._stream], [], [])
            if not self._read():
                return None

    def received(self) -> Iterator[tuple[str, str]]:
        """Take the parent's frames and write ours; ExaBGP calls this once in every turn of its reactor."""
        if self.called:
            self.called = False  # what is left after this, poll reports again
            self._read()
        frames, self._pending = self._pending, []
        for each in frames:
            if self.handle is not None:
                self.handle(each)
        self.flush()
        return iter(())

    def _read(self) -> bool:
        """Read what is there; False when the parent is gone."""
        try:
            size = self._stream.recv_into(self._input)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            size = 0
        if not size:
            self._hang_up()
            return False
        self._pending += self._splitter.feed(bytes(self._input[:size]))
        return True

    def _hang_up(self) -> None:
        if self.lost is not None:
            self.lost()

    # ------------------------------------------------------------------- what ExaBGP asks of its `Processes`

    def start(self, configuration: object, restart: bool = False) -> None:
        """There are no helper processes to start."""

    def terminate(self) -> None:
        """Write what is left before the process ends."""
        self.drain(1.0)

    def broken(self, neighbor: object) -> bool:
        """Say that no helper process has failed."""
        return False

    def answer_error(self, service: str) -> None:
        """Nobody waits for the answer to a command."""
