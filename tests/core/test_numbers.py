"""Numbers that others know: of the API and of protocols."""

from __future__ import annotations

from routerd.core.message.kernel import PROTOCOLS, ROUTE_TYPES
from routerd.core.rib.decision import Step
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
