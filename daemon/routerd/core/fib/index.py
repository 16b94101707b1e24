"""Which groups there are, and how they are found: by id, by gateway, by what prefixes want."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from routerd.core.fib.model import Group
from routerd.core.message import Gateway
from routerd.core.wanted import Wanted

MOST = 10_000
"""Groups at most that a prefix has for itself. What comes later shares groups by what it wants."""


class Index:
    """The groups, kept findable as they change; `buckets` are those of all together."""

    def __init__(self) -> None:
        self.by_id: dict[int, Group] = {}
        self.buckets = 0
        self._by_gateway: dict[Gateway, dict[Group, None]] = {}
        self._by_wanted: dict[Wanted, dict[Group, None]] = {}
        self._unwanted: dict[Gateway, None] = {}

    def __iter__(self) -> Iterator[Group]:
        return iter(self.by_id.values())

    def having(self, gateway: Gateway) -> Collection[Group]:
        """Return the groups that have or want this gateway as a member, down or not."""
        return self._by_gateway.get(gateway, {}).keys()

    def find(self, wanted: Wanted) -> Group | None:
        """Return a group that prefixes which want this may share."""
        groups = self._by_wanted.get(wanted)
        return max(groups, key=lambda group: group.users) if groups else None

    @property
    def is_full(self) -> bool:
        """Whether no more prefixes can have a group each."""
        return len(self.by_id) >= MOST

    def add(self, group: Group) -> None:
        """Enter a group."""
        self.by_id[group.id] = group
        self.buckets += group.buckets
        for gateway in group.members:
            self._by_gateway.setdefault(gateway, {})[group] = None
        if group.shared:
            self.share(group)

    def remove(self, group: Group) -> None:
        """Undo `add`."""
        del self.by_id[group.id]
        self.buckets -= group.buckets
        self.unshare(group)
        for gateway in dict.fromkeys((*group.members, *group.legs)):
            self.without(gateway, group)

    def change(self, group: Group, wanted: Wanted, *, shared: bool) -> None:
        """A group shall have other members."""
        before = group.members
        self.unshare(group)
        group.wanted, group.shared = wanted, shared
        if shared:
            self.share(group)
        for gateway in wanted.members:
            self._by_gateway.setdefault(gateway, {})[group] = None
        for gateway in before:
            if gateway not in group.legs:
                self.without(gateway, group)

    def share(self, group: Group) -> None:
        """Let prefixes find a group by what they want."""
        self._by_wanted.setdefault(group.wanted, {})[group] = None

    def unshare(self, group: Group) -> None:
        """Let no more prefixes find a group."""
        groups = self._by_wanted.get(group.wanted, {})
        groups.pop(group, None)
        if not groups:
            self._by_wanted.pop(group.wanted, None)

    def without(self, gateway: Gateway, group: Group) -> None:
        """A group has no such leg; unless it wants that gateway all the same it is none of the gateway's groups."""
        if group.id in self.by_id and gateway in group.members:
            return
        groups = self._by_gateway.get(gateway, {})
        groups.pop(group, None)
        if not groups:
            self._by_gateway.pop(gateway, None)
            self._unwanted[gateway] = None

    @property
    def has_unwanted(self) -> bool:
        """Whether `unwanted` may return some."""
        return bool(self._unwanted)

    def unwanted(self) -> list[Gateway]:
        """Return the gateways that have lost their last group, and have no other by now; each once."""
        lost, self._unwanted = self._unwanted, {}
        return [gateway for gateway in lost if gateway not in self._by_gateway]
