"""The BGP speaker as the rest of routerd sees it: messages come in batches, announcements go out as bytes.

ExaBGP runs in a child process. `run` keeps one alive; `batches` yields what its peers say. Nothing is read from
the child before the consumer asks for the next batch, so a slow consumer slows the peers down, by TCP, and their
sessions stay up meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from routerd.config.model import Config
from routerd.core.message import SessionDown, SpeakerDown
from routerd.session.bell import Bell
from routerd.session.channel import Channel
from routerd.session.configuration import pack_config
from routerd.session.frames import Kind, frame, pack
from routerd.session.notification import RESET
from routerd.session.printable import printable
from routerd.session.refusals import Refusal
from routerd.session.status import Dialled, Status
from routerd.session.translation import Message, Translation

_WORDS = 1 << 14
"""Bytes of the child's standard error that are read at once; no line is too long."""

FIRST_DELAY = 0.2
LAST_DELAY = 10.0
LONG_LIFE = 30.0
"""Seconds: the delays before a restart, doubling from the first to the last, and the life that starts them anew."""

STOP_TIME = 5.0
"""Seconds that the child gets to end by itself."""


@dataclass(frozen=True, slots=True)
class State:
    """How the speaker is. `listening` holds `address port`; `reason` is why the last child ended.

    `dialled` has the peers that are dialled and have no session, by address.
    """

    running: bool
    pid: int | None
    restarts: int
    reason: str
    listening: tuple[str, ...]
    refusals: tuple[Refusal, ...]
    dialled: Mapping[str, Dialled]


class Speaker:
    """Supervises the ExaBGP child; `translation` has what its frames say."""

    def __init__(self, config: Config, *, log: FilteringBoundLogger) -> None:
        self._config = config
        self._log = log
        self._channel: Channel | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._wake = Bell()
        self._drained = asyncio.Event()
        self._kept: set[str] = set()  # addresses of peers without a session that keep their place
        self._shut: dict[str, str] = {}  # addresses of peers that get no session -> what they are told
        self._last_words = ""
        self._restarts = 0
        self._reason = ""
        self._status = Status(log)
        self._outcome: str | None = None
        self.ready = asyncio.Event()
        """Set once a child listens on all the places of the configuration."""
        self.ended = asyncio.Event()
        """Set when sessions end, for whoever calls `lost` and then clears it."""
        self.translation = Translation(self._status, self.ready, self.close, log=log)
        self.notify_on_stop = False
        """Whether a stop says Cease/2 to all peers. Without it, graceful-restart helpers keep our routes."""

    @property
    def state(self) -> State:
        """A snapshot for the API."""
        pid = self._process.pid if self._process is not None else None
        status = self._status
        refusals = status.refusals.latest()
        return State(pid is not None, pid, self._restarts, self._reason, status.listening, refusals, status.dialled)

    @property
    def refused(self) -> int:
        """How many attempts at a session came to nothing since the start."""
        return self._status.refusals.total

    # --------------------------------------------------------------------------------------------- supervision

    async def run(self) -> None:
        """Keep a child running until cancelled, then stop it. `batches` has to be consumed meanwhile."""
        delay = FIRST_DELAY
        while True:
            born = time.monotonic()
            await self._live()
            if time.monotonic() - born > LONG_LIFE:
                delay = FIRST_DELAY
            self._log.warning("speaker restarts", reason=self._reason, delay=delay)
            await asyncio.sleep(delay)
            delay = min(2 * delay, LAST_DELAY)
            self._restarts += 1

    async def _live(self) -> None:
        """Run one child from start to end, and wait until the consumer has heard of its end."""
        channel = Channel()
        try:
            await self._start(channel)
            await self._watch(channel)
        finally:
            if self._process is not None:
                await self._stop(channel)
            channel.close()
            self._channel = None

    async def _start(self, channel: Channel) -> None:
        inherited = tuple(end.fileno() for end in channel.child_ends)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-m", "routerd.session.host", *map(str, inherited)),
            pass_fds=inherited,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        channel.close_child_ends()
        self._status.begin()
        self._last_words = ""
        self._drained.clear()
        for peer, text in self._shut.items():  # first, so that none of them is dialled
            channel.write(frame(Kind.SHUTDOWN, 0, pack(peer, b"\1", text)))
        channel.write(frame(Kind.CONFIGURE, self.translation.generation, pack_config(self._config)))
        for peer in sorted(self._kept):
            channel.write(_place(peer, on=True))
        self._channel = channel
        channel.watch_urgent(self._urgent_came)
        self._wake.set()

    def _urgent_came(self) -> None:
        self.ended.set()
        self._wake.set()

    async def _watch(self, channel: Channel) -> None:
        """Wait for the child's end, note why, and let the consumer read what it has left."""
        process = self._process
        assert process is not None
        assert process.stderr is not None
        while said := await process.stderr.read(_WORDS):
            for line in said.splitlines():
                self._last_words = printable(line.strip())
                self._log.warning("speaker said", line=self._last_words)
        code = await process.wait()
        self._process = None
        self._outcome = _outcome(code)
        self._wake.set()
        await self._drained.wait()

    async def _stop(self, channel: Channel) -> None:
        process = self._process
        assert process is not None
        channel.ignore_urgent()  # nobody reads any more
        try:
            channel.write(frame(Kind.STOP, 0, b"\1" if self.notify_on_stop else b"\0"))
        except BufferError:
            process.kill()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIME)
        except TimeoutError:
            self._log.warning("speaker does not stop and is killed", pid=process.pid)
            process.kill()
            await process.wait()
        if process.stderr is not None:
            await process.stderr.read()  # to its end, which closes it
        self._process = None

    # --------------------------------------------------------------------------------------------------- input

    async def batches(self) -> AsyncIterator[tuple[list[Message], bool]]:
        """Yield messages in the order of their coming, and whether more input waits already.

        An urgent SessionDown comes ahead of everything that is still in line; what that session said before is left
        out. If its SessionUp was in line too, both are told in their turn.
        A batch without messages says that no more waits, if the one before has said that more does.
        """
        waits = False
        while True:
            messages, more = self._collect()
            if messages or (waits and not more):
                waits = more
                yield messages, more
            elif not more:
                if self._channel is not None and not self._channel.ended:
                    self._channel.await_input(self._wake)
                await self._wake.wait()

    def lost(self) -> list[Message]:
        """Return the sessions that have ended since the last batch: for a consumer that is busy with it."""
        messages: list[Message] = []
        for each in self._channel.read_urgent() if self._channel is not None else ():
            self.translation.down(each, messages)
        return messages

    def overtaken(self, generation: int) -> SessionDown | None:
        """Return what `lost` has said of the end of a session, before its SessionUp has been taken in."""
        return self.translation.overtaken(generation)

    def _collect(self) -> tuple[list[Message], bool]:
        """Read once: a batch is what the core takes in before anything else has its turn. What is urgent and has come
        by then is ahead of what was read."""
        channel = self._channel
        if channel is None:
            return [], False
        frames = channel.read()
        messages = self.lost() if channel.urgent else []
        self.translation.translate(frames, messages)
        if channel.ended and self._outcome is not None:
            messages.append(self._child_ended())
        return messages, channel.more

    def _child_ended(self) -> SpeakerDown:
        self._reason = self._status.ending or self._last_words or self._outcome or ""
        self._outcome = None
        self.translation.child_ended()
        self._channel = None
        self._drained.set()
        return SpeakerDown(self._reason)

    # -------------------------------------------------------------------------------------------------- output

    def send(self, peer: str, generation: int, messages: bytes) -> None:
        """Send whole BGP messages, headers included; they are dropped if that session has ended meanwhile."""
        if self.translation.peer(generation) == peer:
            self.translation.counts[generation].sent(messages)
            self._write(frame(Kind.SEND, generation, messages))

    def close(self, peer: str, generation: int, code: int, subcode: int, text: str) -> None:
        """End a session with a NOTIFICATION. `text` is the SessionDown's, and with Cease/2 and /4 the peer's too."""
        self._log.info("session is closed", peer=peer, code=code, subcode=subcode, reason=text)
        self._write(frame(Kind.CLOSE, generation, pack(bytes([code, subcode]), text)))

    def keep_place(self, peer: str, *, on: bool) -> None:
        """Keep a peer's place in its range while it has no session, or give it free."""
        (self._kept.add if on else self._kept.discard)(peer)
        self._write(_place(peer, on=on))

    def reset(self, peer: str, generation: int, *, dynamic: bool) -> None:
        """Reset a session, as the operator asks: Cease/4. A dynamic peer's place in its range is kept for it."""
        if dynamic:
            self.keep_place(peer, on=True)
        self._write(frame(Kind.CLOSE, generation, pack(bytes(RESET), "")))

    def dial(self, peer: str) -> None:
        """Begin anew with a peer that is dialled and has no session: at once, whatever came of earlier attempts."""
        self._write(frame(Kind.DIAL, 0, pack(peer)))

    def shut(self, peer: str, text: str) -> None:
        """Give a peer no session from now on, and end the one that it has: Cease/2 with this text, RFC 9003."""
        self._status.refusals.forget(peer)
        self._shut[peer] = text
        self._write(frame(Kind.SHUTDOWN, 0, pack(peer, b"\1", text)))

    def enable(self, peer: str) -> None:
        """Let a peer have a session again that was shut down, and dial it at once, if it is one that is dialled."""
        self._status.refusals.forget(peer)
        self._shut.pop(peer, None)
        self._write(frame(Kind.SHUTDOWN, 0, pack(peer, b"\0", "")))

    def reconfigure(self, config: Config) -> None:
        """Put a new configuration in force; the sessions of peers that it does not change stay up."""
        before, self._config = pack_config(self._config), config
        if (packed := pack_config(config)) != before:  # a millisecond for each peer, in which no session is served
            self._write(frame(Kind.CONFIGURE, 0, packed))

    def _write(self, data: bytes) -> None:
        if self._channel is None:
            return  # a new child starts with the present configuration and without sessions
        try:
            self._channel.write(data)
        except BufferError as error:
            if self._status.ending is None and self._process is not None:
                self._status.ending = str(error)
                self._log.error("speaker is killed", reason=str(error))
                os.kill(self._process.pid, signal.SIGKILL)


def _place(peer: str, *, on: bool) -> bytes:
    return frame(Kind.KEEP_PLACE, 0, pack(peer, bytes([on])))


def _outcome(code: int) -> str:
    """Return how a process ended, from its return code."""
    if code < 0:
        return f"the BGP speaker was ended by {signal.Signals(-code).name}"
    return f"the BGP speaker ended with exit code {code}"
