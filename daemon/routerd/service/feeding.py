"""The core is fed: with what the speaker says, in slices; lost nodes ahead of all else; and what can wait, last."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from routerd.core.message import Settle, Work
from routerd.service.engine import SLICE, Engine
from routerd.service.stretches import Stretches
from routerd.session.speaker import Speaker

MORE_LOSSES, LONGEST_LOSS = 0.003, 0.5
"""Seconds: nodes that are lost together are told of by so little one after the other, and for how long all else that
can wait does so because of them."""


_ENDS = {more: Settle(quiet=not more, due=False) for more in (False, True)}
"""The end of a batch, by whether more input waits."""


class Feeding:
    """Three tasks, each of which goes on for ever, take turns at the core."""

    def __init__(self, engine: Engine, speaker: Speaker, stretches: Stretches) -> None:
        self._engine = engine
        self._router = engine.router
        self._speaker = speaker
        self._stretches = stretches
        self._more_input = False
        self._losing_until = 0.0
        """Nodes are being lost until then, in monotonic seconds: to purge what each has announced can wait until all
        of them are out."""

    async def fail_over(self) -> None:
        """Take in that nodes are lost, however much was said before that."""
        while True:
            await self._speaker.ended.wait()
            self._losing_until = time.monotonic() + LONGEST_LOSS
            with suppress(TimeoutError):
                while True:
                    await self._take_losses()
                    async with asyncio.timeout(MORE_LOSSES):
                        await self._speaker.ended.wait()
            self._losing_until = 0.0
            self._engine.wake.set()  # their paths are to be purged

    async def _take_losses(self) -> None:
        self._speaker.ended.clear()
        started = time.monotonic()  # a slice of its own, whatever others have done in this turn
        while lost := self._speaker.lost():  # more may be lost meanwhile
            for message in lost:
                self._engine.hear(message)
                if time.monotonic() - started > SLICE:
                    await asyncio.sleep(0)
                    started = time.monotonic()
        self._engine.take(Settle(quiet=not self._more_input))
        self._engine.wake.set()

    async def listen(self) -> None:
        """Feed the core what the speaker says, in slices."""
        async for messages, more in self._speaker.batches():
            self._more_input = True  # the rest of these messages
            for message in messages:
                self._engine.hear(message)
                if time.monotonic() - self._stretches.began > SLICE:
                    await self._engine.room()
                    self._engine.take(Settle(quiet=False, due=False))
            self._more_input = more
            self._engine.take(_ENDS[more])
            self._engine.wake.set()
            await self._engine.room()

    async def housekeep(self) -> None:
        """Do what can wait, slice by slice, and what is due by the clock."""
        while True:
            await self._engine.room()
            if self._router.busy and time.monotonic() >= self._losing_until:
                self._engine.take(Work())
                self._engine.take(Settle(quiet=not self._more_input))
                continue
            due = self._router.timer
            if due is not None and due <= time.monotonic():  # however often it is woken
                self._engine.take(Settle(quiet=not self._more_input))
                continue
            self._engine.wake.clear()
            with suppress(TimeoutError):  # then it is due
                async with asyncio.timeout_at(due):
                    await self._engine.wake.wait()

    def busy(self) -> bool:
        """Tell whether there is something to take in, to decide or to write: answers have less of the time then."""
        return self._more_input or self._router.busy or self._engine.unwritten > 0
