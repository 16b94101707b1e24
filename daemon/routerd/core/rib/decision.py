"""The decision process: which paths of a set win, and at which step each other one lost.

The steps and their numbers are those of docs/decision-process.md:

 0 unusable            own AS, policy (never get here), or a next hop that nothing resolves
 1 local preference    higher wins (absent: 100)
 2 local origin        what the router originates wins
 3 AS_PATH length      shorter wins
 4 ORIGIN              lower wins, unless ignore_origin
 5 MED                 lower wins among paths of the same neighbour AS (all, with always_compare_med)
 6 external            eBGP wins over iBGP
 7 IGP metric          of the route to the next hop, lower wins
   multipath           all that are left, up to max_paths, those first that were in it before; with multipath_relax
                       whatever their AS_PATH holds
 8 oldest              9 router id       10 cluster list length       11 peer address

Steps 1 to 7 and 9 to 11 are RFC 4271 section 9.1.2.2 as FRR and BIRD refine it. Step 8 keeps the best path stable
(RFC 5004): the one that was the best so far stays, else the peer that has announced such a path for longest wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import compress
from operator import attrgetter, ne
from typing import NamedTuple

from routerd.config.model import FibSection, LinkBandwidth
from routerd.core.message import Gateway
from routerd.core.rib.link_bandwidth import bandwidth_of, weights
from routerd.core.rib.ways import Resolution
from routerd.core.route import LOCAL, Path, first_as
from routerd.core.wanted import Members, Wanted

GRACEFUL_SHUTDOWN = 0xFFFF0000
"""The community of RFC 8326."""


class Step(IntEnum):
    """Where a path lost. 7 and 8 are divided by the multipath set; 12 and 13 are its own two limits."""

    UNUSABLE = 0
    LOCAL_PREFERENCE = 1
    LOCAL_ORIGIN = 2
    AS_PATH_LENGTH = 3
    ORIGIN = 4
    MED = 5
    EXTERNAL = 6
    IGP_METRIC = 7
    OLDEST = 8
    ROUTER_ID = 9
    CLUSTER_LIST = 10
    PEER_ADDRESS = 11
    AS_PATH_CONTENT = 12
    MAX_PATHS = 13

    @property
    def text(self) -> str:
        """The step as `routerd route` prints it: `3 AS_PATH length`."""
        return f"{self.value} {_TEXTS[self]}"


_TEXTS = {
    Step.UNUSABLE: "unresolvable next hop",
    Step.LOCAL_PREFERENCE: "local preference",
    Step.LOCAL_ORIGIN: "local origin",
    Step.AS_PATH_LENGTH: "AS_PATH length",
    Step.ORIGIN: "ORIGIN",
    Step.MED: "MED",
    Step.EXTERNAL: "eBGP over iBGP",
    Step.IGP_METRIC: "IGP metric of the next hop",
    Step.OLDEST: "oldest",
    Step.ROUTER_ID: "router id",
    Step.CLUSTER_LIST: "cluster list length",
    Step.PEER_ADDRESS: "peer address",
    Step.AS_PATH_CONTENT: "AS_PATH differs (no multipath_relax)",
    Step.MAX_PATHS: "max_paths reached",
}


@dataclass(frozen=True, slots=True)
class Options:
    """What the operator may change of the process."""

    max_paths: int = 64
    multipath_relax: bool = True
    ignore_origin: bool = False
    always_compare_med: bool = False
    link_bandwidth: LinkBandwidth = "all"

    @classmethod
    def of(cls, fib: FibSection) -> Options:
        """Return what a configuration says of it."""
        relax, origin, med = fib.multipath_relax, fib.ignore_origin, fib.always_compare_med
        return cls(fib.max_paths, relax, origin, med, fib.link_bandwidth)


class Decision(NamedTuple):
    """The outcome for a set of paths.

    `multipath` holds the winners, best first. `lost` maps every path but the best to the step it lost at;
    a member of the multipath set lost only the tie for best (step 8 or later). `wanted` are the gateways of
    the multipath set; none when the best path is the router's own. Those are leaving that only paths with the
    community GRACEFUL_SHUTDOWN lead to, unless all do. Such a path loses nothing: flows shall end by themselves, and
    another LOCAL_PREF, as in RFC 8326 section 4, would cut them off.
    """

    best: Path | None
    multipath: tuple[Path, ...]
    lost: dict[Path, Step]
    wanted: Wanted

    @property
    def members(self) -> Members:
        """The gateways that the prefix shall lead to."""
        return self.wanted.members

    def differs(self, other: Decision) -> bool:
        """Tell whether another decision is another outcome, for the FIB or for peers: where paths lost is neither."""
        return (self.best, self.multipath, self.wanted) != (other.best, other.multipath, other.wanted)


Resolve = Callable[[Path], Resolution | None]
Rank = Callable[[Path], int]
Ways = Mapping[Path, Resolution | None]
"""Where the next hop of each path leads; None for what the router itself originates."""


def decide(
    paths: Iterable[Path],
    options: Options,
    resolve: Resolve,
    incumbent: Path | None = None,
    seated: frozenset[str] = frozenset(),
) -> Decision:
    """Run the process over all paths to one prefix. `incumbent` wins a mere tie, whatever its age. The peers `seated`
    were in the multipath set before: where there are more than `max_paths` they come first, for flows go to them."""
    lost: dict[Path, Step] = {}
    ways: dict[Path, Resolution | None] = {}
    merits: set[tuple[int, ...]] = set()
    metrics: set[int] = set()
    for path in paths:
        way = None if path.peer == LOCAL else resolve(path)
        if way is None and path.peer != LOCAL:
            lost[path] = Step.UNUSABLE
        else:
            ways[path] = way
            merits.add(path.merit)
            metrics.add(_metric(way))
    left = [*ways]
    if not left:
        return Decision(None, (), lost, Wanted(()))
    if len(left) == 1:
        return Decision(left[0], tuple(left), lost, Wanted(_in_order(ways)))

    if len(merits) > 1 or len(metrics) > 1:
        left = _best(left, ways, options, lost)
    left.sort(key=_tie)
    if seated:
        left.sort(key=lambda path: path.peer not in seated)
    best = _break_tie(left, incumbent, lost, options.max_paths)
    multipath = [best]
    for path in left:
        if path is best:
            continue
        if not options.multipath_relax and path.attributes.as_path != best.attributes.as_path:
            lost[path] = Step.AS_PATH_CONTENT
        elif len(multipath) >= options.max_paths:
            lost[path] = Step.MAX_PATHS
        else:
            multipath.append(path)
    if len(multipath) < len(ways):
        ways = {path: ways[path] for path in multipath}
    return Decision(best, tuple(multipath), lost, _wanted(ways, options))


def joined(before: Decision, path: Path, options: Options, resolve: Resolve) -> Decision | None:
    """Return what `decide` does of a set that has got one path more, with the best one before as the incumbent if
    another wins the tie; None unless all paths are as good as this one, and all have a place."""
    best, paths, merit = before.best, before.multipath, path.merit
    way = None if path.peer == LOCAL else resolve(path)
    if way is None or len(before.lost) >= max(1, len(paths)) or any(each.merit != merit for each in paths):
        return None
    wanted = Wanted(tuple(sorted({*before.wanted.members, *way.gateways})))
    if best is None:
        return Decision(path, (path,), {}, wanted)
    if len(paths) >= options.max_paths or way.metric != _metric(resolve(best)):
        return None
    if not options.multipath_relax and path.attributes.as_path != best.attributes.as_path:
        return None
    left = sorted((*paths, path), key=_tie)
    lost: dict[Path, Step] = {}
    _break_tie(left, None if left[0] is best else best, lost, len(left))
    multipath = (best, *lost)
    if any(map(_says_more, left)):
        wanted = _wanted({each: resolve(each) for each in multipath}, options)
    return Decision(best, multipath, lost, wanted)


def _metric(way: Resolution | None) -> int:
    return 0 if way is None else way.metric


def _gateways(way: Resolution | None) -> tuple[Gateway, ...]:
    """Return the gateways of a next hop; none of what the router itself originates."""
    return () if way is None else way.gateways


def _wanted(ways: Ways, options: Options) -> Wanted:
    """Return what a prefix shall lead to that these paths share, each with the gateways of its next hop."""
    members = _in_order(ways)
    if not any(map(_says_more, ways)):
        return Wanted(members)
    leaving: frozenset[Gateway] = frozenset()
    if any(map(is_leaving, ways)):
        stay = {gateway for path, way in ways.items() if not is_leaving(path) for gateway in _gateways(way)}
        leaving = frozenset(members) - stay if stay else leaving
    bandwidths: dict[Gateway, float] = {}
    for path, way in ways.items():
        if path.attributes.extended_communities and (bandwidth := bandwidth_of(path.attributes)) is not None:
            gateways = _gateways(way)
            for gateway in gateways:
                bandwidths[gateway] = bandwidths.get(gateway, 0.0) + bandwidth / len(gateways)
    if not bandwidths:
        return Wanted(members, leaving)
    return Wanted(members, leaving, weights([bandwidths.get(member) for member in members], options.link_bandwidth))


def _best(paths: list[Path], ways: Ways, options: Options, lost: dict[Path, Step]) -> list[Path]:
    """Steps 1 to 7 leave the paths that are equally good."""
    left = paths
    for step in (Step.LOCAL_PREFERENCE, Step.LOCAL_ORIGIN, Step.AS_PATH_LENGTH, Step.ORIGIN):
        if step is not Step.ORIGIN or not options.ignore_origin:
            left = _keep(left, step, _merit(step), lost)
    left = _keep_by_med(left, options, lost)
    left = _keep(left, Step.EXTERNAL, _merit(Step.EXTERNAL), lost)
    return _keep(left, Step.IGP_METRIC, lambda path: _metric(ways[path]), lost)


def _merit(step: Step) -> Rank:
    return lambda path: path.merit[step - 1]


def is_leaving(path: Path) -> bool:
    """Tell whether the node says that this path is about to go (RFC 8326)."""
    return GRACEFUL_SHUTDOWN in path.attributes.communities


def _in_order(ways: Ways) -> Members:
    """Return each gateway once, by its address."""
    return tuple(sorted({gateway for way in ways.values() if way is not None for gateway in way.gateways}))


def _keep(paths: list[Path], step: Step, rank: Rank, lost: dict[Path, Step]) -> list[Path]:
    """Keep the paths of the lowest rank; the others lost at `step`."""
    if len(paths) == 1:
        return paths
    lowest = min(map(rank, paths))
    kept = [path for path in paths if rank(path) == lowest]
    if len(kept) != len(paths):
        lost.update((path, step) for path in paths if rank(path) != lowest)
    return kept


def _keep_by_med(paths: list[Path], options: Options, lost: dict[Path, Step]) -> list[Path]:
    """Step 5, among the paths of each neighbour AS."""
    med = _merit(Step.MED)
    if options.always_compare_med:
        return _keep(paths, Step.MED, med, lost)
    lowest: dict[int | None, int] = {}
    for path in paths:
        neighbour = first_as(path.attributes.as_path)
        lowest[neighbour] = min(lowest.get(neighbour, med(path)), med(path))
    kept = [path for path in paths if med(path) == lowest[first_as(path.attributes.as_path)]]
    lost.update((path, Step.MED) for path in paths if med(path) != lowest[first_as(path.attributes.as_path)])
    return kept


_TIES = (_OLDEST, *_) = (Step.OLDEST, Step.ROUTER_ID, Step.CLUSTER_LIST, Step.PEER_ADDRESS)
_tie = attrgetter("tie")
_says_more = attrgetter("says_more")


def _break_tie(paths: list[Path], incumbent: Path | None, lost: dict[Path, Step], places: int) -> Path:
    """Steps 8 to 11 pick the one best path, one of the first so many."""
    some = paths[:places]
    best = incumbent if incumbent in some else min(some, key=_tie)
    since = best.tie[0]
    for path in paths:
        if path is not best:
            older = best is incumbent or path.tie[0] != since
            lost[path] = _OLDEST if older else next(compress(_TIES, map(ne, path.tie, best.tie)), Step.PEER_ADDRESS)
    return best
