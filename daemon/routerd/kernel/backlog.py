"""What waits to be written: operations in order, a little at a time, and failover past all of them.

The kernel takes milliseconds for thousands of routes, and now and then tenths of a second for a single one, when its
trie of routes grows. So nothing urgent may stand behind more than one small portion of routes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from routerd.message import (
    DeleteNexthop,
    DeleteRoutes,
    GroupMade,
    Operation,
    SetGroup,
    SetNexthop,
    SetRoutes,
    WriteFailed,
)
from routerd.route import Prefix

PORTION = 256
"""Routes that are written at a stretch: a third of a millisecond."""
SLOW = 0.005
"""Seconds. A portion that takes longer has met a change of the trie, and more of these are near: the next ones are
small, and grow again."""


class Backlog:
    """Operations that are not written yet; False when empty.

    `write` carries operations out in order and returns the refused ones; `took_over` tells whether a group that was
    made like another one took over flows.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Operation]], list[WriteFailed]],
        took_over: Callable[[int], bool],
        *,
        portion: int = PORTION,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._took_over = took_over
        self._portion = self._size = portion
        self._clock = clock
        self._waiting: deque[Operation] = deque()
        self._written = 0
        """How many prefixes of the first operation have been written."""

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, operations: Iterable[Operation]) -> None:
        """Have these written after all that waits."""
        self._waiting.extend(operations)

    def write(self, seconds: float) -> list[WriteFailed | GroupMade]:
        """Write until `seconds` have passed or nothing waits; return what the core should know of it."""
        now = self._clock()
        end = now + seconds
        failures: list[WriteFailed] = []
        made: list[GroupMade] = []
        while self._waiting:
            operation, started = self._next(), now
            failures += self._write([operation])
            if isinstance(operation, SetGroup) and operation.like:
                made.append(GroupMade(operation.id, self._took_over(operation.id)))
            now = self._clock()
            self._size = min(4 * self._size, self._portion) if now - started < SLOW else 1 + self._size // 16
            if now >= end:
                break
        return [*_together(failures), *made]

    def jump(self, operations: Sequence[Operation]) -> list[WriteFailed]:
        """Delete nexthop objects at once, and forget them in all that waits, as the kernel does in its groups."""
        failures = self._write(operations)
        if self._waiting:
            gone = {operation.id for operation in operations if isinstance(operation, DeleteNexthop)}
            first = self._waiting[0]
            self._waiting = deque(kept for each in self._waiting if (kept := _without(each, gone)) is not None)
            if not self._waiting or self._waiting[0] is not first:
                self._written = 0
        return failures

    def _next(self) -> Operation:
        operation = self._waiting[0]
        if isinstance(operation, SetRoutes | DeleteRoutes):
            start, end = self._written, self._written + self._size
            if end < len(operation.prefixes):
                self._written = end
                return replace(operation, prefixes=operation.prefixes[start:end])
            operation = replace(operation, prefixes=operation.prefixes[start:])
        self._waiting.popleft()
        self._written = 0
        return operation


def _without(operation: Operation, gone: set[int]) -> Operation | None:
    """Return what is left of an operation without these nexthop objects; a group without any left is gone as well."""
    match operation:
        case SetNexthop(id=id) | SetRoutes(id=id) if id in gone:
            return None
        case SetGroup(id=id, members=members):
            kept = tuple(member for member in members if member.id not in gone)
            if not kept:
                gone.add(id)
                return DeleteNexthop(id)
            gone.discard(id)
            return operation if len(kept) == len(members) else replace(operation, members=kept)
    return operation


def _together(failures: Iterable[WriteFailed]) -> list[WriteFailed]:
    """Join refusals of single routes that have the same cause: a full table refuses thousands alike."""
    joined: dict[tuple[int, int, str], list[Prefix]] = {}
    result: list[WriteFailed] = []
    for failed in failures:
        if isinstance(failed.operation, SetRoutes):
            key = (failed.operation.id, failed.errno, failed.text)
            joined.setdefault(key, []).extend(failed.operation.prefixes)
        else:
            result.append(failed)
    for (id, errno, text), prefixes in joined.items():
        result.append(WriteFailed(SetRoutes(id, tuple(prefixes)), errno, text))
    return result
