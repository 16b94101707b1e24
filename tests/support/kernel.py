"""A kernel in memory, for tests of what lies above it: the same `write` and dump, by the kernel's own rules.

`tests/kernel/test_fake.py` runs the same scenarios against this and the real kernel and compares the dumps.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from routerd.config.model import FibSection
from routerd.core.message import (
    RTPROT_BGP,
    DeleteNexthop,
    DeleteRoutes,
    ForeignRoute,
    ForeignRoutes,
    Gateway,
    GroupLost,
    Interface,
    KernelDump,
    KernelGroup,
    KernelNexthop,
    Leg,
    Operation,
    SetGroup,
    SetNexthop,
    SetRoutes,
    WriteFailed,
)
from routerd.core.route import Family, Prefix, contains, family_of
from routerd.kernel.parse import is_scoped
from routerd.kernel.wire import RTN_UNICAST

_RTPROT_KERNEL = 2

_FIB = FibSection()


class FakeKernel:
    """Interfaces, nexthops, groups and routes. Tests may change the public dictionaries behind routerd's back.

    `nexthops` and `groups` are by id, `interfaces` by index, `routes` maps our prefixes to nexthop ids; `writes`
    holds every operation that was asked for, in order.
    """

    supports_resilient = True
    wide_weights = True

    def __init__(
        self, interfaces: Sequence[Interface] = (), foreign: ForeignRoutes | None = None, fib: FibSection = _FIB
    ) -> None:
        self.interfaces = {interface.index: interface for interface in interfaces}
        self.foreign = {} if foreign is None else foreign
        self.nexthops: dict[int, KernelNexthop] = {}
        self.groups: dict[int, KernelGroup] = {}
        self.routes: dict[Prefix, int] = {}
        self.writes: list[Operation] = []
        self._fib = fib

    def dump(self) -> KernelDump:
        """Return the state as the real dump does, nexthops and groups by ascending id."""
        return KernelDump(
            tuple(self.interfaces.values()),
            tuple(self.nexthops[id_] for id_ in sorted(self.nexthops)),
            tuple(self.groups[id_] for id_ in sorted(self.groups)),
            dict(self.routes),
            self._connected() | self.foreign,
        )

    def _connected(self) -> ForeignRoutes:
        """The routes that the kernel makes of addresses; `foreign` has those that people or other daemons made."""
        found: ForeignRoutes = {}
        for interface in self.interfaces.values():
            for network in interface.networks if interface.name != "lo" else ():
                metric = 0 if family_of(network) is Family.IPV4 else 256
                route = ForeignRoute(RTN_UNICAST, _RTPROT_KERNEL, metric, 0, (Leg(None, interface.index),))
                found[network] = (*found.get(network, ()), route)
        return found

    def owns(self, id_: int) -> bool:
        """Tell whether a nexthop or group is routerd's."""
        entry = self.nexthops.get(id_) or self.groups.get(id_)
        return entry is not None and entry.protocol == RTPROT_BGP and id_ in self._fib.ids

    def write(self, operations: Sequence[Operation]) -> list[WriteFailed | GroupLost]:
        """Carry out operations in order; return the refused ones, routes one by one, and groups that were gone."""
        self.writes += operations
        failures: list[WriteFailed | GroupLost] = []
        for operation in operations:
            for part in _parts(operation):
                lost = isinstance(part, SetGroup) and part.known and part.id not in self.groups
                if number := self._carry_out(part):
                    failures.append(WriteFailed(part, number, os.strerror(number)))
                elif lost and isinstance(part, SetGroup):
                    failures.append(GroupLost(part.id))
        return failures

    def link_down(self, index: int) -> None:
        """Take an interface down: the kernel deletes its nexthops and never restores them."""
        self.interfaces[index] = replace(self.interfaces[index], up=False)
        for nexthop in list(self.nexthops.values()):
            if nexthop.gateway is not None and nexthop.gateway.ifindex == index:
                self.delete(nexthop.id)

    def delete(self, id_: int) -> None:
        """Delete a nexthop or group, anybody's: it leaves its groups, and what is empty then goes with its routes."""
        self.nexthops.pop(id_, None)
        self.groups.pop(id_, None)
        self.routes = {prefix: nexthop for prefix, nexthop in self.routes.items() if nexthop != id_}
        for group in list(self.groups.values()):
            left = tuple(member for member in group.members if member.id != id_)
            self.groups[group.id] = replace(group, members=left)
            if not left:
                self.delete(group.id)

    def _carry_out(self, operation: Operation) -> int:
        """Return 0 or the errno of the refusal."""
        match operation:
            case SetNexthop():
                return self._set_nexthop(operation.id, operation.gateway, onlink=operation.onlink)
            case SetGroup():
                return self._set_group(operation)
            case SetRoutes(id_, (prefix,)):
                return self._set_route(id_, prefix)
            case DeleteRoutes((prefix,)):
                self.routes.pop(prefix, None)
            case DeleteNexthop(id_) if self.owns(id_):
                self.delete(id_)
        return 0

    def _set_nexthop(self, id_: int, gateway: Gateway, *, onlink: bool) -> int:
        if self._is_foreign(id_):
            return errno.EEXIST
        interface = self.interfaces.get(gateway.ifindex)
        if interface is None or id_ in self.groups:
            return errno.EINVAL
        if not interface.up:
            return errno.ENETDOWN
        ipv4 = len(gateway.address) == 4
        if not ipv4 and gateway.address in interface.addresses:
            return errno.EINVAL
        link_local = is_scoped(Prefix(b"\x80" + gateway.address)) and not ipv4
        if (
            not link_local
            and not onlink
            and not any(contains(network, gateway.address) for network in interface.networks)
        ):
            return errno.ENETUNREACH if ipv4 else errno.EHOSTUNREACH
        self.nexthops[id_] = KernelNexthop(id_, RTPROT_BGP, gateway, onlink=onlink)
        return 0

    def _set_group(self, group: SetGroup) -> int:
        if self._is_foreign(group.id):
            return errno.EEXIST
        members = {member.id for member in group.members}
        before = self.groups.get(group.id)
        if (
            not members
            or len(members) < len(group.members)
            or not all(map(self.owns, members))
            or not members <= self.nexthops.keys()
            or group.id in self.nexthops
            or (before is not None and before.buckets != group.buckets)
            or (any(map(self._is_ipv4, members)) and self._serves_ipv6(group.id))
        ):
            return errno.EINVAL
        timers = (group.idle_timer, group.unbalanced_timer) if group.buckets else (0.0, 0.0)
        self.groups[group.id] = KernelGroup(group.id, RTPROT_BGP, group.members, group.buckets, *timers)
        return 0

    def _set_route(self, id_: int, prefix: Prefix) -> int:
        if not self.owns(id_):
            return errno.ENOENT
        if any(route.metric == self._fib.metric for route in self.foreign.get(prefix, ())):
            return errno.EEXIST
        group = self.groups.get(id_)
        members = (id_,) if group is None else tuple(member.id for member in group.members)
        if not all(member in self.nexthops for member in members):
            return errno.EINVAL
        if family_of(prefix) is Family.IPV6 and any(self._is_ipv4(member) for member in members):
            return errno.EINVAL
        self.routes[prefix] = id_
        return 0

    def _is_foreign(self, id_: int) -> bool:
        return (id_ in self.nexthops or id_ in self.groups) and not self.owns(id_)

    def _serves_ipv6(self, id_: int) -> bool:
        return any(nexthop == id_ and family_of(prefix) is Family.IPV6 for prefix, nexthop in self.routes.items())

    def _is_ipv4(self, id_: int) -> bool:
        gateway = self.nexthops[id_].gateway
        return gateway is not None and len(gateway.address) == 4


def _parts(operation: Operation) -> Iterator[Operation]:
    match operation:
        case SetRoutes(id_, prefixes):
            yield from (SetRoutes(id_, (prefix,)) for prefix in prefixes)
        case DeleteRoutes(prefixes):
            yield from (DeleteRoutes((prefix,)) for prefix in prefixes)
        case _:
            yield operation
