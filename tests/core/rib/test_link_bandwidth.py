"""Link bandwidth (RFC 10005): what a path says of it, and what weights come of that."""

from __future__ import annotations

import math
import struct
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.config.model import LinkBandwidth
from routerd.core.message import Gateway
from routerd.core.rib.decision import GRACEFUL_SHUTDOWN, Decision, Options, decide
from routerd.core.rib.link_bandwidth import WIDEST, bandwidth_of, weights
from routerd.core.rib.ways import Resolution
from routerd.core.route import Attributes, Path, parse_address

ROUTE_TARGET = bytes.fromhex("0002fde947c35000")


def community(octets: float, kind: int = 0x40) -> bytes:
    return struct.pack(">BBHf", kind, 0x04, 65001, octets)


@pytest.mark.parametrize(
    ("communities", "found"),
    [
        ((), None),
        ((ROUTE_TARGET,), None),
        ((community(125000.0),), 125000.0),
        ((community(125000.0, 0x00),), 125000.0),
        ((community(125000.0, 0x80),), None),
        ((community(125000.0, 0x41),), None),
        ((ROUTE_TARGET, community(250000.0), community(125000.0, 0x00)), 125000.0),
        ((community(0.0), community(5.0)), 0.0),
        ((community(-1.0),), None),
        ((community(-1.0), community(7.0)), 7.0),
        ((community(math.inf),), None),
        ((community(math.nan), community(7.0)), 7.0),
    ],
)
def test_what_a_path_says(communities: tuple[bytes, ...], found: float | None) -> None:
    assert bandwidth_of(Attributes(extended_communities=communities)) == found


@pytest.mark.parametrize(
    ("use", "bandwidths", "found"),
    [
        ("all", (125000.0, 250000.0), (1, 2)),
        ("all", (125000.0, 125000.0), ()),
        ("all", (125000.0, None), ()),
        ("all", (None, None), ()),
        ("all", (0.0, 0.0), ()),
        ("all", (0.0, 5.0), (0, 1)),
        ("all", (0.25, 0.75), (1, 3)),
        ("all", (0.375, 0.5), (3, 4)),
        ("all", (2.0**-149, 2.0**-148), (1, 2)),
        ("all", (2.0**-149, 1.0), (1, 255)),
        ("all", (1e9, 3e9, 2e9), (1, 3, 2)),
        ("all", (255.0, 1.0), (255, 1)),
        ("all", (256.0, 1.0), (255, 1)),
        ("all", (3.4e38, 1.0), (255, 1)),
        ("all", (1000.0, 1001.0), ()),
        ("skip-missing", (125000.0, None, 250000.0), (1, 0, 2)),
        ("skip-missing", (125000.0, None), (1, 0)),
        ("skip-missing", (0.0, None), ()),
        ("skip-missing", (None, None), ()),
        ("default-weight-for-missing", (100.0, None, 300.0), (25, 1, 75)),
        ("default-weight-for-missing", (1.0, None, 3.0), (25, 1, 75)),
        ("default-weight-for-missing", (1.0, None), (100, 1)),
        ("default-weight-for-missing", (None, None), ()),
        ("ignore", (125000.0, 250000.0), ()),
    ],
)
def test_weights(use: LinkBandwidth, bandwidths: tuple[float | None, ...], found: tuple[int, ...]) -> None:
    assert weights(bandwidths, use) == found


@given(st.lists(st.floats(0, float(2**100), width=32), min_size=2, max_size=8))
def test_weights_are_small_whole_numbers_in_the_order_of_the_bandwidths(bandwidths: list[float]) -> None:
    found = weights(bandwidths, "all")
    if not found:
        return
    assert max(found) <= WIDEST
    assert math.gcd(*found) == 1
    assert [weight == 0 for weight in found] == [bandwidth == 0 for bandwidth in bandwidths]
    ordered = sorted(zip(bandwidths, found, strict=True))
    assert all(before[1] <= after[1] for before, after in pairwise(ordered))
    most, heaviest = ordered[-1]
    assert all(abs(weight / heaviest - bandwidth / most) <= 1 / heaviest for bandwidth, weight in ordered)


A, B, C = (Gateway(parse_address(f"10.0.0.{i}"), 2) for i in (1, 2, 3))
WAYS = {"10.0.0.1": (A,), "10.0.0.2": (B,), "10.0.0.9": (A, C)}
"""The gateways that a peer's next hop resolves to."""


def path(peer: str, octets: float | None = None, **changes: tuple[int, ...]) -> Path:
    communities = () if octets is None else (community(octets),)
    attributes = Attributes(next_hop=parse_address(peer), extended_communities=communities, **changes)  # type: ignore[arg-type]
    return Path(peer, attributes)


def decided(*paths: Path, use: LinkBandwidth = "all") -> Decision:
    return decide(paths, Options(link_bandwidth=use), lambda path: Resolution(WAYS[path.peer], 0))


def test_gateways_get_the_weights_of_the_paths_that_lead_to_them() -> None:
    for paths in ((path("10.0.0.1", 5), path("10.0.0.2", 10)), (path("10.0.0.2", 10), path("10.0.0.1", 5))):
        assert decided(*paths).wanted.shares == {A: 1, B: 2}
    assert decided(path("10.0.0.1", 5)).wanted.weights == ()


def test_several_paths_to_a_gateway_add_up_and_one_with_several_gateways_is_divided() -> None:
    assert decided(path("10.0.0.1", 5), path("10.0.0.9", 20)).wanted.shares == {A: 3, C: 2}
    assert decided(path("10.0.0.1"), path("10.0.0.9", 20)).wanted.weights == ()


def test_only_paths_that_share_the_flows_count() -> None:
    longer = Path("10.0.0.2", Attributes(next_hop=B.address, med=5))
    assert decided(path("10.0.0.1", 5), path("10.0.0.9", 20), longer).wanted.shares == {A: 3, C: 2}


def test_who_says_nothing_may_get_nothing_and_whoever_leaves_is_told_apart_from_that() -> None:
    found = decided(path("10.0.0.1", 5), path("10.0.0.2"), use="skip-missing").wanted
    assert (found.shares, found.leaving, found.light) == ({A: 1, B: 0}, frozenset(), {B})
    leaving = path("10.0.0.1", 5, communities=(GRACEFUL_SHUTDOWN,))
    found = decided(leaving, path("10.0.0.2", 10)).wanted
    assert (found.shares, found.leaving, found.light) == ({A: 1, B: 2}, {A}, {A})


def test_a_decision_differs_if_its_weights_do() -> None:
    one, other = decided(path("10.0.0.1", 5), path("10.0.0.2", 10)), decided(path("10.0.0.1", 5), path("10.0.0.2", 5))
    assert one.wanted != other.wanted
    best = path("10.0.0.1", 5)
    second = path("10.0.0.2", 10)
    said = [decided(best, second, use=use) for use in ("all", "ignore")]
    assert [a.differs(b) for a, b in product(said, said)] == [False, True, True, False]
