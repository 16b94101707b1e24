"""Requests to routers, their answers, and what a pair says, signed with a key that both ends have. Pure.

A signature is an HMAC-SHA-256 (RFC 2104) of the text as it was sent, with what it is for in front, so that no answer
passes for a request. A
request names its router, the run of it (boot id), its time and itself by a random number: it is heeded once, for a
short time, by that run of that router.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Mapping
from typing import Any, Literal

from routerd.telemetry.mqtt import topics
from routerd.telemetry.mqtt.topics import Own

LASTS = 30.0
"""Seconds before and after its time that a request is heeded."""
MOST = 10_000
"""Requests that are remembered, at most; there can be no more in that time."""

Purpose = Literal["request", "answer", "pair"]


class RefusedError(Exception):
    """A message is not to be heeded. The text is for the log."""


class RepeatedError(RefusedError):
    """A request came again: whoever sent it has an answer, or is about to get it."""


def seal(purpose: Purpose, said: Mapping[str, Any], key: bytes) -> bytes:
    """Return a signed payload."""
    text = json.dumps(said, separators=(",", ":"))
    return topics.encode({"text": text, "hmac": _mac(purpose, text, key)})


def unseal(purpose: Purpose, payload: bytes, key: bytes, most: int = topics.LARGEST) -> dict[str, Any]:
    """Return what a payload of `most` octets says; RefusedError if it was not signed with the key, or is none."""
    try:
        envelope = topics.decode(payload, most)
        text, mac = envelope.get("text"), envelope.get("hmac")
        if not isinstance(text, str) or not isinstance(mac, str):
            raise RefusedError("it is not signed")
        if not hmac.compare_digest(_mac(purpose, text, key).encode(), mac.encode(errors="replace")):
            raise RefusedError("its signature is wrong: another key, or not by who has it")
        return topics.decode(text.encode(errors="replace"), most)
    except ValueError as error:
        raise RefusedError(f"it cannot be read: {error}") from None


def _mac(purpose: Purpose, text: str, key: bytes) -> str:
    signed = f"routerd/v1 {purpose}\n{text}".encode(errors="replace")
    return hmac.new(key, signed, hashlib.sha256).hexdigest()


class Gate:
    """Lets each request pass once, in a run of routerd: it outlives links, and is used by the threads of all."""

    def __init__(self) -> None:
        self._heeded: dict[str, float] = {}  # until when each is remembered in monotonic seconds, in that order
        self._lock = threading.Lock()

    def admit(self, said: Mapping[str, Any], own: Own, clock: float, now: float) -> None:
        """Raise RefusedError if a request that was signed is for another one, is not of this time, or was heeded.

        `clock` are seconds of the epoch, `now` monotonic ones.
        """
        for name, mine in own._asdict().items():
            if said.get(name) != mine:
                raise RefusedError(f"it is for {name} {str(said.get(name))[:64]!r}")
        time, id = said.get("time"), said.get("id")
        if not isinstance(time, int | float) or not isinstance(id, str) or not 0 < len(id) <= 64:
            raise RefusedError("it has no id, or no time")
        if not abs(clock - time) <= LASTS:
            raise RefusedError(f"its time is {abs(clock - time):.0f} s off: set the clocks, both of them")
        with self._lock:
            while self._heeded and next(iter(self._heeded.values())) < now:
                del self._heeded[next(iter(self._heeded))]
            if id in self._heeded:
                raise RepeatedError("it was heeded before")
            if len(self._heeded) >= MOST:
                raise RefusedError("there are too many")
            self._heeded[id] = now + 2 * LASTS
