"""What would break flows if the partner of a pair took over now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from routerd.api.models import ProblemView
from routerd.api.slices import Slices
from routerd.api.views.pair import APART, L4, Totals, seed, series, totals, waits_apart
from routerd.core.message import Hello
from routerd.core.pair.accord import DIFFERS, NOT_TOLD, ONLY_HERE, ONLY_THERE, OTHER_NODES, OTHER_SIZE
from routerd.core.pair.pair import Pair
from routerd.core.router import Router

WHILE = 10.0
"""Seconds for which one router may have a group that the other has not: nodes reach them one after the other."""
_SET = "routerd pair --set-seed, on the router that carries less: each of its flows moves once"
_MEET = (
    "see whether routerd runs on {partner}, and [pair] of each names the other one, with the same key and channel; "
    "over a link also its address and the port, which firewalls have to let through, over a broker the same site of "
    "[mqtt]. It is tried again"
)
_NODES = "see whether the nodes have sessions with both routers, which accept the same; routerd pair names the groups"
_ONE = {"s": "s", "be": "is", "have": "has", "were": "was"}
_MORE = {"s": "", "be": "are", "have": "have", "were": "were"}
_GROUPS = {
    DIFFERS: (
        "lead{s} some buckets elsewhere on {partner}",
        "it is mended as buckets fall idle; routerd pair shows which groups these are",
    ),
    OTHER_NODES: (
        "lead{s} to other nodes than on {partner}",
        "see whether the nodes have sessions with both routers, of the same accept and max_paths: routerd pair names "
        "the groups, routerd route PREFIX on both the nodes",
    ),
    ONLY_HERE: (
        "{be} not on {partner}: nothing leads to their VIPs there",
        _NODES,
    ),
    ONLY_THERE: (
        "{be} on {partner} alone: nothing leads to their VIPs here",
        _NODES,
    ),
    OTHER_SIZE: (
        "{have} another number of buckets on {partner}",
        "write the same buckets and bucket_budget in [fib] of both; a group keeps what it has until its VIP was "
        "withdrawn",
    ),
    NOT_TOLD: (
        "{were} not compared with {partner} yet",
        "wait a moment; if it stays so, see the log of both",
    ),
}
"""By state: what is wrong with so many groups, and what helps."""


def problems(
    router: Router, pair: Pair, partner: str, states: Mapping[str, float], now: float, *, unset: bool
) -> Slices[list[ProblemView]]:
    """Return them. `states` are those that groups have, and since when some has each; `unset` tells that the seed was
    left as it was, as there were flows."""
    found = [*_channel(pair, partner, now), *_hash(pair.hello, pair.partner, unset=unset)]
    if router.drains.joining:
        found.append(
            _problem(
                f"this router came up empty: until both agree it tells peers to prefer {partner} (GRACEFUL_SHUTDOWN)",
                "wait a moment: that ends by itself, after a minute at most",
            )
        )
    sums = Totals()
    if pair.up and APART & pair.summary().keys():
        sums = yield from totals(pair)
    found += _groups(pair, partner, states, sums, now)
    alone = 0
    for group in list(router.fib.groups):
        yield
        alone += bool(group.legs) and not group.comparable
    if alone:
        found.append(
            _problem(
                f"{alone} group{'s' * (alone > 1)} cannot be compared with {partner}: no buckets, or next hops of "
                "one address on two interfaces",
                "have the nodes announce global addresses as next hops; routerd groups shows which groups these are",
            )
        )
    return found


def _channel(pair: Pair, partner: str, now: float) -> Iterator[ProblemView]:
    lasted = f"{max(0.0, now - pair.since):.0f} s"
    if pair.up:
        if not pair.complete:
            yield _problem(f"{partner} has not told all of its groups yet, for {lasted}", "wait a moment")
    elif pair.partner is None:
        yield _problem(
            f"{partner} was never heard since this router started, {lasted} ago: {pair.reason or 'nobody answers'}",
            _MEET.format(partner=partner),
        )
    else:
        yield _problem(
            f"{partner} is not heard, for {lasted}: {pair.reason}; groups are as they were agreed last, and flows "
            "of buckets that have moved since then break when traffic moves",
            _MEET.format(partner=partner),
        )


def _hash(here: Hello, there: Hello | None, *, unset: bool) -> Iterator[ProblemView]:
    """Yield why the same packet falls into different buckets: whatever leads where then, flows break."""
    if here.seed == "":
        yield _problem(
            f"Linux {here.kernel} cannot be told the seed of its hash: when traffic moves, flows go to other nodes",
            "use Linux 6.11 or newer on both routers",
        )
    elif here.seed == "random" and not unset:
        yield _problem(
            "the seed of the hash is made of the key, which this router has never had: when traffic moves, flows go "
            "to other nodes",
            "put the same key_file on both; if the seed is not set by that, as there are flows, status says so",
        )
    elif unset:
        yield _problem(
            "the seed of the hash is not the pair's: there were flows when it was to be set, and each moves once",
            _SET,
        )
    elif there is not None and here.seed != there.seed:
        yield _problem(
            f"the seed of the hash is {seed(here)} here and {seed(there)} on {there.router}: when traffic moves, "
            "flows go to other nodes",
            f"write the same key_file and hash_seed in [pair] of both, then {_SET}",
        )
    if here.policy == L4:
        yield _problem(
            "the hash policy is l4: a packet may go by a hash of the network card's, which is another one on the "
            "other router",
            'write hash_policy = "five-tuple" in [fib] of both, at a quiet hour: it moves flows once',
        )
    if there is None:
        return
    if here.policy != there.policy:
        yield _problem(
            f"the hash policy is {here.policy} here and {there.policy} on {there.router}: when traffic moves, "
            "flows go to other nodes",
            'write hash_policy = "five-tuple" in [fib] of both',
        )
    if series(here.kernel) != series(there.kernel):
        yield _problem(
            f"the kernel is {here.kernel} here and {there.kernel} on {there.router}: between release series the hash "
            "itself may change",
            "run kernels of one series on both",
        )
    for what in waits_apart(here, there):
        yield _problem(what, "write the same idle_timer in [fib] of both")


def _groups(pair: Pair, partner: str, states: Mapping[str, float], sums: Totals, now: float) -> Iterator[ProblemView]:
    if not pair.up:
        return  # what was heard last is no news
    for state, count in pair.summary().items():
        lasted = max(0.0, now - states.get(state, now))
        if state not in _GROUPS or not count or (state in (ONLY_HERE, ONLY_THERE) and lasted < WHILE):
            continue
        if state == NOT_TOLD and not pair.complete:
            continue  # that is said already
        words = _ONE if count == 1 else _MORE
        what, remedy = (text.format(partner=partner, **words) for text in _GROUPS[state])
        buckets = f", {sums.differing} buckets in all" if {state} == APART & pair.summary().keys() else ""
        yield _problem(f"{count} group{'s' * (count > 1)} {what}{buckets}, for {lasted:.0f} s", remedy)
    if sums.conflicts:
        yield _problem(
            f"{sums.conflicts} buckets carry flows on both routers, to other nodes: some break when traffic moves",
            "nothing moves a flow: each bucket is agreed on once it is idle on one of the two",
        )


def _problem(what: str, remedy: str) -> ProblemView:
    return ProblemView(where="pair", what=what, remedy=remedy)
