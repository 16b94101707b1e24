"""What a record holds comes back as it was, whatever the core was given."""

from __future__ import annotations

import json

import pytest

from routerd.core.message import (
    ForeignRoute,
    Gateway,
    Input,
    Leg,
    NeighbourState,
    NexthopChange,
    RouteChange,
    RoutesChanged,
)
from routerd.core.route import parse_address, parse_prefix
from routerd.service.recording import decode, encode

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
    read = decode(json.loads(json.dumps(encode(message))))
    assert read == message
    assert repr(read) == repr(message)
