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
_L4 = "l4"
_SET = "routerd pair --set-seed, on the router that carries less: each of its flows moves once"
_SET_THERE = (
    "write the same hash_seed in [pair] of both, and set net.ipv4.fib_multipath_hash_seed to it on the host: each "
    "flow moves once"
)
SHOWN = 100
"""Groups that are named, unless all are asked for."""


class Totals(NamedTuple):
    """Buckets of all groups together."""

    differing: int = 0
    conflicts: int = 0
    off: int = 0


def hashed_apart(here: Hello, there: Hello | None, unset: str = "") -> Iterator[tuple[str, str]]:
    """Yield why the same packet may fall into another bucket on the partner, as far as anybody knows, and what helps.

    `unset` says why the seed was left as it was; it is empty if that is not so.
    """
    if here.seed == "":
        yield (
            f"Linux {here.kernel} cannot be told the seed of its hash: when traffic moves, flows go to other nodes",
            "use Linux 6.11 or newer on both routers",
        )
    elif here.seed == "random" and not unset:
        yield (
            "the seed of the hash is made of the key, which this router has never had: when traffic moves, flows go "
            "to other nodes",
            "put the same key_file on both; if the seed is not set by that, as there are flows, status says so",
        )
    elif unset:
        yield (
            f"the seed of the hash is not the pair's: {unset}",
            _SET_THERE if "cannot write" in unset else _SET,
        )
    elif there is not None and here.seed != there.seed:
        yield (
            f"the seed of the hash is {here.seed} here and {_seed(there)} on {there.router}: when traffic moves, "
            "flows go to other nodes",
            f"write the same key_file and hash_seed in [pair] of both, then {_SET}",
        )
    if there is not None and here.policy != there.policy:
        yield (
            f"the hash policy is {here.policy} here and {there.policy} on {there.router}: when traffic moves, "
            "flows go to other nodes",
            'write hash_policy = "five-tuple" in [fib] of both; if that is so already, routerd status says on one of '
            "them what keeps the kernel from it",
        )
    elif here.policy == _L4:
        yield (
            "the hash policy is l4: a packet may go by a hash of the network card's, which is another one on the "
            "other router",
            'write hash_policy = "five-tuple" in [fib] of both, at a quiet hour: it moves flows once',
        )
    if there is not None and _series(here.kernel) != _series(there.kernel):
        yield (
            f"the kernel is {here.kernel} here and {there.kernel} on {there.router}: between release series the hash "
            "itself may change",
            "run kernels of one series on both",
        )


def waits_apart(here: Hello, there: Hello) -> Iterator[str]:
    """Yield why flows that are silent for a while may go to another node on the partner, in a sentence."""
    if 0 != here.idle_timer != there.idle_timer != 0:
        yield (
            f"the idle timer is {here.idle_timer:g} s here and {there.idle_timer:g} s on {there.router}: flows that "
            "are silent for longer than the shorter one may go to another node when traffic moves"
        )


def _seed(said: Hello) -> str:
    """Return a seed's fingerprint for people."""
    return {"random": "a random one", "": "unknown"}.get(said.seed, said.seed)


def _series(release: str) -> tuple[str, ...]:
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


def left_out(router: Router, partner: str) -> Slices[list[str]]:
    """Return in a sentence, if there are any, that groups are none of the pair's: no other router can have them."""
    alone = 0
    for group in list(router.fib.groups):
        yield
        alone += bool(group.legs) and not group.comparable
    if not alone:
        return []
    why = "no buckets, or next hops of one address on two interfaces"
    return [f"{alone} group{'s' * (alone > 1)} cannot be compared with {partner}: {why}"]


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
    apart = [] if there is None else [what for what, _ in hashed_apart(here, there)] + [*waits_apart(here, there)]
    apart += yield from left_out(router, partner)
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
