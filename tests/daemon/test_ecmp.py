"""Which of twenty peers' paths become legs, over real sessions and in the real kernel (FRR's ECMP topology)."""

from __future__ import annotations

from pathlib import Path

from tests.daemon.harness import Network, announcement, node, running
from tests.support.bgp import Client, end_of_rib
from tests.support.netns import needs_root

pytestmark = needs_root

CONFIG = """
[router]
asn = 100
router_id = "10.0.0.1"

[api]
socket = "{socket}"
group = "root"

[peer_groups.nodes]
accept = ["10.200.0.0/13"]

[[peers]]
name = "first"
address = "10.0.0.65"
group = "nodes"

[[dynamic_peers]]
range = "10.0.0.64/26"
group = "nodes"
"""

PEERS = range(1, 21)


def asn(peer: int) -> int:
    """Peers 1 to 10 are of one AS, the others each of its own."""
    return 99 if peer <= 10 else 100 + peer


def prefixes(second: int) -> list[str]:
    return [f"10.{second}.{third}.0/24" for third in range(10)]


def said(peer: int) -> bytes:
    """All that a peer announces."""
    own, farther = (asn(peer),), (asn(peer), 200)
    plan = ((201, own, 100), (202, farther, 100), (203, own, peer), (204, farther, peer))
    return b"".join(
        announcement(peer - 1, *prefixes(second), as_path=as_path, med=med) for second, as_path, med in plan
    )


async def test_twenty_peers(network: Network, tmp_path: Path, clients: list[Client]) -> None:
    everyone = [peer - 1 for peer in PEERS]
    lowest_med = [peer - 1 for peer in PEERS if peer == 1 or peer > 10]
    wanted = {201: everyone, 202: everyone, 203: lowest_med, 204: lowest_med}
    with running(network.router, tmp_path, CONFIG) as daemon:
        for peer in PEERS:
            client = await network.establish(peer - 1, asn=asn(peer))
            clients.append(client)
            client.send(said(peer) + end_of_rib())
        for second, numbers in wanted.items():
            for prefix in prefixes(second):
                await network.has(prefix, *numbers)

        nhids = {second: {network.nhid(prefix) for prefix in prefixes(second)} for second in wanted}
        assert [len(nhids[second]) for second in wanted] == [10] * 4
        assert len(set[int]().union(*nhids.values())) == 40
        assert len(network.route(prefixes(201)[0]).splitlines()) == 21

        detail = daemon.get(f"/v1/routes/{prefixes(203)[0]}")
        lost = {path["peer"]: path["lost_at"] for path in detail["paths"] if not path["multipath"]}
        assert lost == {node(peer - 1): "5 MED" for peer in range(2, 11)}
        groups = {group["id"]: group for group in daemon.get("/v1/groups")}
        assert {groups[id]["prefixes"] for ids in nhids.values() for id in ids} == {1}

        # The peer of the lowest MED leaves: the next one takes its place.
        await clients[0].close()
        await network.has(prefixes(203)[0], 1, *lowest_med[1:])
        await network.has(prefixes(201)[0], *everyone[1:])
        assert {network.nhid(prefix) for prefix in prefixes(201)} == nhids[201]
