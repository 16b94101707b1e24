"""Nexthop objects and groups: which exist, which serve which members, and how they are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from routerd.core.fib.model import NEVER, Group, Ids, Legs, Members, Shape, Wanted
from routerd.core.message import DeleteNexthop, Gateway, Member, Operation, SetGroup, SetNexthop

YOUTH = 30.0
"""Seconds after its birth in which a group is looked into when a second node joins: nodes introduce themselves."""
GLANCE = 0.1
"""Seconds from when a second node joins a young group until one looks whether it carries any flow, at least."""
PATIENCE = 4
"""How many times younger than the group that time is: the flows of a group are no older than it is."""


class Groups:
    """The objects that routerd has in the kernel. `down` gateways are in no group, `draining` ones get no flow.

    `rebalance` has, for groups whose legs do not have the weights of their members yet, the time from which they
    may be given them: by then every flow has shown itself in its bucket. Those are groups that were made like
    another one, and those in which a leg was alone (see `write`). `glances` has the time to look into young ones of
    these, `glanced` those that are looked into. `clinging` are groups whose drained members keep buckets without
    flows, the one first that was not looked into for longest; `bereft` those that lost all members but drained ones
    that had left them, and want these back.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.ids = Ids(shape.ids)
        self.nexthops: dict[Gateway, int] = {}
        self.by_id: dict[int, Group] = {}
        self.down: set[Gateway] = set()
        self.draining: set[Gateway] = set()
        self.rebalance: dict[int, float] = {}
        self.glances: dict[int, float] = {}
        self.glanced: set[int] = set()
        self.clinging: dict[int, None] = {}
        self.bereft: dict[int, None] = {}
        self.buckets = 0
        self._by_wanted: dict[Wanted, list[Group]] = {}
        self._shared: set[Wanted] = set()
        self._uses: Counter[Gateway] = Counter()

    def __iter__(self) -> Iterator[Group]:
        return iter(self.by_id.values())

    def wants(self, gateway: Gateway) -> bool:
        """Tell whether some group has this gateway among its members, down or not."""
        return self._uses[gateway] > 0

    def find(self, wanted: Wanted) -> Group | None:
        """Return the group of these members that most prefixes use."""
        return max(self._by_wanted.get(wanted, ()), key=lambda group: group.users, default=None)

    def made_like(self, wanted: Wanted, source: Group) -> Group | None:
        """Return a group of these members whose buckets agree with those of `source` as it is now: it was made like
        it, and neither was written since."""
        origin = (source.id, source.version)
        made = (group for group in self._by_wanted.get(wanted, ()) if group.origin == origin)
        return next((group for group in made if group.version == 1), None)

    def twins(self) -> list[Group]:
        """Return the groups that have the same members as a larger one, which could take over their prefixes."""
        found: list[Group] = []
        for wanted in self._shared:
            settled = [group for group in self._by_wanted[wanted] if not group.awaiting and group.legs]
            found += sorted(settled, key=lambda group: -group.users)[1:]
        return found

    def make(
        self,
        wanted: Wanted,
        now: float,
        like: Group | None = None,
        keeper: Gateway | None = None,
        born: float = NEVER,
    ) -> tuple[Group, list[Operation]]:
        """Make a group; `like` another one, its buckets are laid out so that no flow changes its member; flows that
        all belong to one member, the `keeper`, stay with that.

        The first takes as many buckets as the other one has. Where the budget does not allow it, it is made anew.
        """
        if like is not None and not self.shape.affords(self.buckets + like.buckets):
            like = None
        buckets = self.shape.buckets(self.buckets, len(wanted.members))
        group = Group(self.ids.new(), wanted.members, like.buckets if like is not None else buckets)
        if like is not None:
            group.origin = (like.id, like.version)
        group.wanted, group.keeper, group.born = wanted, keeper, born
        self.add(group)
        return group, self.write(group, now, like=like.id if like is not None else 0)

    def replace(self, group: Group, wanted: Wanted, now: float) -> list[Operation]:
        """Give a group other members under its id."""
        self.unindex(group)
        group.wanted = wanted
        group.origin = None
        self.index(group)
        return self.write(group, now)

    def is_alone(self, members: Members) -> bool:
        """Tell whether a group of these members has one leg, and an IPv4 one."""
        alive = [member for member in members if member not in self.down]
        return len(alive) == 1 and len(alive[0].address) == 4

    def pliable(self, group: Group) -> bool:
        """Tell whether a group may change in place: not while flows that it took over have to show themselves, for
        buckets that they have not used since are free to move in the kernel's eyes. A keeper gives up none."""
        return group.id not in self.rebalance or group.untracked or group.keeper is not None

    def write(
        self, group: Group, now: float, *, like: int = 0, force: bool = False, damaged: bool = False
    ) -> list[Operation]:
        """Make the kernel's group what it should be, if it is not.

        Members that join one that was alone want no bucket at first. With a second leg the kernel begins to keep
        track of flows; an idle timer later they have shown themselves, and `balance` gives everybody its weight. In a
        group that was `damaged` just now the kernel kept track until then.
        """
        hidden = group.untracked or not group.legs
        if group.untracked and not damaged:
            (group.keeper,) = group.legs
        alive, drained = self._alive(group), self.draining | group.wanted.leaving
        legs = self.shape.weigh(alive, drained, group.buckets)
        if group.keeper is not None and (group.keeper not in alive or len(alive) == 1):
            group.keeper = None
            self._balanced(group)
        if group.keeper is not None:
            legs = self.shape.weigh(alive, set(alive) - {group.keeper}, group.buckets)
            if hidden:
                self.rebalance[group.id] = now + self.shape.idle_timer
                if now - group.born < YOUTH:
                    self.glances[group.id] = now + max(GLANCE, (now - group.born) / PATIENCE)
        if group.keeper is None and not drained.isdisjoint(legs) and self.shape.clings(legs, group.buckets):
            self.clinging[group.id] = None
        else:
            self.clinging.pop(group.id, None)
        if legs == group.legs and not force:
            return []
        known = bool(group.legs)
        if not known and group.version and group.buckets and len(legs) > 1 and group.keeper is None:
            like = group.id  # the kernel has deleted it with its last member: flows may be there still
            self.rebalance[group.id] = now + self.shape.idle_timer
        group.legs = legs
        group.version += 1
        if not legs:
            return [DeleteNexthop(group.id)]
        operations: list[Operation] = []
        for gateway in legs:
            if gateway not in self.nexthops:
                self.nexthops[gateway] = self.ids.new()
                operations.append(SetNexthop(self.nexthops[gateway], gateway))
        # The lightest first: a member whose share rounds to nothing must not be the last, which gets the rest.
        ordered = sorted(legs.items(), key=lambda leg: leg[1])
        members = tuple(Member(self.nexthops[gateway], weight) for gateway, weight in ordered)
        timers = (self.shape.idle_timer, self.shape.unbalanced_timer) if group.buckets else (0.0, 0.0)
        return [*operations, SetGroup(group.id, members, group.buckets, *timers, like, known)]

    def lose(self, gateway: Gateway) -> list[Operation]:
        """Delete the nexthop object of a gateway: the kernel takes it out of every group."""
        id = self.nexthops.pop(gateway, None)
        if id is None:
            return []
        self.ids.free(id)
        for group in self:
            if gateway in group.legs:
                del group.legs[gateway]
                group.version += 1
                if not group.legs and group.emptied:
                    self.bereft[group.id] = None
        return [DeleteNexthop(id)]

    def renumber(self, group: Group) -> None:
        """Give a group that the kernel does not have another id."""
        del self.by_id[group.id]
        self._balanced(group)
        group.id, group.legs, group.keeper = self.ids.new(), {}, None
        self.by_id[group.id] = group

    def strip(self, id: int) -> list[Group]:
        """Forget the nexthop object with this id; return the groups that are without it now."""
        gateway = next((gateway for gateway, taken in self.nexthops.items() if taken == id), None)
        if gateway is None:
            return []
        del self.nexthops[gateway]
        without = [group for group in self if gateway in group.legs]
        for group in without:
            del group.legs[gateway]
        return without

    def _alive(self, group: Group) -> list[Gateway]:
        """Return the members that are up, without drained ones that carry no flow, as long as others are left."""
        group.emptied &= self.draining | group.wanted.leaving
        alive = [member for member in group.members if member not in self.down]
        return [member for member in alive if member not in group.emptied] or alive

    def emptied(self, group: Group, busy: Collection[int]) -> bool:
        """Take note of the nexthop objects that carry flows of a group that was looked into; tell whether a drained
        member is not among them, and is to leave the group."""
        del self.clinging[group.id]  # to the end of the line
        self.clinging[group.id] = None
        drained = (self.draining | group.wanted.leaving) & group.legs.keys()
        idle = {gateway for gateway in drained if self.nexthops[gateway] not in busy}
        if group.id in self.rebalance or idle == group.legs.keys():
            return False
        group.emptied |= idle
        return bool(idle)

    def weights(self, group: Group) -> Legs:
        """Return the legs of a group with the weights that they will have once it is balanced."""
        if group.keeper is None:
            return group.legs
        return self.shape.weigh(group.legs, self.draining | group.wanted.leaving, group.buckets)

    def balance(self, now: float) -> list[Operation]:
        """Give groups whose time has come the weights of their members."""
        operations: list[Operation] = []
        for group in [self.by_id[id] for id, time in self.rebalance.items() if time <= now]:
            self._balanced(group)
            group.keeper = None
            if group.legs:
                operations += self.write(group, now, force=True)
        return operations

    def _balanced(self, group: Group) -> None:
        self.rebalance.pop(group.id, None)
        self.glances.pop(group.id, None)
        self.glanced.discard(group.id)

    def due_glances(self, now: float) -> list[int]:
        """Return the young groups that are to be looked into now: do they carry any flow?"""
        due = [id for id, time in self.glances.items() if time <= now]
        for id in due:
            del self.glances[id]
        self.glanced.update(due)
        return due

    def add(self, group: Group) -> None:
        """Enter a group."""
        self.by_id[group.id] = group
        self.buckets += group.buckets
        self.index(group)

    def index(self, group: Group) -> None:
        """Enter a group under its members; one that is not adapted serves no new prefix."""
        self._uses.update(group.members)
        if group.adapted:
            groups = self._by_wanted.setdefault(group.wanted, [])
            groups.append(group)
            if len(groups) > 1:
                self._shared.add(group.wanted)

    def unindex(self, group: Group) -> None:
        """Undo `index`."""
        self._uses.subtract(group.members)
        groups = self._by_wanted.get(group.wanted, [])
        if group in groups:
            groups.remove(group)
            if len(groups) < 2:
                self._shared.discard(group.wanted)
            if not groups:
                del self._by_wanted[group.wanted]

    def sweep(self) -> list[Operation]:
        """Delete groups that no prefix uses, and nexthops that no group wants."""
        operations: list[Operation] = []
        for group in [group for group in self if not group.users and not group.awaiting]:
            del self.by_id[group.id]
            self._balanced(group)
            self.clinging.pop(group.id, None)
            self.bereft.pop(group.id, None)
            self.buckets -= group.buckets
            self.unindex(group)
            self.ids.free(group.id)
            if group.legs:
                operations.append(DeleteNexthop(group.id))
        for gateway in [gateway for gateway in self.nexthops if self._uses[gateway] <= 0]:
            operations += self._drop(gateway)
        return operations

    def _drop(self, gateway: Gateway) -> Iterable[Operation]:
        id = self.nexthops.pop(gateway)
        del self._uses[gateway]
        self.ids.free(id)
        return [DeleteNexthop(id)]
