"""AS_PATH on the wire: two- and four-octet AS numbers, AS4_PATH and the merge of the two.

Source: RFC 4271 section 4.3, RFC 6793 (four-octet AS numbers), RFC 5065 (confederations), RFC 7607 (AS 0),
RFC 9774 (no sets).
"""

from __future__ import annotations

from struct import pack, unpack_from

from routerd.core.route import AsPath, SegmentType, as_path_length

AS_TRANS = 23456
"""What stands for a four-octet AS number where only two octets fit (RFC 6793 section 9)."""

_MAX_TWO_OCTET = 0xFFFF
_MAX_SEGMENT = 255
_FORMAT = {2: "H", 4: "I"}
_KINDS = {int(kind): kind for kind in SegmentType}
_CONFEDERATION = (SegmentType.CONFED_SEQUENCE, SegmentType.CONFED_SET)
_SETS = (SegmentType.SET, SegmentType.CONFED_SET)


def parse_as_path(value: bytes, width: int) -> AsPath:
    """Return the path that `value` holds, with AS numbers of `width` octets (2 or 4).

    Raises ValueError as RFC 7606 section 7.2 lists, and for AS 0 (RFC 7607 section 2).
    """
    segments = []
    at, end = 0, len(value)
    while at < end:
        if at + 2 > end:
            raise ValueError("an octet is left over after the last segment")
        kind = _KINDS.get(value[at])
        count = value[at + 1]
        if kind is None:
            raise ValueError(f"segment type {value[at]}")
        if not count:
            raise ValueError("a segment without AS numbers")
        start = at + 2
        at = start + count * width
        if at > end:
            raise ValueError(f"a segment of {count} AS numbers runs over the end")
        asns = unpack_from(f"!{count}{_FORMAT[width]}", value, start)
        if 0 in asns:
            raise ValueError("AS 0")
        segments.append((kind, asns))
    return tuple(segments)


def has_confederation(path: AsPath) -> bool:
    """Tell whether the path holds segments that must not leave a confederation (RFC 5065 section 5)."""
    return any(kind in _CONFEDERATION for kind, _ in path)


def has_set(path: AsPath) -> bool:
    """Tell whether the path holds an AS_SET or an AS_CONFED_SET (RFC 9774)."""
    return any(kind in _SETS for kind, _ in path)


def without_confederation(path: AsPath) -> AsPath:
    """Return the path less its confederation segments."""
    return tuple(segment for segment in path if segment[0] not in _CONFEDERATION)


def merge_as4_path(path: AsPath, as4_path: AsPath) -> AsPath:
    """Return the path that AS_PATH and AS4_PATH of a two-octet peer mean together (RFC 6793 section 4.2.3).

    An AS4_PATH longer than the AS_PATH is ignored: a two-octet speaker has aggregated since.
    """
    surplus = as_path_length(path) - as_path_length(as4_path)
    if surplus < 0:
        return path
    leading: list[tuple[SegmentType, tuple[int, ...]]] = []
    for kind, asns in path:
        if kind in _CONFEDERATION:
            # It has no length: it is kept while it leads or adjoins what is kept.
            leading.append((kind, asns))
            continue
        if surplus == 0:
            break
        taken = asns if kind is SegmentType.SET else asns[:surplus]
        surplus -= 1 if kind is SegmentType.SET else len(taken)
        leading.append((kind, taken))
        if len(taken) < len(asns):
            break
    if leading and as4_path and leading[-1][0] is as4_path[0][0] is SegmentType.SEQUENCE:
        joined = leading[-1][1] + as4_path[0][1]
        if len(joined) <= _MAX_SEGMENT:
            return (*leading[:-1], (SegmentType.SEQUENCE, joined), *as4_path[1:])
    return (*leading, *as4_path)


def needs_as4_path(path: AsPath) -> bool:
    """Tell whether the path holds an AS number that does not fit into two octets."""
    return any(asn > _MAX_TWO_OCTET for _, asns in path for asn in asns)


def two_octet(asn: int) -> int:
    """Return what a two-octet peer is told in place of an AS number."""
    return asn if asn <= _MAX_TWO_OCTET else AS_TRANS


def pack_as_path(path: AsPath, width: int) -> bytes:
    """Return a path on the wire, with AS numbers of `width` octets (2 or 4).

    A segment holds at most 255 AS numbers: prepending can make a longer one, which is split in two.
    """
    parts = []
    for kind, asns in path:
        numbers = asns if width == 4 else tuple(map(two_octet, asns))
        for at in range(0, len(numbers), _MAX_SEGMENT):
            chunk = numbers[at : at + _MAX_SEGMENT]
            parts.append(pack(f"!BB{len(chunk)}{_FORMAT[width]}", kind, len(chunk), *chunk))
    return b"".join(parts)
