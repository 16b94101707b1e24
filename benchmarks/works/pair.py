"""Two routers before the same nodes, and flows that move from one to the other: how many of them reach another node.

Each daemon has the best that it can be given for it: both kernels have the same seed, flows are spread by the
five-tuple, and nodes dial in to both routers in the same order. routerd is told of its partner.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.contenders import Contender, Settings
from benchmarks.contenders.contender import Pairing
from benchmarks.figures import Figure, Target
from benchmarks.flows import FIRST_PORT, Flows
from benchmarks.net import Site, site
from benchmarks.stage import Stage, Values, stage
from benchmarks.subsets import gateway
from benchmarks.works.work import Scale, Work

_FLOWS = 300
_NODES = 3
"""That announce the VIP at first; another one joins, and the first one leaves."""
_SEED = 4711
_IDLE = 1.5
"""Seconds until routerd lets a bucket move that is not used."""
_DWELL, _LOOK = 5.0, 0.25
"""Seconds that flows go on after a change, and between two packets of each."""
_ROUTERS = {"router-a": "10.97.0.1", "router-b": "10.97.0.2"}


def _calm(kind: type[Contender], scale: Scale) -> Values:
    """Nothing has changed before the flows move."""
    with _pair(kind) as (a, b):
        flows = Flows(a.site, range(1), scale.of(_FLOWS))
        a.stack.callback(flows.close)
        return {"pair-calm": [float(_elsewhere(flows, _moved(b, scale.of(_FLOWS), FIRST_PORT)))]}


def _changed(kind: type[Contender], scale: Scale) -> Values:
    """A node joins and another one leaves before the flows move. Those of the node that leaves do not count."""
    count = scale.of(_FLOWS)
    with _pair(kind) as (a, b):
        old = Flows(a.site, range(1), count)
        a.stack.callback(old.close)
        for each in (a, b):
            each.peers.do(f"load 0 1 {_NODES}")
        for each in (a, b):
            each.fib.loaded(1, _NODES + 1, each.contender.check)
        _dwell(old)
        new = Flows(a.site, range(1), count, FIRST_PORT + count)
        a.stack.callback(new.close)
        for each in (a, b):
            each.lose(0, 1)
        _dwell(old, new)
        moved = broken = 0
        for flows, port in ((old, FIRST_PORT), (new, FIRST_PORT + count)):
            staying = {number for number, leg in enumerate(flows.before) if leg != gateway(0)}
            now, then = flows.legs(), _moved(b, count, port)
            other = {number for number in staying if then[number] != now[number]}
            moved += len(other)
            broken += len(staying & flows.broken | other)
        return {"pair-moved": [float(moved)], "pair-broken": [float(broken)]}


@contextmanager
def _pair(kind: type[Contender]) -> Iterator[tuple[Stage, Stage]]:
    """Start a daemon on each of two routers, with the same nodes and one VIP on all but the last of them."""
    with tempfile.TemporaryDirectory(prefix="routerd-bench-pair-") as text, site() as one, site() as other:
        key = Path(text) / "key"
        key.write_text("what both routers know\n")
        key.chmod(0o600)
        _cable(one, other)
        settings = [_settings(name, key) for name in _ROUTERS]
        with stage(kind, settings[0], place=one) as a, stage(kind, settings[1], place=other) as b:
            for each in (a, b):
                each.ready(_NODES + 1)
                for peer in range(_NODES):
                    each.peers.do(f"load 0 1 {peer}")
                    each.fib.loaded(1, peer + 1, each.contender.check)
            for each in (a, b):
                each.quiet()
            time.sleep(2 * _IDLE)  # until buckets are where the weights want them
            yield a, b


def _cable(one: Site, other: Site) -> None:
    """Put a cable between the two routers, and give both kernels the same seed."""
    one.router.ip(f"link add pair0 type veth peer name pair0 netns {other.router.pid}")
    for place, address in zip((one, other), _ROUTERS.values(), strict=True):
        place.router.ip(f"address add {address}/30 dev pair0", "link set pair0 up")
        place.router.sysctl("net.ipv4.fib_multipath_hash_seed", str(_SEED))


def _settings(name: str, key: Path) -> Settings:
    (partner,) = _ROUTERS.keys() - {name}
    return Settings(pairing=Pairing(name, partner, _ROUTERS[name], _ROUTERS[partner], key, _SEED, _IDLE))


def _dwell(*flows: Flows) -> None:
    """Let flows go on for a while."""
    end = time.monotonic() + _DWELL
    while time.monotonic() < end:
        for each in flows:
            each.look()
        time.sleep(_LOOK)


def _moved(to: Stage, count: int, port: int) -> list[bytes]:
    """Return where a router leads flows that come to it for the first time."""
    flows = Flows(to.site, range(1), count, port)
    flows.close()
    return flows.before


def _elsewhere(flows: Flows, then: list[bytes]) -> int:
    return sum(before != now for before, now in zip(flows.before, then, strict=True))


WORKS = (
    Work(
        "pair-calm",
        (Figure("pair-calm", "300 flows move to the other router of two: broken", "n", Target(absolute=0)),),
        _calm,
    ),
    Work(
        "pair-changed",
        (
            Figure(
                "pair-moved",
                "a node joins, one leaves, then 600 flows move: broken by the move",
                "n",
                Target(absolute=0),
            ),
            Figure(
                "pair-broken",
                "a node joins, one leaves, then 600 flows move: broken by any of that",
                "n",
                Target(absolute=0),
            ),
        ),
        _changed,
    ),
)
