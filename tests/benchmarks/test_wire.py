"""The generator's UPDATEs, as the sinks count them and as routerd decodes them."""

from __future__ import annotations

import struct

import pytest
from benchmarks.generator import updates, withdrawals
from benchmarks.sink import Counter


def _messages(data: bytes) -> list[bytes]:
    found = []
    while data:
        (length,) = struct.unpack_from("!H", data, 16)
        found.append(data[:length])
        data = data[length:]
    return found


def test_no_message_is_longer_than_bgp_allows() -> None:
    for data in (updates(65001, "10.0.0.1", 0, 10_000, 0), withdrawals(range(10_000))):
        assert max(map(len, _messages(data))) <= 4096


def test_distinct_attributes_make_an_update_each() -> None:
    messages = _messages(updates(65001, "10.0.0.1", 0, 1_000, 100))
    assert len(messages) == 100
    assert len({message[23:-50] for message in messages}) == 100


@pytest.mark.parametrize("size", [1, 7, 19, 4096, 1 << 20])
def test_a_sink_counts_whatever_the_pieces(size: int) -> None:
    data = updates(65001, "10.0.0.1", 0, 2_500, 0) + withdrawals(range(400)) + updates(65001, "10.0.0.1", 0, 3, 3)
    counter = Counter()
    for start in range(0, len(data), size):
        counter.take(data[start : start + size])
    assert counter.routes == 2_500 - 400 + 3
