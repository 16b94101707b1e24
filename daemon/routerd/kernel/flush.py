"""Removes everything of routerd's from the kernel, and nothing else."""

from __future__ import annotations

from routerd.config.model import FibSection
from routerd.core.message import DeleteNexthop, DeleteRoutes, Operation, WriteFailed
from routerd.kernel.dump import dump
from routerd.kernel.owned import own_nexthops
from routerd.kernel.writer import KernelWriter


def flush(fib: FibSection) -> list[WriteFailed]:
    """Delete routerd's routes, then its groups, then its nexthop objects: what has an id of the range of `fib`.

    Groups go before their members, so that no route is left on a smaller group meanwhile. Returns what
    the kernel refused; raises OSError if netlink fails. Blocking.
    """
    writer = KernelWriter(fib)
    try:
        found = dump(fib)
        own = own_nexthops(found.nexthops, found.groups, fib.ids)
        operations: list[Operation] = [DeleteRoutes(tuple(found.routes)), *map(DeleteNexthop, own)]
        writer.adopt(found)
        return [failed for failed in writer.write(operations) if isinstance(failed, WriteFailed)]
    finally:
        writer.close()
