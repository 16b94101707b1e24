"""The one writer: carries operations out in the kernel, in order, and says which were refused.

It owns only what it made or adopted. A route, nexthop or group of somebody else under the same prefix and metric,
or the same id, is never replaced: what is not known to be ours is created with NLM_F_EXCL.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from routerd.core.message import (
    DeleteNexthop,
    DeleteRoutes,
    Gateway,
    GroupLost,
    KernelDump,
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
from routerd.kernel.owned import Owned
from routerd.kernel.requests import Refusals, Requests
from routerd.kernel.shadow import beside_shadow, shadow, shadow_in

_WIDE, _NARROW = 65535, 256
"""The largest weight of a member, from Linux 6.12 on and before."""

_STAND_IN, _PROBE_MEMBER, _PROBE_GROUP = 0x7FFFFFFD, 0x7FFFFFFE, 0x7FFFFFFF


class KernelWriter:
    """Writes to the network namespace in which it was made. Synchronous; OSError only if netlink itself fails.

    `metric` is the priority of every route. Attributes: `port` is the netlink port id (for the monitor's filter);
    `buckets` knows which ones carry flows; `supports_resilient` and `wide_weights` (16 bits, Linux 6.12) tell what
    the kernel can, as tried out.
    """

    def __init__(self, metric: int) -> None:
        self._metric = metric
        self._requests = Requests()
        self._routes: Owned[Prefix] = Owned()
        self._lost: set[Prefix] = set()
        self._nexthops: Owned[int] = Owned()
        self._gateways: dict[int, Gateway] = {}
        self._shadows: dict[int, int] = {}
        self._compat = CompatMode()
        self.buckets = Buckets()
        self.port = self._requests.port
        self.supports_resilient, self.wide_weights = self._probe()

    def close(self) -> None:
        """Close the socket; what was written stays."""
        self._requests.close()
        self._compat.close()

    def adopt(self, dump: KernelDump) -> None:
        """Learn from a dump what is ours. Call it with the first dump before any write, and with every later one."""
        self._routes.adopt(dump.routes)
        self._lost.clear()
        self._nexthops.adopt([*own_nexthops(dump), *dump.shadows.values()])
        self._shadows = self._shadows or dict(dump.shadows)
        self._gateways.update((nexthop.id, nexthop.gateway) for nexthop in dump.nexthops if nexthop.gateway)

    def lost(self, prefixes: Iterable[Prefix]) -> None:
        """Somebody was heard to delete these routes of ours: what is there now may be theirs."""
        self._lost.update(prefixes)
        self._routes.remove(prefixes)

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
                return self.written(operation, self._requests.exchange(self.encode(operation, self._requests)))
            case DeleteNexthop():
                return self._delete_nexthop(operation)
            case SetNexthop():
                self._gateways[operation.id] = operation.gateway
                flags = self._flags(operation)
                request = messages.set_nexthop(operation.id, operation.gateway, flags, onlink=operation.onlink)
                return self._make(operation, request)
            case SetGroup():
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
            self._nexthops.remove((group.id,))
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
            self._nexthops.remove((id_,))

    def _make(self, operation: SetNexthop | SetGroup, request: bytes) -> list[WriteFailed]:
        with self._compat.off():
            refusals = self._requests.transmit([request])
        if refusals:
            number, text = refusals[0]
            if number == errno.EEXIST:
                text = f"nexthop id {operation.id} exists and is not routerd's"
            return [WriteFailed(operation, number, text)]
        if isinstance(operation, SetGroup) and not self.owns(operation.id):
            self.buckets.made(operation.id)
        self._nexthops.add((operation.id,))
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
        create = flags = wire.NLM_F_CREATE | wire.NLM_F_EXCL
        requests = [messages.set_nexthop(_STAND_IN, gateway, create)]
        for members in steps(layout, _STAND_IN):
            requests.append(messages.set_group(replace(group, members=members), flags))
            flags = wire.NLM_F_CREATE | wire.NLM_F_REPLACE
        tracked = self._tracked(group)
        if every := complete(layout, group.members, _WIDE if self.wide_weights else _NARROW):
            requests.append(messages.set_group(replace(group, members=every), flags))
        elif tracked is not group:
            requests.append(messages.set_group(tracked, flags))
        refused = self._requests.transmit([*requests, messages.delete_nexthop(_STAND_IN)])
        if refused:
            self._requests.transmit([messages.delete_nexthop(group.id)])
            return False
        self._nexthops.add((group.id,))
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
            self._nexthops.add((shadow(id_),))
        return beside_shadow(group, _WIDE if self.wide_weights else _NARROW)

    def _new_shadow(self, id_: int) -> bytes:
        return messages.set_nexthop(shadow(id_), self._gateways[id_], wire.NLM_F_CREATE | wire.NLM_F_EXCL)

    def _flags(self, operation: SetNexthop | SetGroup) -> int:
        if not self.owns(operation.id):
            return wire.NLM_F_CREATE | wire.NLM_F_EXCL
        known = isinstance(operation, SetGroup) and operation.known
        return wire.NLM_F_REPLACE if known else wire.NLM_F_CREATE | wire.NLM_F_REPLACE

    def encode(self, operation: SetRoutes | DeleteRoutes, requests: Requests) -> Iterator[tuple[int, bytes]]:
        """Yield what writes routes, in bursts for `requests`, each with the index of its first prefix."""
        for start, some in requests.bursts(operation.prefixes):
            if isinstance(operation, SetRoutes):
                yield start, batch.set_routes(some, operation.id, self._metric, self._routes.among(some))
            else:
                yield start, batch.delete_routes(some, self._metric)

    def written(self, operation: SetRoutes | DeleteRoutes, refused: Refusals) -> list[WriteFailed]:
        """Note that what `encode` returned was sent; return what was refused, an operation per prefix."""
        prefixes = operation.prefixes
        if isinstance(operation, SetRoutes):
            if self._lost:
                refused = self._recover(operation, refused)
            self._routes.add(_without(prefixes, refused))
            return [
                WriteFailed(SetRoutes(operation.id, (prefixes[index],)), number, self._why(number, text))
                for index, (number, text) in refused.items()
            ]
        refused = {index: why for index, why in refused.items() if why[0] != errno.ESRCH}
        self._routes.remove(_without(prefixes, refused))
        return [WriteFailed(DeleteRoutes((prefixes[index],)), *why) for index, why in refused.items()]

    def _recover(self, operation: SetRoutes, refused: Refusals) -> Refusals:
        """Write routes that were refused because they are there, if they are ours: written between the deletion and
        the news of it."""
        ours = [
            index
            for index, (number, _) in refused.items()
            if number == errno.EEXIST and (prefix := operation.prefixes[index]) in self._lost and self._has(prefix)
        ]
        self._lost.difference_update(operation.prefixes)
        if not ours:
            return refused
        again = SetRoutes(operation.id, tuple(operation.prefixes[index] for index in ours))
        self._routes.add(again.prefixes)
        failed = self._requests.exchange(self.encode(again, self._requests))
        left = {index: why for index, why in refused.items() if index not in ours}
        return left | {ours[index]: why for index, why in failed.items()}

    def _has(self, prefix: Prefix) -> bool:
        """Tell whether the kernel's route to a prefix is ours."""
        found = lookup.route(prefix)
        marks = ("bgp", self._metric)
        return found is not None and (found.protocol, found.metric) == marks and self.owns(found.nexthop)

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
        self._nexthops.remove(gone)
        self._shadows = {group: id_ for group, id_ in self._shadows.items() if id_ not in gone}
        self._note_shadow(operation.id, 0)
        self._gateways.pop(operation.id, None)
        self.buckets.gone(operation.id)
        return []

    def _probe(self) -> tuple[bool, bool]:
        """Try a resilient group and a weight of more than eight bits on a blackhole, and leave nothing behind."""
        create = wire.NLM_F_CREATE | wire.NLM_F_EXCL
        if refused := self._requests.transmit([messages.set_nexthop(_PROBE_MEMBER, None, create)]):
            raise OSError(refused[0][0], f"cannot make nexthop objects: {refused[0][1]}")
        resilient, wide = (
            not self._requests.transmit([messages.set_group(group, create), messages.delete_nexthop(_PROBE_GROUP)])
            for group in (
                SetGroup(_PROBE_GROUP, (Member(_PROBE_MEMBER),), buckets=1),
                SetGroup(_PROBE_GROUP, (Member(_PROBE_MEMBER, 257),)),
            )
        )
        self._requests.transmit([messages.delete_nexthop(_PROBE_MEMBER)])
        return resilient, wide


def own_nexthops(dump: KernelDump) -> list[int]:
    """Return the ids of routerd's groups, then of its nexthop objects: whatever has protocol bgp."""
    groups = [group.id for group in dump.groups if group.protocol == wire.RTPROT_BGP]
    return groups + [nexthop.id for nexthop in dump.nexthops if nexthop.protocol == wire.RTPROT_BGP]


def _without(prefixes: tuple[Prefix, ...], refused: Refusals) -> Iterable[Prefix]:
    if not refused:
        return prefixes
    return [prefix for index, prefix in enumerate(prefixes) if index not in refused]
