"""Who announces what when every VIP has its own nodes."""

from __future__ import annotations

import pytest
from benchmarks.subsets import Changes, Placement, introduced, placed, rolled, wanted


def _played(before: Placement, changes: Changes, first: int = 0) -> Placement:
    after = [set(nodes) for nodes in before]
    for number, announced, withdrawn in changes:
        for vip in announced:
            assert number not in after[vip - first]
            after[vip - first].add(number)
        for vip in withdrawn:
            after[vip - first].remove(number)
    return [frozenset(nodes) for nodes in after]


def test_every_vip_has_as_many_nodes_as_it_should_and_all_daemons_get_the_same() -> None:
    found = placed(50, 2_000, 3)
    assert len(found) == 2_000
    assert {len(nodes) for nodes in found} == {3}
    assert set().union(*found) == set(range(50))
    assert 1_800 < len(set(found)) < 2_000  # nearly as many groups as VIPs
    assert found == placed(50, 2_000, 3)


def test_groups_can_be_asked_to_differ() -> None:
    assert len(set(placed(10, 120, 3, distinct=True))) == 120  # all that there are


@pytest.mark.parametrize("first", [0, 100])
def test_each_node_announces_once_and_all_that_it_has(first: int) -> None:
    placement = placed(20, 500, 3)
    changes = introduced(placement, first)
    assert sorted(number for number, _, _ in changes) == list(range(20))
    assert [number for number, _, _ in changes] != list(range(20))
    assert any(vips != sorted(vips) for _, vips, _ in changes)
    assert _played([frozenset()] * 500, changes, first) == placement


@pytest.mark.parametrize("first", [0, 100])
def test_in_a_rolling_restart_every_vip_gains_one_node_and_loses_another(first: int) -> None:
    before = placed(20, 500, 3)
    after, changes = rolled(before, 20, first)
    assert all(len(old & new) == 2 and len(new) == 3 for old, new in zip(before, after, strict=True))
    assert len(changes) == 1_000
    assert _played(before, changes, first) == after
    gains = [changes.index(change) for change in changes if change[1]]
    assert min(gains) < 20  # mixed with the losses, not before or behind them
    assert max(gains) > 980


def test_the_kernel_is_to_have_gateways() -> None:
    assert wanted([{0, 2}, ()], 7) == {7: frozenset({b"\x0a\x63\x00\x0a", b"\x0a\x63\x00\x0c"}), 8: frozenset()}
