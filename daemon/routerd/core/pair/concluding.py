"""What follows from what is known of a group, here and there: its buckets move, the partner is asked or told, or one
looks again later."""

from __future__ import annotations

from itertools import groupby

from routerd.core.fib.fib import Fib
from routerd.core.fib.model import NEVER, Group
from routerd.core.message import Arrange, Effect, Hello, PartnerMessage, Program, ReadBuckets, TellPartner
from routerd.core.pair.accord import Accord
from routerd.core.pair.asking import Asking
from routerd.core.pair.decisions import (
    Owners,
    Weights,
    anew,
    by_weight,
    follow,
    is_off,
    is_passing,
    lead,
    weights_of,
)
from routerd.core.pair.introduction import Introduction
from routerd.core.pair.layouts import Held, said
from routerd.core.pair.past import Past
from routerd.core.pair.reading import Reading
from routerd.core.pair.standing import Standing

LATER = 1.0
"""Seconds, at least, until one looks again at a group in which something is left to be done."""
FRESH = 0.1
"""Seconds for which what was read is as good as read now. The kernel moves no bucket that has become busy since."""
INTRODUCTION = 10.0
"""Seconds that the partner has to say all, before groups of which it has said nothing count for this router's own."""


class Concluding(Standing):
    """Leaves in `_effects` what is to be done. Times are monotonic seconds."""

    def __init__(self, fib: Fib, hello: Hello, now: float) -> None:
        super().__init__(fib, hello, now)
        self._introduction = Introduction()
        self._asking = Asking()
        self._reading = Reading()
        self._past = Past()
        self._effects: list[Effect] = []

    # ------------------------------------------------------------------------------------------ deciding

    @property
    def _period(self) -> float:
        """Seconds until one looks again at a group in which something is left to be done."""
        return max(LATER, self._groups.shape.idle_timer / 4)

    def _conclude(self, accord: Accord, now: float) -> None:
        """Move buckets of a group, if they are to lead elsewhere; ask the partner before, unless it has just said how
        it is there. Of a group that has changed since it was read nothing is known: it may have lost members."""
        group, held = self._groups.by_id.get(accord.id), accord.held
        if group is None or held is None or accord.read == NEVER:
            return
        there = self._counterpart(accord, held)
        look_at: float | None = None  # what is not settled is read again once it is
        if held.settled and len(group.legs) > 1:
            weights = weights_of(self._groups.shares(group), there)
            wanted = self._wanted(group, held, there, weights, now)
            if there is None and self._is_early(now):
                self._reading.wait(accord.id)
                look_at = self.since + INTRODUCTION
            elif wanted == held.owners:
                passing = is_off(wanted, weights) or (there is not None and is_passing(held, there, weights))
                look_at = now + self._period if passing else None
            elif now < accord.again:
                look_at = accord.again
            elif self.leads and there is not None and now - accord.heard >= FRESH:
                self._asking.add(accord.id)
                return
            else:
                self._arrange(accord, group, wanted, by_weight=by_weight(held, there, wanted))
                return
        self._reading.at(accord.id, look_at)
        if accord.is_news(held, busy=look_at is not None):
            self._say(accord, held, now)

    def _postpone(self, accord: Accord, now: float) -> None:
        """The partner does not say how its buckets are. It may have died just now, and its flows be here already, of
        which none has shown itself: nothing moves."""
        self._reading.at(accord.id, now + LATER)
        if accord.held is not None and accord.is_news(accord.held, busy=True):
            self._say(accord, accord.held, now)

    def _wanted(self, group: Group, held: Held, there: Held | None, weights: Weights, now: float) -> Owners:
        """Return where the buckets are to lead. While no flow has ever been in a group, as the nodes announce it one
        by one, it is as if it were made now."""
        if there is not None and not self.leads:
            return follow(held, there, weights)
        used = held.busy or (there is not None and there.busy) or now - group.born >= self._groups.shape.idle_timer
        if not used:
            return anew(len(held.owners), weights)
        return lead(self._past.restored(group.id, held, there, weights), there, weights)

    def _is_early(self, now: float) -> bool:
        """Tell whether the partner may still say something of a group of which it has said nothing."""
        return self.up and not self.complete and now < self.since + INTRODUCTION

    def _counterpart(self, accord: Accord, held: Held) -> Held | None:
        """Return the partner's group, if it is to be the same."""
        there = self._register.theirs.get(accord.key) if self.up else None
        return there if there is not None and len(there.owners) == len(held.owners) else None

    def _arrange(self, accord: Accord, group: Group, wanted: Owners, *, by_weight: bool) -> None:
        nexthops = {leg.address: self._groups.nexthops[leg] for leg in group.legs}
        layout = tuple((nexthops[owner], len(list(run))) for owner, run in groupby(wanted))
        accord.arranged = wanted
        self._effects += [Program((Arrange(accord.id, layout, by_weight),)), ReadBuckets((accord.id,))]

    # ------------------------------------------------------------------------------------------ telling

    def _say(self, accord: Accord, held: Held, now: float) -> None:
        self._tell(said(accord.key, held, accord.answers, fresh=now - accord.read < FRESH))
        accord.told, accord.answers = held, 0
        self._introduction.done(accord.id)

    def _tell(self, message: PartnerMessage) -> None:
        if self.up:
            self._effects.append(TellPartner(message))
