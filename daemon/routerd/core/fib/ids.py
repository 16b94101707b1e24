"""The ids of nexthop objects and groups."""

from __future__ import annotations

from collections.abc import Iterable


class Ids:
    """Ids of nexthops and groups out of `own`, routerd's part of the one space that all programs on a router share.

    An id is not used again while others are left: what still points at it must not find something else there.
    """

    def __init__(self, own: range) -> None:
        self.own = own
        self._taken: set[int] = set()
        self._next = own.start

    def reserve(self, ids: Iterable[int]) -> None:
        """Keep off ids that the kernel holds, whoever made them."""
        found = [id for id in ids if id in self.own]
        self._taken.update(found)
        self._next = max(self._next, max(found, default=0) + 1)

    def new(self) -> int:
        """Return an id that nobody uses. OverflowError if there is none, which takes a million groups."""
        if len(self._taken) == len(self.own):
            raise OverflowError(f"all nexthop ids from {self.own[0]} to {self.own[-1]} are in use")
        while self._next in self._taken or self._next not in self.own:
            self._next = self._next + 1 if self._next in self.own else self.own.start
        self._next += 1
        self._taken.add(self._next - 1)
        return self._next - 1

    def free(self, id: int) -> None:
        """The object is deleted."""
        self._taken.discard(id)

    def take(self, id: int) -> bool:
        """Take an id again that was free for a while; False if somebody has it."""
        if id in self._taken:
            return False
        self._taken.add(id)
        return True
