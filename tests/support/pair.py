"""A pair as the core has it, made up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from routerd.core.message import Gateway, Hello
from routerd.core.pair.accord import Agreement

HERE = Hello("gw1", "a", "0.1.0", "6.12.43-amd64", "five-tuple", "5f0c", 3600.0)
THERE = HERE._replace(router="gw2", boot="b", age=60.0)


def agreed(key: str, id: int, *buckets: int, state: str = "equal") -> Agreement:
    """Return how a group of both agrees. `buckets` are all, and those that differ, conflict and are off."""
    every, differing, conflicts, off = buckets or (1024, 0, 0, 0)
    return Agreement(key, id, every, differing, conflicts, off, state)


@dataclass
class Counts:
    """What was said over the channel."""

    messages_sent: int = 1
    messages_received: int = 2
    octets_sent: int = 3
    octets_received: int = 4


class FakePair:
    """What is shown of it; `there` is where buckets of groups lead at the partner."""

    def __init__(self, *groups: Agreement, **changes: Any) -> None:
        self.hello, self.up, self.since, self.reason, self.leads, self.complete = HERE, True, 0.0, "", True, True
        self.partner: Hello | None = THERE
        self.groups = list(groups)
        self.there: dict[tuple[int, int], Gateway] = {}
        vars(self).update(changes)

    def summary(self) -> Counter[str]:
        return Counter(each.state for each in self.groups)

    @property
    def agrees(self) -> bool:
        return self.up and self.complete and self.summary().keys() <= {"equal"}

    def agreements(self) -> Iterator[Agreement]:
        return iter(self.groups)

    def agreement(self, group_id: int) -> Agreement | None:
        return next((each for each in self.groups if each.id == group_id), None)

    def owner_at_partner(self, group_id: int, bucket: int) -> Gateway | None:
        return self.there.get((group_id, bucket))
