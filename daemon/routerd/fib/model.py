"""The nexthop objects and groups that routerd keeps in the kernel, and their stable ids."""

from __future__ import annotations

from collections.abc import Iterable

from routerd.config.model import FibSection
from routerd.message import Gateway, KernelGroup, Member, SetGroup

Members = tuple[Gateway, ...]
"""The gateways of a group, each once, in address order."""


class Group:
    """A nexthop group. `users` counts the prefixes that point at it.

    `members` are the gateways that the RIB wants, `live` those that the kernel's group has: the two differ while
    a gateway is down. With no live member the kernel has no such group, nor routes to it. `awaiting` holds, after
    a restart of routerd, the gateways whose node has not yet said what it announces now. A group that is not
    `adapted` was made with other parameters, which the kernel does not let change: its prefixes move away.
    """

    __slots__ = ("adapted", "awaiting", "id", "live", "members", "users")

    def __init__(self, id: int, members: Members, live: Members, adapted: bool = True) -> None:
        self.id = id
        self.members = members
        self.live = live
        self.users = 0
        self.adapted = adapted
        self.awaiting: set[Gateway] = set()

    def __repr__(self) -> str:
        return f"Group(id={self.id}, members={len(self.members)}, live={len(self.live)}, users={self.users})"


class Shape:
    """How groups are made: resilient with so many buckets and these timers (seconds), or hash-threshold (0)."""

    def __init__(self, options: FibSection, *, resilient: bool = True) -> None:
        self.buckets = options.buckets if resilient and options.groups == "resilient" else 0
        self.idle_timer = options.idle_timer if self.buckets else 0.0
        self.unbalanced_timer = options.unbalanced_timer if self.buckets else 0.0

    def operation(self, id: int, members: Iterable[Member]) -> SetGroup:
        """Return the operation that creates the group, or replaces its members under its id."""
        return SetGroup(id, tuple(members), self.buckets, self.idle_timer, self.unbalanced_timer)

    def fits(self, group: KernelGroup) -> bool:
        """Tell whether a group in the kernel can take on this shape: type and bucket count never change."""
        return group.buckets == self.buckets

    def timers_differ(self, group: KernelGroup) -> bool:
        """Tell whether the kernel reads back other timers than these; it keeps them in 1/100 s."""
        return abs(group.idle_timer - self.idle_timer) + abs(group.unbalanced_timer - self.unbalanced_timer) > 0.02


class Ids:
    """Ids of nexthops and groups: one space, shared with every other program on the router.

    An id is not used again while others are left: what still points at it must not find something else there.
    """

    _END = 1 << 30

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._next = 1

    def reserve(self, ids: Iterable[int]) -> None:
        """Keep off ids that the kernel holds, whoever made them."""
        self._taken.update(ids)
        self._next = max(self._next, max((id for id in self._taken if id < self._END), default=0) + 1)

    def new(self) -> int:
        """Return an id that nobody uses."""
        while self._next in self._taken or self._next >= self._END:
            self._next = 1 if self._next >= self._END else self._next + 1
        self._next += 1
        self._taken.add(self._next - 1)
        return self._next - 1

    def free(self, id: int) -> None:
        """The object is deleted."""
        self._taken.discard(id)
