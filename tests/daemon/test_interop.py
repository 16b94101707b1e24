"""GoBGP, FRR and BIRD as nodes, each alone and all together: what they announce and what they learn."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from routerd.lab.daemon import LAB_CONFIG
from routerd.lab.laboratory import Laboratory, laboratory
from routerd.lab.speakers import Bird, Frr, GoBgp, Speaker
from routerd.lab.topology import ROUTER_HOST, Node, Topology, standard
from routerd.lab.waiting import until
from tests.daemon.harness import legs, nhid
from tests.support.netns import needs_root

pytestmark = needs_root

KINDS = {"gobgp": ["gobgp"] * 3, "frr": ["frr"] * 3, "bird": ["bird"] * 3, "mixed": ["gobgp", "frr", "bird"]}
VIPS = ("172.16.1.1", "172.16.1.2", "fd00:ac10::1", "fd00:ac10::2")


@pytest.fixture(scope="module")
def labs() -> Iterator[dict[str, Laboratory]]:
    """All labs, their nodes booted: most of the time until they converge is waiting, which they do together. A node
    that comes late to a VIP gets its share an idle timer later."""
    config = LAB_CONFIG.read_text()
    with ExitStack() as stack:
        made = {name: stack.enter_context(laboratory(_plan(kinds), config)) for name, kinds in KINDS.items()}
        for lab in made.values():
            lab.daemon.start()
            for name, speaker in lab.speakers.items():
                speaker.announce("172.16.1.2/32", "fd00:ac10::2/128")
                lab.boot(name)
        yield made


@pytest.fixture(params=KINDS)
def lab(request: pytest.FixtureRequest, labs: dict[str, Laboratory]) -> Laboratory:
    """A lab whose nodes have converged, each with two VIPs a family and its PodCIDRs."""
    chosen = labs[request.param]
    for vip in VIPS:
        chosen.wait_for_next_hops(vip, list(chosen.speakers), 30)
    return chosen


def _plan(kinds: list[str]) -> Topology:
    plan = standard()
    nodes = zip(plan.nodes, kinds, strict=True)
    return Topology(tuple(replace(node, speaker=kind) for node, kind in nodes), plan.client)


def shown(lab: Laboratory, vip: str) -> str:
    """What `ip route show` prints for a VIP, without the white space at the end of lines."""
    text = lab.fabric.router.run("ip", "-6" if ":" in vip else "-4", "route", "show", vip)
    return re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE).rstrip("\n")


def leg(node: Node, vip: str) -> str:
    return f"\tnexthop via {node.ipv6 if ':' in vip else node.ipv4} dev {node.network.name} weight 1"


def _wait_for_legs(lab: Laboratory, prefix: str, wanted: set[str]) -> None:
    """Wait until these are the legs of a route; while a group is written `ip route` shows its id alone."""
    until(lambda: "" if legs(shown(lab, prefix)) == wanted else shown(lab, prefix), 2, f"the legs of {prefix}")


@pytest.mark.parametrize("vip", VIPS)
def test_a_vip_is_one_route_with_a_leg_for_each_node(lab: Laboratory, vip: str) -> None:
    head, *_ = shown(lab, vip).split("\n")
    tail = " pref medium" if ":" in vip else ""
    assert re.fullmatch(rf"{vip} nhid \d+ proto bgp metric 20{tail}", head)
    wanted = sorted(leg(node, vip) for node in lab.topology.nodes)

    def different() -> str:
        legs = sorted(shown(lab, vip).split("\n")[1:])
        return "" if legs == wanted else "\n".join(legs)

    until(different, 20, f"fair shares of {vip}")  # nodes that join one that was alone wait for its flows


def test_every_vip_has_a_nexthop_id_of_its_own(lab: Laboratory) -> None:
    assert len({nhid(shown(lab, vip)) for vip in VIPS}) == len(VIPS)


def test_a_pod_cidr_leads_to_its_node_alone(lab: Laboratory) -> None:
    for node in lab.topology.nodes:
        for cidr, address in zip(node.pod_cidrs, (node.ipv4, node.ipv6), strict=True):
            _wait_for_legs(lab, cidr, {address})


def test_nodes_learn_the_routers_network(lab: Laboratory) -> None:
    for node in lab.topology.nodes:
        speaker = lab.speakers[node.name]
        network = node.network
        assert learned(speaker, "10.10.1.0/24") == (network.address4(ROUTER_HOST), [65000])
        assert learned(speaker, "fd00:c::/64") == (network.address6(ROUTER_HOST), [65000])


def test_nodes_learn_nothing_else(lab: Laboratory) -> None:
    for peer in (lab.daemon.status() or {"peers": []})["peers"]:
        assert peer["by_family"]["ipv4"]["advertised"] == 1
        assert peer["by_family"]["ipv6"]["advertised"] == 1


def test_a_withdrawal_and_an_announcement_reach_the_kernel_at_once(lab: Laboratory) -> None:
    names = list(lab.speakers)
    for name in names:
        others = [other for other in names if other != name]
        lab.speakers[name].withdraw("172.16.1.1/32", "fd00:ac10::1/128")
        for vip in lab.topology.vips:
            lab.wait_for_next_hops(vip, others, 2)
        lab.speakers[name].announce("172.16.1.1/32", "fd00:ac10::1/128")
        for vip in lab.topology.vips:
            lab.wait_for_next_hops(vip, names, 2)
    for vip in ("172.16.1.2", "fd00:ac10::2"):
        nodes = lab.topology.nodes
        _wait_for_legs(lab, vip, {node.ipv6 if ":" in vip else node.ipv4 for node in nodes})


def test_all_is_well(lab: Laboratory) -> None:
    status = lab.daemon.status()
    assert status is not None
    assert status["problems"] == []
    assert [peer["faults"] for peer in status["peers"]] == [0, 0, 0]


def learned(speaker: Speaker, prefix: str) -> tuple[str, list[int]]:
    """The next hop and the AS path of a prefix in a node's own table."""
    family = 6 if ":" in prefix else 4
    if isinstance(speaker, GoBgp):
        paths = json.loads(speaker.control("global", "rib", "-j", "-a", f"ipv{family}"))[prefix]
        found = {attribute["type"]: attribute for attribute in paths[0]["attrs"]}
        return found[14 if family == 6 else 3]["nexthop"], found[2]["as_paths"][0]["asns"]
    if isinstance(speaker, Frr):
        (path,) = json.loads(speaker.control(f"show bgp ipv{family} unicast {prefix} json"))["paths"]
        return path["nexthops"][0]["ip"], [int(word) for word in path["aspath"]["string"].split()]
    assert isinstance(speaker, Bird)
    text = speaker.control("show", "route", "for", prefix, "all")
    next_hop, as_path = re.findall(r"BGP\.next_hop: (\S+)", text), re.findall(r"BGP\.as_path: (.*)", text)
    return next_hop[0], [int(word) for word in as_path[0].split()]
