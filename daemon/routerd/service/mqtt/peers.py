"""Which peers are to be told anew, and under which topic each was told last. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from routerd.core.rib.peer import Peer
from routerd.telemetry.mqtt import topics
from routerd.telemetry.mqtt.topics import Own, Topic


class Peers:
    """`known` are the core's own, by address."""

    def __init__(self, known: dict[str, Peer], own: Own) -> None:
        self._known = known
        self._own = own
        self._names: set[str] = set()
        self._all = True
        self._told: dict[str, Topic] = {}

    def note(self, names: Iterable[str]) -> None:
        """Something was said of peers of these names or addresses."""
        self._names.update(names)

    def touch(self) -> None:
        """Any peer may be another."""
        self._all = True

    def collect(self) -> tuple[list[Topic], list[tuple[Topic, Peer]]]:
        """Return the topics that are none any more, and the peers to be told, with theirs; costs a look at each peer
        if something was said of any."""
        names, self._names = self._names, set()
        everyone, self._all = self._all, False
        if not everyone and not names:
            return [], []
        gone = [self._told.pop(address) for address in [each for each in self._told if each not in self._known]]
        changed: list[tuple[Topic, Peer]] = []
        for address, peer in self._known.items():
            if everyone or peer.name in names or address in names:
                topic = self._own.topic(topics.PEER, topics.level(peer.name))
                if self._told.get(address, topic) != topic:
                    gone.append(self._told[address])  # it has another name now
                self._told[address] = topic
                changed.append((topic, peer))
        still = set(self._told.values())
        return [topic for topic in gone if topic not in still], changed
