"""From RIB to FIB: what is decided becomes what is wanted, and when what is wanted is planned.

The nodes of an address announce it one after the other, and prefixes that share a group want something else one after
the other: planning waits a little for what belongs together, and never long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from routerd.core.fib.fib import Fib
from routerd.core.fib.model import NEVER
from routerd.core.message import Effect, Operation, Program, SetNexthop
from routerd.core.rib.loc_rib import Change
from routerd.core.rib.reconsideration import AT_ONCE
from routerd.core.rib.rib import Rib
from routerd.core.route import Prefix

MOVE_PATIENCE = 1.0
"""Seconds that prefixes wait at most for the rest of a shared group before they leave it."""
BURST_PAUSE, BURST_PATIENCE = 0.003, 0.3
"""Seconds without news after which a burst of changes is over, and seconds after which its planning goes on anyway.
The nodes of an address announce it one after the other: a group that is written once, complete, is writes less."""
BURST = 32
"""More prefixes than this at once begin a burst though no more waits to be read: what one node says of them the next
ones are about to say."""
INTRODUCTION_PAUSE = 0.1
"""Seconds without an UPDATE, after which a node that has just come has said what it announces, or at least a part."""


class Planning:
    """Hands decisions of the RIB to the FIB, and has it plan. Nothing is planned until it is `synchronised`: the
    kernel's first dump was taken over. `watch` is told of all changes. Times are monotonic seconds."""

    def __init__(self, rib: Rib, fib: Fib, now: float) -> None:
        self._rib = rib
        self._fib = fib
        self.synchronised = False
        self.watch: Callable[[list[Change]], None] | None = None
        self.news = False
        """Whether something else is wanted since the last `settle`."""
        self._news_at = now
        self._burst_since: float | None = None
        """When the burst began; NEVER once its planning goes on, None when all is planned."""
        self._moves_since: float | None = None
        """Since when prefixes wait for the rest of their group."""
        self._introduced_at: float | None = None

    # ------------------------------------------------------------------------------------------ what is wanted

    def changed(self, changes: list[Change]) -> None:
        """Other things are decided for prefixes: want them, and tell the peers."""
        loc_rib = self._rib.loc_rib
        for old, new, prefixes in changes:
            before, after = loc_rib.decision(old), loc_rib.decision(new)
            if after.wanted != before.wanted or old is new or old in loc_rib.untold:
                self._fib.want(prefixes, after.wanted)
                self.news |= old is not new  # that a set decides otherwise is no news from the nodes
        if changes:
            self._rib.advertising.export(changes)
            if self.watch is not None:
                self.watch(changes)

    def reconsider(self) -> None:
        """Path sets may decide otherwise now: a part of them is looked at right away, the others in slices."""
        self.changed(self._rib.reconsideration.slice(AT_ONCE))

    def want_again(self, prefixes: Iterable[Prefix]) -> None:
        """Want what is decided for these prefixes once more: the kernel has refused it."""
        for prefix in prefixes:
            self._fib.want([prefix], self._rib.loc_rib.decision(self._rib.loc_rib.paths_of(prefix)).wanted)

    # ------------------------------------------------------------------------------------------ when it is planned

    @property
    def busy(self) -> bool:
        """Whether `settle` would find something to do at once."""
        pauses = self._burst_ends is not None and not self._fib.groups.changed
        return self.synchronised and self._fib.unfinished and not pauses

    @property
    def timer(self) -> float | None:
        """When `settle` is due even without input."""
        moves_end = None if self._moves_since is None else self._moves_since + MOVE_PATIENCE
        times = (moves_end, self._burst_ends, self._introduced_at)
        return min((time for time in times if time is not None), default=None)

    @property
    def _burst_ends(self) -> float | None:
        """When the planning of a burst goes on at the latest; None if it does not pause."""
        if self._burst_since is None or self._burst_since == NEVER:
            return None
        return min(self._news_at + BURST_PAUSE, self._burst_since + BURST_PATIENCE)

    def plan(self, now: float) -> list[Effect]:
        """Plan what is wanted, whatever may follow."""
        return self.program(self._fib.plan(now)) if self.synchronised else []

    def settle(self, now: float, *, quiet: bool) -> list[Effect]:
        """A batch of input is over, and if it is `quiet`, no more waits: plan what is wanted, unless more of it is to
        be waited for."""
        if self.news:
            self._news_at, self.news = now, False
        effects = self._plan_burst(now, quiet=quiet)
        if self._fib.parting or self._moves_since is not None:
            effects += self._part(now, quiet=quiet)
        return effects

    def _plan_burst(self, now: float, *, quiet: bool) -> list[Effect]:
        more = self._fib.behind > (0 if not quiet else BURST)
        if self._burst_since is None and more and not self._fib.has_table:
            self._burst_since = now
        if self._burst_since is not None and (ends := self._burst_ends) is not None and now < ends:
            return self.program(self._fib.rewrite(now))
        effects = self.plan(now)
        pauses = self._burst_since is None
        self._burst_since = None if not self._fib.behind else now if pauses else NEVER
        return effects

    def _part(self, now: float, *, quiet: bool) -> list[Effect]:
        """Let prefixes leave groups whose others want something else, once that is for good."""
        effects: list[Effect] = []
        if self._fib.has_waiting():
            since = self._moves_since = now if self._moves_since is None else self._moves_since
            self._introduced_at = self._introduction_ends(now)
            # What is purged, or judged again, comes in slices, and those belong together.
            said = quiet and not self._fib.behind and self._introduced_at is None
            due = said or now - since >= MOVE_PATIENCE
            if self._fib.parting.unfinished or (due and not self._rib.slicing):
                effects = self.program(self._fib.part(now))
        if not self._fib.has_waiting() or self._rib.slicing:
            self._moves_since = self._introduced_at = None
        return effects

    def _introduction_ends(self, now: float) -> float | None:
        """When nodes that have just come will have said what they announce; None if there are no such nodes. Speakers
        send an UPDATE for each prefix, and prefixes that share a group now shall share one afterwards."""
        ends = [
            min(peer.since + MOVE_PATIENCE, peer.heard + INTRODUCTION_PAUSE)
            for peer in self._rib.lifecycle.introductions
            if peer.heard is not None
        ]
        return max((end for end in ends if end > now), default=None)

    def program(self, operations: Sequence[Operation]) -> list[Effect]:
        """Have operations carried out."""
        if self._rib.nexthops.onlink:
            operations = [self._addressed(each) for each in operations]
        return [Program(tuple(operations))] if operations else []

    def _addressed(self, operation: Operation) -> Operation:
        """A gateway that is on the link only because a route says so: its nexthop must say it, too."""
        if isinstance(operation, SetNexthop) and operation.gateway in self._rib.nexthops.onlink:
            return replace(operation, onlink=True)
        return operation
