"""What would break flows if the partner of a pair took over now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from routerd.api.models import ProblemView
from routerd.api.slices import Slices
from routerd.api.views.pair import APART, Totals, hashed_apart, left_out, totals, waits_apart
from routerd.core.pair.accord import DIFFERS, NOT_TOLD, ONLY_HERE, ONLY_THERE, OTHER_NODES, OTHER_SIZE
from routerd.core.pair.pair import Pair
from routerd.core.router import Router

WHILE = 10.0
"""Seconds for which one router may have a group that the other has not: nodes reach them one after the other."""
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


class Host(NamedTuple):
    """What this router's host has to say: why the seed of the hash was left `unset`, and why the router is `keyless`,
    as its key cannot be read now, or `uncertified`, as its certificate is of no use now. Each is empty if that is not
    so."""

    unset: str = ""
    keyless: str = ""
    uncertified: str = ""


def problems(
    router: Router, pair: Pair, partner: str, states: Mapping[str, float], now: float, *, host: Host
) -> Slices[list[ProblemView]]:
    """Return them. `states` are those that groups have, and since when some has each."""
    found = [*_channel(pair, partner, now, host)]
    found += [_problem(*each) for each in hashed_apart(pair.hello, pair.partner, host.unset)]
    if pair.partner is not None:
        remedy = "write the same idle_timer in [fib] of both"
        found += [_problem(what, remedy) for what in waits_apart(pair.hello, pair.partner)]
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
    remedy = "have the nodes announce global addresses as next hops; routerd groups shows which groups these are"
    found += [_problem(what, remedy) for what in (yield from left_out(router, partner))]
    return found


def _channel(pair: Pair, partner: str, now: float, host: Host) -> Iterator[ProblemView]:
    lasted = f"{max(0.0, now - pair.since):.0f} s"
    if pair.up:
        if host.keyless:  # else that is why there is no channel
            yield _problem(
                f"key_file {host.keyless}",
                f"put the key there that {partner} has: the channel goes on with the one that was read before, and "
                "once it is lost there is none",
            )
        if host.uncertified:
            yield _problem(
                host.uncertified,
                "the channel goes on, and once it is lost there is none: renew it; routerd reads the files by itself",
            )
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
        alone = {state} == APART & pair.summary().keys() and sums.differing
        buckets = f", {sums.differing} buckets in all" if alone else ""
        yield _problem(f"{count} group{'s' * (count > 1)} {what}{buckets}, for {lasted:.0f} s", remedy)
    if sums.conflicts:
        yield _problem(
            f"{sums.conflicts} buckets carry flows on both routers, to other nodes: some break when traffic moves",
            "nothing moves a flow: each bucket is agreed on once it is idle on one of the two",
        )


def _problem(what: str, remedy: str) -> ProblemView:
    return ProblemView(where="pair", what=what, remedy=remedy)
