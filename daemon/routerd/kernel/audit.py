"""The periodic audit: the kernel's routes against those that the model expects, in a thread."""

from __future__ import annotations

import asyncio

from routerd.kernel.dump import dump
from routerd.message import KernelDump, RouteAudit
from routerd.route import Prefix


async def audit(expected: dict[Prefix, int], metric: int) -> RouteAudit:
    """Dump the routes and compare them; the event loop goes on meanwhile. OSError if netlink fails."""
    return await asyncio.to_thread(lambda: compare(expected, dump(metric)))


def compare(expected: dict[Prefix, int], found: KernelDump) -> RouteAudit:
    """Return where a dump differs from what was expected when it was begun."""
    routes = found.routes
    return RouteAudit(
        expected=expected,
        missing=tuple(prefix for prefix in expected if prefix not in routes),
        wrong={prefix: id for prefix, id in routes.items() if expected.get(prefix, id) != id},
        unknown={prefix: id for prefix, id in routes.items() if prefix not in expected},
        foreign=found.foreign,
    )
