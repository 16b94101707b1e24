"""Requests that come by the broker: heeded if they are signed, by whom and for what is logged, and answered."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

from routerd.config import keyfile
from routerd.telemetry.mqtt import signing, topics
from routerd.telemetry.mqtt.broker import Connection
from routerd.telemetry.mqtt.signing import Gate, RefusedError, RepeatedError
from routerd.telemetry.mqtt.topics import Own

AT_ONCE = 8
"""Requests that are carried out at a time."""
QUIET = 10.0
"""Seconds between two lines about what is refused: anybody may send anything."""
_GATE = Gate()
"""Of this run of routerd, whose boot id stays when a reload makes another link."""


class Requests:
    """`heed` carries out a request, in the event loop that made this; `say` logs, there too.

    The key is read anew for each request, so that a new one is in force as soon as it is in the file.
    """

    def __init__(
        self,
        own: Own,
        key_file: str,
        heed: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]],
        say: Callable[..., None],
    ) -> None:
        self.heeded = self.refused = 0
        self.keyless = ""
        """Why the key cannot be used; empty if it can."""
        self._own = own
        self._key_file = key_file
        self._heed = heed
        self._say = say
        self._home = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._quiet_until = 0.0
        self._untold = 0

    def take(self, broker: Connection, payload: bytes) -> None:
        """Take what came on the topic of requests."""
        try:
            key = self._key()
            said = signing.unseal("request", payload, key)
        except RefusedError as error:
            self._refuse(str(error))  # and no answer: who cannot sign cannot read it
            return
        if len(self._tasks) >= AT_ONCE:
            self._refuse("there are too many at a time")
            return
        task = asyncio.get_running_loop().create_task(self._carry_out(broker, said, key))
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # the connection broke: who asked asks again

    def look(self) -> None:
        """Find out whether the key can be used."""
        with contextlib.suppress(RefusedError):
            self._key()

    def _key(self) -> bytes:
        try:
            key = keyfile.read(self._key_file)
        except ValueError as error:
            self.keyless = str(error)
            raise RefusedError(f"fleet_key_file {error}") from error
        self.keyless = ""
        return key

    async def _carry_out(self, broker: Connection, said: dict[str, Any], key: bytes) -> None:
        try:
            _GATE.admit(said, self._own, time.time(), time.monotonic())
            future = asyncio.run_coroutine_threadsafe(_awaited(self._heed(said)), self._home)
            answer = await asyncio.wrap_future(future)
            self.heeded += 1
        except RepeatedError as error:  # a second answer might come before the one that counts
            self._refuse(str(error))
            return
        except RefusedError as error:
            self._refuse(str(error))
            answer = {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - who asked is to know that it may not be done
            reason = repr(error)
            self._home.call_soon_threadsafe(
                lambda: self._say("error", "a request by the broker failed", reason=reason)
            )
            answer = {"error": "internal error: the router's log says more"}
        id = str(said.get("id"))[:64]
        full = {**self._own._asdict(), "id": id, "time": time.time(), **answer}
        topic = self._own.topic(topics.ANSWER, topics.level(id) or "-")
        await broker.publish(str(topic), signing.seal("answer", full, key), expiry=int(signing.LASTS))

    def _refuse(self, reason: str) -> None:
        self.refused += 1
        self._untold += 1
        if time.monotonic() < self._quiet_until:
            return
        count, self._untold = self._untold, 0
        self._quiet_until = time.monotonic() + QUIET
        self._home.call_soon_threadsafe(
            lambda: self._say("warning", "a request by the broker is refused", reason=reason, count=count)
        )


async def _awaited(awaitable: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    return await awaitable
