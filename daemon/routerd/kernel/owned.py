"""Which routes the writer may replace and delete: prefixes whose route is known to be routerd's."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from routerd.core.route import Prefix


class OwnedRoutes:
    """The routes that are known to be ours, and the nexthop id of each.

    A dump takes its time: what was written since it was `begun` is newer than what it says of that.
    """

    def __init__(self) -> None:
        self._ids: dict[Prefix, int] = {}
        self._since: set[Prefix] | None = None
        """The prefixes that were written since the dump was begun that is being read; None if none is."""

    def __contains__(self, prefix: object) -> bool:
        return prefix in self._ids

    def among(self, candidates: Iterable[Prefix]) -> set[Prefix]:
        """Return those that are ours."""
        return self._ids.keys() & candidates if self._ids else set()

    def ids(self, prefixes: Iterable[Prefix]) -> list[int | None]:
        """Return the nexthop id of each route, None where it is not ours."""
        return list(map(self._ids.get, prefixes))

    def begin(self) -> None:
        """A dump of the kernel begins; nothing is being written at the moment."""
        self._since = set()

    def adopt(self, found: dict[Prefix, int]) -> None:
        """Learn from a dump, which was begun or took no time, what is ours: this, and nothing else."""
        since = self._since or set()
        ids = {prefix: self._ids[prefix] for prefix in since if prefix in self._ids}
        ids.update(found if not since else {prefix: id for prefix, id in found.items() if prefix not in since})
        self._ids, self._since = ids, None

    def add(self, prefixes: Collection[Prefix], id: int) -> None:
        """These routes were written."""
        self._ids.update(dict.fromkeys(prefixes, id))
        if self._since is not None:
            self._since.update(prefixes)

    def remove(self, prefixes: Collection[Prefix]) -> None:
        """These routes were deleted."""
        for prefix in prefixes:
            self._ids.pop(prefix, None)
        if self._since is not None:
            self._since.update(prefixes)
