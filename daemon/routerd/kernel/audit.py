"""The periodic audit: the kernel's routes against those that the model expects, in a thread."""

from __future__ import annotations

import asyncio

from routerd.config.model import FibSection
from routerd.core.message import KernelDump, RouteAudit, lengths_of
from routerd.core.route import Prefix
from routerd.kernel.dump import dump


async def audit(expected: dict[Prefix, int], fib: FibSection) -> tuple[RouteAudit, KernelDump]:
    """Dump the kernel and compare its routes, in a thread. Returns the dump, too. OSError if netlink fails."""
    return await asyncio.to_thread(_audit, expected, fib)


def _audit(expected: dict[Prefix, int], fib: FibSection) -> tuple[RouteAudit, KernelDump]:
    found = dump(fib)
    return compare(expected, found), found


def compare(expected: dict[Prefix, int], found: KernelDump) -> RouteAudit:
    """Return where a dump differs from what was expected when it was begun."""
    routes = found.routes
    return RouteAudit(
        expected=expected,
        missing=tuple(prefix for prefix in expected if prefix not in routes),
        wrong={prefix: id for prefix, id in routes.items() if expected.get(prefix, id) != id},
        unknown={prefix: id for prefix, id in routes.items() if prefix not in expected},
        foreign=found.foreign,
        foreign_bgp=found.foreign_bgp,
        lengths=lengths_of(found.foreign),
    )
