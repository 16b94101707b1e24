"""Which winners of the decision process the kernel forwards to: not those whose gateway is out of its groups."""

from __future__ import annotations

from routerd.core.message import Gateway
from routerd.core.rib.decision import Decision
from routerd.core.route import LOCAL, Path
from routerd.core.router import Router


def winners(router: Router, decision: Decision) -> tuple[Path, ...]:
    """Return the multipath winners, the best first, less those that are out of the kernel's groups."""
    if not router.fib.groups.down:
        return decision.multipath
    return tuple(path for path in decision.multipath if not why_out(router, path))


def members(router: Router, decision: Decision) -> list[Gateway]:
    """Return the next hops of a decision that are in the kernel's groups."""
    return [gateway for gateway in decision.members if gateway not in router.fib.groups.down]


def why_out(router: Router, path: Path) -> str:
    """Return why the gateway of a winner is out of the groups, as `routerd route` prints it; empty if it is not."""
    resolution = None if path.peer == LOCAL else router.rib.resolve(path)
    if resolution is None or resolution.gateway not in router.fib.groups.down:
        return ""
    reasons = sorted(reason.value for reason in router.health.reasons(resolution.gateway))
    return f"out: {'; '.join(reasons)}" if reasons else "out: its next hop is down"
