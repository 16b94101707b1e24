"""Route messages by the ten thousand, packed with struct: the hot path of the writer."""

from __future__ import annotations

import struct
from collections.abc import Container, Sequence
from socket import AF_INET, AF_INET6

from routerd.kernel import wire
from routerd.route import IPV4_PREFIX_SIZE, Prefix

_RTA_DST, _RTA_PRIORITY, _RTA_NH_ID = 1, 6, 30
_RT_SCOPE_UNIVERSE, _RT_SCOPE_NOWHERE = 0, 255
_U32 = 8

_ROUTE = "=IHHII BBBBBBBBI HH{}s"
"""struct nlmsghdr, struct rtmsg, RTA_DST; the other attributes follow as one piece of bytes."""
_IPV4 = struct.Struct(_ROUTE.format(4))
_IPV6 = struct.Struct(_ROUTE.format(16))
LARGEST = _IPV6.size + 2 * _U32
"""The size of the largest message that this module makes."""


def set_routes(prefixes: Sequence[Prefix], nexthop: int, metric: int, owned: Container[Prefix]) -> list[bytes]:
    """Return a request for each prefix, its sequence number its index in `prefixes`.

    CREATE|REPLACE would overwrite a foreign route of equal metric, so that only routes in `owned` are replaced;
    all others must be new (CREATE|EXCL).
    """
    tail = struct.pack("=HHIHHI", _U32, _RTA_PRIORITY, metric, _U32, _RTA_NH_ID, nexthop)
    replace = wire.NLM_F_REQUEST | wire.NLM_F_CREATE | wire.NLM_F_REPLACE
    create = wire.NLM_F_REQUEST | wire.NLM_F_CREATE | wire.NLM_F_EXCL
    flags = [replace if prefix in owned else create for prefix in prefixes]
    return _pack(wire.RTM_NEWROUTE, flags, _RT_SCOPE_UNIVERSE, prefixes, tail)


def delete_routes(prefixes: Sequence[Prefix], metric: int) -> list[bytes]:
    """Return a request for each prefix that deletes only a route of our protocol and metric, of any scope."""
    tail = struct.pack("=HHI", _U32, _RTA_PRIORITY, metric)
    return _pack(wire.RTM_DELROUTE, [wire.NLM_F_REQUEST] * len(prefixes), _RT_SCOPE_NOWHERE, prefixes, tail)


def _pack(kind: int, flags: list[int], scope: int, prefixes: Sequence[Prefix], tail: bytes) -> list[bytes]:
    ipv4, ipv6 = _IPV4.pack, _IPV6.pack
    size4, size6 = _IPV4.size + len(tail), _IPV6.size + len(tail)
    table, protocol, unicast = wire.RT_TABLE_MAIN, wire.RTPROT_BGP, wire.RTN_UNICAST
    messages: list[bytes] = []
    for index, prefix in enumerate(prefixes):
        if len(prefix) == IPV4_PREFIX_SIZE:
            messages.append(
                ipv4(size4, kind, flags[index], index, 0, AF_INET, prefix[0], 0, 0, table, protocol, scope, unicast,
                     0, 8, _RTA_DST, prefix[1:]) + tail
            )  # fmt: skip
        else:
            messages.append(
                ipv6(size6, kind, flags[index], index, 0, AF_INET6, prefix[0], 0, 0, table, protocol, scope, unicast,
                     0, 20, _RTA_DST, prefix[1:]) + tail
            )  # fmt: skip
    return messages
