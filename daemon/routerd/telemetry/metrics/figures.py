"""The broker, collectors, files and the partner, in numbers: what they were told, and what waits for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class BrokerFigures(NamedTuple):
    """`last_message` is when the broker took one, in seconds since 1970, or 0. Counts are of this `[mqtt]`."""

    connected: bool
    connections: int
    last_message: float
    events_told: int
    events_lost: int
    states: int
    states_waiting: int
    vips_told: int
    vips_left_out: int
    requests_heeded: int
    requests_refused: int


class CollectorFigures(NamedTuple):
    """A `[[bmp]]`: `waiting` are octets, `dropped` the sessions that ended because it took too little."""

    name: str
    connected: bool
    sessions: int
    dropped: int
    waiting: int


class DumpFigures(NamedTuple):
    """Files of a kind in `[mrt]`, rib or updates. `last` is when some was written, in seconds since 1970, or 0."""

    kind: str
    written: int
    failed: int
    lost: int
    last: float


class ChannelFigures(Protocol):
    """What was said over the channel of a pair, since the start."""

    messages_sent: int
    messages_received: int
    octets_sent: int
    octets_received: int


class PairFigures(NamedTuple):
    """A `[pair]`: groups by state, and buckets. `last_agreed` is when all groups were last equal, in seconds
    since 1970, or 0."""

    partner: str
    up: bool
    groups: Mapping[str, int]
    differing: int
    conflicts: int
    last_agreed: float
    channel: ChannelFigures


class Figures(NamedTuple):
    """All of them."""

    broker: BrokerFigures | None = None
    collectors: tuple[CollectorFigures, ...] = ()
    dumps: tuple[DumpFigures, ...] = ()
    pair: PairFigures | None = None
