"""The one writer: carries operations out in the kernel, in order, and says which were refused.

It owns only what it made or adopted: nexthops and groups of protocol bgp in its own range of ids, and routes of that
protocol and its metric that lead there. A route, nexthop or group of somebody else under the same prefix and metric,
or the same id, is never replaced: what is not known to be ours is created with NLM_F_EXCL. No group gets a member
that is not ours, and no route such a group.
"""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from routerd.config.model import FibSection
from routerd.core.message import (
    DeleteNexthop,
    DeleteRoutes,
    Gateway,
    GroupLost,
    KernelDump,
    KernelGroup,
    KernelNexthop,
    KernelObjects,
    Member,
    Operation,
    SetGroup,
    SetNexthop,
    SetRoutes,
    WriteFailed,
)
from routerd.core.route import Prefix
from routerd.kernel import batch, lookup, messages, wire
from routerd.kernel.buckets import Buckets
from routerd.kernel.compat import CompatMode
from routerd.kernel.layout import complete, lay_out, steps
from routerd.kernel.owned import OwnedRoutes
from routerd.kernel.requests import Refusals, Requests
from routerd.kernel.shadow import beside_shadow, owner, shadow, shadow_in
from routerd.kernel.spare import CREATE, Spare

_WIDE, _NARROW = 65535, 256
"""The largest weight of a member, from Linux 6.12 on and before."""


class KernelWriter:
    """Writes to the network namespace in which it was made. Synchronous; OSError only if netlink itself fails.

    `fib` has the priority of every route and the range of ids. Attributes: `port` is the netlink port id (for the
    monitor's filter); `buckets` knows which ones carry flows; `supports_resilient` and `wide_weights` (16 bits, Linux
    6.12) tell what the kernel can, as tried out.
    """

    def __init__(self, fib: FibSection) -> None:
        self._metric = fib.metric
        self._ids = fib.ids
        self._requests = Requests()
        self._routes = OwnedRoutes()
        self._nexthops: set[int] = set()
        self._gateways: dict[int, Gateway] = {}
        self._shadows: dict[int, int] = {}
        self._compat = CompatMode()
        self.buckets = Buckets()
        self.port = self._requests.port
        try:
            self._spare = Spare(self._requests, fib.spare_ids)
            self.supports_resilient, self.wide_weights = self._probe()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close the socket; what was written stays."""
        self._requests.close()
        self._compat.close()

    def adopt(self, dump: KernelDump) -> None:
        """Learn from the first dump, before any write, what is ours."""
        self._routes.adopt(dump.routes)
        self._shadows = {group: id for group, id in dump.shadows.items() if group in self._ids}
        self.adopt_objects(KernelObjects(dump.interfaces, dump.nexthops, dump.groups))

    def adopt_objects(self, found: KernelObjects) -> None:
        """Learn which nexthops and groups are ours: these, and no others. They were read now, with all written."""
        own = own_nexthops(found.nexthops, found.groups, self._ids)
        self._nexthops = {*own, *self._shadows.values()}
        mine = (nexthop for nexthop in found.nexthops if nexthop.id in self._nexthops)
        self._gateways.update((nexthop.id, nexthop.gateway) for nexthop in mine if nexthop.gateway)

    def begin_audit(self) -> None:
        """The routes are about to be read, with all written; more is written meanwhile."""
        self._routes.begin()

    def adopt_routes(self, found: dict[Prefix, int]) -> None:
        """Learn from the audit which routes are ours."""
        self._routes.adopt(found)

    def owns(self, id_: int) -> bool:
        """Tell whether a nexthop or group is ours."""
        return id_ in self._nexthops

    def write(self, operations: Sequence[Operation]) -> list[WriteFailed | GroupLost]:
        """Carry out `operations` in order and return the refused ones, a SetRoutes or DeleteRoutes per prefix, and
        the groups that were found to be gone.

        A refusal does not stop the others. Prefixes of one operation must differ. Deleting what is gone, or a
        nexthop that is not ours, is no refusal: there is nothing to do.
        """
        return [failure for operation in operations for failure in self._carry_out(operation)]

    def _carry_out(self, operation: Operation) -> Sequence[WriteFailed | GroupLost]:
        match operation:
            case SetRoutes() | DeleteRoutes():
                refused = self.barred(operation)
                return self.written(
                    operation, refused or self._requests.exchange(self.encode(operation, self._requests))
                )
            case DeleteNexthop():
                return self._delete_nexthop(operation)
            case SetNexthop():
                self._gateways[operation.id] = operation.gateway
                return self._make(
                    operation, messages.set_nexthop(operation.id, operation.gateway, self._flags(operation))
                )
            case SetGroup():
                if foreign := [member.id for member in operation.members if not self.owns(member.id)]:
                    return [WriteFailed(operation, errno.EINVAL, _not_ours(foreign[0]))]
                return [] if operation.like and self._continue(operation) else self._set_group(operation)

    def _set_group(self, operation: SetGroup) -> Sequence[WriteFailed | GroupLost]:
        members = operation.members if self.wide_weights else messages.narrow(operation.members)
        group = replace(operation, members=members)
        there = self.owns(group.id)
        tracked = self._tracked(group)
        failures = self._make(operation, messages.set_group(tracked, self._flags(operation)))
        if failures and tracked is not group:
            # Perhaps somebody has deleted the shadow.
            self._requests.transmit([self._new_shadow(members[0].id)])
            failures = self._make(operation, messages.set_group(tracked, self._flags(operation)))
        if failures and failures[0].errno == errno.ENOENT and self.owns(group.id):
            self._nexthops.discard(group.id)
            return self._set_group(operation)
        if not failures:
            self._note_shadow(group.id, shadow_in(tracked.members))
            return [GroupLost(group.id)] if operation.known and not there else []
        if tracked is not group:
            self._sweep_shadow(shadow_in(tracked.members))
        return failures

    def _note_shadow(self, group: int, id_: int) -> None:
        """A group has this shadow now, or none (0): delete the one that it had if no other group has it."""
        before = self._shadows.pop(group, 0)
        if id_:
            self._shadows[group] = id_
        if before:
            self._sweep_shadow(before)

    def _sweep_shadow(self, id_: int) -> None:
        """Delete a shadow that no group has."""
        if id_ not in self._shadows.values():
            self._requests.transmit([messages.delete_nexthop(id_)])
            self._nexthops.discard(id_)

    def _make(self, operation: SetNexthop | SetGroup, request: bytes) -> list[WriteFailed]:
        with self._compat.off():
            refusals = self._requests.transmit([request])
        if refusals:
            number, text = refusals[0]
            if number == errno.EEXIST:
                text = _not_ours(operation.id)
            return [WriteFailed(operation, number, text)]
        if isinstance(operation, SetGroup) and not self.owns(operation.id):
            self.buckets.made(operation.id)
        self._nexthops.add(operation.id)
        return []

    def _continue(self, group: SetGroup) -> bool:
        """Make a group with the buckets of another one, flows and all; False if that cannot be."""
        try:
            found = lookup.buckets(group.like)
            busy = frozenset(index for index, _, _ in self.buckets.used(found, group.like, group.idle_timer))
        except OSError:
            return False  # the other group is gone: there is nothing to continue
        gateway = self._gateways.get(group.members[0].id)
        if not busy or gateway is None:
            return False
        layout = lay_out([(owner, index in busy) for index, owner, _ in found], group.members)
        if layout is None or len(found) != group.buckets or not (self.wide_weights or group.buckets <= 256):
            return False
        stand_in = self._spare.make(gateway)
        if stand_in is None:
            return False
        first, *others = steps(layout, stand_in)
        if self._requests.transmit([messages.set_group(replace(group, members=first), CREATE)]):
            self._requests.transmit([messages.delete_nexthop(stand_in)])
            return False  # the id is somebody else's
        flags = wire.NLM_F_CREATE | wire.NLM_F_REPLACE
        requests = [messages.set_group(replace(group, members=members), flags) for members in others]
        tracked = self._tracked(group)
        if every := complete(layout, group.members, _WIDE if self.wide_weights else _NARROW):
            requests.append(messages.set_group(replace(group, members=every), flags))
        elif tracked is not group:
            requests.append(messages.set_group(tracked, flags))
        refused = self._requests.transmit([*requests, messages.delete_nexthop(stand_in)])
        if refused:
            self._requests.transmit([messages.delete_nexthop(group.id)])
            return False
        self._nexthops.add(group.id)
        self.buckets.made(group.id, busy)
        self._note_shadow(group.id, shadow_in(tracked.members))
        return True

    def _tracked(self, group: SetGroup) -> SetGroup:
        """Return the group as the kernel keeps track of its flows: see `kernel.shadow`."""
        if not group.buckets or len(group.members) != 1:
            return group
        id_ = group.members[0].id
        gateway = self._gateways.get(id_)
        if gateway is None or len(gateway.address) != 4:
            return group
        if not self.owns(shadow(id_)):
            if self._requests.transmit([self._new_shadow(id_)]):
                return group
            self._nexthops.add(shadow(id_))
        return beside_shadow(group, _WIDE if self.wide_weights else _NARROW)

    def _new_shadow(self, id_: int) -> bytes:
        return messages.set_nexthop(shadow(id_), self._gateways[id_], CREATE)

    def _flags(self, operation: SetNexthop | SetGroup) -> int:
        if not self.owns(operation.id):
            return CREATE
        known = isinstance(operation, SetGroup) and operation.known
        return wire.NLM_F_REPLACE if known else wire.NLM_F_CREATE | wire.NLM_F_REPLACE

    def barred(self, operation: SetRoutes | DeleteRoutes) -> Refusals:
        """Refuse every route to what is not ours: somebody else has the id."""
        if isinstance(operation, DeleteRoutes) or self.owns(operation.id):
            return {}
        return dict.fromkeys(range(len(operation.prefixes)), (errno.EINVAL, _not_ours(operation.id)))

    def encode(self, operation: SetRoutes | DeleteRoutes, requests: Requests) -> Iterator[tuple[int, bytes]]:
        """Yield what writes routes, in bursts for `requests`, each with the index of its first prefix."""
        for start, some in requests.bursts(operation.prefixes):
            if isinstance(operation, SetRoutes):
                yield start, batch.set_routes(some, operation.id, self._metric, self._routes.among(some))
            elif found := batch.delete_routes(some, self._routes.ids(some), self._metric):
                yield start, found

    def written(self, operation: SetRoutes | DeleteRoutes, refused: Refusals) -> list[WriteFailed]:
        """Note that what `encode` returned was sent; return what was refused, an operation per prefix."""
        prefixes = operation.prefixes
        if isinstance(operation, SetRoutes):
            self._routes.add(_without(prefixes, refused), operation.id)
            return [
                WriteFailed(SetRoutes(operation.id, (prefixes[index],)), number, self._why(number, text))
                for index, (number, text) in refused.items()
            ]
        # The route is gone, or its group is, and took it along.
        refused = {index: why for index, why in refused.items() if why[0] not in (errno.ESRCH, errno.EINVAL)}
        self._routes.remove(_without(prefixes, refused))
        return [WriteFailed(DeleteRoutes((prefixes[index],)), *why) for index, why in refused.items()]

    def _why(self, number: int, text: str) -> str:
        if number == errno.EEXIST:
            return f"a foreign route to this prefix with metric {self._metric} exists"
        return text

    def _delete_nexthop(self, operation: DeleteNexthop) -> list[WriteFailed]:
        if not self.owns(operation.id):
            return []
        # The shadow goes first: it must not be what is left of a group.
        gone = [id_ for id_ in (shadow(operation.id), operation.id) if self.owns(id_)]
        refused = self._requests.transmit([messages.delete_nexthop(id_) for id_ in gone])
        for number, text in refused.values():
            if number != errno.ENOENT:
                return [WriteFailed(operation, number, text)]
        self._nexthops.difference_update(gone)
        self._shadows = {group: id_ for group, id_ in self._shadows.items() if id_ not in gone}
        self._note_shadow(operation.id, 0)
        self._gateways.pop(operation.id, None)
        self.buckets.gone(operation.id)
        return []

    def _probe(self) -> tuple[bool, bool]:
        """Try a resilient group and a weight of more than eight bits on a blackhole, and leave nothing behind."""
        member, id = self._spare.pair()
        if refused := self._requests.transmit([messages.set_nexthop(member, None, CREATE)]):
            raise OSError(refused[0][0], f"cannot make nexthop objects: {refused[0][1]}")
        resilient, wide = (
            not self._requests.transmit([messages.set_group(group, CREATE), messages.delete_nexthop(id)])
            for group in (SetGroup(id, (Member(member),), buckets=1), SetGroup(id, (Member(member, 257),)))
        )
        self._requests.transmit([messages.delete_nexthop(member)])
        return resilient, wide


def own_nexthops(nexthops: Iterable[KernelNexthop], groups: Iterable[KernelGroup], ids: range) -> list[int]:
    """Return the ids of routerd's groups, then of its nexthop objects: what has protocol bgp and one of `ids`."""
    found: list[KernelGroup | KernelNexthop] = [*groups, *nexthops]
    return [entry.id for entry in found if entry.protocol == wire.RTPROT_BGP and owner(entry.id) in ids]


def _not_ours(id: int) -> str:
    return f"nexthop id {id} is not routerd's: another program has it, or nobody"


def _without(prefixes: tuple[Prefix, ...], refused: Refusals) -> Collection[Prefix]:
    if not refused:
        return prefixes
    return [prefix for index, prefix in enumerate(prefixes) if index not in refused]
