"""Which way the kernel sends a flow now: asked of the kernel itself, with the flow's addresses and ports.

To be asked counts, to the kernel, as a packet: in the statistics of the group, and of the bucket, which is in use
then. Source: inet_rtm_getroute in net/ipv4/route.c, inet6_rtm_getroute in net/ipv6/route.c.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import time
from collections import Counter
from pathlib import Path

from routerd.core.message import Gateway, KernelNexthop
from routerd.core.message.flow import Bucket, Flow, FlowMember, Way
from routerd.core.route import Address, format_address
from routerd.kernel import lookup, parse, wire

_RTMSG = struct.Struct("=BBBBBBBBI")
_RTA_DST, _RTA_SRC, _RTA_IIF, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY = 1, 2, 3, 4, 5, 6
_RTA_TABLE, _RTA_VIA, _RTA_IP_PROTO, _RTA_SPORT, _RTA_DPORT, _RTA_NH_ID = 15, 18, 27, 28, 29, 30
_LOOKUP_TABLE, _FIB_MATCH = 0x1000, 0x2000
_RTN_UNICAST, _RTN_LOCAL = 1, 2
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL, errno.EACCES, errno.ENOENT, errno.EXDEV)
_ENDS = {
    errno.EINVAL: "a blackhole, a route or a rule, drops its packets",
    errno.EACCES: "a prohibit route or rule refuses its packets",
    errno.EHOSTUNREACH: "an unreachable route refuses its packets",
}
_TICK = 0.02
"""Seconds: the kernel tells idle times in hundredths."""
_LOOKS, _PAUSE = 4, 0.03
"""How often a bucket is looked for among those that others use, and the seconds in between."""

_SETTINGS = Path("/proc/sys/net")


class UnknownInterfaceError(ValueError):
    """Nobody can tell where the flow comes in; the text says why."""


def way(flow: Flow, expected: int = 0) -> Way:
    """Ask the kernel. Blocking, some milliseconds, a tenth of a second where others use the group, too.

    The buckets of the group that is `expected` are read before: to be asked changes what they tell. Raises OSError if
    netlink fails, UnknownInterfaceError where the router has no route back to the source and no interface was given.
    """
    policy = _policy(flow.destination)
    interface = flow.interface or _incoming(flow)
    index = _index(interface)
    idle: dict[int, float] = {}
    if expected:
        with contextlib.suppress(OSError):  # it is gone, or has no buckets
            idle = {number: seconds for number, _, seconds in lookup.buckets(expected)}
    try:
        entry = _ask(flow, index, _FIB_MATCH)
    except OSError as error:
        if error.errno not in _NO_ROUTE:
            raise
        dropped = f"rp_filter drops packets of this source that come in by {interface}"
        ends = {**_ENDS, errno.EXDEV: dropped}
        return Way(interface, policy, error=ends.get(error.errno) or error.strerror or str(error))
    kind = entry[1]
    if kind == _RTN_LOCAL:
        return Way(interface, policy, local=True)
    if kind != _RTN_UNICAST:
        return Way(interface, policy, error=f"a route of type {kind} ends it")
    found = _route(entry, interface, policy)
    if not found.nexthop:
        return found
    with contextlib.suppress(OSError):  # it has gone meanwhile: nobody knows
        return _within(flow, index, found, idle if found.nexthop == expected else {})
    return found


def _within(flow: Flow, index: int, found: Way, idle: dict[int, float]) -> Way:
    """Add the group's members, and which of them the flow reaches."""
    group = lookup.nexthop(found.nexthop)
    if isinstance(group, KernelNexthop):
        return found._replace(members=(FlowMember(group.id, 1, group.gateway),), chosen=group.id)
    counts = Counter(lookup.owners(group.id)) if group.buckets else Counter[int]()
    members = tuple(FlowMember(m.id, m.weight, _gateway(m.id), counts[m.id]) for m in group.members)
    found = found._replace(members=members, buckets=group.buckets)
    if len(members) == 1:
        return found._replace(chosen=members[0].nexthop)
    if not (flow.is_exact(found.policy) and flow.is_whole(found.policy)):
        return found
    asked = time.monotonic()
    leg = _leg(_ask(flow, index, 0))
    chosen = next((member.nexthop for member in members if member.gateway == leg), 0)
    bucket = _bucket(flow, index, (group.id, chosen), idle, asked) if group.buckets and chosen else None
    return found._replace(chosen=chosen, bucket=bucket)


def _bucket(flow: Flow, index: int, owned: tuple[int, int], idle: dict[int, float], asked: float) -> Bucket:
    """Find the bucket: to have been asked makes it the one that was used last. Others may be used just then.

    `owned` is the group and which nexthop has the bucket; `asked` is when the kernel was asked already: it is asked
    again only where that does not do.
    """
    left: set[int] | None = None
    for look in range(_LOOKS):
        if look:
            time.sleep(_PAUSE)
            asked = time.monotonic()
            _ask(flow, index, 0)
        now = lookup.buckets(*owned)
        fresh = {number for number, _, seconds in now if seconds <= time.monotonic() - asked + _TICK}
        left = fresh if left is None else left & fresh
        if len(left) <= 1:
            break
    only = next(iter(left)) if left is not None and len(left) == 1 else None
    return Bucket(only, len(left or ()), None if only is None else idle.get(only))


def _index(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface) if interface else 0
    except OSError as error:
        raise UnknownInterfaceError(f"there is no interface {interface}") from error


def _incoming(flow: Flow) -> str:
    """Return the interface of the way back to the source; empty if that is the router itself."""
    back = Flow(Address(bytes(len(flow.source))), flow.source, 0, 0, 0)
    try:
        answer = _ask(back, 0, 0)
    except OSError as error:
        why = error.strerror or str(error)
        raise UnknownInterfaceError(
            f"the router has no route back to {format_address(flow.source)} ({why})"
        ) from error
    if answer[1] == _RTN_LOCAL:
        return ""
    return socket.if_indextoname(_u32(answer[0], _RTA_OIF))


Answer = tuple[dict[int, bytes], int, int, int]
"""The attributes, rtm_type, rtm_dst_len and rtm_protocol of a route."""


def _ask(flow: Flow, index: int, flags: int) -> Answer:
    """Have the kernel look a flow up that comes in by the interface `index`, 0 for the router's own."""
    ipv4 = len(flow.destination) == 4
    # The IPv6 code refuses the flag for what it does anyway.
    flags |= _LOOKUP_TABLE if ipv4 else 0
    sourced = any(flow.source)
    family, bits = socket.AF_INET if ipv4 else socket.AF_INET6, len(flow.destination) * 8
    body = _RTMSG.pack(family, bits, bits if sourced else 0, 0, 0, 0, 0, 0, flags)
    body += wire.attribute(_RTA_DST, flow.destination)
    body += wire.attribute(_RTA_SRC, flow.source) if sourced else b""
    body += wire.attribute(_RTA_IIF, struct.pack("=I", index)) if index else b""
    if flow.protocol:
        body += wire.attribute(_RTA_IP_PROTO, bytes([flow.protocol]))
    if flow.source_port or flow.destination_port:
        body += wire.attribute(_RTA_SPORT, struct.pack("!H", flow.source_port))
        body += wire.attribute(_RTA_DPORT, struct.pack("!H", flow.destination_port))
    answer = wire.query(wire.request(wire.RTM_GETROUTE, 0, body))
    start = wire.HEADER.size
    _, length, _, _, _, protocol, _, kind, _ = _RTMSG.unpack_from(answer, start)
    return wire.attributes(answer, start + _RTMSG.size, len(answer)), kind, length, protocol


def _route(entry: Answer, interface: str, policy: int) -> Way:
    found, _, length, protocol = entry
    address = found.get(_RTA_DST)
    return Way(
        interface,
        policy,
        prefix=parse.prefix_of(address, length) if address else None,
        table=_u32(found, _RTA_TABLE),
        protocol=protocol,
        metric=_u32(found, _RTA_PRIORITY),
        nexthop=_u32(found, _RTA_NH_ID),
    )


def _leg(answer: Answer) -> Gateway:
    found = answer[0]
    via = found.get(_RTA_VIA, b"")[2:]
    return Gateway(Address(found.get(_RTA_GATEWAY, via)), _u32(found, _RTA_OIF))


def _gateway(id_: int) -> Gateway | None:
    found = lookup.nexthop(id_)
    return found.gateway if isinstance(found, KernelNexthop) else None


def _policy(address: Address) -> int:
    family = "ipv4" if len(address) == 4 else "ipv6"
    return int((_SETTINGS / family / "fib_multipath_hash_policy").read_text())


def _u32(found: dict[int, bytes], kind: int) -> int:
    value: int = struct.unpack("=I", found[kind])[0] if kind in found else 0
    return value
