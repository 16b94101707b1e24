"""What waits to be written: operations in order, a little at a time, and failover past all of them.

Routes by the thousand, and new groups by the dozen, go to a thread (see `kernel.bulk`), and other operations wait
until they are written. A few of them, and all else, are written here and now: to hand them over costs more. Failover
waits for no routes, for between any two messages of one program the kernel takes those of another; but what a group
is to lead to must not be gone before the kernel has the group.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Protocol

from routerd.core.message import (
    Arrange,
    DeleteNexthop,
    DeleteRoutes,
    GroupLost,
    GroupMade,
    Operation,
    SetGroup,
    SetNexthop,
    SetRoutes,
    WriteFailed,
)
from routerd.core.route import Prefix

PORTION = 256
"""Routes that are written at a stretch: half a millisecond."""
OBJECT, READ, ARRANGED = 8, 64, 256
"""Routes for which an object or a group counts that is written, a group whose buckets are read or built first, and
one whose buckets are handed over."""
MANY = 4096
"""Routes that the thread writes at a stretch: ten milliseconds."""
FEW_GROUPS, MANY_GROUPS = 32, 256
"""New groups from which on the thread writes them, and those that it writes at a stretch, for five milliseconds."""


Routes = SetRoutes | DeleteRoutes


class Background(Protocol):
    """Writes routes and new groups while others work; `kernel.bulk.Bulk`."""

    @property
    def done(self) -> bool:
        """Whether `finish` would return at once."""

    def takes(self, operation: Operation) -> bool:
        """Tell whether this can be begun before what was begun is written."""

    def makes(self, group: SetGroup) -> bool:
        """Tell whether to write a group is no more than to make it."""

    def start(self, operations: Sequence[Operation]) -> None:
        """Begin to write routes, or groups that it `makes` and the routes that lead to them."""

    def finish(self) -> list[WriteFailed]:
        """Wait until what was begun first is written, and return what was refused."""


class Backlog:
    """Operations that are not written yet; `length` is the number of routes among them, any other counts one.

    `write` carries operations out in order and returns the refused ones; `took_over` tells whether a group that was
    made like another one took over flows, and `unfinished` which group has buckets to be handed over yet, 0 for none:
    that goes on when all that waits is written. Without `bulk` everything is written here and now.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Operation]], list[WriteFailed | GroupLost]],
        took_over: Callable[[int], bool],
        bulk: Background | None = None,
        unfinished: Callable[[], int] = lambda: 0,
        *,
        portion: int = PORTION,
        many: int = MANY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._took_over = took_over
        self._bulk = bulk
        self._unfinished = unfinished
        self._portion = portion
        self._many = many
        self._clock = clock
        self._waiting: deque[Operation] = deque()
        self.length = 0
        self._begun = 0
        """How many prefixes of the first operation are no longer waiting."""
        self._handed: deque[list[Operation]] = deque()
        """What is being written in the background."""

    @property
    def held_up(self) -> bool:
        """Whether `write` would do nothing before what is being written in the background is written."""
        return self._bulk is not None and bool(self._handed) and not self._bulk.done and self._next() is None

    def add(self, operations: Iterable[Operation]) -> None:
        """Have these written after all that waits."""
        for operation in operations:
            self._waiting.append(operation)
            self.length += _length(operation)

    def write(self, seconds: float) -> list[WriteFailed | GroupLost | GroupMade]:
        """Write until `seconds` have passed or nothing can be written now; return what the core should know of it."""
        end = self._clock() + seconds
        failures: list[WriteFailed | GroupLost] = []
        made: list[GroupMade] = []
        while self._bulk is not None and self._handed and self._bulk.done:
            failures += self._finish(self._bulk)
        while (first := self._next()) is not None:
            if self._bulk is not None and (some := self._in_background(first, self._bulk)):
                self._bulk.start(some)
                self._handed.append(some)
                self._remove(some)
            else:
                some = self._together(first)
                failures += self._write(some)
                for operation in some:
                    if isinstance(operation, SetGroup) and operation.like and not operation.known:
                        made.append(GroupMade(operation.id, self._took_over(operation.id)))
                    self.length -= _length(operation)
                    self._remove([operation])
                    if isinstance(operation, Arrange) and self._unfinished() == operation.id:
                        self._again(operation)
            if self._clock() >= end:
                break
        return [*_together(failures), *made]

    def jump(self, operations: Sequence[Operation]) -> list[WriteFailed | GroupLost]:
        """Delete nexthop objects at once, and forget them in all that waits, as the kernel does in its groups."""
        failures: list[WriteFailed | GroupLost] = []
        while self._bulk is not None and any(isinstance(each, SetGroup) for job in self._handed for each in job):
            failures += self._finish(self._bulk)
        failures += self._write(operations)
        if self._waiting:
            gone = {operation.id for operation in operations if isinstance(operation, DeleteNexthop)}
            first = self._waiting[0]
            self._waiting = deque(kept for each in self._waiting if (kept := _without(each, gone)) is not None)
            if not self._waiting or self._waiting[0] is not first:
                self._begun = 0
            self.length = sum(map(_length, chain(*self._handed, self._waiting))) - self._begun
        return _together(failures)

    def end(self) -> None:
        """From now on nothing is gone on with: buckets may be handed over another time."""
        self._unfinished = lambda: 0

    def _again(self, operation: Arrange) -> None:
        """Have it carried out once more, after all that waits, unless there is a later one for its group."""
        if not any(isinstance(each, Arrange) and each.id == operation.id for each in self._waiting):
            self.add([operation])

    def _next(self) -> Operation | None:
        """Return a piece of the first operation, or all of it; None if nothing can be written now."""
        if not self._waiting:
            return None
        operation = self._waiting[0]
        if isinstance(operation, Routes):
            size = self._portion if self._bulk is None else self._many
            if len(operation.prefixes) > size:
                operation = replace(operation, prefixes=operation.prefixes[self._begun : self._begun + size])
        if self._bulk is not None and self._handed and not self._bulk.takes(operation):
            return None
        return operation

    def _in_background(self, first: Operation, bulk: Background) -> list[Operation]:
        """Return what the thread is to write next; nothing of what is too little for it, or not for it."""
        if isinstance(first, Routes):
            return [first] if self._handed or len(first.prefixes) > self._portion else []
        some: list[Operation] = []
        made: set[int] = set()
        prefixes: set[Prefix] = set()
        for operation in self._waiting:
            match operation:
                case SetGroup(id=id) if len(made) < MANY_GROUPS and id not in made and bulk.makes(operation):
                    made.add(id)
                case SetRoutes(id=id, prefixes=those) if id in made and len(those) <= self._portion:
                    if not (prefixes.isdisjoint(those) and bulk.takes(operation)):
                        break
                    prefixes.update(those)
                case _:
                    break
            some.append(operation)
        return some if self._handed or len(made) >= FEW_GROUPS else []

    def _finish(self, bulk: Background) -> list[WriteFailed]:
        """Wait until what was handed over first is written."""
        self.length -= sum(map(_length, self._handed.popleft()))
        return bulk.finish()

    def _together(self, first: Operation) -> list[Operation]:
        """Return what is written along with an operation: a portion, by what the kernel takes for it."""
        some, room = [first], self._portion
        for operation in islice(self._waiting, 1, None):
            room -= _cost(some[-1])
            # Behind nexthop objects there may be groups for the thread.
            if room < _cost(operation) or (isinstance(first, SetNexthop) and not isinstance(operation, SetNexthop)):
                break
            some.append(operation)
        return some

    def _remove(self, some: Sequence[Operation]) -> None:
        """Take the first operations out of what waits, of the very first perhaps a piece."""
        if some[0] is not self._waiting[0]:
            self._begun += _length(some[0])
            if self._begun < _length(self._waiting[0]):
                return
        self._begun = 0
        for _ in some:
            self._waiting.popleft()


def _length(operation: Operation) -> int:
    return len(operation.prefixes) if isinstance(operation, Routes) else 1


def _cost(operation: Operation) -> int:
    """Return for how many routes an operation counts."""
    if isinstance(operation, Routes):
        return len(operation.prefixes)
    if isinstance(operation, Arrange):
        return ARRANGED
    return READ if isinstance(operation, SetGroup) and (operation.like or operation.hold) else OBJECT


def _without(operation: Operation, gone: set[int]) -> Operation | None:
    """Return what is left of an operation without these nexthop objects; a group without any left is gone as well,
    and what was to lead to it is to lead nowhere."""
    match operation:
        case SetNexthop(id=id) | Arrange(id=id) if id in gone:
            return None
        case SetRoutes(id=id, prefixes=prefixes) if id in gone:
            return DeleteRoutes(prefixes)  # the kernel may have them lead to another group yet
        case SetGroup(id=id, members=members):
            kept = tuple(member for member in members if member.id not in gone)
            if not kept:
                gone.add(id)
                return DeleteNexthop(id, returns=True)
            gone.discard(id)
            return operation if len(kept) == len(members) else replace(operation, members=kept)
    return operation


def _together(failures: Iterable[WriteFailed | GroupLost]) -> list[WriteFailed | GroupLost]:
    """Join refusals of single routes that have the same cause: a full table refuses thousands alike."""
    joined: dict[tuple[int | None, int, str], list[Prefix]] = {}
    result: list[WriteFailed | GroupLost] = []
    for failed in failures:
        match failed:
            case WriteFailed(operation=SetRoutes(id, prefixes)):
                joined.setdefault((id, failed.errno, failed.text), []).extend(prefixes)
            case WriteFailed(operation=DeleteRoutes(prefixes)):
                joined.setdefault((None, failed.errno, failed.text), []).extend(prefixes)
            case _:
                result.append(failed)
    for (group, errno, text), some in joined.items():
        every = tuple(some)
        operation = DeleteRoutes(every) if group is None else SetRoutes(group, every)
        result.append(WriteFailed(operation, errno, text))
    return result
