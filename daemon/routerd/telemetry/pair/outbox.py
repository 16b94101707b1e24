"""What waits to be said to the partner over a broker, which takes it at its own pace. Pure, but for a lock."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from itertools import islice

from routerd.core.message import GroupGone, GroupLayout, PartnerMessage
from routerd.telemetry.pair.channel import MOST_WAITING
from routerd.telemetry.pair.codec import encode

LOT = 8192
"""Octets of messages that are said at once: not each broker takes packets much larger, and some take less."""


def divided(payloads: Iterable[bytes], together: int) -> list[list[bytes]]:
    """Return messages as lots of together so many octets, or of one that is larger, in their order."""
    lots, room = list[list[bytes]](), 0
    for payload in payloads:
        if not lots or len(payload) > room:
            lots.append([])
            room = together
        lots[-1].append(payload)
        room -= len(payload)
    return lots


class Full(Exception):  # noqa: N818 - the channel ends for it
    """Too much waits."""


class Outbox:
    """Filled by one thread and emptied by another one. The layout of a group takes the place of an older one that
    waits, unless somebody has asked for that."""

    def __init__(self) -> None:
        self.octets = 0
        self._waiting: dict[int, bytes] = {}
        self._layouts: dict[str, int] = {}
        """Where a newer layout of a group belongs, by key."""
        self._number = 0
        self._lock = threading.Lock()

    def put(self, message: PartnerMessage) -> None:
        """Add a message; Full if too much waits, ValueError if it is too large."""
        payload = encode(message)
        with self._lock:
            place = self._place(message)
            self.octets += len(payload) - len(self._waiting.get(place, b""))
            self._waiting[place] = payload
            if self.octets > MOST_WAITING:
                raise Full

    def _place(self, message: PartnerMessage) -> int:
        """Return a number: messages are said in the order of these."""
        key = message.key if isinstance(message, GroupLayout | GroupGone) else ""
        waits = self._layouts.pop(key, None)
        if isinstance(message, GroupLayout) and not message.answers:
            if waits is not None and waits in self._waiting:
                self._layouts[key] = waits
                return waits
            self._layouts[key] = self._number + 1
        self._number += 1
        return self._number

    def take(self, most: int) -> list[bytes]:
        """Return up to `most` messages, the first ones first, which wait no more."""
        with self._lock:
            taken = list(islice(self._waiting, most))
            payloads = [self._waiting.pop(place) for place in taken]
            self.octets -= sum(map(len, payloads))
            if not self._waiting:
                self._layouts.clear()
            return payloads

    def clear(self) -> None:
        """Forget all of it."""
        with self._lock:
            self._waiting.clear()
            self._layouts.clear()
            self.octets = 0
