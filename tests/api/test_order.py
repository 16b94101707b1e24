"""Pages of prefixes in order, made in short slices."""

from __future__ import annotations

import random
import time

import pytest

from routerd.api.views.order import in_order
from routerd.core.route import Prefix, format_prefix, parse_prefix

TEXTS = ["10.0.0.0/8", "10.0.0.0/16", "10.0.0.0/32", "10.0.0.1/32", "10.1.0.0/16", "172.16.0.0/12", "::/0",
         "2001:db8::/32", "2001:db8::/48", "fd00::1/128"]  # fmt: skip


def page(prefixes: list[Prefix], offset: int, limit: int) -> tuple[list[Prefix], list[float]]:
    """Return a page, and how long each slice took."""
    slices, made = list[float](), in_order(prefixes, offset, limit)
    while True:
        begun = time.process_time()
        try:
            next(made)
        except StopIteration as end:
            return end.value, [*slices, time.process_time() - begun]
        slices.append(time.process_time() - begun)


def test_the_order_is_by_family_then_address_then_length() -> None:
    shuffled = [parse_prefix(text) for text in TEXTS]
    random.Random(1).shuffle(shuffled)
    assert [format_prefix(prefix) for prefix in page(shuffled, 0, 100)[0]] == TEXTS


@pytest.mark.parametrize("size", [0, 1, 4096, 4097, 20_000])
def test_pages_are_parts_of_the_whole(size: int) -> None:
    made = random.Random(2)
    prefixes = [Prefix(bytes([32]) + i.to_bytes(4, "big")) for i in made.sample(range(1 << 32), size)]
    whole = sorted(prefixes, key=lambda prefix: prefix[1:])
    for offset in (0, 1, 4095, 4096, 4097, 8192, 19_999, 20_000, 1 << 31):
        for limit in (1, 100, 5000, 100_000):
            assert page(prefixes, offset, limit)[0] == whole[offset : offset + limit], (offset, limit)


def test_no_slice_is_a_large_part_of_the_work() -> None:
    prefixes = [Prefix(bytes([32]) + i.to_bytes(4, "big")) for i in random.Random(3).sample(range(1 << 32), 100_000)]
    begun = time.process_time()
    sorted(prefixes, key=lambda prefix: (len(prefix), prefix[1:], prefix[0]))
    at_a_stretch = time.process_time() - begun
    longest = min(max(page(prefixes, 90_000, 10_000)[1]) for _ in range(3))  # others use this machine, too
    assert longest < at_a_stretch / 4
