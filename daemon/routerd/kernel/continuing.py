"""Groups that continue others, flows and all: which bucket leads to which member is laid out, not left to the kernel.

A stand-in holds the buckets that are to be handed on; `layout.py` has the steps.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from routerd.core.layout import KEPT, lay_out
from routerd.core.message import Member, SetGroup
from routerd.kernel import lookup, messages, wire
from routerd.kernel.layout import at_once, held, settled, steps
from routerd.kernel.memory import runs_of
from routerd.kernel.messages import NARROW, WIDE
from routerd.kernel.owned import OwnedObjects
from routerd.kernel.requests import Requests
from routerd.kernel.spare import CREATE
from routerd.kernel.stand_in import StandIns


class Continuation:
    """Reads and writes the layout of groups. `widest` is the largest weight of a member.

    InterruptedError if somebody else deletes nexthop objects meanwhile.
    """

    def __init__(self, requests: Requests, stand_ins: StandIns, objects: OwnedObjects, widest: int) -> None:
        self._requests = requests
        self._stand_ins = stand_ins
        self._objects = objects
        self._widest = widest
        self._wide = widest == WIDE

    def held(self, group: SetGroup) -> SetGroup:
        """Return a group with weights that say what each member has."""
        members = self._objects.memory.members(group.id)
        if len(members) == 1:
            return replace(group, members=held({members[0].id: group.buckets}, group.members, self._widest))
        counts = self._objects.memory.standing(group.id)
        if not counts:
            try:
                read = lookup.owners(group.id)
            except OSError:
                return group  # it is gone, and is made anew
            self._objects.memory.note({group.id: runs_of(read)})
            counts = Counter(read)
        every = settled(counts, group.members) or held(counts, group.members, self._widest)
        return replace(group, members=every)

    def order(self, group: SetGroup) -> tuple[Member, ...]:
        """Return the members of a group in the order in which one message makes it as it was; empty if there is none,
        or if it is not itself what it is like."""
        runs = self._objects.memory.recall(group.id, group.members) if group.like == group.id else []
        return at_once(runs, group.members)

    def begin(self, group: SetGroup) -> bool:
        """Make a group with the buckets of another one, or of its own when it was lost, flows and all; False if that
        cannot be."""
        try:
            owners, idle = lookup.reading(group.like) if group.like != group.id else ([], [])
        except OSError:
            owners, idle = [], []
        if owners:
            busy = self._objects.buckets.used(idle, group.like, group.idle_timer)
            found = [(owner, index in busy) for index, owner in enumerate(owners)]
        else:  # it is gone: all that is known of it may carry flows
            runs = self._objects.memory.recall(group.like, group.members)
            found = [(owner, owner != 0) for owner, length in runs for _ in range(length)]
        gateway = self._objects.gateways.get(group.members[0].id)
        if not any(busy for _, busy in found) or gateway is None:
            return False
        layout = lay_out(found, group.members)
        if layout is None or len(found) != group.buckets or not (self._wide or group.buckets <= NARROW):
            return False
        stand_in = self._stand_ins.make(gateway)
        if stand_in is None:
            return False
        first = replace(group, members=(Member(stand_in),))
        if self._requests.transmit([messages.set_group(first, CREATE)]):
            self._requests.transmit([messages.delete_nexthop(stand_in)])
            return False  # the id is somebody else's
        flags = wire.NLM_F_CREATE | wire.NLM_F_REPLACE
        requests = [messages.set_group(replace(group, members=each), flags) for each in steps(layout, stand_in)]
        counts = Counter(layout)
        every = settled(counts, group.members) or held(counts, group.members, self._widest)
        requests.append(messages.set_group(replace(group, members=every), flags))
        refused = self._requests.transmit(requests)
        if refused:
            self._requests.transmit([messages.delete_nexthop(group.id)])
        self._stand_ins.dismiss(stand_in, group)
        if refused:
            return False
        inherited = frozenset(index for index, (_, busy) in enumerate(found) if busy)
        self._objects.group_continued(replace(group, members=every), runs_of(layout), inherited)
        return True

    def give_back(self, group: SetGroup) -> bool:
        """Let members that were lost, and are back, have those of their buckets again that nobody has used since.
        False if it is not for that. A stand-in takes what is idle, as only the kernel knows, and hands it on."""
        if group.like != group.id or group.id not in self._objects or not self._wide:
            return False
        joined = self._objects.memory.joined(group.id, group.members)
        if joined and not self._objects.memory.remembers(group.id, joined):
            return True
        try:
            here = set(lookup.owners(group.id))
        except OSError:
            return False  # it is gone
        back = [member for member in joined or group.members if member.id not in here]
        runs = self._objects.memory.recall(group.id, group.members, KEPT, back=back)
        past = [owner for owner, length in runs for _ in range(length)]
        heavy = min(self._widest, 2 * group.buckets * len(here))
        stand_in = (
            self._stand_ins.make(self._objects.gateways[group.members[0].id]) if len(past) == group.buckets else None
        )
        if stand_in is None:
            return True
        self._stand_ins.replace(group, [*map(Member, sorted(here)), Member(stand_in, heavy)])
        try:
            found = lookup.owners(group.id)
        except OSError:  # it has gone meanwhile, as with its link
            self._stand_ins.dismiss(stand_in, group)
            return False
        known = [(was, was != 0) if now == stand_in else (now, True) for now, was in zip(found, past, strict=True)]
        if layout := lay_out(known, group.members):
            taken = [owner for owner, now in zip(layout, found, strict=True) if now == stand_in]
            busy = Counter(now for now in found if now != stand_in)
            self._stand_ins.replace(group, *steps(taken, stand_in, busy))
        self._stand_ins.dismiss(stand_in, group)
        return True
