"""What a router has to say of itself, a payload a topic, and what of it the broker is yet to hear. Pure.

A state that is told again before it was sent takes the place of the older one. So what waits is bounded by what there
is to tell, of which who tells it sees to the bounds; and no state is ever dropped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from itertools import islice

from routerd.telemetry.mqtt.topics import Topic

CLEARED = b""
"""The payload that has a broker forget what it retains (MQTT 5 section 3.3.1.3)."""


class States:
    """Told by one thread, sent by another one; `wake` is called when there is something to send."""

    def __init__(self) -> None:
        self.wake: Callable[[], None] = lambda: None
        self.octets = 0
        """Of topics and payloads, of all that is kept."""
        self._kept: dict[Topic, bytes] = {}  # in the order in which they are told anew: the birth is the first
        self._pending: dict[Topic, None] = {}
        self._heard = False  # whether there is a broker to hear what is cleared
        self._lock = threading.Lock()

    def tell(self, topic: Topic, payload: bytes) -> None:
        """This is how it is now; nothing happens if that is known."""
        with self._lock:
            if self._kept.get(topic) == payload:
                return
            self._keep(topic, payload)
        self.wake()

    def clear(self, topic: Topic) -> None:
        """The broker is to forget a topic. Without one nothing is kept of it: `sweep` finds what the next one has."""
        with self._lock:
            if not self._heard:
                self._forget(topic, keep_place=False)
                return
        self.tell(topic, CLEARED)

    def _keep(self, topic: Topic, payload: bytes) -> None:
        self._forget(topic, keep_place=True)
        self._kept[topic] = payload
        self._pending[topic] = None
        self.octets += len(str(topic)) + len(payload)

    def _forget(self, topic: Topic, *, keep_place: bool) -> None:
        before = self._kept.get(topic)
        if before is not None:
            self.octets -= len(str(topic)) + len(before)
            if not keep_place:
                del self._kept[topic]
                self._pending.pop(topic, None)

    def renew(self) -> None:
        """The broker may know nothing any more: all is to be sent again."""
        with self._lock:
            self._heard = True
            self._pending = dict.fromkeys(self._kept)

    def again(self, topics: Iterable[Topic]) -> None:
        """The broker has refused these: they are to be sent again."""
        with self._lock:
            self._pending |= dict.fromkeys(topic for topic in topics if topic in self._kept)

    def lost(self) -> None:
        """There is no broker, until `renew`."""
        with self._lock:
            self._heard = False
            for topic in [topic for topic, payload in self._kept.items() if payload == CLEARED]:
                self._forget(topic, keep_place=False)

    def sweep(self, topics: Iterable[Topic]) -> None:
        """The broker retains these topics: it is to forget those of which there is nothing to tell."""
        with self._lock:
            for topic in topics:
                if topic not in self._kept:
                    self._keep(topic, CLEARED)

    def clear_all(self) -> None:
        """The broker is to forget everything."""
        with self._lock:
            for topic in list(self._kept):
                self._keep(topic, CLEARED)

    def take(self, most: int) -> list[tuple[Topic, bytes]]:
        """Return up to `most` topics with what is to be sent; `renew` if it got lost."""
        with self._lock:
            taken = list(islice(self._pending, most))
            for topic in taken:
                del self._pending[topic]
            return [(topic, self._kept[topic]) for topic in taken]

    def sent(self, topic: Topic, payload: bytes) -> None:
        """The broker has it: nothing is to be kept of a topic that was cleared."""
        with self._lock:
            if payload == CLEARED and self._kept.get(topic) == CLEARED and topic not in self._pending:
                self._forget(topic, keep_place=False)

    @property
    def waiting(self) -> int:
        """How many topics are to be sent."""
        return len(self._pending)

    def __contains__(self, topic: Topic) -> bool:
        return topic in self._kept

    def __len__(self) -> int:
        return len(self._kept)
