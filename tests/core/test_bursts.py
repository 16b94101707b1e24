"""Many prefixes at once: planned bit by bit, to the end, by the core's own clock."""

from __future__ import annotations

import pytest

from routerd.core.fib.fib import PART
from routerd.core.fib.model import LONGEST
from routerd.core.fib.parting import AT_ONCE
from routerd.core.message import Drain, Settle, Work
from routerd.core.planning import BURST_PATIENCE, BURST_PAUSE
from tests.support.core import Simulation

NODE, OTHER = "192.168.10.101", "192.168.10.102"


@pytest.mark.parametrize("quiet", [False, True])
def test_a_burst_is_planned_to_its_end_without_more_input(quiet: bool) -> None:
    """Whoever drives the core looks at `busy` and `timer`, and at nothing else."""
    simulation = Simulation()
    simulation.up(NODE)
    every = vips(5 * AT_ONCE)
    simulation.announce(NODE, *every)
    simulation.take(Settle(quiet=quiet))
    assert len(simulation.fib()) < len(every)
    drive(simulation, 1.0)
    assert simulation.fib() == {vip: [NODE] for vip in every}


def drive(simulation: Simulation, seconds: float) -> None:
    """Have the core go on without more input as it asks for it."""
    router, end = simulation.router, simulation.now + seconds
    for _ in range(1000):
        due = simulation.now if router.busy else router.timer
        if due is None or due > end:
            break
        simulation.now = max(simulation.now, due)
        simulation.take(Work())
        simulation.take(Settle())


def vips(number: int) -> list[str]:
    return [f"172.16.{each >> 8}.{each & 255}/32" for each in range(number)]


def burst(simulation: Simulation, node: str, prefixes: list[str], size: int) -> None:
    """Have a node announce prefixes, so many with each UPDATE, while more waits."""
    for start in range(0, len(prefixes), size):
        simulation.announce(node, *prefixes[start : start + size])
        simulation.take(Settle(quiet=False))


def test_a_burst_is_planned_in_parts_however_many_prefixes_want_the_same() -> None:
    """They are gathered for a third of a second, and would be planned at a stretch."""
    simulation, every = Simulation(), vips(5 * LONGEST)
    simulation.up(NODE)
    burst(simulation, NODE, every, PART)
    assert not simulation.fib()
    simulation.now += BURST_PAUSE
    simulation.take(Settle())
    assert 0 < len(simulation.fib()) < 2 * LONGEST
    drive(simulation, 1.0)
    assert simulation.fib() == {vip: [NODE] for vip in every}
    assert len(simulation.router.fib.groups.by_id) == 1


@pytest.mark.parametrize("apart", [1, PART])
def test_nobody_leaves_a_group_while_what_others_of_it_want_is_not_planned_yet(apart: int) -> None:
    """A second node announces all prefixes of two tables, now some of the one and now some of the other."""
    simulation, every = Simulation(), vips(4 * LONGEST)
    half = len(every) // 2
    tables = every[:half], every[half:]
    simulation.up(NODE)
    simulation.up(OTHER)
    simulation.announce(NODE, *tables[0])
    simulation.take(Settle())
    simulation.announce(OTHER, *tables[1])
    drive(simulation, 5.0)
    before = {*simulation.router.fib.groups.by_id}
    assert len(before) == 2
    simulation.now += 60
    others = [(OTHER, tables[0]), (NODE, tables[1])]
    for start in range(0, half, apart * 16):
        for node, table in others:
            for first in range(start, min(start + apart * 16, half), apart):
                simulation.announce(node, *table[first : first + apart])
    simulation.take(Settle(quiet=False))
    simulation.take(Settle())
    drive(simulation, 5.0)
    assert simulation.fib() == {vip: [NODE, OTHER] for vip in every}
    assert {*simulation.router.fib.groups.by_id} == before


def test_a_burst_is_over_a_pause_after_its_last_news_whatever_else_happens_meanwhile() -> None:
    simulation = Simulation()
    simulation.up(NODE)
    simulation.announce(NODE, *(f"172.16.0.{number}/32" for number in range(AT_ONCE + 1)))
    simulation.take(Settle(quiet=False))
    due = simulation.router.timer
    assert due is not None
    simulation.now = (simulation.now + due) / 2
    simulation.take(Settle(quiet=False))
    assert simulation.router.timer == due
    simulation.announce(NODE, "172.16.1.1/32")
    simulation.take(Settle(quiet=False))
    assert simulation.router.timer is not None
    assert simulation.router.timer > due


@pytest.mark.parametrize("prefixes", [PART, PART + 1])
def test_a_table_does_not_wait_for_more_as_a_burst_does(prefixes: int) -> None:
    """What comes with the next UPDATE may change few prefixes once more; a table is far from complete anyway."""
    simulation = Simulation()
    simulation.up(NODE)
    simulation.announce(NODE, *(f"172.16.{number >> 8}.{number & 255}/32" for number in range(prefixes)))
    simulation.take(Settle(quiet=False))
    assert bool(simulation.fib()) is (prefixes > PART)


def announced(count: int) -> tuple[Simulation, list[str]]:
    """Return a router that has just heard of so many prefixes."""
    simulation = Simulation()
    simulation.up(NODE)
    simulation.settle()
    vips = [f"172.16.{number >> 8}.{number & 255}/32" for number in range(count)]
    simulation.announce(NODE, *vips)
    return simulation, vips


def work(simulation: Simulation) -> None:
    """Do all that can be done at once, while more input waits."""
    while simulation.router.busy:
        simulation.take(Work())
        simulation.take(Settle(quiet=False))


def test_after_one_pause_a_burst_is_planned_without_another_one() -> None:
    simulation, vips = announced(5 * AT_ONCE)
    simulation.take(Settle(quiet=True))
    assert len(simulation.fib()) == AT_ONCE, "more prefixes want something than one plan takes up"
    assert not simulation.router.busy
    assert simulation.router.timer == simulation.now + BURST_PAUSE
    simulation.now += BURST_PAUSE
    simulation.take(Settle(quiet=False))
    work(simulation)
    assert simulation.fib().keys() == set(vips)


def test_what_a_drain_changes_does_not_wait_for_the_end_of_a_burst() -> None:
    simulation, vips = announced(2 * AT_ONCE)
    simulation.up(OTHER)
    simulation.announce(OTHER, *vips)
    simulation.settle()
    simulation.advance(300)
    simulation.announce(NODE, *(f"172.17.{number >> 8}.{number & 255}/32" for number in range(PART)))
    simulation.take(Settle(quiet=False))
    assert not simulation.router.busy, "the burst may not be over"
    simulation.take(Drain(NODE, on=True))
    work(simulation)
    weights = [
        [member.weight for member in simulation.kernel.groups[simulation.group_of(vip)].members] for vip in vips
    ]
    assert all(len(set(each)) == 2 for each in weights)


def test_a_burst_that_never_pauses_is_planned_after_a_while_all_the_same() -> None:
    simulation, _ = announced(AT_ONCE)
    begun, number = simulation.now, 0
    while not simulation.fib():
        simulation.take(Settle(quiet=False))
        simulation.announce(NODE, f"172.17.{number >> 8}.{number & 255}/32")
        number += 1
        assert simulation.now < begun + BURST_PATIENCE + BURST_PAUSE
        simulation.now += BURST_PAUSE / 2
    work(simulation)
    assert simulation.fib() == simulation.rib(), "and it goes on"
