"""What a channel to the partner is, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from routerd.core.message import PartnerMessage

MOST_WAITING = 16 << 20
"""Octets that may wait for the partner, or for who carries them there; beyond that the channel ends."""


class Names(NamedTuple):
    """Who this router is for its partner, and who that is."""

    router: str
    partner: str


@dataclass(slots=True)
class Counts:
    """What was said over channels, since the start."""

    messages_sent: int = 0
    messages_received: int = 0
    octets_sent: int = 0
    octets_received: int = 0

    def sent(self, payload: bytes) -> None:
        """A message was handed over."""
        self.messages_sent += 1
        self.octets_sent += len(payload)

    def received(self, payload: bytes) -> None:
        """A message came."""
        self.messages_received += 1
        self.octets_received += len(payload)


@dataclass(frozen=True, slots=True)
class Home:
    """Where a channel reports, in the event loop that made it.

    `up` is called once the partner has proved that it has the key, `said` with each message from then on, in order,
    and `down` when the channel is lost, and for each new reason why there is none. `say` logs a level, an event and
    fields. `counts` is counted up.
    """

    up: Callable[[], None]
    said: Callable[[PartnerMessage], None]
    down: Callable[[str], None]
    say: Callable[..., None]
    counts: Counts = field(default_factory=Counts)


class Channel(Protocol):
    """A channel, up and down as the way to the partner is."""

    def send(self, message: PartnerMessage) -> None:
        """Hand a message over. It never waits: while there is no channel nothing is kept, and when too much waits for
        the partner the channel ends."""

    async def run(self) -> None:
        """Connect, and again, until cancelled."""
