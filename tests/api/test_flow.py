"""The view of a flow: what the kernel's answer is worth."""

from __future__ import annotations

from typing import Any

import pytest

from routerd.api.views.flow import answer
from routerd.core.message import Gateway
from routerd.core.message.flow import FIVE_TUPLE, L3, L4, Flow, FlowMember, Way
from routerd.core.route import parse_address, parse_prefix
from tests.support.core import Simulation

A, B = "192.168.10.100", "192.168.10.101"
VIP, VIP6 = "172.16.1.1", "fd00:ac10::1"


@pytest.fixture(scope="module")
def two() -> Simulation:
    made = Simulation()
    for node in (A, B):
        made.up(node)
        made.announce(node, f"{VIP}/32")
        made.end_of_rib(node)
    made.settle()
    return made


def asked(two: Simulation, *, ports: tuple[int, int] = (1, 2), vip: str = VIP, **way: Any) -> Any:
    """The answer about a flow, of a kernel that says it goes to the first of two members."""
    group = two.router.fib.routes[parse_prefix(f"{VIP}/32")]
    ids = two.router.fib.groups.nexthops
    members = tuple(FlowMember(ids[gateway], 1, gateway, 512) for gateway in group.legs)
    source = "203.0.113.9" if vip == VIP else "fd00::9"
    flow = Flow(parse_address(source), parse_address(vip), *ports, 6)
    said = Way(
        **{
            "interface": "uplink", "policy": FIVE_TUPLE, "prefix": parse_prefix(f"{VIP}/32"), "table": 254,
            "protocol": 186, "metric": 20, "nexthop": group.id, "buckets": 1024, "members": members,
            "chosen": members[0].nexthop,
        }
        | way
    )  # fmt: skip
    return answer(two.router, flow, said, two.now, None)


def test_with_the_five_tuple_there_is_no_doubt(two: Simulation) -> None:
    found = asked(two)
    assert (found["found"], found["certain"], found["doubts"], found["hash_policy"]) == (
        "node",
        True,
        [],
        "five-tuple",
    )
    assert [path["peer"] for path in found["paths"]] == [found["node"]["gateway"]]
    assert sum(member["share"] for member in found["members"]) == 1.0


@pytest.mark.parametrize(
    ("way", "doubt"),
    [
        ({"policy": L4}, "skb->l4_hash"),
        ({"ports": (0, 2), "chosen": 0}, "depends on both ports"),
        ({"interface": ""}, "the router itself is the source"),
        ({"protocol": 4, "nexthop": 0, "members": (), "chosen": 0}, "of protocol static, metric 20"),
        ({"table": 100}, "of table 100, to which a rule leads it"),
        ({"nexthop": 77}, "the route is not routerd's"),
    ],
)
def test_what_nobody_can_know_is_a_doubt(two: Simulation, way: dict[str, Any], doubt: str) -> None:
    found = asked(two, **way)
    assert not found["certain"]
    assert any(doubt in each for each in found["doubts"]), found["doubts"]


@pytest.mark.parametrize(
    ("policy", "doubt"), [(FIVE_TUPLE, "hashes the five-tuple in another way"), (L3, "flow label")]
)
def test_ipv6_is_not_guessed(two: Simulation, policy: int, doubt: str) -> None:
    found = asked(two, vip=VIP6, policy=policy, chosen=0, nexthop=77)
    assert any(doubt in each for each in found["doubts"])
    assert found["node"] is None


def test_ports_do_not_matter_to_l3(two: Simulation) -> None:
    assert asked(two, ports=(0, 0), policy=L3)["certain"]


def test_a_single_member_is_certain_whatever_the_hash_is(two: Simulation) -> None:
    alone = (FlowMember(5, 1, Gateway(parse_address(A), 2), 1024),)
    assert asked(two, policy=L4, ports=(0, 0), interface="", members=alone, chosen=5)["certain"]


def test_where_there_is_no_route_the_reason_is_told(two: Simulation) -> None:
    dropped = "rp_filter drops packets of this source that come in by uplink"
    found = asked(two, error=dropped, members=(), chosen=0)
    assert (found["found"], found["node"], found["route"]) == ("no route", None, None)
    assert found["doubts"] == [dropped]
    assert asked(two, local=True)["found"] == "local"
