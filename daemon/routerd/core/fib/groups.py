"""Nexthop objects and groups: which exist, which serve which members, and how they are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from routerd.core.fib.model import Group, Ids, Members, Shape
from routerd.core.message import DeleteNexthop, Gateway, Member, Operation, SetGroup, SetNexthop


class Groups:
    """The objects that routerd has in the kernel. `down` gateways are in no group, `draining` ones get no flow.

    `lone` are resilient groups that lost all members but one with those members' nexthop objects. They are to be
    written again, for the kernel keeps track of a lone IPv4 member's flows only if it is told to.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.ids = Ids(shape.ids)
        self.nexthops: dict[Gateway, int] = {}
        self.by_id: dict[int, Group] = {}
        self.down: set[Gateway] = set()
        self.draining: set[Gateway] = set()
        self.lone: set[int] = set()
        self.buckets = 0
        self._by_members: dict[Members, list[Group]] = {}
        self._shared: set[Members] = set()
        self._uses: Counter[Gateway] = Counter()

    def __iter__(self) -> Iterator[Group]:
        return iter(self.by_id.values())

    def wants(self, gateway: Gateway) -> bool:
        """Tell whether some group has this gateway among its members, down or not."""
        return self._uses[gateway] > 0

    def find(self, members: Members) -> Group | None:
        """Return the group of these members that most prefixes use."""
        return max(self._by_members.get(members, ()), key=lambda group: group.users, default=None)

    def made_like(self, members: Members, source: Group) -> Group | None:
        """Return a group of these members whose buckets agree with those of `source` as it is now: it was made like
        it, and neither was written since."""
        origin = (source.id, source.version)
        made = (group for group in self._by_members.get(members, ()) if group.origin == origin)
        return next((group for group in made if group.version == 1), None)

    def twins(self) -> list[Group]:
        """Return the groups that have the same members as a larger one, which could take over their prefixes."""
        found: list[Group] = []
        for members in self._shared:
            settled = [group for group in self._by_members[members] if not group.awaiting and group.legs]
            found += sorted(settled, key=lambda group: -group.users)[1:]
        return found

    def make(self, members: Members, like: Group | None = None) -> tuple[Group, list[Operation]]:
        """Make a group; `like` another one, its buckets are laid out so that no flow changes its member.

        That takes as many buckets as the other one has. Where the budget does not allow it, it is made anew.
        """
        if like is not None and not self.shape.affords(self.buckets + like.buckets):
            like = None
        buckets = self.shape.buckets(self.buckets, len(members))
        group = Group(self.ids.new(), members, like.buckets if like is not None else buckets)
        if like is not None:
            group.origin = (like.id, like.version)
        self.add(group)
        return group, self.write(group, like=like.id if like is not None else 0)

    def replace(self, group: Group, members: Members) -> list[Operation]:
        """Give a group other members under its id."""
        self.unindex(group)
        group.members = members
        group.origin = None
        self.index(group)
        return self.write(group)

    def write(self, group: Group, *, like: int = 0, force: bool = False) -> list[Operation]:
        """Make the kernel's group what it should be, if it is not."""
        alive = [member for member in group.members if member not in self.down]
        legs = self.shape.weigh(alive, self.draining, group.buckets)
        if legs == group.legs and not force:
            return []
        known = bool(group.legs)
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
                if group.buckets and len(group.legs) == 1 and len(gateway.address) == 4:
                    self.lone.add(group.id)
        return [DeleteNexthop(id)]

    def renumber(self, group: Group) -> None:
        """Give a group that the kernel does not have another id."""
        del self.by_id[group.id]
        self.lone.discard(group.id)
        group.id = self.ids.new()
        self.by_id[group.id] = group
        group.legs = {}

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

    def write_lone(self, limit: int) -> list[Operation]:
        """Write up to `limit` of the `lone` groups again."""
        operations: list[Operation] = []
        for id in sorted(self.lone)[:limit]:
            self.lone.discard(id)
            group = self.by_id.get(id)
            if group is not None and len(group.legs) == 1:
                operations += self.write(group, force=True)
        return operations

    def add(self, group: Group) -> None:
        """Enter a group."""
        self.by_id[group.id] = group
        self.buckets += group.buckets
        self.index(group)

    def index(self, group: Group) -> None:
        """Enter a group under its members; one that is not adapted serves no new prefix."""
        self._uses.update(group.members)
        if group.adapted:
            groups = self._by_members.setdefault(group.members, [])
            groups.append(group)
            if len(groups) > 1:
                self._shared.add(group.members)

    def unindex(self, group: Group) -> None:
        """Undo `index`."""
        self._uses.subtract(group.members)
        groups = self._by_members.get(group.members, [])
        if group in groups:
            groups.remove(group)
            if len(groups) < 2:
                self._shared.discard(group.members)
            if not groups:
                del self._by_members[group.members]

    def sweep(self) -> list[Operation]:
        """Delete groups that no prefix uses, and nexthops that no group wants."""
        operations: list[Operation] = []
        for group in [group for group in self if not group.users and not group.awaiting]:
            del self.by_id[group.id]
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
