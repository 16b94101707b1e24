"""Which routes are asked for: the filters in a query, read and checked. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from routerd.core.route import Attributes, Prefix, as_numbers, parse_prefix

STATES = ("in-fib", "out", "stale", "refused", "local", "rejected")
"""What a route may be: in the kernel; in no group that has members; kept for a peer that is away; refused by the
kernel; the router's own; announced and rejected, whatever others announce."""
_WELL_KNOWN = {
    "graceful-shutdown": 0xFFFF0000,
    "blackhole": 0xFFFF029A,
    "no-export": 0xFFFFFF01,
    "no-advertise": 0xFFFFFF02,
    "no-export-subconfed": 0xFFFFFF03,
}
"""IANA, BGP Well-known Communities."""

Community = tuple[int, ...]
"""A community as one number, or a large one as three (RFC 8092)."""


class AsPattern(NamedTuple):
    """AS numbers in a row, anywhere in a path, or where it begins or ends."""

    asns: tuple[int, ...]
    begins: bool
    ends: bool

    def matches(self, path: Sequence[int]) -> bool:
        """Tell whether a path has them; a set counts as its numbers in a row."""
        size, wanted = len(self.asns), list(self.asns)
        last = len(path) - size
        if last < 0 or (self.begins and self.ends and last):
            return False
        places = (0,) if self.begins else (last,) if self.ends else range(last + 1)
        return any(list(path[place : place + size]) == wanted for place in places)


class Choice(NamedTuple):
    """The filters; what is None or empty does not filter. All must be met, those of a path by one path."""

    longer: Prefix | None = None
    shorter: Prefix | None = None
    state: str = ""
    community: Community | None = None
    as_path: AsPattern | None = None

    def takes(self, attributes: Attributes) -> bool:
        """Tell whether a path with these attributes is meant."""
        if self.as_path is not None and not self.as_path.matches(tuple(as_numbers(attributes.as_path))):
            return False
        if self.community is None:
            return True
        if len(self.community) == 3:
            return self.community in attributes.large_communities
        return self.community[0] in attributes.communities


ALL = Choice()
"""No filter."""


def choice(query: Mapping[str, str]) -> Choice:
    """Read the filters of a query; ValueError says what is wrong with one."""
    state = query.get("state", "")
    if state and state not in STATES:
        raise ValueError(f"state is {', '.join(STATES[:-1])} or {STATES[-1]}, not {state[:40]!r}")
    return Choice(
        _prefix("longer", query.get("longer")),
        _prefix("shorter", query.get("shorter")),
        state,
        _community(query["community"]) if "community" in query else None,
        _as_path(query["as_path"]) if "as_path" in query else None,
    )


def _prefix(name: str, text: str | None) -> Prefix | None:
    if text is None:
        return None
    try:
        return parse_prefix(text)
    except ValueError as error:
        raise ValueError(f"{name} is a prefix such as 172.16.0.0/12, without host bits, not {text[:50]!r}") from error


def _community(text: str) -> Community:
    parts = text.split(":")
    numbers = [int(part) for part in parts if part.isascii() and part.isdecimal() and len(part) < 11]
    most = {2: 0xFFFF, 3: 0xFFFFFFFF}.get(len(parts), -1)
    if text in _WELL_KNOWN:
        return (_WELL_KNOWN[text],)
    if len(numbers) != len(parts) or max(numbers, default=0) > most:
        known = ", ".join(_WELL_KNOWN)
        raise ValueError(f"community is A:B, A:B:C for a large one, or {known}, not {text[:50]!r}")
    return (numbers[0] << 16 | numbers[1],) if len(numbers) == 2 else tuple(numbers)


def _as_path(text: str) -> AsPattern:
    inner = text.strip()
    begins, ends = inner.startswith("^"), inner.endswith("$")
    words = inner.removeprefix("^").removesuffix("$").replace("_", " ").split()
    asns = [int(word) for word in words if word.isascii() and word.isdecimal() and len(word) < 11]
    if len(asns) != len(words) or max(asns, default=0) > 0xFFFFFFFF or not (words or (begins and ends)):
        raise ValueError(
            f"as_path is AS numbers in a row, such as 65001 or ^65001 65002$ (^ where it begins, $ where it ends), "
            f"not {text[:50]!r}"
        )
    return AsPattern(tuple(asns), begins, ends)
