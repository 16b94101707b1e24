"""Removes everything of routerd's from the kernel, and nothing else."""

from __future__ import annotations

from routerd.core.message import DeleteNexthop, DeleteRoutes, Operation, WriteFailed
from routerd.kernel.dump import dump
from routerd.kernel.writer import KernelWriter, own_nexthops


def flush(metric: int) -> list[WriteFailed]:
    """Delete routes of protocol bgp and this metric, then groups, then nexthop objects of protocol bgp.

    Groups go before their members, so that no route is left on a smaller group meanwhile. Returns what
    the kernel refused; raises OSError if netlink fails. Blocking.
    """
    found = dump(metric)
    operations: list[Operation] = [DeleteRoutes(tuple(found.routes)), *map(DeleteNexthop, own_nexthops(found))]
    writer = KernelWriter(metric)
    try:
        writer.adopt(found)
        return [failed for failed in writer.write(operations) if isinstance(failed, WriteFailed)]
    finally:
        writer.close()
