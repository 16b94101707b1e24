"""What another configuration would do to routes and flows: the core's dry run, and the kernel's word on flows."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from routerd.api.models import ForecastView, MovedBucketsView, UnseenView
from routerd.api.slices import in_slices
from routerd.api.views.forecast import forecast
from routerd.config.model import Config
from routerd.core.fib.forecast import Part, foresee
from routerd.core.fib.model import Legs
from routerd.core.layout import made
from routerd.core.message import Gateway, Member
from routerd.core.rib.export_forecast import ExportForecast
from routerd.core.rib.forecast import Forecast
from routerd.core.router import Router
from routerd.kernel import lookup

PATIENCE = 2.0
"""Seconds, at most, of reading buckets: a group takes two milliseconds."""

Used = Callable[[Sequence[float], int, float], set[int]]


class Look(NamedTuple):
    """A group to be looked into: what becomes of its prefixes, and the legs that those have that stay."""

    group: int
    parts: tuple[Part, ...]
    legs: Legs


class Foreseer:
    """Foresees changes; none waits for another one. `used` tells which of a group's buckets carry flows
    (`Buckets.used`)."""

    def __init__(self, router: Router, used: Used) -> None:
        self.router = router
        self._used = used

    async def foresee(self, before: Config, after: Config) -> ForecastView:
        """Return what a change does, slice by slice; nothing is changed by that."""
        fib = self.router.fib
        found = Forecast(self.router.rib, after)
        await in_slices(found.run())
        told = ExportForecast(self.router.rib, after, found)
        await in_slices(told.run())
        parts = await in_slices(foresee(fib, self.router.shape(after), found.wants))
        looks = self._looks(parts, all_groups=_rehashes(before, after) or _moves_by_time(before, after))
        nexthops = dict(fib.groups.nexthops)
        buckets = await asyncio.to_thread(self._count, looks, nexthops, before, after)
        buckets["unseen"] = _unseen(parts)
        return forecast(found, told.said, parts, buckets, len(fib.routes))

    def _looks(self, parts: Sequence[Part], *, all_groups: bool) -> list[Look]:
        of: dict[int, list[Part]] = {}
        for part in parts:
            of.setdefault(part.group, []).append(part)
        return [
            Look(group.id, (*some,), dict(some[0].after if len(some) == 1 and not some[0].afresh else group.legs))
            for group in self.router.fib.groups
            if (some := of.get(group.id, [])) or (all_groups and len(group.legs) > 1)
            if group.buckets and (all_groups or any(part.gone for part in some))
        ]

    def _count(
        self, looks: Sequence[Look], nexthops: dict[Gateway, int], before: Config, after: Config
    ) -> MovedBucketsView:
        """Count the buckets that carry flows, and those of them that will lead elsewhere. Blocking."""
        until = time.monotonic() + PATIENCE
        view = MovedBucketsView(moving=0, busy=0, groups=0, unread=0, unseen=[])
        for look in looks:
            if time.monotonic() > until:
                view["unread"] += 1
                continue
            with contextlib.suppress(OSError):  # it has gone meanwhile
                owners, idle = lookup.reading(look.group)
                busy = Counter(owners[index] for index in self._used(idle, look.group, before.fib.idle_timer))
                still = Counter(owners[index] for index in self._used(idle, look.group, after.fib.idle_timer))
                gone = _gone(look, nexthops, busy)
                if _rehashes(before, after) and len(look.legs) > 1:
                    gone = busy
                moving = gone.total()
                for owner, wanted in _wanted(look.legs, nexthops, len(owners)).items():
                    if owner not in gone:
                        have = owners.count(owner)
                        room = max(0, have - wanted - (have - busy[owner]))  # once those are gone that are idle
                        freed = busy[owner] if _forced(after) else busy[owner] - still[owner]
                        moving += min(room, max(0, freed))
                view["groups"] += 1
                view["busy"] += busy.total()
                view["moving"] += moving
        return view


def _rehashes(before: Config, after: Config) -> bool:
    """Tell whether flows fall into other buckets than before."""
    return before.fib.hash_policy != after.fib.hash_policy and after.fib.manage_sysctls


def _moves_by_time(before: Config, after: Config) -> bool:
    """Tell whether buckets may be moved that may not be moved now."""
    forced = _forced(after)
    return after.fib.idle_timer < before.fib.idle_timer or (bool(forced) and forced != before.fib.unbalanced_timer)


def _forced(config: Config) -> float:
    """Return after how many seconds a bucket may move although a flow is in it; 0 for never, as in a pair."""
    return 0.0 if config.pair.partner else config.fib.unbalanced_timer


def _gone(look: Look, nexthops: dict[Gateway, int], busy: Counter[int]) -> Counter[int]:
    """Count the buckets with flows of nodes that prefixes of the group lose, by node."""
    lost: set[int] = set()
    for part in look.parts:
        if part.afresh or not part.after:
            return busy
        lost.update(nexthops[each] for each in part.before if each not in part.after and each in nexthops)
    return Counter({owner: count for owner, count in busy.items() if owner in lost})


def _wanted(legs: Legs, nexthops: dict[Gateway, int], buckets: int) -> dict[int, int]:
    """Return how many buckets the kernel wants for each member that there is now."""
    ordered = sorted(legs.items(), key=lambda leg: leg[1])
    members = [Member(nexthops.get(each, -number), weight) for number, (each, weight) in enumerate(ordered)]
    wanted = dict(made(buckets, members))
    return {member.id: wanted.get(member.id, 0) for member in members if member.id > 0}


def _unseen(parts: Sequence[Part]) -> list[UnseenView]:
    groups = {part.group: part.unseen for part in parts if part.unseen is not None}
    return [UnseenView(why=why.value, groups=count) for why, count in Counter(groups.values()).items()]
