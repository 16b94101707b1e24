"""For how long routerd does one thing at a stretch, which all else waits for: questions of operators, peers that ask
for all, and what changes around the router."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from benchmarks.contenders import Contender, Settings
from benchmarks.contenders.contender import BenchError
from benchmarks.figures import Figure, Target
from benchmarks.net import METRIC, SINK_AS, node
from benchmarks.stage import Stage, Values, stage
from benchmarks.subsets import placed
from benchmarks.works.subsets import MASS_PATIENCE
from benchmarks.works.work import Scale, Work
from routerd.lab.waiting import until

_TIMES = 5
_AUDIT = 5.0
"""Seconds between audits."""
_STRAY = "20.255.255.1"
"""A route with the marks of routerd's, which the next audit deletes."""
_ADDRESSES = (("10.97.0.1", 24), ("fd00:97::1", 64))


def _around(kind: type[Contender], scale: Scale) -> Values:
    """Ask; give the router addresses; have it audit its table beside many routes of others."""
    nodes, foreign = scale.of(1_000), scale.of(100_000)
    with stage(kind, Settings(audit=_AUDIT)) as on:
        on.ready(nodes)
        on.place(placed(nodes, scale.of(3_000), 3), MASS_PATIENCE)
        on.quiet(MASS_PATIENCE)
        asked, readdressed = (_longest(on, work) for work in (_ask, _readdress))
        on.site.router.ip(*_others(foreign))
        on.quiet()
        audited = _longest(on, _audit)
        return {"stretch-asked": [asked], "stretch-address": [readdressed], "stretch-audit": [audited]}


def _refresh(kind: type[Contender], scale: Scale) -> Values:
    """A peer asks for all that it was told."""
    routes = scale.of(100_000)
    with stage(kind, Settings(advertise=True)) as on:
        on.ready(1)
        on.load(routes)
        heard = on.connect(1, "--expect", str(2 * routes), module="sink", first=1, asn=SINK_AS)
        heard.heard("up")
        on.quiet()

        def ask(_: Stage) -> None:
            heard.do("refresh 0")
            heard.heard("received")

        return {"stretch-refresh": [_longest(on, ask)]}


def _longest(on: Stage, work: Callable[[Stage], object]) -> float:
    """Do something, and return a bound of all stretches meanwhile and until the daemon is quiet, in seconds."""
    before = on.contender.stretches()
    work(on)
    on.quiet()
    after = on.contender.stretches()
    if before is None or after is None:
        raise BenchError(f"{on.contender.name} does not say for how long it is busy")
    return after.since(before)


def _ask(on: Stage) -> None:
    for _ in range(_TIMES):
        for resource in ("/v1/status", "/v1/peers", "/v1/groups", "/metrics"):
            on.contender.ask(resource)
        on.contender.ask("/v1/routes", limit=10_000)
        on.contender.ask("/v1/routes", peer=node(0))


def _readdress(on: Stage) -> None:
    """Give the router addresses in networks that are new, and take them away again."""
    for address, bits in _ADDRESSES:
        for order in ("add", "del"):
            on.site.router.ip(f"address {order} {address}/{bits} dev eth0")
            on.quiet()


def _audit(on: Stage) -> None:
    """Add a route that only an audit finds, and wait until it is gone."""
    nexthop, *_ = json.loads(on.site.router.run("ip", "-j", "nexthop", "show"))
    on.site.router.ip(f"route add {_STRAY} nhid {nexthop['id']} proto bgp metric {METRIC}")
    until(lambda: on.site.router.run("ip", "route", "show", _STRAY), 4 * _AUDIT, "the audit")


def _others(count: int) -> Iterable[str]:
    for number in range(count):
        yield f"route add 30.{number >> 16}.{number >> 8 & 255}.{number & 255} via {node(number % 10)} proto static"


def _within(key: str, title: str) -> Figure:
    return Figure(key, f"event loop at a stretch: {title}", target=Target(absolute=0.020))


WORKS = (
    Work(
        "stretches",
        (
            _within("stretch-asked", "the API asked, 1,000 peers, 3,000 groups"),
            _within("stretch-address", "the router's addresses change"),
            _within("stretch-audit", "an audit beside 100,000 foreign routes"),
        ),
        _around,
        alone=True,
    ),
    Work(
        "refresh",
        (_within("stretch-refresh", "ROUTE-REFRESH of 100,000 routes"),),
        _refresh,
        alone=True,
    ),
)
