"""The looking glass, as `[looking_glass]` wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Never

import structlog

from routerd.api.lookingglass.server import listen, serve
from routerd.api.models import ProblemView
from routerd.api.views.problems.monitoring import no_looking_glass
from routerd.config.monitoring import LookingGlassSection
from routerd.core.router import Router

AGAIN = 2.0
"""Seconds until it is tried again to listen."""

log = structlog.get_logger()


class LookingGlass:
    """Serves everybody who gets there; routing goes on if it cannot."""

    def __init__(self, section: LookingGlassSection, router: Router) -> None:
        self._section = section
        self._router = router
        self._reason = ""

    @property
    def problems(self) -> Iterator[ProblemView]:
        """That it does not listen, and why."""
        if self._reason:
            yield from no_looking_glass(self._reason)

    @property
    def figures(self) -> Iterator[Never]:
        """Nothing is counted."""
        yield from ()

    async def run(self) -> None:
        """Serve until cancelled."""
        section = self._section
        while True:
            try:
                listeners = listen(section.listen, section.port)
            except OSError as error:
                reason = f"{error.filename}: {error.strerror}"
                if reason != self._reason:
                    log.warning("no looking glass", reason=reason, remedy="it is tried again every few seconds")
                self._reason = reason
                await asyncio.sleep(AGAIN)
                continue
            self._reason = ""
            try:
                await serve(self._router, listeners, section.rate, section.connections)
            finally:
                for each in listeners:
                    each.close()
