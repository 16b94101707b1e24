"""The parent's end of the two sockets to the child: frames, and the urgent copies of DOWN frames."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from contextlib import suppress

from routerd.session.bell import Bell
from routerd.session.frames import Frame, Splitter

MAX_BACKLOG = 256 << 20
"""Bytes that may wait for the child. More means that it does not serve its peers any more."""

_READ = 16 << 10
"""Bytes: up to 3,000 prefixes, which take the core and the kernel some ten milliseconds."""
_BUFFER = 4 << 20
_SO_SNDBUFFORCE = 32
_URGENT_SIZE = 64 << 10


class Channel:
    """Both socket pairs of one child. Reading happens only when asked for, writing never blocks.

    Both are streams: of messages of their own (SOCK_SEQPACKET) the kernel lets ten wait (net.unix.max_dgram_qlen),
    and the sessions that end with a link are hundreds.
    """

    def __init__(self) -> None:
        self._stream, child_stream = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._urgent, child_urgent = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for end in (self._stream, child_stream, self._urgent, child_urgent):
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                end.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        with suppress(PermissionError):  # beyond net.core.wmem_max, by default room for the ends of 500 sessions
            child_urgent.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER)
        self._stream.setblocking(False)
        self._urgent.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._urgent, select.POLLIN)
        self.child_ends = (child_stream, child_urgent)
        self.ended = False
        self.more = False
        self.urgent = False
        self._input = memoryview(bytearray(_URGENT_SIZE))  # to make one for each read would cost more than the read
        self._splitter = Splitter()
        self._urgent_splitter = Splitter()
        self._out = bytearray()
        self._closed = False
        self._awaited: Bell | None = None
        self._watched = False
        self._told = False

    @property
    def backlog(self) -> int:
        """How many bytes wait for the child to read."""
        return len(self._out)

    def read(self) -> list[Frame]:
        """Return the frames of one read, at most 16 KiB. It sets `ended` at the child's end, `more` if more may wait,
        and `urgent` if urgent frames have come by then."""
        self.more = self.urgent = False
        if self._closed:
            return []
        size = 0
        try:
            size = self._stream.recv_into(self._input, _READ)
            self.ended = not size
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.ended = True
        self.more = size == _READ  # a read that returns less has taken all that there was
        self.urgent = bool(self._poll.poll(0))
        return self._splitter.feed(bytes(self._input[:size]))

    def watch_urgent(self, came: Callable[[], None]) -> None:
        """Have `came` called, on the running event loop, whenever there are urgent frames to be read."""
        asyncio.get_running_loop().add_reader(self._urgent, came)

    def ignore_urgent(self) -> None:
        """Undo `watch_urgent`."""
        if not self._closed:
            asyncio.get_running_loop().remove_reader(self._urgent)

    def read_urgent(self) -> list[Frame]:
        """Return the urgent frames that have come."""
        frames: list[Frame] = []
        while not self._closed:
            try:
                size = self._urgent.recv_into(self._input)
            except BlockingIOError:
                return frames
            except ConnectionResetError:
                size = 0
            if not size:
                break
            frames += self._urgent_splitter.feed(bytes(self._input[:size]))
        self.ignore_urgent()  # it would be readable for ever
        return frames

    def await_input(self, wake: Bell) -> None:
        """Have `wake` rung, once, when input comes."""
        if not self._watched:
            self._watched = True
            asyncio.get_running_loop().add_reader(self._stream, self._came)
        self._awaited, self._told = wake, False

    def _came(self) -> None:
        """There is input. If nobody waits for it the stream is watched no more: whoever is busy reads when he can.

        Once it may be what has been read meanwhile: the event loop looks before whoever waits has had their turn.
        """
        wake, self._awaited = self._awaited, None
        if wake is not None:
            wake.ring()
        elif not self._told:
            self._told = True
        else:
            self._watched = False
            asyncio.get_running_loop().remove_reader(self._stream)

    def write(self, data: bytes) -> None:
        """Send a frame, now or as soon as the child reads; BufferError when it has stopped reading."""
        if self._closed:
            return
        waited = bool(self._out)
        self._out += data
        if not waited:
            self._send()
        if len(self._out) > MAX_BACKLOG:
            raise BufferError(f"{len(self._out) >> 20} MiB wait for the BGP speaker, which does not read them")

    def _flush(self) -> None:
        """The child takes more."""
        self._send()
        if not self._out:
            asyncio.get_running_loop().remove_writer(self._stream)

    def _send(self) -> None:
        try:
            while self._out:
                del self._out[: self._stream.send(self._out)]
        except BlockingIOError:
            asyncio.get_running_loop().add_writer(self._stream, self._flush)
        except (BrokenPipeError, ConnectionResetError):
            self._out.clear()  # the child is gone; its end is seen and reported where its output is read

    def close_child_ends(self) -> None:
        """Let go of what the child has inherited, so that its end shows."""
        for end in self.child_ends:
            end.close()

    def close(self) -> None:
        """Close everything; the child takes that as the order to stop."""
        if not self._closed:
            loop = asyncio.get_running_loop()
            loop.remove_writer(self._stream)
            loop.remove_reader(self._stream)
            self.ignore_urgent()
        self._closed = self.ended = True
        self.close_child_ends()
        self._stream.close()
        self._urgent.close()
