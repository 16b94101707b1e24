"""Connections that came to nothing: from whom, why, how often. Pure; times are monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from routerd.core.message import Notification

MAX_REFUSALS = 256


@dataclass(frozen=True, slots=True)
class Refusal:
    """Attempts of an address at a session that ended alike: the latest one's reason, how many, when.

    `notification` is what was said, by whichever side, and None if nothing was.
    """

    address: str
    reason: str
    notification: Notification | None
    count: int
    first: float
    last: float


class Refusals:
    """The latest ones, by address and by what ended the attempts; the oldest go when there are too many."""

    def __init__(self) -> None:
        self._found: dict[tuple[object, ...], Refusal] = {}
        self.total = 0
        """How many attempts there were, remembered or not."""

    def note(self, address: str, reason: str, notification: Notification | None, now: float) -> Refusal:
        """Take in that an attempt came to nothing, and return all of its kind."""
        said = notification
        self.total += 1
        key = (address, reason) if said is None else (address, said.sent, said.code, said.subcode)
        before = self._found.pop(key, None) or Refusal(address, reason, notification, 0, now, now)
        after = replace(before, reason=reason, notification=notification, count=before.count + 1, last=now)
        self._found[key] = after
        if len(self._found) > MAX_REFUSALS:
            del self._found[next(iter(self._found))]
        return after

    def forget(self, address: str) -> None:
        """Forget the attempts of an address: what became of them is past."""
        self._found = {key: each for key, each in self._found.items() if each.address != address}

    def latest(self) -> tuple[Refusal, ...]:
        """Return what is remembered, the latest last."""
        return tuple(self._found.values())
