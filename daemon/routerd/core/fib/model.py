"""The nexthop objects and groups that routerd keeps in the kernel, and their stable ids."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Set

from routerd.config.model import FibSection
from routerd.core.message import Gateway
from routerd.core.parted import parted
from routerd.core.route import Prefix
from routerd.core.wanted import Members, Wanted

Legs = dict[Gateway, int]
"""What the kernel's group has: gateways that are not down, each with its weight."""


def in_order(gateways: Iterable[Gateway]) -> list[Gateway]:
    """Return gateways by address and interface: what is written must not depend on how a set is stored."""
    return sorted(gateways, key=lambda gateway: (gateway.address, gateway.ifindex))


WIDEST = 65535
"""The largest weight of a member; 256 before Linux 6.12."""
LEAST_BUCKETS, FEWEST_BUCKETS = 64, 16
"""Of a group as long as the budget lasts, and afterwards; but four for every member."""
NEVER = float("-inf")
_NOBODY = frozenset[Gateway]()
LONGEST = 4096
"""Prefixes that are planned together: four milliseconds."""


class Group:
    """A nexthop group, and the prefixes that point at it.

    `wanted` is what the RIB wants, `legs` what the kernel's group has: the two differ while a gateway is down or
    drained. Without legs the kernel has no such group, nor routes to it; `written` tells that it had it once. New
    prefixes may join a `shared` group; any other belongs to the prefix that it was made for. `waiting` holds what
    prefixes of the group want that others of it do not, or not yet. `awaiting` holds, after a restart of routerd, the
    gateways whose node has not yet said what it announces now. A group that is not `adapted` is of the other type,
    which the kernel does not let change: its prefixes move away. `emptied` are drained members that carried no flow
    any more and were taken out. `born` is when the group was made for prefixes that had no route before.
    """

    __slots__ = (
        "adapted", "awaiting", "born", "buckets", "emptied", "id", "legs", "prefixes", "shared", "waiting", "wanted",
        "written",
    )  # fmt: skip

    def __init__(self, id: int, wanted: Wanted, buckets: int, *, shared: bool = False, born: float = NEVER) -> None:
        self.id = id
        self.wanted = wanted
        self.buckets = buckets
        self.shared = shared
        self.born = born
        self.legs: Legs = {}
        self.prefixes: dict[Prefix, None] = {}
        self.waiting: dict[Prefix, Wanted] = {}
        self.awaiting = self.emptied = _NOBODY
        self.adapted = True
        self.written = False

    @property
    def members(self) -> Members:
        """The gateways that the RIB wants."""
        return self.wanted.members

    @property
    def comparable(self) -> bool:
        """Whether another router can have the same buckets: there are some, and addresses tell the legs apart. Those
        of IPv6 links may be the same on several interfaces, whose numbers mean nothing elsewhere."""
        return bool(self.buckets) and len({leg.address for leg in self.legs}) == len(self.legs)

    @property
    def users(self) -> int:
        """How many prefixes point at the group."""
        return len(self.prefixes)

    def by_wanted(self) -> dict[Wanted, list[Prefix]]:
        """Part those that wait by what they want."""
        return parted(self.waiting.items())

    @property
    def untracked(self) -> bool:
        """Whether flows leave no trace in the buckets: the kernel sends IPv4 packets past those of a group with one
        leg (fib_select_path in net/ipv4/fib_semantics.c)."""
        return bool(self.buckets) and len(self.legs) == 1 and all(len(leg.address) == 4 for leg in self.legs)

    def __repr__(self) -> str:
        return f"Group(id={self.id}, members={len(self.members)}, legs={len(self.legs)}, users={self.users})"


def runs(
    pending: dict[Prefix, Wanted], routes: dict[Prefix, Group]
) -> Iterator[tuple[Group | None, Wanted, list[Prefix]]]:
    """Yield what is wanted in runs of prefixes that are in the same group and want the same, `LONGEST` at most."""
    run: list[Prefix] = []
    left: Group | None = None
    joined = Wanted(())
    for prefix, wanted, group in zip(pending, pending.values(), map(routes.get, pending), strict=True):
        if run and (group is not left or (wanted is not joined and wanted != joined) or len(run) == LONGEST):
            yield left, joined, run
            run = []
        left, joined = group, wanted
        run.append(prefix)
    if run:
        yield left, joined, run


class Shape:
    """How groups are made: resilient, with buckets and timers (seconds), or hash-threshold (0 buckets)."""

    def __init__(self, options: FibSection, *, resilient: bool = True, widest: int = WIDEST) -> None:
        self._widest = widest
        self.resilient = resilient and options.groups == "resilient"
        self.idle_timer = options.idle_timer if self.resilient else 0.0
        self.unbalanced_timer = options.unbalanced_timer if self.resilient else 0.0
        self.ids = options.ids[: -len(options.spare_ids)]
        self._buckets = options.buckets
        self._budget = options.bucket_budget

    @property
    def timers(self) -> tuple[float, float]:
        """How long a bucket is idle before it may move, and until it must (0: never), in seconds."""
        return self.idle_timer, self.unbalanced_timer

    def buckets(self, used: int, members: int, *, alike: bool = False) -> int:
        """Return how many buckets a new group gets when `used` are taken by the others.

        As many as wanted while a ninth of the budget is taken, then half as many until a fifth is, a quarter until a
        third is, and so on: each time twice as many groups get half as many buckets. So their memory stays bounded,
        and so does the time for which the kernel does nothing else when nodes or links are lost, which goes by the
        buckets that lead there. But always a few for every member, even when the budget is spent.

        Of groups that are to be `alike` each gets as many as wanted while the budget lasts: on two routers they are
        not made in the same order.
        """
        if not self.resilient:
            return 0
        size = self._buckets
        if alike:
            allowed = size if self.affords(used + size) else 0
        else:
            allowed = size * max(0, self._budget - used) // max(1, 8 * used)
        few = LEAST_BUCKETS if self.affords(used + LEAST_BUCKETS) else FEWEST_BUCKETS
        least = min(self._buckets, max(few, 4 * members))
        while size > allowed and size // 2 >= least:
            size //= 2
        return max(size, members)

    def affords(self, buckets: int) -> bool:
        """Tell whether so many buckets in all are within the budget."""
        return buckets <= self._budget

    def fits(self, buckets: int) -> bool:
        """Tell whether a group in the kernel is of the type that is wanted."""
        return bool(buckets) == self.resilient

    def weigh(self, shares: Mapping[Gateway, int], buckets: int) -> Legs:
        """Return the weights of a group whose legs are to get these shares of the flows.

        One without a share gets so little weight that it wants no bucket at all: it keeps those that carry flows, and
        the kernel gives every idle one to the others. A hash-threshold group has no memory of flows: there such a
        member leaves at once.
        """
        if 0 not in shares.values():
            return dict(shares)
        if not buckets:
            return {member: share for member, share in shares.items() if share}
        light = [*shares.values()].count(0)
        times = max(1, min(self._widest // max(shares.values()), 2 * buckets * light))
        return {member: share * times or 1 for member, share in shares.items()}

    @staticmethod
    def clings(legs: Legs, shares: Mapping[Gateway, int], buckets: int) -> bool:
        """Tell whether legs without a share keep buckets because weights cannot say that they want none: with those
        of 8 bits, before Linux 6.12, they want one bucket in 257, and as many of a very large group."""
        few = sum(weight for leg, weight in legs.items() if not shares[leg])
        return few > 0 and 2 * buckets * few >= sum(legs.values())


def shares_of(wanted: Wanted, legs: Collection[Gateway], drained: Set[Gateway]) -> dict[Gateway, int]:
    """Return what part of the flows each leg of a group is to get: none if it is `drained` or light, as long as
    others are left that get some."""
    if wanted.is_even and not drained:
        return dict.fromkeys(legs, 1)
    shares, light = wanted.shares, drained | wanted.light
    found = {leg: 0 if leg in light else shares.get(leg, 1) for leg in legs}
    return found if any(found.values()) else {leg: shares.get(leg) or 1 for leg in legs}
