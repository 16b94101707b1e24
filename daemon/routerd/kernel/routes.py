"""Writes routes. One that is not known to be ours is created, never replaced, and none leads to what is not ours."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator, Sequence
from itertools import repeat

from routerd.core.message import DeleteRoutes, Operation, SetRoutes, WriteFailed
from routerd.core.route import Prefix
from routerd.kernel import batch, lookup, messages, wire
from routerd.kernel.owned import OwnedObjects, OwnedRoutes, not_ours
from routerd.kernel.requests import Refusals, Requests


class RouteWriter:
    """`metric` is that of every route. What `encode` returns may be sent in a thread; nothing else may."""

    def __init__(self, requests: Requests, objects: OwnedObjects, metric: int) -> None:
        self._requests = requests
        self._objects = objects
        self._metric = metric
        self._routes = OwnedRoutes()
        self._lost: set[Prefix] = set()
        """Prefixes whose route was heard to be deleted or overwritten, and perhaps has been written again."""

    def begin_audit(self) -> None:
        """The routes are about to be read, with all written; more is written meanwhile."""
        self._lost.clear()
        self._routes.begin()

    def adopt(self, found: dict[Prefix, int]) -> None:
        """Learn from a dump which routes are ours."""
        self._routes.adopt(found)

    def lost(self, prefixes: Collection[Prefix]) -> None:
        """Somebody was heard to delete or overwrite these routes of ours: what is there now may be theirs."""
        self._lost.update(prefixes)
        self._routes.remove(prefixes)

    def write(self, run: Sequence[Operation]) -> list[WriteFailed]:
        """Carry out operations on routes, of one kind; return the refused ones, an operation per prefix."""
        told: list[WriteFailed] = []
        sent: list[SetRoutes | DeleteRoutes] = []
        for operation in run:
            assert isinstance(operation, SetRoutes | DeleteRoutes)
            if barred := self.barred(operation):
                told += self.written(operation, barred)
            else:
                sent.append(operation)
        return told + self.came(sent, self._requests.exchange(self.encode(sent, self._requests)))

    def came(self, sent: Sequence[SetRoutes | DeleteRoutes], refused: Refusals) -> list[WriteFailed]:
        """Note that what `encode` returned for all these operations was sent; return what was refused."""
        told: list[WriteFailed] = []
        begin = 0
        for operation in sent:
            end = begin + len(operation.prefixes)
            own = {i - begin: refused[i] for i in range(begin, end) if i in refused} if refused else {}
            told += self.written(operation, own)
            begin = end
        return told

    def barred(self, operation: SetRoutes | DeleteRoutes) -> Refusals:
        """Refuse every route to what is not ours: somebody else has the id."""
        if isinstance(operation, DeleteRoutes) or operation.id in self._objects:
            return {}
        return dict.fromkeys(range(len(operation.prefixes)), (errno.ENOENT, not_ours(operation.id)))

    def encode(
        self, operations: Sequence[SetRoutes | DeleteRoutes], requests: Requests
    ) -> Iterator[tuple[int, bytes]]:
        """Yield what sets, or deletes, the routes of all these operations, in bursts for `requests`, each with the
        index of its first prefix."""
        prefixes: list[Prefix] = []
        ids: list[int] = []
        for each in operations:
            prefixes += each.prefixes
            if isinstance(each, SetRoutes):
                ids += repeat(each.id, len(each.prefixes))
        for start, some in requests.bursts(prefixes):
            if ids:
                of_these = ids[start : start + len(some)]
                yield start, batch.set_routes(some, of_these, self._metric, self._routes.among(some))
            elif found := batch.delete_routes(some, self._routes.ids(some), self._metric):
                yield start, found

    def written(self, operation: SetRoutes | DeleteRoutes, refused: Refusals) -> list[WriteFailed]:
        """Note that an operation was sent; return what was refused, an operation per prefix."""
        prefixes = operation.prefixes
        if isinstance(operation, SetRoutes):
            if self._lost:
                refused = self._recover(operation, refused)
            if any(number == errno.EINVAL for number, _ in refused.values()) and not _is_there(operation.id):
                refused = {index: (errno.ENOENT, text) for index, (_, text) in refused.items()}
            self._routes.add(_without(prefixes, refused), operation.id)
            return [
                WriteFailed(SetRoutes(operation.id, (prefixes[index],)), number, self._why(number, text))
                for index, (number, text) in refused.items()
            ]
        # The route is gone, or its group is, and took it along.
        refused = {index: why for index, why in refused.items() if why[0] not in (errno.ESRCH, errno.EINVAL)}
        self._routes.remove(_without(prefixes, refused))
        return [WriteFailed(DeleteRoutes((prefixes[index],)), *why) for index, why in refused.items()]

    def _recover(self, operation: SetRoutes, refused: Refusals) -> Refusals:
        """Write routes that were refused because they are there, if they are ours: written between the deletion and
        the news of it."""
        ours = [
            index
            for index, (number, _) in refused.items()
            if number == errno.EEXIST and (prefix := operation.prefixes[index]) in self._lost and self._has(prefix)
        ]
        self._lost.difference_update(operation.prefixes)
        if not ours:
            return refused
        again = SetRoutes(operation.id, tuple(operation.prefixes[index] for index in ours))
        self._routes.add(again.prefixes, again.id)
        failed = self._requests.exchange(self.encode([again], self._requests))
        left = {index: why for index, why in refused.items() if index not in ours}
        return left | {ours[index]: why for index, why in failed.items()}

    def _has(self, prefix: Prefix) -> bool:
        """Tell whether the kernel's route to a prefix is known to be ours."""
        try:
            found = lookup.route(prefix)
        except OSError:
            return False
        marks = ("bgp", self._metric)
        return found is not None and (found.protocol, found.metric) == marks and found.nexthop in self._objects

    def _why(self, number: int, text: str) -> str:
        if number == errno.EEXIST:
            return f"a foreign route to this prefix with metric {self._metric} exists"
        return text


def _is_there(id: int) -> bool:
    try:
        wire.query(messages.get_nexthop(id))
    except OSError:
        return False
    return True


def _without(prefixes: tuple[Prefix, ...], refused: Refusals) -> Collection[Prefix]:
    if not refused:
        return prefixes
    return [prefix for index, prefix in enumerate(prefixes) if index not in refused]
