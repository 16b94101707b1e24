"""The Loc-RIB: every prefix with the interned set of its paths.

Thousands of prefixes share one set, so the decision process, the ECMP set and the step "set S, and peer X now
announces path P" are computed once a set and remembered with it. A prefix costs one dict entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import repeat

from routerd.core.rib.decision import Decision
from routerd.core.route import Path, Prefix

_REMEMBERED = 1024


class PathSet:
    """A set of paths, at most one a peer. Interned: equal sets are one object. `users` counts its prefixes."""

    __slots__ = ("_decision", "_epoch", "paths", "successors", "users")

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self.paths = paths
        self.users = 0
        self.successors: dict[Path | str, PathSet] = {}
        self._decision: Decision | None = None
        self._epoch = -1

    def __repr__(self) -> str:
        return f"PathSet({[path.peer for path in self.paths]}, users={self.users})"


Change = tuple[PathSet, PathSet, list[Prefix]]
"""Prefixes that went from one path set to another, together."""


class LocRib:
    """All prefixes and their paths. `decide` runs the decision process over the paths of a set."""

    def __init__(self, decide: Callable[[tuple[Path, ...]], Decision]) -> None:
        self._decide = decide
        self._epoch = 0
        self.empty = PathSet(())
        self.table: dict[Prefix, PathSet] = {}
        self._sets: dict[frozenset[Path], PathSet] = {}

    def decision(self, paths: PathSet) -> Decision:
        """Return the decision for a set; computed once until `invalidate`."""
        if paths._epoch != self._epoch or paths._decision is None:
            paths._decision = self._decide(paths.paths)
            paths._epoch = self._epoch
        return paths._decision

    def invalidate(self) -> Iterator[PathSet]:
        """Forget all decisions (next hops resolve otherwise now) and yield the sets that decide differently."""
        before = [(paths, paths._decision) for paths in self._sets.values() if paths._decision is not None]
        self._epoch += 1
        for paths, old in before:
            new = self.decision(paths)
            if old is None or (new.best, new.multipath, new.members, new.leaving) != (
                old.best,
                old.multipath,
                old.members,
                old.leaving,
            ):
                yield paths

    def sets(self) -> Iterable[PathSet]:
        """Every set that some prefix uses."""
        return self._sets.values()

    def paths_of(self, prefix: Prefix) -> PathSet:
        """Return the path set of a prefix; the empty set if it has none."""
        return self.table.get(prefix, self.empty)

    def announce(self, path: Path, prefixes: Iterable[Prefix]) -> list[Change]:
        """Give prefixes this path in place of whatever its peer announced before."""
        return self._change(path, path.peer, path, prefixes)

    def withdraw(self, peer: str, prefixes: Iterable[Prefix]) -> list[Change]:
        """Take the peer's path away from prefixes; those without one are left alone."""
        return self._change(peer, peer, None, prefixes)

    def _change(self, key: Path | str, peer: str, path: Path | None, prefixes: Iterable[Prefix]) -> list[Change]:
        table, changes = self.table, list[Change]()
        for old, moved in self._by_set(prefixes).items():
            new = old.successors.get(key)
            if new is None or not new.users:  # a set out of use is no longer the interned one
                new = self._successor(old, peer, path)
                if len(old.successors) >= _REMEMBERED:
                    old.successors.clear()
                old.successors[key] = new
            if new is old:
                continue
            if new is self.empty:
                for prefix in moved:
                    del table[prefix]
            else:
                table.update(zip(moved, repeat(new)))
                new.users += len(moved)
            changes.append((old, new, moved))
        for old, _, moved in changes:
            self._release(old, len(moved))
        return changes

    def _by_set(self, prefixes: Iterable[Prefix]) -> dict[PathSet, list[Prefix]]:
        """Part prefixes by the path set that they have now. Those of an UPDATE nearly always have the same."""
        each_once = dict.fromkeys(prefixes)
        found = set(map(self.table.get, each_once))
        if len(found) == 1:
            return {found.pop() or self.empty: list(each_once)}
        parted: dict[PathSet, list[Prefix]] = {}
        for prefix in each_once:
            parted.setdefault(self.table.get(prefix, self.empty), []).append(prefix)
        return parted

    def _successor(self, old: PathSet, peer: str, path: Path | None) -> PathSet:
        kept = tuple(p for p in old.paths if p.peer != peer)
        paths = kept if path is None else (*kept, path)
        if not paths:
            return self.empty
        if len(kept) == len(old.paths) and path is None:
            return old
        return self._sets.setdefault(frozenset(paths), PathSet(paths))

    def _release(self, paths: PathSet, users: int) -> None:
        """Keep the intern table to the sets in use, so that churn leaves nothing behind."""
        if paths is self.empty:
            return
        paths.users -= users
        if not paths.users:
            del self._sets[frozenset(paths.paths)]
            paths.successors.clear()
