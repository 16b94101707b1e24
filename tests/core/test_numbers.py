"""Numbers that others know: of the API and of protocols."""

from __future__ import annotations

from routerd.config.model import FibSection
from routerd.core.message import (
    BucketsRead,
    ForeignBgp,
    GroupLayout,
    KernelGroup,
    KernelNexthop,
    Member,
    SetGroup,
)
from routerd.core.message.flow import L4, FlowMember, Way
from routerd.core.message.kernel import PROTOCOLS, ROUTE_TYPES
from routerd.core.rib.decision import Options, Step
from routerd.core.rib.policy import Reject
from routerd.core.route import Origin, SegmentType


def test_each_step_and_each_reason_has_its_own_number() -> None:
    """They count up as docs/decision-process.md has them; two of the same number would be one."""
    assert [int(step) for step in Step] == list(range(14))
    assert [int(reason) for reason in Reject] == list(range(14))
    assert (Step.PEER_ADDRESS, Step.MAX_PATHS) == (11, 13)
    assert (Reject.NO_POLICY, Reject.UNKNOWN_HOST) == (5, 13)


def test_values_on_the_wire() -> None:
    assert [(each.name, each.value) for each in Origin] == [("IGP", 0), ("EGP", 1), ("INCOMPLETE", 2)]
    kinds = [("SET", 1), ("SEQUENCE", 2), ("CONFED_SEQUENCE", 3), ("CONFED_SET", 4)]
    assert [(each.name, each.value) for each in SegmentType] == kinds


def test_protocols_and_types_of_routes_are_those_of_linux() -> None:
    """linux/rtnetlink.h, and /etc/iproute2/rt_protos."""
    assert ROUTE_TYPES == {1: "unicast", 6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw"}
    numbers = {name: number for number, name in PROTOCOLS.items()}
    assert {name: numbers[name] for name in ("kernel", "static", "zebra", "bird", "bgp", "ospf", "rip", "eigrp")} == {
        "kernel": 2, "static": 4, "zebra": 11, "bird": 12, "bgp": 186, "ospf": 188, "rip": 189, "eigrp": 192,
    }  # fmt: skip


def test_what_a_message_does_not_say_is_none() -> None:
    """0 where there is no id, no table, no bucket and no question; a member without a weight has the least."""
    way = Way("uplink", L4)
    assert (way.table, way.protocol, way.metric, way.nexthop, way.buckets, way.chosen) == (0,) * 6
    assert FlowMember(1, 1, None).buckets == 0
    assert KernelNexthop(1, 186, None).device == KernelGroup(1, 186, ()).buckets == 0
    assert ForeignBgp() == ForeignBgp(0, 0, ())
    assert SetGroup(1, ()).buckets == SetGroup(1, ()).like == 0
    assert Member(1).weight == 1
    assert GroupLayout("172.16.1.1/32", (), (), 0).answers == BucketsRead(1).busy == 0


def test_decisions_are_made_by_the_defaults_of_the_configuration_unless_it_says_otherwise() -> None:
    assert Options() == Options.of(FibSection())
