"""Two routers agree on where each bucket of each group leads, so that either can carry the flows of both.

While the channel is up one of the two leads (`decisions.leads`). It moves idle buckets to where the weights want
them, after it has asked the partner which are busy there; the partner follows, but for what is busy there. Without a
channel each leads itself. A group in which something is left to be done, once buckets are idle, is looked at again
now and then; about any other nothing is read and nothing said. How much is read, and told, at a time is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable

from routerd.core.fib.fib import Fib
from routerd.core.fib.model import NEVER
from routerd.core.message import (
    AllSaid,
    Ask,
    BucketsRead,
    DeleteNexthop,
    Effect,
    GroupGone,
    GroupLayout,
    Hello,
    KernelGroup,
    Operation,
    PartnerDown,
    PartnerMessage,
    PartnerSaid,
    PartnerUp,
    ReadBuckets,
    SetGroup,
)
from routerd.core.pair.accord import Accord
from routerd.core.pair.asking import MOST
from routerd.core.pair.concluding import FRESH, LATER, Concluding
from routerd.core.pair.layouts import Held, heard, read

TICK = 0.025
"""Seconds between two times at which something is read, or asked."""


class Pair(Concluding):
    """This router's part. Times are monotonic seconds."""

    def __init__(self, fib: Fib, hello: Hello, now: float) -> None:
        super().__init__(fib, hello, now)
        self._next = now

    @property
    def timer(self) -> float | None:
        """When `look` has something to do."""
        at_once = self._next if self._reading or self._introduction.is_due else None
        times = (at_once, self._asking.due, self._reading.next)
        first = min((time for time in times if time is not None), default=None)
        return None if first is None else max(self._next, first)

    # ------------------------------------------------------------------------------------------ what happens

    def introduce(self, hello: Hello, now: float) -> list[Effect]:
        """This router says something else of itself."""
        self.present(hello, now)
        self._tell(self.hello)
        return self._taken()

    def noted(self, operations: Iterable[Operation], now: float) -> list[Effect]:
        """These operations were handed out: groups that they change are to be read."""
        for operation in operations:
            match operation:
                case SetGroup(id=id):
                    self._touch(id)
                case DeleteNexthop(id=id):
                    self._deleted(id)
        return [*self._taken(), *self.look(now)]

    def wake(self, ids: Iterable[int], now: float) -> list[Effect]:
        """These groups are there, or have settled: they are to be read."""
        for id in ids:
            self._touch(id)
        return [*self._taken(), *self.look(now)]

    def seen(self, groups: Iterable[KernelGroup], now: float) -> list[Effect]:
        """The kernel has these groups: where weights are others its buckets may have moved, whoever wrote them."""
        for group in groups:
            if (accord := self._register.accords.get(group.id)) is None or accord.members == group.members:
                continue
            if accord.members:
                self._reading.soon([group.id])
            accord.members = group.members
        return self.look(now)

    def handle(self, message: PartnerUp | PartnerDown | PartnerSaid | BucketsRead, now: float) -> list[Effect]:
        """Take in what the channel or the kernel says."""
        match message:
            case PartnerUp():
                self._connected(now)
            case PartnerDown(reason=reason):
                self._disconnected(reason, now)
            case PartnerSaid(message=news):
                self._hear(news, now)
            case BucketsRead(id=id, owners=()):
                self._unread(id, now)
            case BucketsRead(id=id) if (accord := self._register.accords.get(id)) is not None:
                self._take(accord, message, now)
            case BucketsRead(id=id):
                self._touch(id)  # it could not be read before
        return [*self._taken(), *self.look(now)]

    def look(self, now: float) -> list[Effect]:
        """Do a part of what is due."""
        if (timer := self.timer) is None or now < timer:
            return []
        accords = self._register.accords
        for id in self._asking.late(now):
            self._postpone(accords[id], now)
        if ids := self._asking.begin(now):
            self._tell(Ask(tuple(accords[id].key for id in ids), self._asking.number))
        if due := self._reading.some(self._groups.by_id, now):
            self._effects.append(ReadBuckets(due))
        for accord in [accords[id] for id in self._introduction.some()]:
            if accord.held is not None:
                self._say(accord, accord.held, now)
        if self._introduction.complete:
            self._introduction.end()
            self._tell(AllSaid())
        self._next = now + TICK
        return self._taken()

    def _taken(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    # ------------------------------------------------------------------------------------------ the channel

    def _connected(self, now: float) -> None:
        self.connect(now)
        self._register.forget()
        self._reading.soon(self._asking.clear())
        accords = self._register.accords.values()
        for accord in accords:
            accord.told = None
        self._introduction.begin(self._register.accords, (each.id for each in accords if each.held is not None))
        self._tell(self.hello)

    def _disconnected(self, reason: str, now: float) -> None:
        """Each leads itself from now on. What the partner said last is kept to be shown."""
        was_up = self.up
        self.disconnect(reason, now)
        if was_up:
            self._expect_all(now)
        self._introduction.end()
        for accord in self._register.accords.values():
            accord.answers = 0
        self._reading.soon(self._asking.clear())
        self._reading.heard_all()

    def _expect_all(self, now: float) -> None:
        """The flows of a partner that is gone may come, to any bucket."""
        for accord in self._register.accords.values():
            if accord.held is not None and (group := self._groups.by_id.get(accord.id)) is not None:
                accord.held = accord.held.used_by(self.coming(accord, group, now))

    def _hear(self, message: PartnerMessage, now: float) -> None:
        match message:
            case Hello():
                self.meet(message)
            case GroupLayout():
                self._hear_layout(message, now)
            case GroupGone(key=key):
                before = self._register.hear(key, None)
                accord = self._register.named(key)
                if accord is not None and before is not None:
                    accord.expect(before.legs, now + self._groups.shape.idle_timer)
                if accord is not None and self._asking.answered(accord.id):
                    accord.heard = now
                    self._conclude(accord, now)
                elif accord is not None:
                    self._reading.soon([accord.id])
            case Ask(keys=keys, number=number):
                self._answer(keys[:MOST], number, now)
            case AllSaid():
                self._register.heard_all()
                self._reading.heard_all()

    def _answer(self, keys: Iterable[str], number: int, now: float) -> None:
        known = list[int]()
        for key in keys:
            if (accord := self._register.named(key)) is None:
                self._tell(GroupGone(key))
                continue
            accord.answers = number
            if accord.held is not None and accord.arranged is None and now - accord.read < FRESH:
                self._say(accord, accord.held, now)
            else:
                known.append(accord.id)
        if known:
            self._effects.append(ReadBuckets(tuple(known)))

    def _hear_layout(self, layout: GroupLayout, now: float) -> None:
        if (there := heard(layout)) is None:
            return
        before = self._register.hear(layout.key, there)
        if (accord := self._register.named(layout.key)) is None:
            return
        lost = before.legs - there.legs if before is not None else frozenset()
        if accord.held is not None:
            lost &= accord.held.legs
        if lost:
            accord.expect(lost, now + self._groups.shape.idle_timer)
            self._reading.soon([accord.id])
        answered = self._asking.answered(accord.id, layout.answers) or (
            layout.fresh and self._asking.spare(accord.id)
        )
        if answered or layout.fresh:
            accord.heard = now
        if answered:
            self._conclude(accord, now)
        elif self._reading.heard(accord.id) or accord.is_concerned(before, there):
            if accord.arranged:
                return  # it is about to be read
            if not self._is_known(accord, there, now):
                self._reading.soon([accord.id])
            elif accord.id not in self._asking:
                self._conclude(accord, now)
        elif self._reading.is_planned(accord.id) and accord.id not in self._asking:
            self._conclude(accord, now)  # the partner may have followed, and one need not look again

    def _is_known(self, accord: Accord, there: Held, now: float) -> bool:
        """Tell whether what was read of a group last is enough to judge of what the partner says of it: nothing moves
        for that, or it was read just now."""
        if accord.held is None:
            return False
        return accord.held.owners == there.owners or now - accord.read < FRESH

    # ------------------------------------------------------------------------------------------ groups

    def _touch(self, id: int) -> None:
        """A group is there, and may have changed."""
        group, accord = self._groups.by_id.get(id), self._register.accords.get(id)
        key, holder = ("", None) if group is None else self._register.name(group)
        gone = [each for each in (accord, holder) if each is not None and (each is holder or each.key != key)]
        for each in gone:
            self._remove(each)
        if key and id not in self._register.accords:
            self._register.add(id, key)
            self._introduction.add(id)
        if key:
            self._register.accords[id].read = NEVER
            self._reading.soon([id])
        else:
            self._past.forget(id)  # the kernel has deleted it with its last leg, or will: nobody says so
        if holder is not None:
            self._touch(holder.id)  # under a name of its own
        for each in gone:
            self._rename(each.key)

    def _deleted(self, id: int) -> None:
        """A group was deleted, or a nexthop object."""
        self._past.forget(id)
        if (accord := self._register.accords.get(id)) is not None:
            self._gone(accord)
        for group in self._register.lose(id):
            self._touch(group)

    def _gone(self, accord: Accord) -> None:
        self._remove(accord)
        self._rename(accord.key)

    def _rename(self, key: str) -> None:
        """A name is free: another group may have it now."""
        for id in self._register.named_after(key):
            self._touch(id)

    def _remove(self, accord: Accord) -> None:
        self._register.remove(accord)
        self._reading.forget(accord.id)
        self._introduction.done(accord.id)
        self._asking.forget(accord.id)
        if accord.told is not None or accord.answers:
            self._tell(GroupGone(accord.key))

    def _unread(self, id: int, now: float) -> None:
        """A group is not in the kernel, or could not be read: one looks again, for it may be there."""
        if (accord := self._register.accords.get(id)) is not None:
            self._gone(accord)
        if (group := self._groups.by_id.get(id)) is not None and group.legs:
            self._reading.at(id, now + self._period)

    def _take(self, accord: Accord, message: BucketsRead, now: float) -> None:
        """A group was read."""
        group = self._groups.by_id.get(accord.id)
        if group is None:
            self._gone(accord)
            return
        groups = self._groups
        held = read(group, message, groups.nexthops, groups.settling.get(group), groups.draining)
        if held is None:
            self._reading.at(accord.id, now + LATER)
            return
        held = held.used_by(self.coming(accord, group, now))
        before = None if accord.held is None else accord.held.owners
        if accord.arranged not in (None, held.owners):
            accord.again = now + (self._period if held.owners == before else LATER)
        elif held.owners != before:
            accord.again = 0.0
        accord.arranged, accord.read = None, now
        self._past.read(accord.id, held, now)
        self._register.take(accord, held, frozenset(message.owners))
        if accord.answers:
            self._say(accord, held, now)
        self._conclude(accord, now)
