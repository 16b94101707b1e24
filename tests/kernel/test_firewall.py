"""What a rule may let through: what is not known counts as if it did."""

from __future__ import annotations

import struct

import pytest

from routerd.kernel.firewall import Rule, Way, _admits, _judge
from routerd.kernel.wire import attribute

WAY: Way = ((9, "eth9"), (2, "eth0"))
ACCEPT = ("immediate", {1: bytes(4), 2: attribute(2, attribute(1, struct.pack("!i", 1)))})
DROP = ("immediate", {1: bytes(4), 2: attribute(2, attribute(1, bytes(4)))})
REGISTER = struct.pack("!I", 1)


def meta(key: int, value: bytes, differs: int = 0) -> Rule:
    loaded = ("meta", {1: REGISTER, 2: struct.pack("!I", key)})
    return [loaded, ("cmp", {1: REGISTER, 2: struct.pack("!I", differs), 3: attribute(1, value)})]


def state(mask: int) -> Rule:
    masked = {1: REGISTER, 2: REGISTER, 4: attribute(1, struct.pack("=I", mask))}
    none = {1: REGISTER, 2: struct.pack("!I", 1), 3: attribute(1, bytes(4))}
    return [("ct", {1: REGISTER, 2: bytes(4)}), ("bitwise", masked), ("cmp", none)]


def conntrack(mask: int, inverted: int = 0) -> Rule:
    """As iptables writes it."""
    return [("match", {1: b"conntrack\0", 3: bytes(146) + struct.pack("=HHHH", 1, inverted, mask, 0) + bytes(8)})]


@pytest.mark.parametrize(
    ("conditions", "may"),
    [
        ([], True),
        (meta(7, b"eth0".ljust(16, b"\0")), True),
        (meta(7, b"eth0".ljust(16, b"\0"), differs=1), False),
        (meta(7, b"docker0".ljust(16, b"\0")), False),
        (meta(7, b"eth"), True),  # eth*
        (meta(6, b"eth0".ljust(16, b"\0")), False),
        (meta(4, struct.pack("=I", 9)), True),
        (meta(5, struct.pack("=I", 9)), False),
        (meta(16, b"\x06"), True),  # a protocol: whose packets are meant nobody can say
        (state(2 | 4), False),
        (state(2 | 4 | 8), True),
        (conntrack(2 | 4), False),
        (conntrack(2 | 4, inverted=1), True),
        (conntrack(8), True),
    ],
)
def test_whether_a_rule_may_match_the_first_packet_of_a_connection(conditions: Rule, may: bool) -> None:
    assert _judge([*conditions, ACCEPT], WAY)[0] is may
    chain = (2, "filter", "FORWARD")
    assert _admits(chain, {chain: [[*conditions, ACCEPT]]}, WAY, True, set()) is may


def test_what_drops_all_ends_a_chain() -> None:
    chain = (2, "filter", "FORWARD")
    assert _admits(chain, {}, WAY, False, set())
    assert not _admits(chain, {chain: [[DROP], [ACCEPT]]}, WAY, False, set())
    assert not _admits(chain, {chain: [[("reject", {})], [ACCEPT]]}, WAY, False, set())
    assert _admits(chain, {chain: [[*meta(6, b"eth9".ljust(16, b"\0")), DROP], [ACCEPT]]}, WAY, True, set())


def test_chains_that_lead_to_each_other_end() -> None:
    def jump(name: str) -> Rule:
        verdict = attribute(1, struct.pack("!i", -3)) + attribute(2, name.encode() + b"\0")
        return [("immediate", {1: bytes(4), 2: attribute(2, verdict)})]

    chain, other = (2, "t", "a"), (2, "t", "b")
    assert not _admits(chain, {chain: [jump("b")], other: [jump("a")]}, WAY, True, set())
    assert _admits(chain, {chain: [jump("b")], other: [jump("a"), [ACCEPT]]}, WAY, True, set())
