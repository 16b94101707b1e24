"""`[mqtt]` on the real daemon, with the real mosquitto: what is told, and what becomes of it when the broker dies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, Network, Routerd, announcement, becomes, node, running
from tests.support import bgp
from tests.support.bgp import Client
from tests.support.mosquitto import Mosquitto, mosquitto, needs_mosquitto, reading
from tests.support.netns import needs_root

pytestmark = [needs_root, needs_mosquitto]

VIP, OTHER = "172.16.1.1/32", "172.16.1.2/32"
SITE = "routerd/v1/ams"
GW1 = f"{SITE}/gw1"


def configuration(broker: str, more: str = "") -> str:
    return f'{CONFIG}\n[mqtt]\nbroker = "{broker}"\nsite = "ams"\nrouter = "gw1"\n{more}\n'


@pytest.fixture
def broker(network: Network, tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path, network.router) as made:
        yield made


@pytest.fixture
def daemon(network: Network, broker: Mosquitto, tmp_path: Path) -> Iterator[Routerd]:
    with running(network.router, tmp_path, configuration(broker.url)) as made:
        yield made


async def nodes_up(network: Network, clients: list[Client], *prefixes: str) -> None:
    for number in (0, 1):
        client = await network.establish(number)
        clients.append(client)
        client.send(announcement(number, *prefixes) + bgp.end_of_rib())
    await network.has(prefixes[0], 0, 1)


async def test_a_router_tells_how_it_is(
    daemon: Routerd, broker: Mosquitto, network: Network, clients: list[Client]
) -> None:
    with reading(broker) as reader:
        await nodes_up(network, clients, VIP, "172.17.0.0/16")
        vip = f"{GW1}/vip/172.16.1.1_32"
        await becomes(lambda: len(reader.states.get(vip, {}).get("next_hops", ())), 2)
        states = reader.states
        boot = states[f"{GW1}/birth"]["boot"]
        assert states[f"{GW1}/availability"]["state"] == "online"
        assert {states[f"{GW1}/{what}"]["boot"] for what in ("availability", "summary")} == {boot}
        assert [hop["gateway"] for hop in states[vip]["next_hops"]] == [node(0), node(1)]
        assert [hop["peers"] for hop in states[vip]["next_hops"]] == [[node(0)], [node(1)]]
        await becomes(lambda: states[f"{GW1}/summary"]["peers"], {"up": 2, "all": 2})
        assert states[f"{GW1}/peer/{node(0)}"]["state"] == "established"
        assert not [topic for topic in states if "172.17" in topic], "only host routes have topics"
        assert f"{GW1}/event/peer-up" in states
        clients[0].send(bgp.update(withdrawn=[VIP, "172.17.0.0/16"]))
        await becomes(lambda: len(states[vip]["next_hops"]), 1)
        clients[1].send(bgp.update(withdrawn=[VIP]))
        await becomes(lambda: vip not in states)
        await clients[0].close()
        await becomes(lambda: states[f"{GW1}/peer/{node(0)}"]["state"] != "established")
        assert daemon.stop() == 0
        await becomes(lambda: states[f"{GW1}/availability"]["state"], "offline")
        assert states[f"{GW1}/availability"]["boot"] == boot
        assert "time" in states[f"{GW1}/availability"], "it said so itself"
