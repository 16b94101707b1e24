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
from routerd.kernel.layout import complete, lay_out, settled, steps
from routerd.kernel.memory import Memory
from routerd.kernel.owned import Owned
from routerd.kernel.requests import Refusals, Requests

_WIDE, _NARROW = 65535, 256
"""The largest weight of a member, from Linux 6.12 on and before."""

_STAND_IN, _PROBE_MEMBER, _PROBE_GROUP = 0x7FFFFFFD, 0x7FFFFFFE, 0x7FFFFFFF


class KernelWriter:
    """Writes to the network namespace in which it was made. Synchronous; OSError only if netlink itself fails.

    `metric` is the priority of every route. Attributes: `port` is the netlink port id (for the monitor's filter);
    `buckets` knows which ones carry flows, `memory` where those of groups that are gone led to; `supports_resilient`
    and `wide_weights` (16 bits, Linux 6.12) tell what the kernel can, as tried out.
    """

    def __init__(self, metric: int) -> None:
        self._metric = metric
        self._requests = Requests()
        self._routes: Owned[Prefix] = Owned()
        self._nexthops: Owned[int] = Owned()
        self._gateways: dict[int, Gateway] = {}
        self._compat = CompatMode()
        self.buckets = Buckets()
        self.memory = Memory(self._gateways)
        self.port = self._requests.port
        self.supports_resilient, self.wide_weights = self._probe()

    def close(self) -> None:
        """Close the socket; what was written stays."""
        self._requests.close()
        self._compat.close()

    def adopt(self, dump: KernelDump) -> None:
        """Learn from a dump what is ours. Call it with the first dump before any write, and with every later one."""
        self._routes.adopt(dump.routes)
        self._nexthops.adopt(own_nexthops(dump))
        self._gateways.update((nexthop.id, nexthop.gateway) for nexthop in dump.nexthops if nexthop.gateway)
        for group in dump.groups:
            if group.buckets and self.owns(group.id):
                self.memory.written(group.id, group.members)

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
                return self._make(
                    operation, messages.set_nexthop(operation.id, operation.gateway, self._flags(operation))
                )
            case SetGroup():
                return [] if operation.like and self._continue(operation) else self._set_group(operation)

    def _set_group(self, operation: SetGroup) -> Sequence[WriteFailed | GroupLost]:
        members = operation.members if self.wide_weights else messages.narrow(operation.members)
        group = replace(operation, members=members)
        there = self.owns(group.id)
        failures = self._make(operation, messages.set_group(group, self._flags(operation)))
        if failures and failures[0].errno == errno.ENOENT and self.owns(group.id):
            self._nexthops.remove((group.id,))
            return self._set_group(operation)
        if not failures and operation.known and not there:
            return [GroupLost(group.id)]
        return failures

    def _make(self, operation: SetNexthop | SetGroup, request: bytes) -> list[WriteFailed]:
        with self._compat.off():
            refusals = self._requests.transmit([request])
        if refusals:
            number, text = refusals[0]
            if number == errno.EEXIST:
                text = f"nexthop id {operation.id} exists and is not routerd's"
            return [WriteFailed(operation, number, text)]
        if isinstance(operation, SetGroup):
            if operation.buckets:
                self.memory.written(operation.id, operation.members)
            if not self.owns(operation.id):
                self.buckets.made(operation.id)
        self._nexthops.add((operation.id,))
        return []

    def _continue(self, group: SetGroup) -> bool:
        """Make a group with the buckets of another one, or of its own when it was lost, flows and all; False if that
        cannot be."""
        try:
            found = lookup.buckets(group.like)
        except OSError:  # the other group is gone: all that is known of it may carry flows
            found = self.memory.recall(group.like, group.members)
            busy = frozenset(index for index, owner, _ in found if owner)
        else:
            if group.like == group.id:
                return False
            busy = frozenset(index for index, _, _ in self.buckets.used(found, group.like, group.idle_timer))
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
        widest = _WIDE if self.wide_weights else _NARROW
        if every := settled(layout, group.members) or complete(layout, group.members, widest):
            requests.append(messages.set_group(replace(group, members=every), flags))
        refused = self._requests.transmit([*requests, messages.delete_nexthop(_STAND_IN)])
        if refused:
            self._requests.transmit([messages.delete_nexthop(group.id)])
            return False
        self._nexthops.add((group.id,))
        self.buckets.made(group.id, busy)
        self.memory.written(group.id, group.members)
        return True

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
            self._routes.add(_without(prefixes, refused))
            return [
                WriteFailed(SetRoutes(operation.id, (prefixes[index],)), number, self._why(number, text))
                for index, (number, text) in refused.items()
            ]
        refused = {index: why for index, why in refused.items() if why[0] != errno.ESRCH}
        self._routes.remove(_without(prefixes, refused))
        return [WriteFailed(DeleteRoutes((prefixes[index],)), *why) for index, why in refused.items()]

    def _why(self, number: int, text: str) -> str:
        if number == errno.EEXIST:
            return f"a foreign route to this prefix with metric {self._metric} exists"
        return text

    def _delete_nexthop(self, operation: DeleteNexthop) -> list[WriteFailed]:
        if not self.owns(operation.id):
            return []
        refused = self._requests.transmit([messages.delete_nexthop(operation.id)])
        for number, text in refused.values():
            if number != errno.ENOENT:
                return [WriteFailed(operation, number, text)]
        self._nexthops.remove((operation.id,))
        if self._gateways.pop(operation.id, None) is None:
            self.memory.forget(operation.id)
        else:
            self.memory.lost(operation.id)
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
