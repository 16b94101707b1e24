"""Which operations the kernel can be told of in one go.

A send with thirty messages costs the kernel little more than one with a single message, and the interpreter less.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from routerd.core.message import Arrange, DeleteNexthop, DeleteRoutes, Operation, SetGroup, SetNexthop, SetRoutes

Run = list[Operation]
"""Operations of one type, which differ in their ids or prefixes."""


def runs(operations: Iterable[Operation]) -> Iterator[Run]:
    """Yield operations in runs, in an order that leads where theirs does: nexthop objects come before groups, groups
    before routes, and what is deleted last. What is more than a message each has a run of its own, in its place: a
    group that is made like another one, buckets that are handed over, and routes that are deleted."""
    kinds: dict[type[Operation], Run] = {SetNexthop: [], SetGroup: [], SetRoutes: [], DeleteNexthop: []}
    named = set[object]()
    for operation in operations:
        names: tuple[object, ...]  # what no other operation of a run may name; nothing for one that has its own
        match operation:
            case SetRoutes(prefixes=prefixes):
                names = prefixes
            case DeleteRoutes() | Arrange():
                names = ()
            case SetGroup(id=id, like=like) if like not in (0, id):
                names = ()
            case _:
                names = (operation.id,)
        if not names or not named.isdisjoint(names):
            yield from filter(None, kinds.values())
            kinds, named = {each: [] for each in kinds}, set()
        if names:
            kinds[type(operation)].append(operation)
            named.update(names)
        else:
            yield [operation]
    yield from filter(None, kinds.values())
