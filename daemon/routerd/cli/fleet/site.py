"""The routers of a site, made of what they told, and what is wrong when they are looked at together. Pure.

What was told may be damaged, or of another version: what cannot be read is as if it was not said, and is named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from routerd.cli.fleet.views import RouterView, SiteDifferenceView, SiteView
from routerd.telemetry.mqtt import topics
from routerd.telemetry.mqtt.topics import Topic

SILENT = 100.0
"""Seconds without a summary, which comes every 30, after which a router that is online is silent."""
APART = 10.0
"""Seconds by which a router's clock may differ from the one here: what is told takes its time to arrive."""
HUGE = 1e15
"""No number that a router tells is as large."""
SHOWN = 20
"""Differences of a kind that are named."""


class Heard(NamedTuple):
    """The last summary of a router that was heard as it was told: seconds since then, and by how many its clock was
    ahead of the one here. None for the latter if none was heard since then, though one should have been."""

    age: float
    ahead: float | None


class Router:
    """One router, as it says itself. `state` is `up`, `down`, or `silent`; that depends on its clock being right as
    long as none of its summaries was heard but what the broker retains."""

    def __init__(self, name: str, heard: Heard | None = None) -> None:
        self.name = name
        self.heard = heard
        self.birth: dict[str, Any] = {}
        self.availability: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.peers: dict[str, dict[str, Any]] = {}
        self.vips: dict[str, dict[str, Any]] = {}
        self.broken: list[str] = []

    def state(self, now: float) -> str:
        """Return how it is. An `offline` of another run than the last one that was born is an old one."""
        same = self.availability.get("boot") == self.birth.get("boot") or not self.birth
        if not self.availability or (self.availability.get("state") == "offline" and same):
            return "down"
        age = now - number(self.summary, "time", now) if self.heard is None else self.heard.age
        return "silent" if age > SILENT else "up"

    def ahead(self, now: float) -> float:
        """Return by how many seconds its clock is ahead of the one here, as far as that can be told."""
        if self.heard is not None and self.heard.ahead is not None:
            return self.heard.ahead
        told: float = number(self.summary, "time", now)
        return max(0.0, told - now)

    @property
    def is_whole(self) -> bool:
        """Whether it has told all host routes that it has, and that was heard."""
        told = number(self.summary, "vips", "told", -1)
        return 0 <= told <= len(self.vips) and not number(self.summary, "vips", "left_out")

    def since(self, now: float) -> float:
        """Return since when: a router that vanished was heard of last then."""
        heard: float = number(self.summary, "time")
        said: float = number(self.availability, "time")
        return heard if self.state(now) == "silent" else said or heard


class Difference(NamedTuple):
    """What is wrong: its kind, what it is, and the routers that it is about."""

    kind: str
    what: str
    routers: list[str]


def number(said: Mapping[str, Any], *path: Any) -> Any:
    """Return the number that stands at a path, whose last part may be the default: 0 unless it is a sane number."""
    *keys, default = path if isinstance(path[-1], int | float) else (*path, 0)
    found: Any = said
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    return found if is_number and -HUGE < found < HUGE else default


def text(said: Mapping[str, Any], key: str) -> str:
    """Return a text, empty unless there is one; fit for a terminal."""
    found = said.get(key)
    return shown(found) if isinstance(found, str) else ""


def shown(found: str) -> str:
    """Return what somebody has told so that it is fit for a terminal."""
    return "".join(c if c.isprintable() else "?" for c in found[:400])


def read(messages: Mapping[Topic, bytes], heard: Mapping[str, Heard] | None = None) -> list[Router]:
    """Return the routers, by name; `heard` is which ones' summaries were."""
    found: dict[str, Router] = {}
    for told, payload in messages.items():
        topic = Topic(*map(shown, told))
        router = found.setdefault(topic.router, Router(topic.router, (heard or {}).get(told.router)))
        try:
            said = topics.decode(payload)
        except ValueError:
            router.broken.append(f"{topic.kind}/{topic.what}".rstrip("/"))
            continue
        match topic.kind:
            case topics.BIRTH:
                router.birth = said
            case topics.AVAILABILITY:
                router.availability = said
            case topics.SUMMARY:
                router.summary = said
            case topics.PEER:
                router.peers[topic.what] = said
            case topics.VIP:
                router.vips[topic.what] = said
    return [found[name] for name in sorted(found)]


def differences(routers: Iterable[Router], now: float) -> Iterator[Difference]:
    """Yield what is wrong, the worst first."""
    everybody = list(routers)
    for router in everybody:
        if (state := router.state(now)) != "up":
            yield Difference("router", f"{router.name} is {state}", [router.name])
        if abs(ahead := router.ahead(now)) > APART:
            way = "ahead of" if ahead > 0 else "behind"
            what = f"the clock of {router.name} is {abs(ahead):.0f} s {way} the one here: set both (NTP)"
            yield Difference("clock", what, [router.name])
        if (told := number(router.summary, "vips", "told")) > len(router.vips):
            what = f"{router.name}: {len(router.vips)} of {told} VIPs were heard"
            yield Difference("message", f"{what}: see max_queued_messages of the broker", [router.name])
        if router.broken:
            named = ", ".join(router.broken[:3])
            yield Difference("message", f"{router.name} has said what cannot be read: {named}", [router.name])
    up = [router for router in everybody if router.state(now) == "up"]
    for router in up:
        yield from _problems(router)
    if len(up) > 1:
        yield from _first(_vips(up), "vip", "VIPs have fewer next hops on one router than on another")
        yield from _first(_nodes(up), "node", "nodes do not speak to all routers")
        yield from _drains(up)
        yield from _skew(up, "configuration", "configuration", "the configurations differ")
        yield from _skew(up, "version", "version", "the versions of routerd differ")
        yield from _skew(up, "hash_policy", "hash", "what flows are hashed by differs ([fib] hash_policy)")
        yield from _seeds(up)


def _first(found: Iterable[Difference], kind: str, more: str) -> Iterator[Difference]:
    every = list(found)
    yield from every[:SHOWN]
    if len(every) > SHOWN:
        routers = sorted({name for each in every[SHOWN:] for name in each.routers})
        yield Difference(kind, f"{len(every) - SHOWN} more {more}", routers)


def _problems(router: Router) -> Iterator[Difference]:
    count = number(router.summary, "problems", "count")
    problems = router.summary.get("problems")
    first = problems.get("first") if isinstance(problems, dict) else None
    shown = [each for each in first if isinstance(each, dict)] if isinstance(first, list) else []
    for each in shown:
        yield Difference("problem", f"{router.name}: {text(each, 'where')}: {text(each, 'what')}", [router.name])
    if count > len(shown):
        yield Difference("problem", f"{router.name}: {count - len(shown)} more problems", [router.name])


def _vips(routers: list[Router]) -> Iterator[Difference]:
    hops: defaultdict[str, dict[str, set[str]]] = defaultdict(dict)
    for router in routers:
        for name, said in router.vips.items():
            hops[name][router.name] = _hops(said)
    whole = {router.name for router in routers if router.is_whole}
    for name in sorted(hops):
        by_router = {
            **{router: set[str]() for router in whole},
            **hops[name],
        }  # where some are left out, it may be one of them
        most = set[str]().union(*by_router.values())
        fewer = {router: most - found for router, found in by_router.items() if len(found) < len(most)}
        if fewer and len(by_router) > 1:
            parts = [
                f"{len(by_router[router])} on {router} (without {_listed(sorted(missing))})"
                for router, missing in sorted(fewer.items())
            ]
            prefix = next((text(r.vips[name], "prefix") for r in routers if name in r.vips), "") or name
            yield Difference("vip", f"{prefix}: {_hops_of(most)} in all, {'; '.join(parts)}", sorted(fewer))


def _hops(said: Mapping[str, Any]) -> set[str]:
    """Return the next hops of a VIP: by the node's name, where one is known."""
    legs = said.get("next_hops")
    found = set[str]()
    for leg in legs if isinstance(legs, list) else ():
        peers = leg.get("peers") if isinstance(leg, dict) else None
        names = [shown(each) for each in peers if isinstance(each, str)] if isinstance(peers, list) else []
        found.add(names[0] if names else text(leg, "gateway") if isinstance(leg, dict) else "?")
    return found


def _hops_of(found: set[str]) -> str:
    return f"{len(found)} next hop" + ("" if len(found) == 1 else "s")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _nodes(routers: list[Router]) -> Iterator[Difference]:
    speaking: defaultdict[str, list[str]] = defaultdict(list)
    for router in routers:
        for name, said in router.peers.items():
            if said.get("state") == "established":
                speaking[name].append(router.name)
    names = [router.name for router in routers]
    for node, to in sorted(speaking.items()):
        if len(to) == 1:
            yield Difference("node", f"{node} speaks to {to[0]} alone", [name for name in names if name not in to])
        elif len(to) < len(names):
            absent = [name for name in names if name not in to]
            yield Difference("node", f"{node} does not speak to {_listed(absent)}", absent)


def _drains(routers: list[Router]) -> Iterator[Difference]:
    drained: defaultdict[str, list[str]] = defaultdict(list)
    for router in routers:
        for name, said in router.peers.items():
            if said.get("drain") == "operator":
                drained[name].append(router.name)
    for node, on in sorted(drained.items()):
        others = [r.name for r in routers if node in r.peers and r.name not in on]
        if others:
            yield Difference("drain", f"{node} is drained on {_listed(on)}, and not on {_listed(others)}", others)


def _skew(routers: list[Router], key: str, kind: str, what: str) -> Iterator[Difference]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for router in routers:
        found[text(router.birth, key) or "unknown"].append(router.name)
    if len(found) > 1:
        parts = [f"{value} on {_listed(names)}" for value, names in sorted(found.items(), key=lambda i: -len(i[1]))]
        yield Difference(kind, f"{what}: {'; '.join(parts)}", [name for names in found.values() for name in names])


def _seeds(routers: list[Router]) -> Iterator[Difference]:
    """Routers whose hashes differ send a flow that changes routers to another node."""
    random = [router.name for router in routers if router.birth.get("hash_seed") == "random"]
    if random:
        yield Difference(
            "hash",
            f"{_listed(random)}: the kernel made a hash seed of its own, so that a flow comes by another router "
            "may go to another node: net.ipv4.fib_multipath_hash_seed, the same on all",
            random,
        )
    yield from _skew([r for r in routers if r.name not in random], "hash_seed", "hash", "the hash seeds differ")


def view(routers: Iterable[Router], now: float, site: str) -> SiteView:
    """Return the site as JSON has it."""
    every = list(routers)
    found = list(differences(every, now))
    return {
        "ok": bool(every) and not found,
        "site": site,
        "routers": [_row(router, now) for router in every],
        "differences": [SiteDifferenceView(kind=d.kind, what=d.what, routers=d.routers) for d in found],
    }


def _row(router: Router, now: float) -> RouterView:
    since = router.since(now)
    return {
        "name": router.name,
        "state": router.state(now),
        "since": since or None,
        "said_goodbye": router.state(now) == "down" and bool(number(router.availability, "time")),
        "peers_up": number(router.summary, "peers", "up"),
        "peers": number(router.summary, "peers", "all"),
        "vips": number(router.summary, "vips", "told"),
        "vips_left_out": number(router.summary, "vips", "left_out"),
        "routes": number(router.summary, "routes"),
        "problems": number(router.summary, "problems", "count"),
        "drift_mended": number(router.summary, "drift_mended"),
        "version": text(router.birth, "version"),
        "configuration": text(router.birth, "configuration"),
        "hash_seed": text(router.birth, "hash_seed"),
        "kernel": text(router.birth, "kernel"),
        "boot": text(router.birth, "boot"),
        "partner": text(_pair(router), "partner"),
        "pair": _agreement(_pair(router)),
    }


def _pair(router: Router) -> Mapping[str, Any]:
    """Return what a router says of its pair."""
    found = router.summary.get("pair")
    return found if isinstance(found, dict) else {}


def _agreement(said: Mapping[str, Any]) -> str:
    if not said:
        return ""
    return "down" if said.get("up") is not True else "agrees" if said.get("agrees") is True else "differs"
