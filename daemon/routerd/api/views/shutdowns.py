"""The peers that the operator has shut down. Pure."""

from __future__ import annotations

from routerd.api.models import ShutdownView
from routerd.core.router import Router


def shutdowns(router: Router) -> list[ShutdownView]:
    """Return all of them, in the order of their addresses."""
    return [view for address in sorted(router.rib.peers.shut) if (view := shutdown_of(router, address)) is not None]


def shutdown_of(router: Router, address: str) -> ShutdownView | None:
    """Return what the operator has said of a peer; None if it is not shut down."""
    order = router.rib.peers.shut.get(address)
    if order is None:
        return None
    return ShutdownView(
        name=router.config.name_of(address), address=address, by=order.by, time=order.time, text=order.text
    )
