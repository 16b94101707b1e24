"""The kernel in memory with buckets: which lead to which nexthop, and in which of them flows are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from routerd.core.layout import lay_out, made, shares
from routerd.core.message import Arrange, BucketsRead, Gateway, Member, Operation, SetGroup
from routerd.core.route import Prefix
from tests.support.kernel import FakeKernel


class ResilientKernel(FakeKernel):
    """`owners` has the nexthop id of each bucket of a group; `flows` by prefix the buckets in which flows are."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.owners: dict[int, list[int]] = {}
        self.flows: dict[Prefix, Counter[int]] = defaultdict(Counter)
        self._past: dict[int, dict[Gateway, set[int]]] = {}

    def busy(self, group: int) -> set[int]:
        """Return the buckets of a group in which flows are."""
        found = (self.flows[prefix] for prefix, id in self.routes.items() if id == group and prefix in self.flows)
        return {bucket for counts in found for bucket, count in counts.items() if count}

    def gateway(self, prefix: Prefix, bucket: int) -> Gateway | None:
        """Return where the flows of a bucket go."""
        id = self.routes.get(prefix)
        return self.nexthops[self.owners[id][bucket]].gateway if id is not None else None

    def read(self, group: int) -> BucketsRead:
        """Return what routerd would read of a group; nobody sees flows of a group with one member."""
        if group not in self.groups:
            return BucketsRead(group)
        seen = self.busy(group) if len(self.groups[group].members) > 1 else ()
        members = tuple(member.id for member in self.groups[group].members)
        return BucketsRead(group, tuple(self.owners[group]), sum(1 << bucket for bucket in seen), members)

    def delete(self, id_: int) -> None:
        """Buckets of a nexthop that goes are for those that are left, whatever flows are in them."""
        self.owners.pop(id_, None)
        gone = self.nexthops.get(id_)
        for group in self.groups.values():
            if gone is not None and any(member.id == id_ for member in group.members):
                owners = self.owners[group.id]
                lost = {bucket for bucket, owner in enumerate(owners) if owner == id_}
                if gone.gateway is not None:
                    self._past.setdefault(group.id, {})[gone.gateway] = lost
                self._fill(owners, [member for member in group.members if member.id != id_])
        super().delete(id_)

    def _fill(self, owners: list[int], members: Iterable[Member]) -> None:
        """Hand the buckets of members that have left to others."""
        weights = {member.id: member.weight for member in members}
        if not weights:
            return
        counts = Counter(owners)
        for bucket, owner in enumerate(owners):
            if owner not in weights:
                owners[bucket] = min(weights, key=lambda id: (counts[id] / weights[id], id))
                counts[owners[bucket]] += 1

    def _carry_out(self, operation: Operation) -> int:
        if isinstance(operation, Arrange):
            if operation.id in self.groups:
                self._arrange(operation)
            return 0
        before = [] if not isinstance(operation, SetGroup) else [*self.owners.get(operation.id, ())]
        number = super()._carry_out(operation)
        if isinstance(operation, SetGroup) and operation.buckets and not number:
            self._lay_out(operation, before)
        return number

    def _lay_out(self, group: SetGroup, owners: list[int]) -> None:
        members = {member.id for member in group.members}
        if not owners:
            like = self.owners.get(group.like)
            layout = None
            if like is not None:
                busy = self.busy(group.like)
                layout = lay_out([(owner, bucket in busy) for bucket, owner in enumerate(like)], group.members)
            fresh = [id for id, length in made(group.buckets, group.members) for _ in range(length)]
            self.owners[group.id] = layout or fresh
            return
        self.owners[group.id] = owners
        self._fill(owners, group.members)
        busy = self.busy(group.id)
        if group.like == group.id:
            here = {*owners}
            for member in group.members:
                gateway = self.nexthops[member.id].gateway
                for bucket in self._past.get(group.id, {}).pop(gateway, ()) if gateway is not None else ():
                    if bucket not in busy and member.id not in here:
                        owners[bucket] = member.id
        if not group.hold:
            weights = {member.id: member.weight for member in group.members}
            room = shares(Counter(owners), Counter(), weights)
            room.subtract(owners)
            for bucket, owner in enumerate(owners):
                if room[owner] < 0 and bucket not in busy:
                    owners[bucket] = max(members, key=lambda id: (room[id], id))
                    room[owner] += 1
                    room[owners[bucket]] -= 1

    def _arrange(self, operation: Arrange) -> None:
        busy, owners = self.busy(operation.id), self.owners[operation.id]
        layout = [id for id, length in operation.layout for _ in range(length)]
        members = {member.id for member in self.groups[operation.id].members}
        assert len(layout) == len(owners)
        for bucket, owner in enumerate(layout):
            if bucket not in busy and owner in members:
                owners[bucket] = owner
