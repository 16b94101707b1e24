"""What a record holds comes back as it was, whatever the core was given."""

from __future__ import annotations

import json
from io import StringIO

import pytest

from routerd.core.message import (
    ForeignRoute,
    Gateway,
    Input,
    Leg,
    NeighbourState,
    NexthopChange,
    Reconfigure,
    RouteChange,
    RoutesChanged,
)
from routerd.core.route import parse_address, parse_prefix
from routerd.core.router import Router
from routerd.service.recording import Recorder, decode, encode, read
from tests.core.test_reconfigure import changed
from tests.support.core import Simulation

GATEWAY = Gateway(parse_address("192.168.10.1"), 2)
ROUTE = ForeignRoute(1, 4, 20, 0, (Leg(parse_address("192.168.10.1"), 2),))


@pytest.mark.parametrize(
    "message",
    [
        NeighbourState(GATEWAY, alive=True),
        RoutesChanged((RouteChange(parse_prefix("10.0.0.0/8"), ROUTE, deleted=True),)),
        RoutesChanged((NexthopChange(7, None),)),
    ],
)
def test_a_message_comes_back(message: Input) -> None:
    found = decode(json.loads(json.dumps(encode(message))))
    assert found == message
    assert repr(found) == repr(message)


def test_a_run_with_other_configurations_replays() -> None:
    """To the same effects; passwords, which change none, are left out."""
    simulation, file = Simulation(), StringIO()
    recorder = Recorder(file, simulation.config, simulation.now)
    simulation.router = Router(simulation.config, simulation.now)
    handle, told = simulation.router.handle, list[str]()

    def recorded(message: Input, now: float) -> object:
        recorder.take(message, now)
        effects = handle(message, now)
        told.append(repr(effects))
        return effects

    simulation.router.handle = recorded  # type: ignore[method-assign, assignment]
    simulation.dump()
    for node in ("192.168.10.101", "192.168.10.102"):
        simulation.up(node)
        simulation.announce(node, "172.16.1.1/32", "172.20.0.1/32")
        simulation.end_of_rib(node)
    for section, keys in (
        ("nodes", {"accept": ["172.16.0.0/16"], "password": "secret"}),
        ("nodes", {"advertise": ["default", "learned"], "hold_time": 30}),
        ("fib", {"max_paths": 1, "groups": "hash-threshold"}),
        ("router", {"networks": ["10.10.2.0/24"], "asn": 65009}),
    ):
        simulation.take(Reconfigure(changed(simulation, section, **keys)))
        simulation.settle()
        simulation.advance(200)
    assert "secret" not in file.getvalue()
    file.seek(0)
    config, started, messages = read(file)
    router = Router(config, started)
    assert [repr(router.handle(message, now)) for now, message in messages] == told
