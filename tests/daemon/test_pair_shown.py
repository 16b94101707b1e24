"""Two daemons of a pair say whether they agree, to whoever asks."""

from __future__ import annotations

import json
from typing import Any

from tests.daemon.harness import announcement, becomes, node
from tests.daemon.test_two_routers import ADDRESSES, VIP, Two, two
from tests.support.bgp import Client
from tests.support.netns import needs_root

__all__ = ["two"]

pytestmark = needs_root


async def test_a_pair_says_whether_it_agrees(two: Two, clients: list[Client]) -> None:
    first, second = two.daemons

    def shown(*words: str) -> Any:
        return json.loads(first.cli("pair", "--json", *words).stdout)

    for number in (0, 1):
        await two.establish(number, clients)
    await becomes(lambda: all(network.nhid(VIP) for network in two.networks) and two.agree(0, 1))
    await becomes(lambda: shown()["ok"])
    await becomes(first.problems, {})
    assert first.cli("pair").returncode == 0
    await becomes(lambda: "pair agrees again" in first.cli("events").stdout)
    (group,) = shown("--all")["first"]
    assert (group["key"], group["state"], group["buckets"]) == (VIP, "equal", 64)
    assert shown("--set-seed")["changed"] is False

    asked = first.cli("flow", f"{node(3)}:40000", f"{VIP[:-3]}:80", "--interface", "eth0", "--json")
    flow = json.loads(asked.stdout)
    assert (flow["partner"]["router"], flow["partner"]["same"]) == ("gw2", True)
    assert flow["partner"]["gateway"] == flow["node"]["gateway"]

    await two.establish(2, clients, ADDRESSES[:1])
    clients[-1].send(announcement(2, "172.16.1.2/32"))
    await becomes(lambda: shown()["groups"].get("only here", 0), 1)
    assert not shown()["ok"]
    assert first.cli("pair").returncode == 3

    second.kill()
    await becomes(lambda: "gw2 is not heard" in str(first.status()["problems"]))
    assert "channel to the partner" in first.cli("events").stdout
