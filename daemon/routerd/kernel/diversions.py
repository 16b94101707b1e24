"""Which of routerd's routes the kernel passes by, because of rules (`ip rule`) or of a table that comes first."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from functools import cache

from routerd.core.message import Diversion
from routerd.core.route import IPV4_PREFIX_SIZE, Prefix
from routerd.kernel import lookup, wire
from routerd.kernel.parse import prefix_of

_RTM_GETRULE = 34
_RULE = struct.Struct("=BBBBBBBBI")
"""struct fib_rule_hdr: family, lengths of destination and source, tos, table, two reserved octets, action, flags."""
_FR_ACT_TO_TBL = 1
_SELECTORS = {1, 2, 3, 10, 16, 17, 20, 22, 23, 24}
"""FRA_DST, _SRC, _IIFNAME, _FWMARK, _FWMASK, _OIFNAME, _UID_RANGE, _IP_PROTO, _SPORT_RANGE, _DPORT_RANGE."""
_SUPPRESSING = {13, 14}
"""FRA_SUPPRESS_IFGROUP and _SUPPRESS_PREFIXLEN, of which -1 is none."""
_FRA_TABLE, _FRA_L3MDEV = 15, 19
_RTA_DST, _RTA_TABLE, _RTA_NH_ID = 1, 15, 30
_RTMSG_SIZE = 12
_U32 = struct.Struct("=I")
_LOCAL, _DEFAULT = 255, 253


def diversions(routes: Iterable[tuple[Prefix, int]]) -> Iterator[Diversion]:
    """Yield those of routerd's routes, each with its nexthop id, that the kernel does not use for the first address
    of the prefix, by its rules and all of its tables. Raises OSError if netlink fails.

    The kernel is asked for each only where there are other rules than usual: an answer takes 25 us, and the bucket
    that it goes by counts as used from then on. With the usual ones the table of the router's own addresses comes
    first, and nothing else.

    Rules for an interface, a sender or a mark do not count: whose packets are meant nobody can say. Nor does a route
    of the main table for the same prefix, which is foreign, or about to be changed; with IPv6 no route of the main
    table does: where routes share a nexthop object the kernel may answer with another one of them.
    """
    usual, own = cache(_is_usual), cache(_own)
    for prefix, id in routes:
        family = socket.AF_INET if len(prefix) == IPV4_PREFIX_SIZE else socket.AF_INET6
        if not usual(family):
            yield from _asked(prefix, id)
        elif any(prefix_of(prefix[1:], bits) in own(family)[bits] for bits in own(family)):
            yield Diversion(prefix, 0, _LOCAL)


def _asked(prefix: Prefix, id: int) -> Iterator[Diversion]:
    try:
        answer = lookup.ask(prefix)
    except OSError as error:
        yield Diversion(prefix, error.errno or 0, 0)
        return
    found = wire.attributes(answer, wire.HEADER.size + _RTMSG_SIZE, len(answer))
    (table,) = _U32.unpack(found[_RTA_TABLE])
    exact = len(prefix) != IPV4_PREFIX_SIZE or answer[wire.HEADER.size + 1] == prefix[0]
    same = table == wire.TABLE and exact
    if not same and found.get(_RTA_NH_ID) != _U32.pack(id):
        yield Diversion(prefix, 0, table)


def _is_usual(family: int) -> bool:
    """Tell whether the rules are those that every namespace begins with, but for some of VRFs."""
    there = set[int]()
    for data, start, end in wire.dump(_RTM_GETRULE, _RULE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
        *_, table, _, _, action, _ = _RULE.unpack_from(data, start)
        found = wire.attributes(data, start + _RULE.size, end)
        if _FRA_L3MDEV in found:
            continue
        chosen = _SELECTORS & found.keys() or any(found[kind] != b"\xff" * 4 for kind in _SUPPRESSING & found.keys())
        if action != _FR_ACT_TO_TBL or chosen or data[start + 1] or data[start + 2]:
            return False
        there.add(_U32.unpack(found[_FRA_TABLE])[0] if _FRA_TABLE in found else table)
    return wire.TABLE in there and there <= {wire.TABLE, _LOCAL, _DEFAULT}


def _own(family: int) -> dict[int, set[Prefix]]:
    """Return the prefixes of the table of the router's own addresses, by their length."""
    found: dict[int, set[Prefix]] = {}
    body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, _LOCAL, 0, 0, 0, 0)
    try:
        for data, start, end in wire.dump(wire.RTM_GETROUTE, body):
            bits, address = data[start + 1], wire.attributes(data, start + _RTMSG_SIZE, end).get(_RTA_DST)
            if address is not None:
                found.setdefault(bits, set()).add(prefix_of(address, bits))
    except OSError as error:
        if error.errno != errno.ENOENT:  # there is none before the first address
            raise
    return found
