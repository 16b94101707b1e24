"""Purges go in slices, whatever there is to purge."""

from __future__ import annotations

import pytest

from routerd.config.model import PeerGroup
from routerd.core.rib.peer import Peer
from routerd.core.rib.purges import EACH, SLICE, Purges
from routerd.core.route import Attributes, Path, parse_prefix


def stale(number: int, count: int) -> Peer:
    """Return a peer whose session has ended, with so many prefixes of its own."""
    peer = Peer(f"10.0.{number // 250}.{number % 250}", "", "nodes", PeerGroup(), 0.0)
    base = number * count
    prefixes = [parse_prefix(f"172.{16 + (i >> 16)}.{i >> 8 & 255}.{i & 255}/32") for i in range(base, base + count)]
    peer.adj_rib_in.accept(Path(peer.address, Attributes()), prefixes)
    peer.adj_rib_in.mark_stale(again=True)
    return peer


@pytest.mark.parametrize(("peers", "each"), [(1, 3 * SLICE), (4, SLICE), (500, 1), (3, SLICE - 1)])
def test_a_slice_is_bounded_by_prefixes_and_by_peers(peers: int, each: int) -> None:
    purges = Purges()
    for number in range(peers):
        purges.ask(stale(number, each))
    slices: list[int] = []
    while purges:
        taken = purges.slice()
        purges.cost(len(taken))
        slices.append(sum(map(len, taken.values())))
        assert len(taken) <= SLICE / EACH + 1
    assert sum(slices) == peers * each
    assert max(slices) <= SLICE
    assert len(slices) <= 6 + peers * (each + EACH) / SLICE


def test_prefixes_that_each_have_a_path_set_of_their_own_make_small_slices() -> None:
    purges = Purges()
    purges.ask(stale(0, 2 * SLICE))
    slices: list[int] = []
    while purges:
        slices.append(sum(map(len, purges.slice().values())))
        purges.cost(slices[-1])
    assert max(slices) <= SLICE / EACH
