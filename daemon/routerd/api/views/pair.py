"""The pair: whether the partner hears this router, and which groups lead elsewhere there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from routerd.api.models.pair import PairGroupView, PairRouterView, PairView
from routerd.api.models.status import PairStateView
from routerd.api.slices import Slices
from routerd.core.message import Hello
from routerd.core.pair.accord import (
    DIFFERS,
    EQUAL,
    NOT_TOLD,
    ONLY_HERE,
    ONLY_THERE,
    OTHER_NODES,
    OTHER_SIZE,
    Agreement,
)
from routerd.core.pair.pair import Pair
from routerd.core.route import format_prefix
from routerd.core.router import Router

STATES = (EQUAL, DIFFERS, OTHER_NODES, ONLY_HERE, ONLY_THERE, OTHER_SIZE, NOT_TOLD)
"""Of groups."""
APART = {DIFFERS, OTHER_NODES}
"""Those of groups with buckets that lead elsewhere at the partner."""
L4 = "l4"
SHOWN = 100
"""Groups that are named, unless all are asked for."""


class Totals(NamedTuple):
    """Buckets of all groups together."""

    differing: int = 0
    conflicts: int = 0
    off: int = 0


def hashed_apart(here: Hello, there: Hello) -> Iterator[str]:
    """Yield why the same packet may fall into another bucket on the partner, a sentence each."""
    if here.policy != there.policy:
        yield f"the hash policy is {here.policy} here and {there.policy} on {there.router}"
    elif here.policy == L4:
        yield "with the hash policy l4 a packet may go by a hash of the network card's, which is another one there"
    if here.seed != there.seed or here.seed in ("", "random"):
        yield f"the seed of the hash is {seed(here)} here and {seed(there)} on {there.router}"
    if series(here.kernel) != series(there.kernel):
        yield (
            f"the kernel is {here.kernel} here and {there.kernel} on {there.router}: "
            "between release series the hash itself may change"
        )


def waits_apart(here: Hello, there: Hello) -> Iterator[str]:
    """Yield why flows that are silent for a while may go to another node on the partner, in a sentence."""
    if 0 != here.idle_timer != there.idle_timer != 0:
        yield (
            f"the idle timer is {here.idle_timer:g} s here and {there.idle_timer:g} s on {there.router}: flows that "
            "are silent for longer than the shorter one may go to another node when traffic moves"
        )


def seed(said: Hello) -> str:
    """Return a seed's fingerprint for people."""
    return {"random": "a random one", "": "unknown"}.get(said.seed, said.seed)


def series(release: str) -> tuple[str, ...]:
    """Return the series of a kernel's release: (`6`, `12`) of `6.12.43-amd64`."""
    return tuple(release.partition("-")[0].split(".")[:2])


def state(pair: Pair, partner: str, now: float) -> PairStateView:
    """Return the pair in short."""
    return PairStateView(
        partner=partner,
        up=pair.up,
        since_seconds=max(0.0, now - pair.since),
        reason="" if pair.up else pair.reason,
        leads=pair.leads,
        agrees=pair.agrees,
        groups=by_state(pair),
    )


def by_state(pair: Pair) -> dict[str, int]:
    """Return how many groups there are by state; those of no state that has none."""
    found = pair.summary()
    return {state: found[state] for state in dict.fromkeys((*STATES, *found)) if found[state]}


def totals(pair: Pair) -> Slices[Totals]:
    """Add up the buckets of all groups."""
    found = Totals()
    for each in pair.agreements():
        yield
        found = _with(found, each)
    return found


def _with(found: Totals, each: Agreement) -> Totals:
    return Totals(found.differing + each.differing, found.conflicts + each.conflicts, found.off + each.off)


def pair(
    router: Router, pair: Pair, partner: str, now: float, *, agreed: float | None, whole: bool
) -> Slices[PairView]:
    """Return all of a pair; `whole`: with the groups that are equal. `agreed` is when all last were."""
    found, shown, total = Totals(), list[PairGroupView](), 0
    for each in pair.agreements():
        yield
        found = _with(found, each)
        if whole or each.state != EQUAL:
            total += 1
            if whole or len(shown) < SHOWN:
                shown.append(_group(router, each))
    there, here, fine = pair.partner, pair.hello, pair.agrees
    apart = [] if there is None else [*hashed_apart(here, there), *waits_apart(here, there)]
    return PairView(
        ok=fine and not apart,
        partner=partner,
        up=pair.up,
        since_seconds=max(0.0, now - pair.since),
        reason="" if pair.up else pair.reason,
        complete=pair.complete,
        leads=here.router if pair.leads else partner,
        here=_router(here),
        there=None if there is None else _router(there),
        differences=apart,
        agreed_seconds=0.0 if fine else None if agreed is None else now - agreed,
        groups=by_state(pair),
        differing=found.differing,
        conflicts=found.conflicts,
        off=found.off,
        total=total,
        first=shown,
    )


def _router(said: Hello) -> PairRouterView:
    return PairRouterView(
        router=said.router,
        version=said.version,
        kernel=said.kernel,
        hash_policy=said.policy,
        hash_seed=said.seed,
        age_seconds=said.age,
    )


def _group(router: Router, found: Agreement) -> PairGroupView:
    group = router.fib.groups.by_id.get(found.id)
    first = None if group is None else next(iter(group.prefixes), None)
    return PairGroupView(
        key=found.key,
        state=found.state,
        nexthop_id=None if group is None else group.id,
        prefix="" if first is None else format_prefix(first),
        prefixes=0 if group is None else group.users,
        buckets=found.buckets,
        differing=found.differing,
        conflicts=found.conflicts,
        off=found.off,
    )
