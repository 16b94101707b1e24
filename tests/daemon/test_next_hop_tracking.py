"""The way to a next hop changes: a static route, an address that moves. And foreign routes that matter to a VIP."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import ROUTER, Network, Routerd, announcement, becomes, legs, node, node6, running
from tests.support.bgp import Client, attributes, mp_reach, update
from tests.support.netns import needs_root

pytestmark = needs_root

CONFIG = """
[router]
asn = 65000
router_id = "10.0.0.1"
networks = ["10.10.1.0/24"]

[api]
socket = "{socket}"
group = "root"

[liveness]
method = "off"

[peer_groups.nodes]
multihop = 2
next_hop = "any"
accept = ["172.16.0.0/12", "fd00:ac10::/32"]
advertise = ["networks"]

[[dynamic_peers]]
range = "10.0.0.64/26"
group = "nodes"
"""
VIP, VIP6 = "172.16.1.1", "fd00:ac10::1"
FAR = "10.5.5.5"
"""A next hop that is on no network of the router's."""
FIRST, SECOND = node(10), node(11)


@pytest.fixture
def daemon(network: Network, tmp_path: Path) -> Iterator[Routerd]:
    with running(network.router, tmp_path, CONFIG) as made:
        yield made


async def announce(network: Network, clients: list[Client], hop: str = FAR) -> None:
    client = await network.establish(0)
    clients.append(client)
    client.send(update(attributes(next_hop=hop, as_path=[65001]), [f"{VIP}/32"]))


async def at_once(network: Network, gateways: set[str]) -> None:
    """Wait until these are the gateways of the VIP's route; an audit would be a minute away."""
    began = time.monotonic()
    await becomes(lambda: network.legs(VIP), gateways, seconds=5)
    print(f"{gateways} after {time.monotonic() - began:.3f} s")


def batch(network: Network, *commands: str) -> None:
    """Run `ip` commands on the router, in one breath."""
    network.router.run("sh", "-c", f"printf '%s\\n' '{chr(10).join(commands)}' | ip -batch -")


async def test_a_static_route_is_followed_wherever_it_leads(
    network: Network, daemon: Routerd, clients: list[Client]
) -> None:
    ip = network.router.ip
    await announce(network, clients)
    await becomes(lambda: daemon.count(0, "accepted"), 1)
    assert network.legs(VIP) == set()
    ip("route", "add", "10.5.0.0/16", "via", FIRST)
    await at_once(network, {FIRST})
    ip("route", "add", "10.5.5.0/24", "via", SECOND)
    await at_once(network, {SECOND})
    ip("route", "replace", "10.5.5.0/24", "nexthop", "via", FIRST, "nexthop", "via", SECOND)
    await at_once(network, {FIRST, SECOND})
    ip("route", "add", "10.5.5.0/24", "via", SECOND, "metric", "7")
    ip("route", "del", "10.5.5.0/24", "metric", "0")
    await at_once(network, {SECOND})
    ip("route", "add", "blackhole", f"{FAR}/32")
    await at_once(network, set())
    ip("route", "del", "blackhole", f"{FAR}/32")
    await at_once(network, {SECOND})
    ip("nexthop", "add", "id", "9", "via", FIRST, "dev", "eth0")
    ip("route", "replace", "10.5.5.0/24", "nhid", "9", "metric", "7")
    await at_once(network, {FIRST})
    ip("nexthop", "replace", "id", "9", "via", SECOND, "dev", "eth0")
    await at_once(network, {SECOND})
    ip("nexthop", "del", "id", "9")
    await at_once(network, {FIRST})
    ip("route", "replace", "10.5.0.0/16", "via", "10.99.0.1", "dev", "eth0", "onlink")
    await at_once(network, {"10.99.0.1"})
    assert "onlink" in ip("nexthop", "show")
    assert not any("refuses" in what for what in daemon.problems().values())


async def test_a_bgp_route_of_another_daemon_leads_to_a_next_hop(
    network: Network, daemon: Routerd, clients: list[Client]
) -> None:
    await announce(network, clients)
    network.router.ip("route", "add", "10.5.5.0/24", "via", FIRST, "proto", "bgp", "metric", "30")
    await at_once(network, {FIRST})


async def test_a_connected_network_yields_to_a_longer_route(
    network: Network, daemon: Routerd, clients: list[Client]
) -> None:
    await announce(network, clients, hop=FIRST)
    await at_once(network, {FIRST})
    network.router.ip("route", "add", f"{FIRST}/32", "via", SECOND)
    await at_once(network, {SECOND})


async def test_an_address_moves_to_a_bridge(network: Network, daemon: Routerd, clients: list[Client]) -> None:
    """As an installer does who makes a bridge for virtual machines: the session survives."""
    client = await network.establish(0)
    clients.append(client)
    client.send(announcement(0, f"{VIP}/32"))
    await at_once(network, {node(0)})
    batch(
        network,
        "link add br0 type bridge",
        "link set br0 up",
        "link set eth0 master br0",
        "address del 10.0.0.1/24 dev eth0",
        "address add 10.0.0.1/24 dev br0",
    )
    await becomes(lambda: set(re.findall(r"via (\S+) dev (\S+)", network.route(VIP))), {(node(0), "br0")}, seconds=5)
    assert daemon.peer(0)["state"] == "established"


async def test_what_a_flap_flushes_leads_nowhere(network: Network, daemon: Routerd, clients: list[Client]) -> None:
    """The kernel deletes the static route, and says nothing of it. The session lives on."""
    network.router.ip("route", "add", "10.5.0.0/16", "via", FIRST)
    await announce(network, clients)
    await at_once(network, {FIRST})
    batch(network, "link set eth0 down", "link set eth0 up")
    await becomes(lambda: any(f"next hop {FAR}" in problem["what"] for problem in daemon.status()["problems"]))
    await at_once(network, set())
    network.router.ip("route", "add", "10.5.0.0/16", "via", SECOND)
    await at_once(network, {SECOND})
    assert daemon.peer(0)["state"] == "established"


async def test_an_address_that_is_exchanged_costs_the_other_family_nothing(
    network: Network, tmp_path: Path, clients: list[Client]
) -> None:
    """As a DHCP client and NetworkManager do it. Whose the IPv6 next hop is was asked by the IPv4 address."""
    with running(network.router, tmp_path):
        client = await network.establish(0)
        clients.append(client)
        client.send(announcement(0, VIP) + announcement(0, VIP6))
        await network.has(VIP, 0)
        await network.has(VIP6, 0)
        before = network.nhid(VIP6)
        network.router.ip("address", "delete", f"{ROUTER}/24", "dev", "eth0")
        await at_once(network, set())
        assert network.nhid(VIP6) == before
        network.router.ip("address", "add", f"{ROUTER}/24", "dev", "eth0")
        await at_once(network, {node(0)})
        assert network.nhid(VIP6) == before
        assert network.legs(VIP6) == {node6(0)}


async def test_a_route_whose_gateway_is_on_no_link_any_more(
    network: Network, daemon: Routerd, clients: list[Client]
) -> None:
    """The kernel keeps an IPv6 route as the address goes by which its gateway was on the link."""
    network.router.ip("address", "add", "fd02::1/64", "dev", "eth0", "nodad")
    network.router.ip("route", "add", "fd05::/32", "via", "fd02::2")
    client = await network.establish(0)
    clients.append(client)
    client.send(update(attributes(as_path=[65001]) + mp_reach("fd05::5", [f"{VIP6}/128"])))
    await becomes(lambda: network.legs(VIP6), {"fd02::2"})
    assert daemon.problems() == {}
    network.router.ip("address", "del", "fd02::1/64", "dev", "eth0")
    told = "1 prefixes are not in the FIB: nothing leads to fd02::2, the gateway to their next hop fd05::5"
    await becomes(daemon.problems, {f"peer {node(0)}": told})
    assert network.legs(VIP6) == set()
    network.router.ip("address", "add", "fd02::1/64", "dev", "eth0", "nodad")
    await becomes(lambda: network.legs(VIP6), {"fd02::2"})
    await becomes(daemon.problems, {})


async def test_an_interface_gets_another_name(network: Network, daemon: Routerd, clients: list[Client]) -> None:
    await announce(network, clients, hop=FIRST)
    await at_once(network, {FIRST})
    batch(network, "link set eth0 down", "link set eth0 name lan0", "link set lan0 up")
    await becomes(lambda: [path["interface"] for path in daemon.get(f"/v1/routes/{VIP}/32")["paths"]], ["lan0"])
    await at_once(network, {FIRST})


async def test_what_shadows_a_vip_is_told(network: Network, daemon: Routerd, clients: list[Client]) -> None:
    network.router.ip("route", "add", f"{VIP}/32", "via", SECOND, "metric", "10", "proto", "static")
    network.router.ip("route", "add", "10.5.0.0/16", "via", FIRST)
    await announce(network, clients)
    await at_once(network, {FIRST})
    what = await becomes(lambda: daemon.problems().get(f"route {VIP}/32"))
    assert what == f"a foreign route shadows it: protocol static, metric 10, via {SECOND}"
    network.router.ip("route", "del", f"{VIP}/32", "metric", "10")
    await becomes(lambda: f"route {VIP}/32" in daemon.problems(), False)


RULES = {
    "another table": (["rule add pref 9 to {net} lookup 77", "route add {net} via {hop} table 77"], "table 77"),
    "blackhole": (["rule add pref 9 to {net} lookup 77", "route add blackhole {net} table 77"], "a blackhole"),
    "prohibit": (["rule add pref 9 to {net} prohibit"], "a prohibit route"),
    "no main table": (["rule add pref 9 lookup 77", "rule del lookup main"], "no route"),
}


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("rules", RULES)
async def test_what_the_kernel_passes_by_is_told(
    network: Network, daemon: Routerd, clients: list[Client], rules: str, family: str
) -> None:
    """A route is in the FIB, and by the rules another one decides."""
    commands, said = RULES[rules]
    net, prefix, hop, option = "172.16.0.0/12", "172.16.1.0/24", SECOND, "-4"
    if family == "ipv6":
        net, prefix, hop, option = "fd00:ac10::/32", "fd00:ac10:0:1::/64", node6(11), "-6"
    client = await network.establish(0)
    clients.append(client)
    client.send(announcement(0, prefix))
    await becomes(lambda: bool(network.legs(prefix)), True)
    await becomes(daemon.problems, {})
    for command in commands:
        network.router.ip(option, *command.format(net=net, hop=hop).split())
    what = await becomes(lambda: daemon.problems().get(f"route {prefix}", ""))
    assert what.startswith(f"the kernel passes it by: its lookup of {prefix.split('/')[0]} ends at ")
    assert what.endswith(said)


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
async def test_a_foreign_route_inside_a_pod_cidr_is_told(
    network: Network, daemon: Routerd, clients: list[Client], family: str
) -> None:
    cidr, pod, beside, hop = "172.16.1.0/24", "172.16.1.9/32", "172.16.2.9/32", SECOND
    if family == "ipv6":
        cidr, pod, beside, hop = "fd00:ac10:0:1::/64", "fd00:ac10:0:1::9/128", "fd00:ac10:0:2::9/128", node6(11)
    client = await network.establish(0)
    clients.append(client)
    client.send(announcement(0, cidr))
    await becomes(lambda: bool(network.legs(cidr)), True)
    network.router.ip("route", "add", beside, "via", hop)
    network.router.ip("route", "add", pod, "via", hop, "metric", "30", "proto", "static")
    told = f"a more specific foreign route takes a part of it: {pod}, protocol static, metric 30, via {hop}"
    await becomes(daemon.problems, {f"route {cidr}": told})
    network.router.ip("route", "del", pod, "metric", "30")
    await becomes(daemon.problems, {})


async def test_a_rule_that_leads_to_the_main_table_is_no_problem(
    network: Network, daemon: Routerd, clients: list[Client]
) -> None:
    """As wg-quick has it: all but default routes of the main table go first."""
    ip = network.router.ip
    ip("route", "add", "default", "via", SECOND, "table", "77")
    ip("rule", "add", "pref", "10", "lookup", "77")
    ip("rule", "add", "pref", "9", "lookup", "main", "suppress_prefixlength", "0")
    await announce(network, clients, hop=FIRST)
    await at_once(network, {FIRST})
    await becomes(daemon.problems, {})


@pytest.mark.parametrize("vip", [VIP, VIP6])
async def test_a_vip_that_the_router_has_itself_is_told(
    network: Network, daemon: Routerd, clients: list[Client], vip: str
) -> None:
    """As when keepalived on the router is given the address of a VIP."""
    client = await network.establish(0)
    clients.append(client)
    client.send(announcement(0, vip))
    await becomes(lambda: bool(network.legs(vip)), True)
    bits = 32 if vip == VIP else 128
    network.router.ip("address", "add", f"{vip}/{bits}", "dev", "lo")
    told = f"not in the FIB: it is an address of the router itself, on lo, and announced by {node(0)}"
    await becomes(daemon.problems, {f"route {vip}/{bits}": told})
    assert network.legs(vip) == set()
    network.router.ip("address", "del", f"{vip}/{bits}", "dev", "lo")
    await becomes(lambda: bool(network.legs(vip)), True)
    await becomes(daemon.problems, {})


async def test_what_others_do_to_routes_is_mended_at_once(
    network: Network, daemon: Routerd, clients: list[Client]
) -> None:
    ip = network.router.ip
    await announce(network, clients, hop=FIRST)
    await at_once(network, {FIRST})
    mended = daemon.status()["fib"]["drift_mended"]
    ip("route", "del", VIP)
    await at_once(network, {FIRST})
    assert daemon.status()["fib"]["drift_mended"] > mended


@pytest.mark.parametrize("protocol", ["static", "bgp"])
async def test_what_has_overwritten_a_route_stays_and_is_told(
    network: Network, daemon: Routerd, clients: list[Client], protocol: str
) -> None:
    """Protocol and metric are routerd's, and the nexthop id is not. Once it goes, the route is back at once."""
    ip = network.router.ip
    await announce(network, clients, hop=FIRST)
    await at_once(network, {FIRST})
    ip("route", "replace", VIP, "via", SECOND, "metric", "20", "proto", protocol)
    await becomes(lambda: "exists" in daemon.problems().get(f"route {VIP}/32", ""))
    assert f"via {SECOND} dev eth0 proto {protocol} metric 20" in " ".join(network.route(VIP).split())
    ip("route", "del", VIP, "via", SECOND, "metric", "20", "proto", protocol)
    await at_once(network, {FIRST})
    await becomes(lambda: f"route {VIP}/32" in daemon.problems(), False)


async def test_who_takes_the_place_of_a_deleted_route_keeps_it(
    network: Network, daemon: Routerd, clients: list[Client]
) -> None:
    """Both in one breath, before routerd hears of either."""
    await announce(network, clients, hop=FIRST)
    await at_once(network, {FIRST})
    daemon.signal(signal.SIGSTOP)
    batch(network, f"route del {VIP}", f"route add {VIP} via {SECOND} metric 20 proto static")
    daemon.signal(signal.SIGCONT)
    await becomes(lambda: daemon.problems().get(f"route {VIP}/32", ""))
    assert "exists" in daemon.problems()[f"route {VIP}/32"]
    assert SECOND in network.route(VIP)
    assert legs(network.route(VIP)) == set()
