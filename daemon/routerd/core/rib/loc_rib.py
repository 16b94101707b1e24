"""The Loc-RIB: every prefix with the interned set of its paths.

Thousands of prefixes share one set, so the decision process, the ECMP set and the step "set S, and peer X now
announces path P" are computed once a set and remembered. A prefix costs one dict entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from routerd.core.memo import Memo
from routerd.core.rib.decision import Decision, Step
from routerd.core.route import Address, Path, Prefix

_NOBODY: frozenset[str] = frozenset()
_STEPS_LIMIT = 8 << 20
"""Octets of remembered steps from one path set to another."""

Identity = tuple[frozenset[Path], Path | None, frozenset[str]]
"""By what path sets are interned: the paths, the incumbent, and the peers that are seated."""
Hop = tuple[Address, Address | None]
"""A next hop and the link-local address beside it, as `Attributes` have them."""

Cause = Path | tuple[str, ...]
"""What changes a path set: a path that is announced, or the peers that withdraw theirs."""


class PathSet:
    """A set of paths, at most one a peer. Interned: equal sets are one object. `users` counts its prefixes.

    `incumbent` is the path that was the best one before the set came to be, where another would win the mere tie;
    `seated` are the peers that were in the multipath set then, where not all of them would have a place again.
    """

    __slots__ = ("_decision", "_epoch", "identity", "incumbent", "paths", "seated", "users")

    def __init__(self, paths: tuple[Path, ...], identity: Identity) -> None:
        self.paths = paths
        self.identity = identity
        _, self.incumbent, self.seated = identity
        self.users = 0
        self._decision: Decision | None = None
        self._epoch = -1

    def __repr__(self) -> str:
        return f"PathSet({[path.peer for path in self.paths]}, users={self.users})"


Change = tuple[PathSet, PathSet, list[Prefix]]
"""Prefixes that went from one path set to another, together; or that kept theirs, which decides otherwise now."""


class LocRib:
    """All prefixes and their paths. `decide` runs the decision process over a set, `join` where it can do so from the
    decision before one more path came (`decision.joined`).

    `users` counts the prefixes of each path in use, and `hops` those of each peer by next hop; `hops_changed` is
    called with a peer that has one more or one less. `stale` are the sets to be decided anew, the oldest first, and
    `untold` those that decide otherwise since, until whoever has gone through their prefixes takes them out; each
    with the epoch of its decision: how often all was `invalidate`d before.
    """

    def __init__(
        self,
        decide: Callable[[PathSet], Decision],
        join: Callable[[Decision, Path], Decision | None] = lambda before, path: None,
        hops_changed: Callable[[str], None] = lambda peer: None,
    ) -> None:
        self._decide = decide
        self._join = join
        self._hops_changed = hops_changed
        self._epoch = 0
        self.empty = PathSet((), (frozenset(), None, _NOBODY))
        self.table: dict[Prefix, PathSet] = {}
        self.users: dict[Path, int] = {}
        self.hops: dict[str, dict[Hop, int]] = {}
        self.stale: dict[PathSet, None] = {}
        self.untold: dict[PathSet, int] = {}
        self._sets: dict[Identity, PathSet] = {}
        self._steps: Memo[tuple[PathSet, Cause], tuple[PathSet, tuple[Path, ...]]] = Memo(_STEPS_LIMIT)

    def decision(self, paths: PathSet) -> Decision:
        """Return the decision for a set; computed once until `invalidate`."""
        if paths._decision is not None and paths._epoch == self._epoch:
            return paths._decision
        return self._keep(paths, self._decide(paths))

    def _keep(self, paths: PathSet, decision: Decision) -> Decision:
        """Take note of the decision for a set."""
        before, paths._decision, paths._epoch = paths._decision, decision, self._epoch
        self.stale.pop(paths, None)
        if before is not None and before.differs(decision):
            self.untold[paths] = self._epoch
        return decision

    def decided(self, paths: PathSet) -> Decision | None:
        """Return the decision for a set if it is not to be decided anew."""
        return paths._decision if paths._epoch == self._epoch else None

    def invalidate(self) -> None:
        """All sets are stale: next hops resolve otherwise now, or the options are others. What was stale before stays
        ahead."""
        self._epoch += 1
        self._steps.clear()
        self.stale.update(dict.fromkeys(self._sets.values()))

    def forget_told(self) -> None:
        """What is decided is untold of every set."""
        self.untold.update(dict.fromkeys(self._sets.values(), self._epoch))

    def sets(self) -> Iterable[PathSet]:
        """Every set that some prefix uses."""
        return self._sets.values()

    def paths_of(self, prefix: Prefix) -> PathSet:
        """Return the path set of a prefix; the empty set if it has none."""
        return self.table.get(prefix, self.empty)

    def announce(self, path: Path, prefixes: Iterable[Prefix], *, claims: bool = False) -> list[Change]:
        """Give prefixes this path in place of whatever its peer announced before. Where there are more paths than
        places it gets a free one, unless it `claims` one by its age."""
        return self._change(path, (path.peer,), path, prefixes, claims=claims)

    def withdraw(self, peer: str, prefixes: Iterable[Prefix]) -> list[Change]:
        """Take the peer's path away from prefixes; those without one are left alone."""
        return self.withdraw_all((peer,), prefixes)

    def withdraw_all(self, peers: tuple[str, ...], prefixes: Iterable[Prefix]) -> list[Change]:
        """Take the paths of several peers away from prefixes, in one step."""
        return self._change(peers, peers, None, prefixes)

    def _change(
        self,
        key: Cause,
        peers: tuple[str, ...],
        path: Path | None,
        prefixes: Iterable[Prefix],
        *,
        claims: bool = False,
    ) -> list[Change]:
        table = self.table
        changes: list[Change] = []
        lost: dict[Path, int] = {}
        gained = 0
        for old, moved in self._by_set(prefixes).items():
            new, replaced = self._steps.get((old, key), (None, ()))
            if new is None or not (new.users or new is self.empty):  # a set out of use is no longer the interned one
                new, replaced = self.step(old, peers, path, claims=claims)
                if old is self.empty or len(moved) < old.users:  # else this was the last one that could step from it
                    cost = 8 * len(peers) if path is None else path.weight
                    self._steps.remember((old, key), (new, replaced), cost + 32 * len(new.paths))
            if new is old:
                continue
            if new is self.empty:
                for prefix in moved:
                    del table[prefix]
            else:
                if not new.users:
                    self._sets[new.identity] = new
                for prefix in moved:
                    table[prefix] = new
                new.users += len(moved)
            gained += len(moved)
            for each in replaced:
                lost[each] = lost.get(each, 0) + len(moved)
            changes.append((old, new, moved))
        if path is not None and gained:
            self._use(path, gained)
        for each, count in lost.items():
            self._use(each, -count)
        for old, _, moved in changes:
            self._release(old, len(moved))
        return changes

    def _use(self, path: Path, prefixes: int) -> None:
        """Count the prefixes of a path, and of its peer and next hop."""
        if count := self.users.get(path, 0) + prefixes:
            self.users[path] = count
        else:
            del self.users[path]
        hops, hop = self.hops.setdefault(path.peer, {}), (path.attributes.next_hop, path.attributes.link_local)
        before = hops.get(hop, 0)
        hops[hop] = before + prefixes
        if before and hops[hop]:
            return
        if not hops[hop]:
            del hops[hop]
            if not hops:
                del self.hops[path.peer]
        self._hops_changed(path.peer)

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

    def step(
        self, old: PathSet, peers: tuple[str, ...], path: Path | None, *, claims: bool
    ) -> tuple[PathSet, tuple[Path, ...]]:
        """Return the set that follows when a peer announces a path (None: peers withdraw theirs), and the paths that
        it takes away."""
        leaving = peers if len(peers) == 1 else frozenset(peers)
        replaced = tuple([p for p in old.paths if p.peer in leaving])
        kept = tuple([p for p in old.paths if p.peer not in leaving]) if replaced else old.paths
        if replaced == (() if path is None else (path,)):
            return old, ()
        paths = kept if path is None else (*kept, path)
        if not paths:
            return self.empty, replaced
        members, before = frozenset(paths), self.decision(old)
        if path is not None and not replaced and (after := self._join(before, path)) is not None:
            ties = [each.tie for each in after.multipath[:2]]
            keeps = ties[-1] < ties[0]
            new = self._interned(paths, (members, before.best if keeps else None, _NOBODY))
            if self.decided(new) is None:
                self._keep(new, after)
            return new, ()
        new = self._interned(paths, (members, None, _NOBODY))
        after = self.decision(new)
        seated = _NOBODY if claims else _unseated(before, after)
        keeps = before.best is not None and after.lost.get(before.best, Step.UNUSABLE) >= Step.OLDEST
        if keeps or seated:
            new = self._interned(paths, (members, before.best if keeps else None, seated))
        return new, replaced

    def _interned(self, paths: tuple[Path, ...], identity: Identity) -> PathSet:
        return self._sets.get(identity) or PathSet(paths, identity)

    def _release(self, paths: PathSet, users: int) -> None:
        """Keep the intern table to the sets in use, so that churn leaves nothing behind."""
        if paths is self.empty:
            return
        paths.users -= users
        if not paths.users:
            del self._sets[paths.identity]
            self.stale.pop(paths, None)


def _is_crowded(decision: Decision) -> bool:
    """Tell whether there are more paths as good as the best one than places."""
    return len(decision.multipath) <= len(decision.lost) and Step.MAX_PATHS in decision.lost.values()


def _unseated(before: Decision, after: Decision) -> frozenset[str]:
    """Return the peers of the multipath set before that are there, if one of them has no place in it any more only
    because there are too few."""
    if not _is_crowded(after):
        return _NOBODY
    without = {path.peer for path, step in after.lost.items() if step is Step.MAX_PATHS}
    seated = frozenset(path.peer for path in before.multipath)
    if seated.isdisjoint(without):
        return _NOBODY
    return seated.intersection(path.peer for path in (*after.multipath, *after.lost))
