"""Two routers agree on where each bucket of each group leads, so that either can carry the flows of both.

While the channel is up one of the two leads (`decisions.leads`). It moves idle buckets to where the weights want
them, after it has asked the partner which are busy there; the partner follows, but for what is busy there. Without a
channel each leads itself. A group in which something is left to be done, once buckets are idle, is looked at again
now and then; about any other nothing is read and nothing said. How much is read, and told, at a time is bounded.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import groupby

from routerd.core.deadlines import Deadlines
from routerd.core.fib.fib import Fib
from routerd.core.fib.model import Group
from routerd.core.message import (
    AllSaid,
    Arrange,
    Ask,
    BucketsRead,
    DeleteNexthop,
    Effect,
    Gateway,
    GroupGone,
    GroupLayout,
    Hello,
    Operation,
    PartnerDown,
    PartnerMessage,
    PartnerSaid,
    PartnerUp,
    Program,
    ReadBuckets,
    SetGroup,
    TellPartner,
)
from routerd.core.pair.accord import DIFFERS, NOT_TOLD, Accord, Agreement, state_of
from routerd.core.pair.asking import MOST, Asking
from routerd.core.pair.decisions import Owners, follow, gap, lead, leads, off, weights_of
from routerd.core.pair.layouts import Held, heard, key_of, read, said

TICK = 0.05
"""Seconds between two times at which something is read, or asked, or told anew."""
BUCKETS, TOLD = 4096, 64
"""Buckets that are read, and groups that are told of, at such a time."""
LATER = 1.0
"""Seconds, at least, until one looks again at a group in which something is left to be done."""
INTRODUCTION = 10.0
"""Seconds that the partner has to say all, before groups of which it has said nothing count for this router's own."""


class Pair:
    """This router's part. `hello` says who it is, `partner` who the other one is, as far as it has said; `up` whether
    there is a channel, `since` when, and `reason` why not. `leads` tells who decides, and `complete` whether the
    partner has said all since the channel is there. Times are monotonic seconds.
    """

    def __init__(self, fib: Fib, hello: Hello, now: float) -> None:
        self._fib = fib
        self._born = now - hello.age
        self.hello = hello
        self.partner: Hello | None = None
        self.up = False
        self.since = now
        self.reason = "not connected yet"
        self.leads = True
        self.complete = False
        self._accords: dict[int, Accord] = {}
        self._ids: dict[str, int] = {}
        self._theirs: dict[str, Held] = {}
        self._states: dict[str, str] = {}
        self._summary = Counter[str]()
        self._using: dict[int, set[int]] = {}
        """Groups with buckets of a nexthop object, by its id."""
        self._reads: dict[int, None] = {}
        """Groups that are to be read."""
        self._untold: set[int] = set()
        """Groups that the partner is to be told of before it was told all."""
        self._telling = deque[int]()
        """Those of them that have been read."""
        self._introduced = True
        self._waiting: set[int] = set()
        """Groups about which nothing is decided before the partner has spoken."""
        self._asking = Asking()
        self._looks = Deadlines[int]()
        self._next = now
        self._effects: list[Effect] = []

    # ------------------------------------------------------------------------------------------ what is known

    def summary(self) -> Counter[str]:
        """Return how many groups there are by state."""
        return +self._summary

    def agreements(self) -> Iterator[Agreement]:
        """Return all groups, as they are when it is their turn."""
        for id in list(self._accords):
            if (found := self.agreement(id)) is not None:
                yield found
        for key in [key for key in self._theirs if key not in self._ids]:
            if (held := self._theirs.get(key)) is not None and key not in self._ids:
                yield Agreement(key, 0, len(held.owners), 0, 0, 0, self._states[key])

    def agreement(self, group_id: int) -> Agreement | None:
        """Return how a group stands; None if it is not one of the pair's."""
        accord, group = self._accords.get(group_id), self._fib.groups.by_id.get(group_id)
        if accord is None or group is None:
            return None
        state, there = self._states[accord.key], self._theirs.get(accord.key)
        if accord.held is None:
            return Agreement(accord.key, group_id, group.buckets, 0, 0, 0, state)
        weights = weights_of(group.legs)
        differing = conflicts = 0
        if state == DIFFERS and there is not None:
            differing, conflicts, _ = gap(accord.held, there, weights.keys())
        return Agreement(
            accord.key, group_id, group.buckets, differing, conflicts, off(accord.held.owners, weights), state
        )

    def owner_at_partner(self, group_id: int, bucket: int) -> Gateway | None:
        """Return where a bucket leads on the partner, as last told; None if it was not. A gateway that this router's
        group does not have is on no interface (0)."""
        accord = self._accords.get(group_id)
        there = self._theirs.get(accord.key) if accord is not None else None
        if there is None or not 0 <= bucket < len(there.owners):
            return None
        legs = {leg.address: leg for leg in self._fib.groups.by_id[group_id].legs}
        return legs.get(there.owners[bucket]) or Gateway(there.owners[bucket], 0)

    def busy_at_partner(self, group_id: int) -> frozenset[Gateway]:
        """Return the legs of a group that have flows on the partner, as last told; none without a channel."""
        accord, group = self._accords.get(group_id), self._fib.groups.by_id.get(group_id)
        there = self._theirs.get(accord.key) if accord is not None and self.up else None
        if there is None or group is None:
            return frozenset()
        busy = {owner for owner, is_busy in zip(there.owners, there.bits(), strict=True) if is_busy}
        return frozenset(leg for leg in group.legs if leg.address in busy)

    @property
    def timer(self) -> float | None:
        """When `look` has something to do."""
        is_told = not self._introduced and not self._untold
        at_once = self._next if self._reads or self._telling or is_told else None
        times = (at_once, self._asking.due, self._looks.next)
        first = min((time for time in times if time is not None), default=None)
        return None if first is None else max(self._next, first)

    # ------------------------------------------------------------------------------------------ what happens

    def introduce(self, hello: Hello, now: float) -> list[Effect]:
        """This router says something else of itself."""
        self.hello, self._born = hello, now - hello.age
        if self.up:
            self._greet(now)
        return self._told()

    def noted(self, operations: Iterable[Operation], now: float) -> list[Effect]:
        """These operations were handed out: groups that they change are to be read."""
        for operation in operations:
            match operation:
                case SetGroup(id=id):
                    self._touch(id)
                case DeleteNexthop(id=id) if id in self._accords:
                    self._gone(self._accords[id])
                case DeleteNexthop(id=id):
                    for group in sorted(self._using.pop(id, ())):
                        self._touch(group)
        return [*self._told(), *self.look(now)]

    def wake(self, ids: Iterable[int], now: float) -> list[Effect]:
        """These groups are there, or have settled: they are to be read."""
        for id in ids:
            self._touch(id)
        return self.look(now)

    def handle(self, message: PartnerUp | PartnerDown | PartnerSaid | BucketsRead, now: float) -> list[Effect]:
        """Take in what the channel or the kernel says."""
        match message:
            case PartnerUp():
                self._connected(now)
            case PartnerDown(reason=reason):
                self._disconnected(reason, now)
            case PartnerSaid(message=said_):
                self._hear(said_, now)
            case BucketsRead(id=id) if (accord := self._accords.get(id)) is not None:
                self._take(accord, message, now)
        return [*self._told(), *self.look(now)]

    def look(self, now: float) -> list[Effect]:
        """Do a part of what is due."""
        if (due := self.timer) is None or now < due:
            return []
        for id in self._looks.due(now):
            self._reads[id] = None
        for id in self._asking.late(now):
            self._conclude(self._accords[id], now, asked=True)
        if ids := self._asking.begin(now):
            self._tell(Ask(tuple(self._accords[id].key for id in ids), self._asking.number))
        self._read_some()
        if not self._introduced:
            self._introduce_some()
        self._next = now + TICK
        return self._told()

    def _told(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    # ------------------------------------------------------------------------------------------ the channel

    def _connected(self, now: float) -> None:
        self.up, self.since, self.reason = True, now, ""
        self.partner, self.complete = None, False
        self._forget_partner()
        for accord in self._accords.values():
            accord.told = None
        self._untold, self._introduced = set(self._accords), False
        self._telling = deque(id for id, accord in self._accords.items() if accord.held is not None)
        self._greet(now)

    def _disconnected(self, reason: str, now: float) -> None:
        """Each leads itself from now on. What the partner said last is kept to be shown."""
        if self.up:
            self.since = now
        self.up, self.complete, self.leads, self.reason = False, False, True, reason
        self._untold, self._introduced = set(), True
        self._telling.clear()
        self._reads.update(dict.fromkeys([*self._asking.clear(), *sorted(self._waiting)]))
        self._waiting.clear()
        for accord in self._accords.values():
            accord.answers = 0

    def _greet(self, now: float) -> None:
        self.hello = self.hello._replace(age=round(now - self._born, 3))
        self._tell(self.hello)
        self._elect()

    def _elect(self) -> None:
        self.leads = self.partner is None or leads(self.hello, self.partner)

    def _forget_partner(self) -> None:
        keys, self._theirs = [*self._theirs], {}
        for key in dict.fromkeys([*keys, *self._ids]):
            self._restate(key)

    def _hear(self, message: PartnerMessage, now: float) -> None:
        match message:
            case Hello():
                self.partner = message
                self._elect()
            case GroupLayout():
                self._hear_layout(message, now)
            case GroupGone(key=key):
                self._theirs.pop(key, None)
                self._restate(key)
                if (id := self._ids.get(key)) is not None and not self._asking.answered(id):
                    self._reads[id] = None
                elif id is not None:
                    self._conclude(self._accords[id], now, asked=True)
            case Ask(keys=keys, number=number):
                known = [id for key in keys[:MOST] if (id := self._ids.get(key)) is not None]
                for id in known:
                    self._accords[id].answers = number
                for key in keys[:MOST]:
                    if key not in self._ids:
                        self._tell(GroupGone(key))
                if known:
                    self._effects.append(ReadBuckets(tuple(known)))
            case AllSaid():
                self.complete = True
                for key, state in list(self._states.items()):
                    if state == NOT_TOLD:
                        self._restate(key)
                self._reads.update(dict.fromkeys(sorted(self._waiting)))
                self._waiting.clear()

    def _hear_layout(self, layout: GroupLayout, now: float) -> None:
        if (there := heard(layout)) is None:
            return
        before, self._theirs[layout.key] = self._theirs.get(layout.key), there
        self._restate(layout.key)
        accord = self._accords.get(self._ids.get(layout.key, 0))
        if accord is None:
            return
        is_news = before is None or (before.owners, before.settled) != (there.owners, there.settled)
        if self._asking.answered(accord.id, layout.answers):
            self._conclude(accord, now, asked=True)
        elif accord.id in self._waiting or (is_news and self._concerns(accord, before, there)):
            self._waiting.discard(accord.id)
            self._reads[accord.id] = None

    @staticmethod
    def _concerns(accord: Accord, before: Held | None, there: Held) -> bool:
        """Tell whether what the partner says may be a reason to move buckets; which are busy alone is looked at now
        and then."""
        if accord.held is None or accord.held.owners != there.owners:
            return True
        return before is not None and before.settled != there.settled

    def _introduce_some(self) -> None:
        """Tell the partner of some groups; what was not read yet is told when it is."""
        for _ in range(min(TOLD, len(self._telling))):
            accord = self._accords.get(self._telling.popleft())
            if accord is not None and accord.held is not None and accord.id in self._untold:
                self._say(accord, accord.held)
        if not self._untold:
            self._introduced = True
            self._tell(AllSaid())

    # ------------------------------------------------------------------------------------------ groups

    def _touch(self, id: int) -> None:
        """A group is there, and may have changed."""
        group, accord = self._fib.groups.by_id.get(id), self._accords.get(id)
        key = self._key(group) if group is not None and group.buckets and group.legs else ""
        if accord is not None and accord.key != key:
            self._gone(accord)
            accord = None
        if key and accord is None:
            self._accords[id] = Accord(id, key)
            self._ids[key] = id
            if not self._introduced:
                self._untold.add(id)
            self._restate(key)
        if key:
            self._reads[id] = None

    def _key(self, group: Group) -> str:
        """Return the name of a group; of several shared ones with the same members the largest has it."""
        key = key_of(group)
        id = self._ids.get(key, group.id)
        if id == group.id or not key:
            return key
        other = self._fib.groups.by_id.get(id)
        if other is not None and other.users >= group.users:
            return f"{key} {group.id}"
        self._gone(self._accords[id])
        return key

    def _gone(self, accord: Accord) -> None:
        del self._accords[accord.id], self._ids[accord.key]
        self._use(accord, frozenset())
        self._reads.pop(accord.id, None)
        self._untold.discard(accord.id)
        self._waiting.discard(accord.id)
        self._asking.forget(accord.id)
        self._looks.set(accord.id, None)
        if accord.told is not None or accord.answers:
            self._tell(GroupGone(accord.key))
        self._restate(accord.key)

    def _restate(self, key: str) -> None:
        """Keep the count of groups by state."""
        if (before := self._states.pop(key, None)) is not None:
            self._summary[before] -= 1
        accord, there = self._accords.get(self._ids.get(key, 0)), self._theirs.get(key)
        if accord is not None or there is not None:
            self._states[key] = state_of(accord, there, complete=self.complete)
            self._summary[self._states[key]] += 1

    # ------------------------------------------------------------------------------------------ reading, deciding

    def _read_some(self) -> None:
        ids, room = list[int](), BUCKETS
        for id in self._reads:
            if room <= 0:
                break
            ids.append(id)
            room -= 0 if (group := self._fib.groups.by_id.get(id)) is None else group.buckets
        for id in ids:
            del self._reads[id]
        if ids:
            self._effects.append(ReadBuckets(tuple(ids)))

    def _use(self, accord: Accord, nexthops: frozenset[int]) -> None:
        """The buckets of a group lead to these nexthop objects."""
        for id in accord.nexthops - nexthops:
            self._using.get(id, set()).discard(accord.id)
        for id in nexthops - accord.nexthops:
            self._using.setdefault(id, set()).add(accord.id)
        accord.nexthops = nexthops

    def _take(self, accord: Accord, message: BucketsRead, now: float) -> None:
        """A group was read."""
        groups = self._fib.groups
        group = groups.by_id.get(accord.id)
        if group is None or not message.owners:
            self._gone(accord)  # it is read again when it was written
            return
        held = read(group, message, groups.nexthops, groups.settling.get(group))
        if held is None:
            self._looks.set(accord.id, now + LATER)
            return
        if accord.held is not None and accord.held.owners != held.owners:
            accord.again = 0.0
        elif accord.arranged:
            accord.again = now + self._period
        accord.arranged = False
        accord.held = held
        self._use(accord, frozenset(message.owners))
        self._restate(accord.key)
        if accord.answers:
            self._say(accord, held)
        self._conclude(accord, now)

    @property
    def _period(self) -> float:
        """Seconds until one looks again at a group in which something is left to be done."""
        return max(LATER, self._fib.groups.shape.idle_timer / 4)

    def _conclude(self, accord: Accord, now: float, *, asked: bool = False) -> None:
        """Move buckets of a group, if they are to lead elsewhere; ask the partner before, unless it was `asked`."""
        group, held = self._fib.groups.by_id.get(accord.id), accord.held
        if group is None or held is None or accord.id in self._reads:
            return
        there = self._theirs.get(accord.key) if self.up else None
        if there is not None and len(there.owners) != len(held.owners):
            there = None
        look_at: float | None = None  # what is not settled is read again once it is
        if held.settled and len(group.legs) > 1:
            if self.up and not self.complete and there is None and now < self.since + INTRODUCTION:
                self._waiting.add(accord.id)
                look_at = self.since + INTRODUCTION
            else:
                weights = weights_of(group.legs)
                wanted = follow(held, there, weights) if there and not self.leads else lead(held, there, weights)
                if wanted != held.owners and now >= accord.again:
                    if self.leads and there is not None and not asked:
                        self._asking.add(accord.id)
                    else:
                        self._arrange(accord, group, wanted)
                    return
                if wanted != held.owners:
                    look_at = accord.again
                elif off(held.owners, weights) or (there is not None and gap(held, there, weights).passing):
                    look_at = now + self._period
        self._looks.set(accord.id, look_at)
        if accord.is_news(held, busy=look_at is not None):
            self._say(accord, held)

    def _arrange(self, accord: Accord, group: Group, wanted: Owners) -> None:
        nexthops = {leg.address: self._fib.groups.nexthops[leg] for leg in group.legs}
        layout = tuple((nexthops[owner], len(list(run))) for owner, run in groupby(wanted))
        accord.arranged = True
        self._effects += [Program((Arrange(accord.id, layout),)), ReadBuckets((accord.id,))]

    def _say(self, accord: Accord, held: Held) -> None:
        self._tell(said(accord.key, held, accord.answers))
        accord.told, accord.answers = held, 0
        self._untold.discard(accord.id)

    def _tell(self, message: PartnerMessage) -> None:
        if self.up:
            self._effects.append(TellPartner(message))
