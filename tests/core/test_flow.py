"""What the kernel can be asked about a flow."""

from __future__ import annotations

import pytest

from routerd.core.message.flow import FIVE_TUPLE, INNER_L3, L3, L4, Flow
from routerd.core.route import parse_address

TCP, UDP, ICMP = 6, 17, 1


def flow(here: int, there: int, protocol: int = TCP, address: str = "10.0.0.1") -> Flow:
    return Flow(parse_address(address), parse_address(address), here, there, protocol)


@pytest.mark.parametrize(
    ("asked", "policy", "whole"),
    [
        (flow(1, 1), L4, True),
        (flow(1, 2, protocol=UDP), FIVE_TUPLE, True),
        (flow(0, 2), L4, False),
        (flow(1, 0), L4, False),
        (flow(0, 2, protocol=UDP), FIVE_TUPLE, False),
        (flow(0, 0), L3, True),
        (flow(0, 0, protocol=ICMP), L4, True),
    ],
)
def test_a_flow_of_tcp_or_udp_has_both_ports_unless_addresses_alone_are_hashed(
    asked: Flow, policy: int, whole: bool
) -> None:
    assert asked.is_whole(policy) is whole


@pytest.mark.parametrize("policy", [L3, L4, INNER_L3, FIVE_TUPLE])
def test_for_ipv6_the_kernel_answers_as_for_packets_by_l4_alone(policy: int) -> None:
    assert flow(1, 2).is_exact(policy)
    assert flow(1, 2, address="fd00::1").is_exact(policy) is (policy == L4)
