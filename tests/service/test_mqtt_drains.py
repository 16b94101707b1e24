"""What a router answers to a drain of who is no peer of its: whether flows may reach that node all the same."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from routerd.core.message import Gateway
from routerd.core.route import parse_address
from routerd.service.mqtt.drains import Orders


class NoPeer:
    async def set_drain(self, peer: str, *, on: bool, by: str) -> None:
        return None


@pytest.mark.parametrize(
    ("node", "synchronised", "groups"),
    [("10.0.0.1", True, 2), ("10.0.0.2", True, 0), ("w1", True, None), ("10.0.0.2", False, None)],
)
async def test_adopted_groups_lead_to_who_has_not_dialled_in(
    node: str, synchronised: bool, groups: int | None
) -> None:
    gateway = Gateway(parse_address("10.0.0.1"), 2)
    found = SimpleNamespace(nexthops={gateway: 1}, having=lambda of: ["a", "b"] if of == gateway else [])
    router = SimpleNamespace(synchronised=synchronised, fib=SimpleNamespace(groups=found))
    orders = Orders(cast("Any", NoPeer()), cast("Any", router))
    assert await orders.heed({"action": "drain", "node": node}) == {"drain": None, "groups": groups}
