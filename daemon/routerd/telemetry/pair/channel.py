"""What a channel to the partner is, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from routerd.core.message import PartnerMessage

MOST_WAITING = 16 << 20
"""Octets that may wait for the partner, or for who carries them there; beyond that the channel ends."""


class Names(NamedTuple):
    """Who this router is for its partner, and who that is."""

    router: str
    partner: str


class Home(NamedTuple):
    """Where a channel reports, in the event loop that made it.

    `up` is called once the partner has proved that it has the key, `said` with each message from then on, in order,
    and `down` when the channel is lost, and for each new reason why there is none. `say` logs a level, an event and
    fields.
    """

    up: Callable[[], None]
    said: Callable[[PartnerMessage], None]
    down: Callable[[str], None]
    say: Callable[..., None]


class Channel(Protocol):
    """A channel, up and down as the way to the partner is."""

    def send(self, message: PartnerMessage) -> None:
        """Hand a message over. It never waits: while there is no channel nothing is kept, and when too much waits for
        the partner the channel ends."""

    async def run(self) -> None:
        """Connect, and again, until cancelled."""
