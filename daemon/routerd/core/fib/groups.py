"""Nexthop objects and groups: how they come and go, and how they are written."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from operator import itemgetter

from routerd.core.fib.ids import Ids
from routerd.core.fib.index import Index
from routerd.core.fib.model import NEVER, Group, Legs, Shape, shares_of
from routerd.core.fib.settling import Settlings, Why
from routerd.core.message import DeleteNexthop, Gateway, Member, Operation, SetGroup, SetNexthop
from routerd.core.wanted import Wanted

_weight = itemgetter(1)
_member = lru_cache(1024)(Member)
STEPWISE = 64
"""Routes at most that a group has whose members get their buckets again when they return."""


class Groups(Index):
    """The objects that routerd has in the kernel. `down` gateways are in no group, `draining` ones get no flow. When
    the router is `paired` the kernel moves no bucket because of weights: `core/pair` says where each is to lead.

    `changed` are groups that are to be written, with whether that must be even if their legs do not differ. `empty`
    are those that have lost their last prefix. `clinging` are groups whose drained members keep buckets without
    flows, the one first that was not looked into for longest.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.paired = False
        self.ids = Ids(shape.ids)
        self.nexthops: dict[Gateway, int] = {}
        self.made = 0
        """Nexthop objects made until now: as long as it stays, and there are as many as before, they are the same."""
        self.down: set[Gateway] = set()
        self.draining: set[Gateway] = set()
        self.settling = Settlings()
        self.changed: dict[Group, bool] = {}
        self.empty: dict[Group, None] = {}
        self.clinging: dict[int, None] = {}

    # ------------------------------------------------------------------------------------------ how they come and go

    def make(
        self, wanted: Wanted, *, shared: bool = False, born: float = NEVER, buckets: int = 0
    ) -> tuple[Group, list[Operation]]:
        """Make a group, of as many buckets as the budget allows unless it is said."""
        size = buckets or self.shape.buckets(self.buckets, len(wanted.members), alike=self.paired)
        group = Group(self.ids.new(), wanted, size, shared=shared, born=born)
        self.add(group)
        group.legs = self.legs_for(group, wanted, self.shape)
        self._note_clinging(group)
        return group, self._set(group) if group.legs else []

    def part(self, source: Group, wanted: Wanted, now: float, *, shared: bool) -> tuple[Group, list[Operation]]:
        """Make a group for prefixes that leave `source`, such that no flow of theirs changes its member: it has the
        same buckets. Where the budget does not allow that it is made afresh."""
        if not self.shape.affords(self.buckets + source.buckets):
            found = self.find(wanted) if self.is_full else None
            return (found, []) if found is not None else self.make(wanted, shared=shared)
        settling = self.settling.get(source)
        holders = settling.holders if settling is not None else frozenset(source.legs) if source.untracked else ()
        stay = source.legs.keys() & wanted.members
        if not stay:
            return self.make(wanted, shared=shared, buckets=source.buckets)
        if len(holders) == 1 and stay.issuperset(holders):
            # All flows are its own, and which buckets they use is not known: the others join it as they join any.
            group, operations = self.make(Wanted(tuple(holders)), buckets=source.buckets)
            group.born = source.born
            self.change(group, wanted, shared=shared)
            return group, [*operations, *self.write(group, now)]
        group = Group(self.ids.new(), wanted, source.buckets, shared=shared)
        self.add(group)
        return group, self.write(group, now, like=source)

    def remove(self, group: Group) -> None:
        """A group is no more, and its id free."""
        self.ids.free(group.id)
        self.settling.end(group)
        self.changed.pop(group, None)
        self.clinging.pop(group.id, None)
        super().remove(group)

    def revive(self, group: Group, wanted: Wanted) -> bool:
        """Enter a group again that was swept, under its id; False if that is not free any more, or is its own."""
        if not self.ids.take(group.id):
            return False
        group.wanted = wanted
        self.add(group)
        return True

    def change(self, group: Group, wanted: Wanted, *, shared: bool) -> None:
        """A group shall have other members, and is to be written: of two routers a shared one in any case, though its
        legs may be the same, for the partner knows it by what is wanted of it (`core/pair/layouts.py`)."""
        super().change(group, wanted, shared=shared)
        self.changed[group] = self.changed.get(group, False) or (self.paired and shared)

    # ------------------------------------------------------------------------------------------ writing

    def write(self, group: Group, now: float, *, like: Group | None = None, damaged: bool = False) -> list[Operation]:
        """Make the kernel's group what it should be, if it is not; a new one `like` another one.

        Members that join one that was alone get no bucket at first. With a second leg the kernel begins to keep
        track of flows; an idle timer later they have shown themselves. In a group that was `damaged` just now the
        kernel kept track until then. Members that return get the buckets again that they had; that takes steps, and
        each costs the kernel what there are routes. In a pair `core/pair/past.py` is for that.
        """
        force = self.changed.pop(group, False)
        drained = self.draining | group.wanted.light
        group.emptied &= drained
        legs = self.legs_for(group, group.wanted, self.shape)
        until = now + self.shape.idle_timer
        if group.written and group.buckets and not group.legs:
            like = group  # the kernel has deleted it with its last member: flows may be there still
        if like is not None and len(legs) > 1:
            self.settling.begin(group, until, Why.TAKEN_OVER, legs)
        elif group.untracked and not damaged and len(legs) > 1:
            self.settling.begin(group, until, Why.ALONE, group.legs)
            self.settling.look(group, now)
        returning = bool(group.legs) and bool(group.buckets) and not legs.keys() <= group.legs.keys()
        known, left = bool(group.legs), [gateway for gateway in group.legs if gateway not in legs]
        unchanged, group.legs = legs == group.legs, legs
        for gateway in left:
            self.without(gateway, group)
        force |= self.settling.left(group)
        self._note_clinging(group)
        if unchanged and not force:
            return []
        if not legs:
            return [DeleteNexthop(group.id, returns=True)]
        copied = like.id if like is not None and len(legs) > 1 else 0
        hold = group in self.settling and not copied
        agreed = self.paired and group.comparable
        if returning and not agreed and group.users <= STEPWISE and (damaged or not hold):
            copied = group.id  # but not while it is held: buckets may be used unseen
        return self._set(group, like=copied, hold=hold or (agreed and known), known=known)

    def _note_clinging(self, group: Group) -> None:
        """Drained members may keep buckets of a group that nobody uses; of one that is not settled all are kept."""
        if group.wanted.is_even and not self.draining:
            self.clinging.pop(group.id, None)
            return
        drained = self.draining | group.wanted.light
        some = bool(drained) and group not in self.settling and not drained.isdisjoint(group.legs)
        if some and self.shape.clings(group.legs, self.shares(group), group.buckets):
            self.clinging[group.id] = None
        else:
            self.clinging.pop(group.id, None)

    def _set(self, group: Group, *, like: int = 0, hold: bool = False, known: bool = False) -> list[Operation]:
        """Have the kernel's group get its legs, and those nexthop objects that there are not yet."""
        group.written = True
        operations: list[Operation] = []
        for gateway in group.legs:
            if gateway not in self.nexthops:
                self.nexthops[gateway] = self.ids.new()
                self.made += 1
                operations.append(SetNexthop(self.nexthops[gateway], gateway))
        # The lightest first: a member whose share rounds to nothing must not be the last, which gets the rest.
        # Without buckets the order decides which flows a member gets, and stays.
        ordered = sorted(group.legs.items(), key=_weight) if group.buckets else group.legs.items()
        members = tuple([_member(self.nexthops[gateway], weight) for gateway, weight in ordered])
        timers = self.shape.timers if group.buckets else (0.0, 0.0)
        operations.append(SetGroup(group.id, members, group.buckets, *timers, like, hold, known))
        return operations

    def legs_for(self, group: Group, wanted: Wanted, shape: Shape) -> Legs:
        """Return the legs of a group that wants this: the members that are up, without drained ones that carry no
        flow, as long as others are left."""
        alive = legs = [member for member in wanted.members if member not in self.down]
        if wanted.is_even and not (self.draining or group.emptied):
            return dict.fromkeys(alive, 1)
        if group.emptied:
            emptied = group.emptied & (self.draining | wanted.light)
            legs = [member for member in alive if member not in emptied] or alive
        return shape.weigh(shares_of(wanted, legs, self.draining), group.buckets)

    def shares(self, group: Group) -> dict[Gateway, int]:
        """Return what part of its flows each leg of a group is to get."""
        return shares_of(group.wanted, group.legs, self.draining)

    # ------------------------------------------------------------------------------------------ what happens to them

    def lose(self, gateways: Collection[Gateway]) -> list[Operation]:
        """Delete the nexthop objects of gateways: the kernel takes them out of every group. Groups that lose several
        legs, and have no other, go first, at once: leg by leg, flows would be sent to the wrong nodes."""
        lost = set(gateways)
        groups = dict.fromkeys(group for gateway in gateways for group in self.having(gateway))
        whole = [group for group in groups if len(group.legs) > 1 and group.legs.keys() <= lost]
        operations: list[Operation] = [DeleteNexthop(group.id, returns=True) for group in whole]
        for gateway in gateways:
            if (id := self.nexthops.pop(gateway, None)) is not None:
                self.ids.free(id)
                self._strip(gateway)
                operations.append(DeleteNexthop(id))
        return operations

    def _strip(self, gateway: Gateway) -> list[Group]:
        stripped = [group for group in self.having(gateway) if group.legs.pop(gateway, None) is not None]
        for group in stripped:
            if self.settling.left(group):
                self.changed[group] = True
            elif not group.legs and group.emptied:
                self.changed.setdefault(group, False)  # it wants those back
            if gateway not in group.wanted.members:  # mostly it is: it is only down
                self.without(gateway, group)
        return stripped

    def strip(self, id: int) -> list[Group]:
        """Forget the nexthop object with this id; return the groups that are without it now."""
        gateway = next((gateway for gateway, taken in self.nexthops.items() if taken == id), None)
        if gateway is None:
            return []
        del self.nexthops[gateway]
        return self._strip(gateway)

    def renumber(self, group: Group) -> None:
        """Give a group that the kernel does not have another id."""
        del self.by_id[group.id]
        self.settling.end(group)
        self.clinging.pop(group.id, None)
        group.id, group.written = self.ids.new(), False
        self.by_id[group.id] = group
        self.found(group, {})

    def found(self, group: Group, legs: Legs) -> None:
        """The kernel's group was found to have other legs, or none if it is not there."""
        before, group.legs = group.legs, legs
        for gateway in [gateway for gateway in before if gateway not in legs]:
            self.without(gateway, group)

    def emptied(self, group: Group, busy: Collection[int]) -> bool:
        """Take note of the nexthop objects that carry flows of a group that was looked into; tell whether a drained
        member is not among them, and is to leave the group."""
        del self.clinging[group.id]  # to the end of the line
        self.clinging[group.id] = None
        drained = (self.draining | group.wanted.light) & group.legs.keys()
        idle = {gateway for gateway in drained if self.nexthops[gateway] not in busy}
        if idle == group.legs.keys():
            return False
        group.emptied |= idle
        return bool(idle)

    def settle(self, group: Group) -> None:
        """The flows of a group have shown themselves: it is to get the weights of its members."""
        if self.settling.end(group):
            self.changed[group] = True

    def is_unused(self, group: Group) -> bool:
        """Tell whether a group is about to be swept: the kernel need not get it back before."""
        return group in self.empty and not group.prefixes and not group.awaiting

    def sweep(self) -> list[Operation]:
        """Delete groups that no prefix uses, and nexthops that no group wants."""
        operations: list[Operation] = []
        if not self.empty and not self.has_unwanted:
            return operations
        for group in [group for group in self.empty if not group.awaiting]:
            unused = self.is_unused(group)
            del self.empty[group]
            if not unused or self.by_id.get(group.id) is not group:
                continue
            self.remove(group)
            if group.legs:
                operations.append(DeleteNexthop(group.id))
        for gateway in self.unwanted():
            if (id := self.nexthops.pop(gateway, None)) is not None:
                self.ids.free(id)
                operations.append(DeleteNexthop(id))
        return operations
