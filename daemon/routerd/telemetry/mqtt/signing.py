"""Requests to routers, and their answers, signed with a key that both have (HMAC-SHA-256, RFC 2104). Pure.

What is signed is the text as it was sent, with what it is for in front, so that no answer passes for a request. A
request names its router, the run of it (boot id), its time and itself by a random number: it is heeded once, for a
short time, by that run of that router.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, Literal

from routerd.telemetry.mqtt import topics

LASTS = 30.0
"""Seconds before and after its time that a request is heeded."""
MOST = 10_000
"""Requests that are remembered, at most; there can be no more in that time."""

Purpose = Literal["request", "answer"]


class RefusedError(Exception):
    """A message is not to be heeded. The text is for the log."""


def seal(purpose: Purpose, said: Mapping[str, Any], key: bytes) -> bytes:
    """Return a signed payload."""
    text = json.dumps(said, separators=(",", ":"))
    return topics.encode({"text": text, "hmac": _mac(purpose, text, key)})


def unseal(purpose: Purpose, payload: bytes, key: bytes) -> dict[str, Any]:
    """Return what a payload says; RefusedError if it was not signed with the key, or is none."""
    try:
        envelope = topics.decode(payload)
        text, mac = envelope.get("text"), envelope.get("hmac")
        if not isinstance(text, str) or not isinstance(mac, str):
            raise RefusedError("it is not signed")
        if not hmac.compare_digest(_mac(purpose, text, key).encode(), mac.encode(errors="replace")):
            raise RefusedError("its signature is wrong: another key, or not by who has it")
        return topics.decode(text.encode(errors="replace"))
    except ValueError as error:
        raise RefusedError(f"it cannot be read: {error}") from None


def _mac(purpose: Purpose, text: str, key: bytes) -> str:
    signed = f"routerd/v1 {purpose}\n{text}".encode(errors="replace")
    return hmac.new(key, signed, hashlib.sha256).hexdigest()


class Gate:
    """Lets each request to a router of this site, name and run pass once. Times are those of the clock."""

    def __init__(self, site: str, router: str, boot: str) -> None:
        self._own = {"site": site, "router": router, "boot": boot}
        self._heeded: dict[str, float] = {}  # until when each is remembered, in that order

    def admit(self, said: Mapping[str, Any], now: float) -> None:
        """Raise RefusedError if a request that was signed is for another one, is not of this time, or was heeded."""
        for name, own in self._own.items():
            if said.get(name) != own:
                raise RefusedError(f"it is for {name} {str(said.get(name))[:64]!r}")
        time, id = said.get("time"), said.get("id")
        if not isinstance(time, int | float) or not isinstance(id, str) or not 0 < len(id) <= 64:
            raise RefusedError("it has no id, or no time")
        if not abs(now - time) <= LASTS:
            raise RefusedError(f"its time is {abs(now - time):.0f} s off: set the clocks, both of them")
        while self._heeded and next(iter(self._heeded.values())) < now:
            del self._heeded[next(iter(self._heeded))]
        if id in self._heeded:
            raise RefusedError("it was heeded before")
        if len(self._heeded) >= MOST:
            raise RefusedError("there are too many")
        self._heeded[id] = now + 2 * LASTS
