"""A dump of the table goes in slices, a part of it in memory, while the table changes."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

from routerd.core.route import Path as PathOf
from routerd.core.route import parse_address, parse_prefix
from routerd.service.tables import dump, records
from tests.support.core import Simulation

A, B = "192.168.10.100", "192.168.10.101"
COUNT = 50_000
TABLE = [f"172.16.{number // 256 % 256}.{number % 256}/32" for number in range(COUNT)]


def full() -> Simulation:
    """Return a router with a large table."""
    simulation = Simulation()
    simulation.up(A)
    for start in range(0, COUNT, 1000):
        simulation.announce(A, *TABLE[start : start + 1000])
    return simulation


async def test_a_large_table_goes_in_parts_between_which_others_have_their_turn() -> None:
    simulation, turns, done = full(), 0, asyncio.Event()

    async def others() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    sizes = [len(part) async for part in dump(simulation.router)]
    done.set()
    await beside
    assert turns > 10
    assert max(sizes) < sum(sizes) / 10


async def test_what_goes_meanwhile_is_left_out_and_who_comes_is_not_in_the_index(tmp_path: Path) -> None:
    simulation = full()
    made = records(simulation.router, 0.0, 1e9)
    found = [next(made) for _ in range(11)]  # the index, and ten prefixes
    simulation.up(B)
    simulation.announce(B, *TABLE[:100], "172.17.0.1/32")
    simulation.withdraw(A, *TABLE[50:])
    found += made
    file = tmp_path / "table.mrt"
    file.write_bytes(b"".join(found))
    read = subprocess.run(["bgpdump", "-m", str(file)], capture_output=True, text=True, check=True).stdout
    rows = [line.split("|") for line in read.splitlines()]
    assert [(row[5], row[3]) for row in rows if row[3] != "0.0.0.0"] == [(prefix, A) for prefix in TABLE[:50]]
    assert parse_prefix("172.17.0.1/32") in simulation.router.rib.loc_rib.table


def test_an_ipv4_prefix_may_have_an_ipv6_next_hop(tmp_path: Path) -> None:
    simulation = Simulation()
    simulation.up(A)
    said = simulation.attributes(A)._replace(next_hop=parse_address("fd00:10::100"), communities=(65001 << 16 | 7,))
    simulation.router.rib.loc_rib.announce(PathOf(A, said), [parse_prefix("172.16.9.0/24")])
    file = tmp_path / "table.mrt"
    file.write_bytes(b"".join(records(simulation.router, 0.0, 1e9)))
    read = subprocess.run(["bgpdump", "-m", str(file)], capture_output=True, text=True, check=True).stdout
    [row] = [line.split("|") for line in read.splitlines() if "172.16.9.0/24" in line]
    assert (row[3], row[8], row[11]) == (A, "fd00:10::100", "65001:7")
