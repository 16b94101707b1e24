"""Route messages by the ten thousand: the hot path of the writer.

The messages of one operation differ in a few bytes. So one is repeated, and what differs is laid over the copies
column by column: each column is one step of the interpreter, however many messages there are.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from socket import AF_INET, AF_INET6
from typing import NamedTuple

from routerd.core.message import RTPROT_BGP
from routerd.core.route import IPV4_PREFIX_SIZE, IPV6_PREFIX_SIZE, Prefix
from routerd.kernel import wire

_RTA_DST, _RTA_PRIORITY, _RTA_NH_ID = 1, 6, 30
_RT_SCOPE_UNIVERSE, _RT_SCOPE_NOWHERE = 0, 255
_U32 = 8
_FAMILIES = {IPV4_PREFIX_SIZE: AF_INET, IPV6_PREFIX_SIZE: AF_INET6}
"""By the size of a `Prefix`."""

_HEAD = struct.Struct("=IHHII BBBBBBBBI HH")
"""struct nlmsghdr, struct rtmsg, the header of RTA_DST; then come the address and the other attributes."""
_SEQUENCE, _LENGTH = 8, 17
"""Where the head has the sequence number (u32) and the prefix length."""
LARGEST = _HEAD.size + 16 + 2 * _U32
"""The size of the largest message that this module makes."""


class _Form(NamedTuple):
    """What requests of one kind have in common; `tail` are the attributes behind RTA_DST."""

    kind: int
    flags: int
    scope: int
    tail: bytes


def set_routes(prefixes: Sequence[Prefix], ids: Sequence[int], metric: int, owned: set[Prefix]) -> bytes:
    """Return a request for each prefix and the nexthop id beside it, its sequence number its index in `prefixes`.

    CREATE|REPLACE would overwrite a foreign route of equal metric, so that only those prefixes that are `owned` are
    replaced; all others must be new (CREATE|EXCL).
    """
    create = _created(metric)
    every = range(len(prefixes))
    if not owned:
        return _pack(create, prefixes, every, ids)
    replace = create._replace(flags=wire.NLM_F_CREATE | wire.NLM_F_REPLACE)
    new = [index for index in every if prefixes[index] not in owned]
    old = [index for index in every if prefixes[index] in owned]
    return _pack(create, prefixes, new, ids) + _pack(replace, prefixes, old, ids)


def delete_routes(prefixes: Sequence[Prefix], ids: Sequence[int | None], metric: int) -> bytes:
    """Return a request for each prefix that deletes only a route of our protocol and metric, of any scope, that leads
    to the nexthop id beside it: no other daemon's, whatever has become of ours. None: there is nothing to delete."""
    chosen = [index for index, id in enumerate(ids) if id is not None]
    form = _Form(wire.RTM_DELROUTE, 0, _RT_SCOPE_NOWHERE, _tail(metric))
    return _pack(form, prefixes, chosen, ids)


@cache
def _created(metric: int) -> _Form:
    create = wire.NLM_F_CREATE | wire.NLM_F_EXCL
    return _Form(wire.RTM_NEWROUTE, create, _RT_SCOPE_UNIVERSE, _tail(metric))


def _tail(metric: int) -> bytes:
    return struct.pack("=HHIHHI", _U32, _RTA_PRIORITY, metric, _U32, _RTA_NH_ID, 0)


def _pack(form: _Form, prefixes: Sequence[Prefix], chosen: Sequence[int], ids: Sequence[int | None]) -> bytes:
    """Return the requests for the prefixes with the chosen indices, family by family; `ids` are the nexthop ids."""
    some = [*map(prefixes.__getitem__, chosen)]
    sizes = set(map(len, some))
    if len(sizes) != 1:
        parts = ([index for index in chosen if len(prefixes[index]) == size] for size in sizes)
        return b"".join(_pack(form, prefixes, part, ids) for part in parts)
    (width,) = sizes
    size = _HEAD.size + width - 1 + len(form.tail)
    head = _HEAD.pack(
        size, form.kind, wire.NLM_F_REQUEST | form.flags, 0, 0,
        _FAMILIES[width], 0, 0, 0, wire.TABLE, RTPROT_BGP, form.scope, wire.RTN_UNICAST, 0,
        width + 3, _RTA_DST,
    )  # fmt: skip
    messages = bytearray((head + bytes(width - 1) + form.tail) * len(chosen))
    numbers = struct.pack(f"={len(chosen)}I", *chosen)
    for octet in range(4):
        messages[_SEQUENCE + octet :: size] = numbers[octet::4]
    packed = b"".join(some)
    messages[_LENGTH::size] = packed[::width]
    for octet in range(1, width):
        messages[_HEAD.size + octet - 1 :: size] = packed[octet::width]
    nexthops = struct.pack(f"={len(chosen)}I", *map(ids.__getitem__, chosen))
    for octet in range(4):
        messages[size - 4 + octet :: size] = nexthops[octet::4]
    return bytes(messages)
