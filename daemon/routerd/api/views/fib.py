"""The view of the FIB: the kernel's side in numbers."""

from __future__ import annotations

from routerd.api.models import FibView, ForeignBgpView
from routerd.core.route import format_prefix
from routerd.core.router import Router


def fib(router: Router, unwritten: int) -> FibView:
    """Return the kernel's side in numbers."""
    return FibView(
        synchronised=router.synchronised,
        routes=router.fib.installed,
        nexthops=len(router.fib.groups.nexthops),
        groups=sum(1 for group in router.fib.groups if group.legs),
        buckets=router.fib.groups.buckets,
        bucket_budget=router.config.fib.bucket_budget,
        small_groups=sum(1 for group in router.fib.groups if 0 < group.buckets < router.config.fib.buckets),
        unwritten=unwritten,
        refused=len(router.refusals),
        drift_mended=router.reconciliation.drift_mended,
        foreign_bgp=ForeignBgpView(
            routes=router.reconciliation.foreign_bgp.routes,
            nexthops=router.reconciliation.foreign_bgp.nexthops,
            first=[format_prefix(prefix) for prefix in router.reconciliation.foreign_bgp.first],
        ),
    )
