"""What is counted where it changes, because nothing else remembers it: a few additions a message, and no more.

The engine tells of what comes in and goes out. What the core knows anyway is read when somebody asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from errno import errorcode

from routerd.core.histogram import Histogram
from routerd.core.message import (
    Arrange,
    DeleteNexthop,
    DeleteRoutes,
    Drain,
    Gateway,
    Input,
    NeighbourState,
    Notification,
    Operation,
    RouteRefresh,
    SessionDown,
    SessionUp,
    SetGroup,
    SetNexthop,
    SetRoutes,
    Shutdown,
    SpeakerDown,
    Update,
    WriteFailed,
)
from routerd.core.router import Router
from routerd.telemetry.metrics.causes import REPLACED, SHUTDOWN, SPEAKER, cause
from routerd.telemetry.metrics.convergence import Convergence

FAILOVER = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds: bounds of the histogram."""
SPARE = 1000
"""Peers that are gone, of which the counts may still be kept."""

_TYPES = {1: "open", 2: "update", 3: "notification", 4: "keepalive", 5: "route_refresh"}
_SHUTDOWN = 6, 2
_TYPE_AT, _LENGTH_AT = 18, 16
"""In a message's header (RFC 4271 section 4.1)."""
OPERATIONS: dict[type[Operation], str] = {
    SetNexthop: "set_nexthop",
    SetGroup: "set_group",
    Arrange: "arrange_group",
    DeleteNexthop: "delete_nexthop",
    SetRoutes: "set_route",
    DeleteRoutes: "delete_route",
}
"""What operations are called."""


class PeerCounts:
    """Of one peer: `messages` by direction and type, `resets` by cause and by whom."""

    __slots__ = ("messages", "resets")

    def __init__(self) -> None:
        self.messages: Counter[tuple[str, str]] = Counter()
        self.resets: Counter[tuple[str, str]] = Counter()


class Tally:
    """Counts since the start. `writes` are what was handed to the writer, by operation, `refusals` what of it the
    kernel refused, by operation and errno, `losses` how often gateways have stopped answering, `probes` how often
    they were asked. `failover` and the convergence's histogram are of seconds."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self.peers: dict[str, PeerCounts] = {}
        self.writes: Counter[str] = Counter()
        self.refusals: Counter[tuple[str, str]] = Counter()
        self.losses: Counter[Gateway] = Counter()
        self.probes = 0
        self.drains = 0
        self.failover = Histogram(FAILOVER)
        self.convergence = Convergence(router.fib.waits)
        self._added = 0

    def of(self, peer: str) -> PeerCounts:
        """Return the counts of a peer, by address."""
        found = self.peers.get(peer)
        if found is None:
            if len(self.peers) > 2 * len(self._router.rib.peers) + SPARE:
                self._prune()
            found = self.peers[peer] = PeerCounts()
        return found

    def _prune(self) -> None:
        known = self._router.rib.peers
        self.peers = {peer: counts for peer, counts in self.peers.items() if peer in known}

    def take(self, message: Input, now: float) -> None:
        """The core is about to take in a message that is no UPDATE."""
        match message:
            case RouteRefresh(peer=peer):
                self.of(peer).messages["received", "route_refresh"] += 1
            case SessionUp(peer=peer):
                counts = self.of(peer)
                counts.messages["received", "open"] += 1
                counts.messages["sent", "open"] += 1
                if self._session(peer) is not None:
                    counts.resets[REPLACED] += 1
            case SessionDown() if self._session(message.peer) == message.generation:
                self._ended(message.peer, cause(message.notification), message.notification)
            case Shutdown(peer=peer) if self._session(peer) is not None:
                self._ended(peer, SHUTDOWN, Notification(True, *_SHUTDOWN))  # before the speaker says so
            case SpeakerDown():
                for each in self._router.rib.peers.values():
                    if each.session is not None:
                        self.of(each.address).resets[SPEAKER] += 1
            case WriteFailed(operation=operation, errno=errno):
                name = errorcode.get(errno, str(errno))
                self.refusals[OPERATIONS[type(operation)], name] += _size(operation)
            case NeighbourState(gateway=gateway, alive=False) if not self._router.gateways.is_silent(gateway):
                self.losses[gateway] += 1
                if len(self.losses) > 2 * len(self._router.rib.peers) + SPARE:
                    del self.losses[next(iter(self.losses))]
            case Drain(on=True):
                self.drains += 1

    def heard(self, update: Update, now: float, *, news: bool) -> None:
        """The core has taken in an UPDATE; `news` tells whether something else is wanted now."""
        self.of(update.peer).messages["received", "update"] += 1
        prefixes = update.announced[-1][1] if update.announced else update.withdrawn
        if news and prefixes:
            self.convergence.heard(prefixes[-1], now)

    def _session(self, peer: str) -> int | None:
        """Return the generation of a peer's session; None without one."""
        found = self._router.rib.peers.get(peer)
        return None if found is None or found.session is None else found.session.generation

    def _ended(self, peer: str, why: tuple[str, str], said: Notification | None) -> None:
        counts = self.of(peer)
        counts.resets[why] += 1
        if said is not None:
            counts.messages["sent" if said.sent else "received", "notification"] += 1

    def sent(self, peer: str, messages: bytes) -> None:
        """Whole BGP messages are on their way to a peer."""
        counts, at = self.of(peer).messages, 0
        while at < len(messages):
            counts["sent", _TYPES[messages[at + _TYPE_AT]]] += 1
            at += messages[at + _LENGTH_AT] << 8 | messages[at + _LENGTH_AT + 1]

    def programmed(self, operations: Sequence[Operation]) -> None:
        """These operations wait to be written."""
        for operation in operations:
            size = _size(operation)
            self.writes[OPERATIONS[type(operation)]] += size
            self._added += size

    def failed_over(self, operations: Sequence[Operation], seconds: float) -> None:
        """Gateways are out of the kernel, so many seconds after what it is for was heard."""
        self.failover.add(seconds)
        for operation in operations:
            self.writes[OPERATIONS[type(operation)]] += 1

    def handled(self, unwritten: int, now: float) -> None:
        """What was taken in is planned, or something was written; so much is not written yet."""
        added, self._added = self._added, 0
        self.convergence.handled(added, unwritten, now)


def _size(operation: Operation) -> int:
    """Return how many routes an operation is about; any other counts one, as in the backlog."""
    return len(operation.prefixes) if isinstance(operation, SetRoutes | DeleteRoutes) else 1
