"""The periodic audit: the kernel's routes against those that the model expects, in a thread."""

from __future__ import annotations

import asyncio

from routerd.config.model import FibSection
from routerd.core.message import ForeignRoutes, KernelDump, RouteAudit
from routerd.core.route import Prefix
from routerd.kernel.dump import dump


async def audit(expected: dict[Prefix, int], known: ForeignRoutes, fib: FibSection) -> tuple[RouteAudit, KernelDump]:
    """Dump the kernel and compare its routes, and those of others with the `known` ones, which may change meanwhile;
    in a thread. Returns the dump, too. OSError if netlink fails."""
    return await asyncio.to_thread(_audit, expected, known, fib)


def _audit(expected: dict[Prefix, int], known: ForeignRoutes, fib: FibSection) -> tuple[RouteAudit, KernelDump]:
    found = dump(fib)
    return compare(expected, known, found), found


def compare(expected: dict[Prefix, int], known: ForeignRoutes, found: KernelDump) -> RouteAudit:
    """Return where a dump differs from what was expected when it was begun, and from what is known of others."""
    routes, foreign = found.routes, found.foreign
    different = {prefix: there for prefix, there in foreign.items() if known.get(prefix) != there}
    gone = dict.fromkeys((prefix for prefix in list(known) if prefix not in foreign), ())
    return RouteAudit(
        expected=expected,
        missing=tuple(prefix for prefix in expected if prefix not in routes),
        wrong={prefix: id for prefix, id in routes.items() if expected.get(prefix, id) != id},
        unknown={prefix: id for prefix, id in routes.items() if prefix not in expected},
        foreign=different | gone,
        foreign_bgp=found.foreign_bgp,
    )
