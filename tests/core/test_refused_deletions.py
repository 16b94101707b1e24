"""Deletions that the kernel refuses: told, and tried again by the same clock as all else that it refuses."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

from routerd.api.views import health
from routerd.core.message import (
    DeleteNexthop,
    DeleteRoutes,
    Gateway,
    GroupLost,
    NeighbourState,
    Operation,
    WriteFailed,
)
from routerd.core.route import parse_address
from tests.support.core import Simulation

A = "192.168.10.100"
VIP, OTHER = "172.16.1.1/32", "172.16.1.2/32"


def problems(simulation: Simulation) -> dict[str, str]:
    """What status says of refusals."""
    return {each["where"]: each["what"] for each in health._refusals(simulation.router)}


def refusing_deletions(simulation: Simulation) -> Callable[[], None]:
    """Have the kernel refuse every deletion, for want of memory; return what ends that."""
    write = simulation.kernel.write

    def refusing(operations: Sequence[Operation]) -> list[WriteFailed | GroupLost]:
        return [
            failed
            for each in operations
            for failed in (
                [WriteFailed(each, errno.ENOMEM, "Cannot allocate memory")]
                if isinstance(each, DeleteRoutes | DeleteNexthop)
                else write([each])
            )
        ]

    def end() -> None:
        simulation.kernel.write = write  # type: ignore[method-assign]

    simulation.kernel.write = refusing  # type: ignore[method-assign]
    return end


def undeletable() -> tuple[Simulation, Callable[[], None]]:
    """Return a router with a VIP whose kernel deletes nothing, and what ends that."""
    simulation = Simulation()
    simulation.up(A)
    simulation.announce(A, VIP)
    simulation.settle()
    return simulation, refusing_deletions(simulation)


def test_refused_deletions_are_told_and_tried_again_after_1_2_4_seconds() -> None:
    simulation = Simulation()
    simulation.up(A)
    simulation.announce(A, VIP, OTHER)
    simulation.settle()
    end = refusing_deletions(simulation)
    simulation.forget()
    simulation.withdraw(A, VIP)
    simulation.settle()
    tries = []
    for seconds in range(16):
        if simulation.operations_of(DeleteRoutes):
            tries.append(seconds)
        simulation.forget()
        simulation.advance(1)
    assert tries == [0, 1, 3, 7, 15]
    assert len(simulation.router.refusals) >= 1
    assert problems(simulation)[f"route {VIP}"] == "the kernel does not delete it: Cannot allocate memory (errno 12)"
    end()
    simulation.advance(17)
    assert simulation.fib().keys() == {OTHER}
    assert not simulation.router.refusals
    assert simulation.router.reconciliation.drift_mended == 0
    assert problems(simulation) == {}


def test_refused_deletions_are_tried_again_with_any_event() -> None:
    simulation, end = undeletable()
    simulation.down(A)
    simulation.settle()
    assert simulation.kernel.routes
    end()
    simulation.dump()
    assert not simulation.kernel.routes
    assert not simulation.kernel.nexthops
    assert not simulation.kernel.groups
    assert simulation.router.reconciliation.drift_mended == 0


def test_what_was_not_deleted_and_is_wanted_again_stays() -> None:
    simulation, end = undeletable()
    simulation.withdraw(A, VIP)
    simulation.settle()
    simulation.announce(A, VIP)
    simulation.settle()
    assert f"route {VIP}" not in problems(simulation)
    end()
    simulation.advance(120)
    assert simulation.fib() == {VIP: [A]}
    assert not simulation.router.refusals
    assert problems(simulation) == {}


def test_what_was_not_deleted_goes_though_it_is_wanted_again_as_long_as_its_node_is_out() -> None:
    simulation, end = undeletable()
    simulation.withdraw(A, VIP)
    simulation.settle()
    simulation.announce(A, VIP)
    simulation.take(NeighbourState(Gateway(parse_address(A), 2), alive=False))
    simulation.settle()
    assert f"route {VIP}" in problems(simulation)
    end()
    simulation.advance(120)
    assert simulation.fib() == {}
    assert problems(simulation) == {}
