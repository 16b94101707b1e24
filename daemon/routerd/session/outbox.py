"""What peers are to hear and cannot take yet: each has a line of its own, and a slow one holds up nobody else.

Little is on its way to a peer at any time, WINDOW octets; the child says how many its socket has taken. The rest
waits as it came from the core, which are tuples that the peers of an update group share, and is encoded when its turn
comes. A peer that lets too much pile up loses its session: memory is bounded, whatever a peer does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from routerd.core.message import Advertise
from routerd.core.route import Attributes, Prefix, weight
from routerd.session.codecs import Codecs

OUT_OF_RESOURCES = 6, 8
"""RFC 4486 section 3."""
WINDOW = 256 << 10
"""Octets that may be on their way to a peer before it has to take some; one piece more may be."""

MAX_WAITING = 32 << 20
"""Octets, as `_cost` counts them, that may wait for a peer: some four million prefixes."""

_PIECE_ATTRIBUTES, _PIECE_PREFIXES = 256, 4096
"""Of a piece at most. Encoded, it has ten or twenty thousand octets as a rule, 1 MiB with the largest attributes."""

_SMALL = 60  # and its square is less than a piece
_ENTRY = 128
"""Octets of an entry in the line, and of a piece."""
_SPLIT_REMEMBERED = 4

Announced = tuple[tuple[Attributes, tuple[Prefix, ...]], ...]
Piece = tuple[tuple[Prefix, ...], Announced]
"""What is withdrawn, and what is announced."""


@dataclass(slots=True)
class _Line:
    """Of one session: what waits, how much that is, and how many octets are on their way. `weighed` are the
    attributes that were counted last: thousands of effects in a row may share them."""

    generation: int
    waiting: deque[tuple[Advertise, list[Piece], int]] = field(default_factory=deque)
    next_piece: int = 0
    cost: int = 0
    on_way: int = 0
    weighed: Attributes | None = None


class Outbox:
    """The lines of all sessions. `send` hands octets to a session, `close` ends one: as the speaker's methods."""

    def __init__(
        self,
        codecs: Codecs,
        send: Callable[[str, int, bytes], None],
        close: Callable[[str, int, int, int, str], None],
    ) -> None:
        self._codecs = codecs
        self._send = send
        self._close = close
        self._lines: dict[str, _Line] = {}
        self._peers: dict[int, str] = {}  # generation -> peer
        self._split: deque[tuple[Advertise, list[Piece], int]] = deque(maxlen=_SPLIT_REMEMBERED)

    def put(self, advertise: Advertise) -> None:
        """Have a peer hear something, after all that waits; nothing without a session."""
        peer = advertise.peer
        generation = self._codecs.generation(peer)
        if not generation:
            return
        line = self._lines.get(peer)
        if line is None or line.generation != generation:
            if line is not None:
                self.down(peer, line.generation)
            line = self._lines[peer] = _Line(generation)
            self._peers[generation] = peer
        if not line.waiting and line.on_way < WINDOW and _small(advertise):
            self._hand_over(line, advertise)
            return
        pieces, cost = self._pieces(advertise)
        if _small(advertise):
            cost += _weigh(line, advertise)
        line.waiting.append((advertise, pieces, cost))
        line.cost += cost
        self._move(peer, line)
        if line.cost > MAX_WAITING:
            self.down(peer, generation)
            self._close(
                peer, generation, *OUT_OF_RESOURCES, f"{line.cost >> 20} MiB wait for it, which it does not read"
            )

    def taken(self, generation: int, octets: int) -> None:
        """The socket of a session has taken octets."""
        peer = self._peers.get(generation)
        if peer is not None:
            line = self._lines[peer]
            line.on_way = max(0, line.on_way - octets)  # KEEPALIVEs, which are not from here, count too
            self._move(peer, line)

    def down(self, peer: str, generation: int) -> None:
        """A session ended: what waits for it is forgotten."""
        line = self._lines.get(peer)
        if line is not None and line.generation == generation:
            del self._lines[peer], self._peers[generation]
            self._split.clear()

    def clear(self) -> None:
        """All sessions ended."""
        self._lines.clear()
        self._peers.clear()
        self._split.clear()

    def _move(self, peer: str, line: _Line) -> None:
        """Send pieces until the window is full."""
        while line.waiting and line.on_way < WINDOW:
            advertise, pieces, cost = line.waiting[0]
            withdrawn, announced = pieces[line.next_piece]
            line.next_piece += 1
            last = line.next_piece == len(pieces)
            if last:
                line.waiting.popleft()
                line.next_piece = 0
                line.cost -= cost
            self._hand_over(line, Advertise(peer, withdrawn, announced, advertise.end_of_rib if last else ()))

    def _hand_over(self, line: _Line, piece: Advertise) -> None:
        try:
            octets = self._codecs.encode(piece)
        except MemoryError:  # it costs this peer its session, and nobody else anything
            line.waiting.clear()
            self.down(piece.peer, line.generation)
            self._close(piece.peer, line.generation, *OUT_OF_RESOURCES, "out of memory for what it is to hear")
            return
        if octets:
            line.on_way += len(octets)
            self._send(piece.peer, line.generation, octets)

    def _pieces(self, advertise: Advertise) -> tuple[list[Piece], int]:
        """Cut an effect, and say what it costs. Those of an update group share their tuples, and so the pieces."""
        withdrawn, announced = advertise.withdrawn, advertise.announced
        for known, pieces, cost in self._split:
            if known.withdrawn is withdrawn and known.announced is announced:
                return pieces, cost
        pieces = _cut(withdrawn, announced)
        cost = _ENTRY * len(pieces) + sum(_cost(piece) for piece in pieces)
        self._split.append((advertise, pieces, cost))
        return pieces, cost


def _small(advertise: Advertise) -> bool:
    """Tell, without looking at all of it, whether an effect is surely no more than a piece."""
    announced = advertise.announced
    return (
        len(advertise.withdrawn) <= _SMALL
        and len(announced) <= _SMALL
        and all(len(p) <= _SMALL for _, p in announced)
    )


def _weigh(line: _Line, change: Advertise) -> int:
    """Return the octets of attributes that perhaps nobody else has any more when they have waited for long. Those of
    a large effect are of the whole table, which is there anyway."""
    octets = 0
    for attributes, _ in change.announced:
        if attributes is not line.weighed:
            line.weighed = attributes
            octets += weight(attributes)
    return octets


def _cost(piece: Piece) -> int:
    """Return the octets that a piece keeps in memory: references to prefixes and attributes, which others share."""
    withdrawn, announced = piece
    return 8 * len(withdrawn) + sum(_ENTRY + 8 * len(prefixes) for _, prefixes in announced)


def _cut(withdrawn: tuple[Prefix, ...], announced: Announced) -> list[Piece]:
    """Cut into pieces, in order; there is at least one."""
    if len(withdrawn) + sum(len(p) for _, p in announced) <= _PIECE_PREFIXES and len(announced) <= _PIECE_ATTRIBUTES:
        return [(withdrawn, announced)]
    pieces: list[Piece] = [
        (withdrawn[start : start + _PIECE_PREFIXES], ()) for start in range(0, len(withdrawn), _PIECE_PREFIXES)
    ]
    part: list[tuple[Attributes, tuple[Prefix, ...]]] = []
    room = _PIECE_PREFIXES
    for attributes, prefixes in announced:
        start = 0
        while start < len(prefixes):
            some = prefixes[start : start + room]
            part.append((attributes, some))
            start, room = start + len(some), room - len(some)
            if not room or len(part) == _PIECE_ATTRIBUTES:
                pieces.append(((), tuple(part)))
                part, room = [], _PIECE_PREFIXES
    if part:
        pieces.append(((), tuple(part)))
    return pieces
