"""Costs follow what changes: twice the peers cost twice as much, not four times, whatever happens to them at once."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from routerd.config.load import parse
from routerd.core.message import Effect, GracefulRestart, Interface, SessionDown, Settle, Work
from routerd.core.route import parse_address, parse_prefix
from tests.support.core import CONFIG, Simulation, preserving
from tests.support.kernel import FakeKernel

SHARED = tuple(f"172.16.0.{number}/32" for number in range(10))
LINKS = (
    Interface(2, "nodes", True, (parse_address("192.168.10.200"),), (parse_prefix("192.168.0.0/16"),)),
)  # fmt: skip
FEW, FACTOR = 60, 4


def cluster(count: int, graceful: GracefulRestart | None = None) -> Simulation:
    """Return a router whose peers have all announced the same prefixes, and said so."""
    config = parse(CONFIG)
    kernel = FakeKernel(LINKS, fib=config.fib.model_copy(update={"nexthop_id_base": 1}))
    simulation = Simulation(config, kernel)
    for number in range(count):
        peer = f"192.168.{1 + number // 200}.{1 + number % 200}"
        simulation.up(peer, graceful=graceful)
        simulation.announce(peer, *SHARED)
        simulation.end_of_rib(peer)
    simulation.settle()
    simulation.advance(600)
    return simulation


def lose(simulation: Simulation) -> list[Effect]:
    """Have all sessions end at once, and do all that the daemon does then, but for writing it."""
    router, now, effects = simulation.router, simulation.now, list[Effect]()
    for peer, up in simulation.sessions.items():
        effects += router.handle(SessionDown(peer, up.generation, "connection lost", None), now)
    effects += router.handle(Settle(), now)
    while router.busy:
        effects += router.handle(Work(), now) + router.handle(Settle(), now)
        assert router.timer is None or router.timer > now
    return effects


def expire(simulation: Simulation) -> list[Effect]:
    """Have all sessions end at once within graceful restart, and its time run out."""
    lose(simulation)
    simulation.now += 60
    return lose(simulation)


def look(simulation: Simulation) -> list[Effect]:
    """Let one peer say something, a hundred times, as the others have nothing to say."""
    peer = next(iter(simulation.sessions))
    for number in range(100):
        simulation.announce(peer, f"172.20.0.{number}/32")
        simulation.take(Settle(quiet=True))
        assert not simulation.router.busy
        _ = simulation.router.timer
    return []


def seconds(work: Callable[[Simulation], object], count: int, graceful: GracefulRestart | None) -> float:
    """Return the least CPU time of three attempts."""
    took = []
    for _ in range(3):
        simulation = cluster(count, graceful)
        begun = time.process_time()
        work(simulation)
        took.append(time.process_time() - begun)
    return min(took)


@pytest.mark.parametrize(
    ("work", "graceful", "factor"),
    [(lose, None, FACTOR), (expire, preserving(30), FACTOR), (look, None, 1)],
    ids=["lost at once", "stale at once", "one speaks"],
)
def test_the_cost_follows_what_changes(
    work: Callable[[Simulation], object], graceful: GracefulRestart | None, factor: int
) -> None:
    few, many = seconds(work, FEW, graceful), seconds(work, FACTOR * FEW, graceful)
    assert many < 2.2 * factor * few, (few, many)


def test_all_that_several_peers_lose_at_once_goes_and_the_rest_stays() -> None:
    simulation = cluster(5)
    first, *others = list(simulation.sessions)
    simulation.announce(first, "172.16.1.1/32")
    simulation.announce(others[0], "172.16.1.2/32")
    simulation.settle()
    simulation.slow = True
    for peer in others:
        simulation.down(peer)
    simulation.slow = False
    simulation.settle()
    assert simulation.fib() == {prefix: [first] for prefix in (*SHARED, "172.16.1.1/32")}
    assert simulation.rib() == simulation.fib()
    simulation.down(first)
    simulation.settle()
    assert simulation.fib() == simulation.rib() == {}
    assert not simulation.router.health.out
