"""Long answers: all of it arrives, nothing else waits for it, and its cost follows its size."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

import pytest

from routerd.api.models import SpeakerView
from routerd.api.slices import SLICE, Slices, encoded, in_slices
from routerd.api.views import health, peers, routes
from routerd.config.load import parse
from routerd.core.message import HostState, Interface
from routerd.core.rib.peers import FORGET_AFTER
from routerd.core.route import parse_address, parse_prefix
from routerd.service.stretches import Stretches
from tests.support.core import CONFIG, Simulation
from tests.support.kernel import FakeKernel
from tests.support.slices import whole

WELL = HostState(frozenset(), frozenset(), False, frozenset(), ())
LINKS = (
    Interface(2, "nodes", True, (parse_address("192.168.10.200"),), (parse_prefix("192.168.0.0/16"),)),
)  # fmt: skip


def cluster(count: int) -> Simulation:
    """Return a router with as many static peers and groups, and ten prefixes of each peer."""
    addresses = [f"192.168.{1 + number // 200}.{1 + number % 200}" for number in range(count)]
    static = "".join(f'[[peers]]\nname = "n{a}"\naddress = "{a}"\ngroup = "nodes"\n' for a in addresses)
    config = parse(CONFIG.replace("accept =", 'remote_as = "external"\naccept =', 1) + static)
    kernel = FakeKernel(LINKS, fib=config.fib.model_copy(update={"nexthop_id_base": 1}))
    simulation = Simulation(config, kernel)
    for number, peer in enumerate(addresses):
        simulation.up(peer)
        simulation.announce(peer, *(f"172.{16 + number // 256}.{number % 256}.{each}/32" for each in range(10)))
        simulation.end_of_rib(peer)
        simulation.settle()
    return simulation


def status(simulation: Simulation) -> Slices[object]:
    """The largest view of all."""
    speaker = SpeakerView(running=True, pid=1, restarts=0, reason="")
    loop = {"bounds": [], "counts": [0], "longest_seconds": 0.0}
    view = health.status(
        simulation.router, "1", speaker, [], [], host=WELL, refusals=[], drops=[],
        diversions=lambda _: (), unwritten=0, event_loop=loop, now=simulation.now,
    )  # fmt: skip
    made = yield from view
    return made


def page(simulation: Simulation) -> Slices[object]:
    """All routes."""
    made = yield from routes.routes(simulation.router, 0, 10000)
    return made


def seconds(view: Callable[[Simulation], Slices[object]], simulation: Simulation) -> float:
    took = []
    for _ in range(3):
        begun = time.process_time()
        whole(view(simulation))
        took.append(time.process_time() - begun)
    return min(took)


@pytest.mark.parametrize("view", [status, page])
def test_the_cost_follows_the_size(view: Callable[[Simulation], Slices[object]]) -> None:
    few, many = seconds(view, cluster(60)), seconds(view, cluster(240))
    assert many < 2.5 * 4 * few, (few, many)


@pytest.mark.parametrize("view", [status, page])
def test_every_row_is_a_slice(view: Callable[[Simulation], Slices[object]]) -> None:
    """No row takes long, so that no slice does; twice the peers are twice the slices."""
    counts = [sum(1 for _ in view(cluster(count))) for count in (20, 40)]
    assert 20 < counts[0] < 0.7 * counts[1]


def test_others_have_their_turn_while_a_long_answer_is_made_and_written() -> None:
    rows = [{"row": number} for number in range(100)]

    def slow() -> Slices[list[dict[str, int]]]:
        for _ in rows:
            begun = time.monotonic()
            while time.monotonic() - begun < SLICE / 10:
                pass
            yield
        return rows

    async def answer() -> tuple[str, int]:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        view = await in_slices(slow())
        text = b"".join([part async for part in encoded(view)]).decode()
        task.cancel()
        return text, turns

    text, turns = asyncio.run(answer())
    assert json.loads(text) == rows
    assert turns > 5


@pytest.mark.parametrize(
    "view",
    [
        [],
        {},
        {"a": []},
        {"a": [], "b": [1, {"c": "é\n"}], "d": {"e": [None, True, 1.5]}},
        [{"a": 1}, {"b": [2]}],
        "text",
    ],
)
def test_what_is_written_in_pieces_is_json(view: object) -> None:
    async def written() -> bytes:
        return b"".join([part async for part in encoded(view)])

    assert json.loads(asyncio.run(written())) == view


def test_the_event_loop_measures_its_stretches() -> None:
    stretches = Stretches()
    with asyncio.Runner(loop_factory=stretches.loop) as runner:

        async def work() -> None:
            await asyncio.sleep(0.5)  # waiting is no stretch
            time.sleep(0.03)  # noqa: ASYNC251
            await asyncio.sleep(0)

        runner.run(work())
    histogram = stretches.histogram
    assert 0.03 <= histogram.largest < 0.5
    assert sum(histogram.counts) > 2
    assert sum(histogram.counts[histogram.bounds.index(0.02) + 1 :]) >= 1


def test_peers_that_are_forgotten_while_they_are_counted_are_no_error() -> None:
    """Their paths are gone, and nobody can say any more where these would lead."""
    simulation = Simulation()
    for node in ("192.168.10.100", "192.168.10.101"):
        simulation.up(node)
        simulation.announce(node, "172.16.1.1/32" if node.endswith("100") else "172.16.1.2/32")
    simulation.settle()
    made = peers.peers(simulation.router, simulation.now)
    next(made)
    for node in list(simulation.sessions):
        simulation.down(node)
    simulation.settle()
    rib = simulation.router.rib
    rib.loc_rib.invalidate()
    rib.forget_dynamic_peers(simulation.now + 2 * FORGET_AFTER, ())
    assert not rib.peers
    assert whole(made) == []
