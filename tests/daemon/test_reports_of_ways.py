"""What befell others with ways to next hops and with nexthop groups, as they reported: with the real kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import Network, Routerd, announcement, becomes, node, node6, running
from tests.daemon.test_next_hop_tracking import CONFIG, FAR, FIRST, VIP, VIP6, batch
from tests.support import bgp
from tests.support.bgp import Client, Graceful, attributes, end_of_rib, mp_reach, update
from tests.support.netns import Namespace, namespace, needs_root, veth

pytestmark = needs_root

FAR6 = "fd99::1"
"""A next hop that is on no network of the router's."""
LINKS = range(1, 6)
END = end_of_rib() + end_of_rib(bgp.IPV6)


@pytest.fixture
def beside(network: Network) -> Iterator[Namespace]:
    """A host on five more links of the router."""
    with namespace("beside") as made:
        network.router.sysctl(net__ipv6__conf__all__keep_addr_on_down=1)
        made.sysctl(net__ipv6__conf__all__accept_dad=0, net__ipv6__conf__default__accept_dad=0)
        for link in LINKS:
            veth(network.router, f"eth{link}", made, f"eth{link}")
            network.router.address(f"eth{link}", f"10.0.{link}.1/24", f"fd0{link}::1/64")
            made.address(f"eth{link}", f"10.0.{link}.2/24", f"fd0{link}::2/64")
        yield made


@pytest.fixture
def daemon(network: Network, beside: Namespace, tmp_path: Path) -> Iterator[Routerd]:
    restarts = "multihop = 2\ngraceful_restart = true\nrestart_time = 10\nstale_time = 20"
    with running(network.router, tmp_path, CONFIG.replace("multihop = 2", restarts)) as made:
        yield made


def groups(network: Network) -> int:
    """Count routerd's groups in the kernel."""
    return len(re.findall(r" group .*proto bgp", network.router.ip("nexthop", "show")))


def far(*vips: str, hop: str = FAR) -> bytes:
    return update(attributes(next_hop=hop, as_path=[65001]), [f"{vip}/32" for vip in vips])


def far6(*vips: str) -> bytes:
    return update(attributes(as_path=[65001]) + mp_reach(FAR6, [f"{vip}/128" for vip in vips]))


async def test_the_way_goes_and_comes_in_one_breath(network: Network, daemon: Routerd, clients: list[Client]) -> None:
    """frr#18784: the route to a next hop flapped so fast that what led over it was not told, and stayed out."""
    clients.append(await network.establish(0))
    add = (f"route add 10.5.0.0/16 via {FIRST}", f"route add fd99::/16 via {node6(10)}")
    batch(network, *add)
    clients[0].send(far(VIP) + far6(VIP6) + END)
    await network.has(VIP, 10)
    await network.has(VIP6, 10)
    for _ in range(5):
        batch(network, "route del 10.5.0.0/16", "route del fd99::/16", *add, "nexthop flush")
        await network.has(VIP, 10)
        await network.has(VIP6, 10)
    assert groups(network) == 2
    await becomes(daemon.problems, {})


async def test_links_of_a_group_flap_together(network: Network, daemon: Routerd, clients: list[Client]) -> None:
    """frr#18374, frr#18723: a group kept only the members whose links had not flapped."""
    clients.append(await network.establish(0))
    gateways = {FIRST, *(f"10.0.{link}.2" for link in LINKS)}
    gateways6 = {node6(10), *(f"fd0{link}::2" for link in LINKS)}
    lead = [
        f"route replace {prefix} " + " ".join(f"nexthop via {each}" for each in sorted(some))
        for prefix, some in (("10.5.0.0/16", gateways), ("fd99::/32", gateways6))
    ]
    batch(network, *lead)
    clients[0].send(far(VIP) + far6(VIP6) + END)
    await becomes(lambda: network.legs(VIP), gateways)
    await becomes(lambda: network.legs(VIP6), gateways6)
    for links in ((1, 2, 3, 4), (5, 1), (2, 3, 4, 5)):
        batch(network, *(f"link set eth{link} down" for link in links))
        batch(network, *(f"link set eth{link} up" for link in links), *lead)
        await becomes(lambda: network.legs(VIP), gateways)
        await becomes(lambda: network.legs(VIP6), gateways6)
    assert groups(network) == 2
    await becomes(daemon.problems, {})


async def test_groups_are_deleted_while_their_routes_come(
    network: Network, daemon: Routerd, clients: list[Client]
) -> None:
    """frr#23295: routes that were written while their group was gone were never tried again."""
    vips = [f"172.16.2.{number}" for number in range(1, 41)]
    both = [announcement(number, *(f"{vip}/32" for vip in vips)) for number in range(2)]
    for number, said in enumerate(both):
        clients.append(await network.establish(number))
        clients[-1].send(said + END)
    for vip in vips:
        await network.has(vip, 0, 1)
    for turn in range(3):
        batch(network, *(f"nexthop del id {network.nhid(vip)}" for vip in vips[turn * 5 : turn * 5 + 5]))
        for client, said in zip(clients, both, strict=True):
            client.send(update(withdrawn=[f"{vip}/32" for vip in vips[:20]]) + said)
        for vip in vips:
            await network.has(vip, 0, 1)
    assert len({network.nhid(vip) for vip in vips}) == len(vips)
    await becomes(lambda: groups(network), len(vips))
    await becomes(daemon.problems, {})


async def test_end_of_rib_comes_before_the_routes(network: Network, daemon: Routerd, clients: list[Client]) -> None:
    """gobgp#1463, frr#22623: the marker came ahead of what it ends. The VIPs keep their groups and the other node."""
    graceful = Graceful(time=10, families={bgp.IPV4: True, bgp.IPV6: True})
    for number in range(2):
        clients.append(await network.establish(number, graceful=graceful))
        clients[-1].send(announcement(number, VIP) + announcement(number, VIP6) + END)
    await network.has(VIP, 0, 1)
    await network.has(VIP6, 0, 1)
    ids = network.nhid(VIP), network.nhid(VIP6)
    await clients[0].close()
    await becomes(lambda: daemon.peer(0)["state"], "stale")
    clients.append(await network.establish(0, graceful=Graceful(True, time=10, families=graceful.families)))
    clients[-1].send(END)
    await network.has(VIP, 1)
    clients[-1].send(announcement(0, VIP) + announcement(0, VIP6))
    await network.has(VIP, 0, 1)
    await network.has(VIP6, 0, 1)
    assert (network.nhid(VIP), network.nhid(VIP6), groups(network)) == (*ids, 2)
    await becomes(daemon.problems, {})


async def test_a_next_hop_inside_what_is_announced_with_it(
    network: Network, daemon: Routerd, clients: list[Client]
) -> None:
    """frr#22752, frr#5018: a next hop that led to itself stayed in the group when it was gone."""
    inner = "172.16.7.7"
    for number in range(2):
        clients.append(await network.establish(number))
    clients[0].send(far(inner, VIP, hop=inner) + END)
    clients[1].send(announcement(1, VIP) + END)
    await network.has(VIP, 1)
    assert network.legs(inner) == set()
    await becomes(lambda: f"peer {node(0)}" in daemon.problems())
    network.router.ip("route", "add", "172.16.7.0/24", "via", FIRST)
    await network.has(VIP, 1, 10)
    await network.has(inner, 10)
    network.router.ip("route", "del", "172.16.7.0/24")
    await network.has(VIP, 1)
    await network.has(inner)
    clients[0].send(update(withdrawn=[f"{inner}/32", f"{VIP}/32"]))
    await becomes(daemon.problems, {})
    assert groups(network) == 1
