"""The drain of the router itself, begun and ended for the operator, and kept over a restart."""

from __future__ import annotations

import time
from typing import Any

import structlog

from routerd.api.models import RouterDrainView
from routerd.api.views import carrying
from routerd.core.message import DrainSelf
from routerd.service.engine import Engine
from routerd.service.kept import Kept, beside

log = structlog.get_logger()


class OwnDrain(Kept):
    """The order that drains the router, if any, kept beside the drains of nodes, whose file is at `drains`."""

    SUFFIX = ".router.json"

    def __init__(self, drains: str, engine: Engine) -> None:
        self.order: DrainSelf | None = None
        self._engine = engine
        super().__init__(beside(drains, self.SUFFIX), "the router's own drain")

    def begin(self) -> None:
        """Have in force again what was kept, before the first peer is told anything."""
        if self.order is not None:
            self._engine.take(self.order)

    def view(self) -> RouterDrainView:
        """Return the answer to `GET /v1/drain`."""
        return carrying.own_drain(self._engine.router, unstored=self.unstored)

    async def set(self, *, on: bool, by: str) -> RouterDrainView:
        """Drain the router, or end that, as `by` asked for."""
        changed = (self.order is not None) != on
        if changed:
            order = DrainSelf(on, by, time.time() if on else 0.0)
            self.order = order if on else None
            self._engine.take(order)
            self._engine.wake.set()
        log.info("router drained" if on else "router undrained", by=by, changed=changed)
        await self.store()
        return RouterDrainView(**{**self.view(), "changed": changed})

    def _said(self) -> dict[str, Any] | None:
        return None if self.order is None else {"by": self.order.by, "time": self.order.time}

    def _take(self, said: Any) -> None:
        self.order = None if said is None else DrainSelf(True, str(said["by"]), float(said["time"]))
