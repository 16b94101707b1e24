"""NLRI fields: runs of (length in bits, that many bits padded to octets), to prefixes and back.

Source: RFC 4271 section 4.3, RFC 4760 section 5. Nodes announce service addresses, so that a field is nearly
always a run of equally long prefixes, and those of /32 and /128 are already in the form of a `Prefix`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from struct import Struct
from typing import cast

from routerd.core.route import IPV4_PREFIX_SIZE, IPV6_PREFIX_SIZE, Family, Prefix

WIDTH = {Family.IPV4: IPV4_PREFIX_SIZE, Family.IPV6: IPV6_PREFIX_SIZE}
"""Size of a `Prefix` by family, in octets."""

_BLOCK = 64
_BLOCKS = [Struct(f"{stride}s" * _BLOCK) for stride in range(IPV6_PREFIX_SIZE + 1)]
"""By size of one NLRI: cuts 64 of them at once, several times faster than slicing them one by one."""

_STRIDE = tuple(1 + (bits + 7 >> 3) for bits in range(129))
"""By prefix length: octets that an NLRI takes, its length octet included."""

_HOST_BITS = tuple(0xFF >> (bits & 7) if bits & 7 else 0 for bits in range(129))
"""By prefix length: the bits of the last octet that lie outside the prefix."""

_ZEROS = tuple(bytes(count) for count in range(IPV6_PREFIX_SIZE + 1))


def split_nlri(field: bytes, width: int) -> list[Prefix]:
    """Return the prefixes of an NLRI field whose family has prefixes of `width` octets.

    Host bits are cleared: their value is irrelevant (RFC 4271 section 4.3). Raises ValueError where a prefix
    is longer than an address or runs over the end of the field (RFC 7606 section 5.3).
    """
    if not field:
        return []
    bits = field[0]
    if len(field) == width and bits == (width - 1) * 8:
        return [Prefix(field)]
    stride = _STRIDE[bits] if bits < len(_STRIDE) else 0
    if 1 < stride <= width and not bits & 7:
        count, rest = divmod(len(field), stride)
        if not rest and field[::stride].count(bits) == count:
            return _split_uniform(field, width, stride)
    return _split_mixed(field, width)


def _split_uniform(field: bytes, width: int, stride: int) -> list[Prefix]:
    """Cut a field whose prefixes all take `stride` octets and end at an octet boundary."""
    size = len(field)
    whole = size - size % (stride * _BLOCK)
    pieces = list(chain.from_iterable(_BLOCKS[stride].iter_unpack(field[:whole]))) if whole else []
    pieces += [field[at : at + stride] for at in range(whole, size, stride)]
    if stride < width:
        zeros = _ZEROS[width - stride]
        pieces = [piece + zeros for piece in pieces]
    return cast("list[Prefix]", pieces)


def _split_mixed(field: bytes, width: int) -> list[Prefix]:
    longest = (width - 1) * 8
    prefixes: list[bytes] = []
    at, end = 0, len(field)
    while at < end:
        bits = field[at]
        if bits > longest:
            raise ValueError(f"prefix length {bits} is above {longest}")
        stride = _STRIDE[bits]
        after = at + stride
        if after > end:
            raise ValueError(f"a /{bits} prefix runs over the end of the field")
        prefix = field[at:after] + _ZEROS[width - stride]
        host = prefix[stride - 1] & _HOST_BITS[bits]
        if host:
            prefix = prefix[: stride - 1] + bytes((prefix[stride - 1] ^ host,)) + prefix[stride:]
        prefixes.append(prefix)
        at = after
    return cast("list[Prefix]", prefixes)


def join_nlri(prefixes: Iterable[Prefix], width: int, room: int) -> Iterator[bytes]:
    """Yield NLRI fields of at most `room` octets that together hold `prefixes`, in order.

    All prefixes are of `width` octets, and `room` is at least `width`.
    """
    packed = b"".join(prefixes)
    if packed[::width].count((width - 1) * 8) * width == len(packed):
        step = room - room % width
        for at in range(0, len(packed), step):
            yield packed[at : at + step]
        return
    field: list[bytes] = []
    size = 0
    for at in range(0, len(packed), width):
        stride = _STRIDE[packed[at]]
        if size + stride > room:
            yield b"".join(field)
            field, size = [], 0
        field.append(packed[at : at + stride])
        size += stride
    yield b"".join(field)
