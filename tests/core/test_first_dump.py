"""Nothing is written to the kernel before it was read for the first time: what is there is an earlier run's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from routerd.core.message import (
    Gateway,
    Input,
    KernelDump,
    KernelObjects,
    NeighbourState,
    Program,
    RoutesChanged,
    SessionDown,
    Settle,
    Update,
    Work,
)
from routerd.core.route import parse_address, parse_prefix
from routerd.core.router import Router
from tests.support.core import Simulation

NODE = "192.168.10.101"


def objects(found: KernelDump) -> Input:
    return KernelObjects(found.interfaces, found.nexthops, found.groups)


@pytest.mark.parametrize(
    "heard",
    [
        objects,
        lambda _: RoutesChanged(()),
        lambda _: NeighbourState(Gateway(parse_address(NODE), 2), alive=False),
        lambda _: SessionDown(NODE, 1, "connection lost"),
        lambda _: Settle(),
        lambda _: Settle(quiet=False),
        lambda _: Work(),
    ],
    ids=["objects", "routes", "silence", "end of a session", "settle", "settle, and more comes", "work"],
)
def test_whatever_is_heard_before(heard: Callable[[KernelDump], Input]) -> None:
    simulation = Simulation()
    simulation.up(NODE)
    simulation.announce(NODE, "172.16.1.1/32", "172.16.1.2/32")
    simulation.settle()
    found = simulation.kernel.dump()
    assert found.groups
    router, now = Router(simulation.config, simulation.now), simulation.now
    router.handle(simulation.sessions[NODE], now)
    announced = [(simulation.attributes(NODE), [parse_prefix("172.16.1.1/32")])]
    for message in (Update(NODE, 1, [], announced), heard(found), Settle()):
        effects = router.handle(message, now)
        assert not [effect for effect in effects if isinstance(effect, Program) and effect.operations]
    assert not router.synchronised
    router.handle(found, now)
    assert router.synchronised
