"""What the kernel has otherwise than wanted: the FIB and a dump side by side, for people. Nothing is changed.

What is being written, or has just been changed by somebody and is about to be mended, differs for a moment; whoever
wants to know what stays compares twice, and keeps what is in `both`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple, TypeVar

from routerd.core.fib.adopt import legs_of, own_groups, own_nexthops
from routerd.core.fib.fib import Fib
from routerd.core.fib.model import Legs
from routerd.core.message import Gateway, KernelDump
from routerd.core.route import Prefix

_AT_ONCE = 512
"""Groups, or sixteen times as many routes, that are looked at between two interruptions."""

K = TypeVar("K")
V = TypeVar("V")


class Group(NamedTuple):
    """A group: what it leads to, with weights unless they are not settled, and how many buckets it has."""

    legs: Legs
    buckets: int


class Expected(NamedTuple):
    """What the kernel should have: routes and refused ones, nexthop objects by gateway, groups by id. The weights of
    `unsettled` groups are those of their layout."""

    routes: dict[Prefix, int]
    refused: dict[Prefix, tuple[int, str]]
    nexthops: dict[Gateway, int]
    groups: dict[int, Group]
    unsettled: frozenset[int]
    ids: range


class Differences(NamedTuple):
    """What differs, each with what is wanted and what is there; None, or the id 0, for nothing."""

    nexthops: dict[int, tuple[Gateway | None, Gateway | None]]
    groups: dict[int, tuple[Group | None, Group | None]]
    routes: dict[Prefix, tuple[int, int]]

    @property
    def total(self) -> int:
        """How many."""
        return len(self.nexthops) + len(self.groups) + len(self.routes)


def expected(fib: Fib) -> Generator[None, None, Expected]:
    """Return what should be there; yields wherever it may be interrupted."""
    groups: dict[int, Group] = {}
    unsettled: set[int] = set()
    for number, group in enumerate(list(fib.groups)):
        if not number % _AT_ONCE:
            yield
        if group.legs:
            groups[group.id] = Group(dict(group.legs), group.buckets)
        if group in fib.groups.settling:
            unsettled.add(group.id)
    yield
    routes = fib.expected()
    return Expected(
        routes, dict(fib.refused), dict(fib.groups.nexthops), groups, frozenset(unsettled), fib.groups.ids.own
    )


def compare(wanted: Expected, found: KernelDump) -> Differences:
    """Return where a dump differs from what is wanted."""
    there, surplus = own_nexthops(found.nexthops, wanted.ids)
    by_id = {id_: gateway for gateway, id_ in there.items()}
    should = {id_: gateway for gateway, id_ in wanted.nexthops.items()}
    nexthops: dict[int, tuple[Gateway | None, Gateway | None]] = {
        id_: (should.get(id_), by_id.get(id_))
        for id_ in should.keys() | by_id.keys()
        if should.get(id_) != by_id.get(id_)
    }
    nexthops |= dict.fromkeys(surplus, (None, None))
    kernel = {id_: Group(legs_of(g, by_id), g.buckets) for id_, g in own_groups(found.groups, wanted.ids).items()}
    groups: dict[int, tuple[Group | None, Group | None]] = {}
    for id_ in wanted.groups.keys() | kernel.keys():
        want, has = wanted.groups.get(id_), kernel.get(id_)
        if not _same(want, has, settled=id_ not in wanted.unsettled):
            groups[id_] = want, has
    return Differences(nexthops, groups, _routes(wanted, found.routes))


def _same(want: Group | None, has: Group | None, *, settled: bool) -> bool:
    if want is None or has is None or want.buckets != has.buckets:
        return False
    return want.legs == has.legs if settled else want.legs.keys() == has.legs.keys()


def _routes(wanted: Expected, found: dict[Prefix, int]) -> dict[Prefix, tuple[int, int]]:
    expects = wanted.routes
    routes = {prefix: (id_, found.get(prefix, 0)) for prefix, id_ in expects.items() if found.get(prefix) != id_}
    routes |= {prefix: (0, id_) for prefix, id_ in found.items() if prefix not in expects}
    routes |= {prefix: (expects.get(prefix, 0), found.get(prefix, 0)) for prefix in wanted.refused}
    return routes


def both(first: Differences, second: Differences) -> Differences:
    """Return what differs in the same way in two looks."""
    return Differences(
        _common(first.nexthops, second.nexthops),
        _common(first.groups, second.groups),
        _common(first.routes, second.routes),
    )


def _common(first: dict[K, V], second: dict[K, V]) -> dict[K, V]:
    return {key: value for key, value in first.items() if second.get(key) == value}
