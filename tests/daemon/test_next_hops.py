"""Whose next hop: a node may name itself in every form that speakers send, and nobody else."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, Network, Routerd, becomes, node, node6, running
from tests.support import bgp
from tests.support.bgp import Client
from tests.support.netns import Namespace, namespace, needs_root

pytestmark = needs_root

VIP, VIP6 = "172.16.1.1/32", "fd00:ac10::1/128"
OTHER, OTHER6 = "10.0.0.200", "fd00::200"
"""Addresses of another host on the nodes' link."""

SIX = """
[drain]
state_file = ""
[[peers]]
name = "six"
address = "fd00::170"
group = "nodes"

[[peers]]
name = "trusted"
address = "10.0.0.32"
addresses = ["fd00::200"]
group = "nodes"
"""


@pytest.fixture
def other(network: Network) -> Iterator[Namespace]:
    """Another host on the nodes' link, with a network card of its own."""
    with namespace("other") as made:
        network.nodes.ip("link", "add", "link", "eth0", "name", "eth1", "type", "macvlan", "mode", "bridge")
        network.nodes.ip("link", "set", "eth1", "netns", made.name)
        made.address("eth1", f"{OTHER}/24", f"{OTHER6}/64")
        yield made


@pytest.fixture
def daemon(network: Network, other: Namespace, tmp_path: Path) -> Iterator[Routerd]:
    network.nodes.address("eth0", "fd00::170/64", "10.0.0.32/24")
    with running(network.router, tmp_path, CONFIG + SIX) as made:
        yield made


def link_local(host: Namespace, interface: str = "eth0") -> str:
    """Return the link-local address of a host: all nodes share one."""
    (found,) = host.ip_json("-6", "address", "show", "dev", interface, "scope", "link")
    return next(str(each["local"]) for each in found["addr_info"] if each)


def reach(*next_hops: str, prefix: str = VIP6) -> bytes:
    """Return an UPDATE for an IPv6 prefix with these addresses, 16 octets each, as its next hop."""
    packed = b"".join(ipaddress.IPv6Address(each).packed for each in next_hops)
    value = struct.pack("!HBB", bgp.IPV6, 1, len(packed)) + packed + b"\0" + bgp.nlri([prefix])
    return bgp.update(bgp.attributes(as_path=(65001,)) + bgp.attribute(14, value, 0x80))


def mapped(address: str) -> str:
    return f"::ffff:{address}"


async def dial(network: Network, clients: list[Client], source: str) -> Client:
    with network.nodes.enter():
        client = await bgp.connect("fd00::1" if ":" in source else "10.0.0.1", source=source, router_id="10.0.0.99")
    clients.append(client)
    await client.establish()
    return client


def rejections(daemon: Routerd, source: str) -> dict[str, int]:
    found = {peer["address"]: peer["rejected_by_reason"] for peer in daemon.get("/v1/peers")}
    return {reason.split()[0]: count for reason, count in found.get(source, {}).items()}


@pytest.mark.parametrize("source", [node(0), "fd00::170"])
async def test_every_form_of_the_nodes_own_next_hop_works(
    daemon: Routerd, network: Network, clients: list[Client], source: str
) -> None:
    peer, local = await dial(network, clients, source), link_local(network.nodes)
    own = "fd00::170" if ":" in source else node6(0)
    forms = [(own,), (own, local), (local,), (local, local), ("::", local)]
    forms += [] if ":" in source else [(mapped(source), local)]
    for form in forms:
        peer.send(reach(*form))
        await becomes(lambda: network.legs(VIP6), {own if form[0] == own else local})
        peer.send(bgp.update(bgp.mp_unreach([VIP6])))
        await becomes(lambda: network.legs(VIP6), set())


async def test_an_ipv4_next_hop_of_ipv6_is_told_with_what_helps(
    daemon: Routerd, network: Network, clients: list[Client]
) -> None:
    """What Cilium and BIRD say on an IPv4 session, unless they are told an address (cilium#37831)."""
    peer = await dial(network, clients, node(0))
    peer.send(reach(mapped(node(0))))
    told = f"1 prefixes are not in the FIB: nothing leads to their next hop ::ffff:{node(0)}"
    await becomes(lambda: daemon.problems().get(f"peer {node(0)}"), told)
    (remedy,) = (each["remedy"] for each in daemon.status()["problems"] if each["what"] == told)
    assert "have the node's speaker name its IPv6 address" in remedy


@pytest.mark.parametrize("source", [node(0), "fd00::170"])
async def test_another_host_cannot_be_named(
    daemon: Routerd, network: Network, clients: list[Client], source: str
) -> None:
    peer = await dial(network, clients, source)
    forms = [(node6(0), 3), ("fd00::dead", 3), (OTHER6, 3)] if ":" in source else [(mapped(OTHER), 3), (OTHER6, 12)]
    for next_hop, reason in forms:
        peer.send(reach(next_hop))
        await becomes(lambda: rejections(daemon, source), {str(reason): 1})
        peer.send(bgp.update(bgp.mp_unreach([VIP6])))
        await becomes(lambda: rejections(daemon, source), {})
    assert network.legs(VIP6) == set()


async def test_nor_by_its_link_local_address_in_whatever_form(
    daemon: Routerd, network: Network, other: Namespace, clients: list[Client]
) -> None:
    local = link_local(other, "eth1")
    four, six = await dial(network, clients, node(0)), await dial(network, clients, "fd00::170")
    for form in ((local,), (local, local), ("::", local)):
        six.send(reach(*form))
        await becomes(lambda: rejections(daemon, "fd00::170"), {"12": 1})
        six.send(bgp.update(bgp.mp_unreach([VIP6])))
        await becomes(lambda: rejections(daemon, "fd00::170"), {})
    four.send(reach(mapped(node(0)), local))
    await becomes(lambda: rejections(daemon, node(0)), {"12": 1})


async def test_the_other_host_is_not_drained_with_the_node_that_named_it(
    daemon: Routerd, network: Network, clients: list[Client]
) -> None:
    peer, honest = await dial(network, clients, node(0)), await dial(network, clients, "fd00::170")
    honest.send(reach("fd00::170"))
    peer.send(reach(OTHER6))
    await becomes(lambda: rejections(daemon, node(0)), {"12": 1})
    assert daemon.cli("drain", node(0)).returncode == 0
    await becomes(lambda: network.legs(VIP6), {"fd00::170"})
    assert daemon.cli("drain", node(0), "--wait").returncode == 0
    assert network.legs(VIP6) == {"fd00::170"}


async def test_what_the_operator_names_is_the_nodes_own(
    daemon: Routerd, network: Network, clients: list[Client]
) -> None:
    peer = await dial(network, clients, "10.0.0.32")
    peer.send(reach(OTHER6))
    await becomes(lambda: network.legs(VIP6), {OTHER6})


async def test_an_address_that_the_node_has_only_later_is_found_out_then(
    daemon: Routerd, network: Network, clients: list[Client]
) -> None:
    peer = await dial(network, clients, node(0))
    peer.send(reach("fd00::171"))
    await becomes(lambda: rejections(daemon, node(0)), {"13": 1})
    network.nodes.address("eth0", "fd00::171/64")
    await becomes(lambda: network.legs(VIP6), {"fd00::171"})


async def test_an_address_that_moves_to_another_host_is_no_longer_the_nodes(
    daemon: Routerd, network: Network, other: Namespace, clients: list[Client]
) -> None:
    peer, witness = await dial(network, clients, node(0)), await dial(network, clients, node(1))
    network.nodes.address("eth0", "fd00::172/64")
    peer.send(reach("fd00::172"))
    await becomes(lambda: network.legs(VIP6), {"fd00::172"})
    network.nodes.ip("address", "delete", "fd00::172/64", "dev", "eth0")
    other.address("eth1", "fd00::172/64")
    network.router.ip(
        "neigh", "replace", "fd00::172", "lladdr", mac(other, "eth1"), "dev", "eth0", "nud", "reachable"
    )
    witness.send(reach(node6(1), prefix="fd00:ac10::2/128"))  # a new question makes routerd look again
    await becomes(lambda: rejections(daemon, node(0)), {"12": 1})
    await becomes(lambda: network.legs(VIP6), set())


def mac(host: Namespace, interface: str) -> str:
    return str(host.ip_json("link", "show", "dev", interface)[0]["address"])


async def test_a_link_local_next_hop_needs_ipv6_on_the_link_of_the_session(
    daemon: Routerd, network: Network, clients: list[Client]
) -> None:
    peer, local = await dial(network, clients, node(0)), link_local(network.nodes)
    peer.send(reach(local))
    await becomes(lambda: network.legs(VIP6), {local})
    network.router.sysctl(net__ipv6__conf__eth0__disable_ipv6=1)
    told = f"1 prefixes are not in the FIB: nothing leads to their next hop {local}"
    await becomes(lambda: told in {problem["what"] for problem in daemon.status()["problems"]})
    assert "kernel refused" not in daemon.log.read_text()
    assert network.legs(VIP6) == set()
    network.router.sysctl(net__ipv6__conf__eth0__disable_ipv6=0)
    await becomes(lambda: network.legs(VIP6), {local})
