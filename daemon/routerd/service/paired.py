"""What people see of the pair: answers, problems, figures and events. Loaded where a pair is configured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog

from routerd.api.endpoints import Failure
from routerd.api.models import PairStateView, ProblemView
from routerd.api.models.pair import PairView, SeedView
from routerd.api.slices import Slices
from routerd.api.views import pair as views
from routerd.api.views.problems.pair import Host, problems
from routerd.core.message import Event
from routerd.core.pair.accord import EQUAL
from routerd.core.pair.pair import Pair
from routerd.core.router import Router
from routerd.service.epoch import Epoch
from routerd.telemetry.metrics.figures import ChannelFigures, PairFigures

if TYPE_CHECKING:
    from routerd.api.inspection import FlowPartnerView
    from routerd.api.views.flow import Place

INTERVAL = 1.0
"""Seconds between looks at whether all groups agree, which the core counts."""
PATIENCE = 10.0
"""Seconds that groups may differ until that is an event: after each change they do for a moment."""

log = structlog.get_logger()


class Paired:
    """The core's `pair`, of which `partner` is the other router.

    `set_seed` gives the kernel the pair's seed, and returns fingerprints of the seed before and after; OSError if the
    kernel does not take it. `unset` tells why this was left undone, `keyless` why the key cannot be read
    now, `uncertified` why the certificate is of no use now, each empty if that is not so; `counts` what was said.
    """

    def __init__(
        self,
        router: Router,
        pair: Pair,
        partner: str,
        *,
        counts: ChannelFigures,
        set_seed: Callable[[], Awaitable[tuple[str, str]]],
        unset: Callable[[], str] = str,
        keyless: Callable[[], str] = str,
        uncertified: Callable[[], str] = str,
    ) -> None:
        self._router = router
        self._pair = pair
        self._partner = partner
        self._set_seed = set_seed
        self._unset = unset
        self._keyless = keyless
        self._uncertified = uncertified
        self._counts = counts
        self._epoch = Epoch()
        self._states: dict[str, float] = {}
        """The states of groups that are not equal, and since when some group has each."""
        self._agreed: float | None = None
        self._apart = True
        """Whether it was told last that the two do not agree."""

    # ------------------------------------------------------------------------------------------ answers

    def state(self, now: float) -> PairStateView:
        """Return the pair in short."""
        return views.state(self._pair, self._partner, now)

    def view(self, *, whole: bool) -> Slices[PairView]:
        """Return the answer to `GET /v1/pair`; `whole`: with the groups that are equal."""
        now = time.monotonic()
        return views.pair(self._router, self._pair, self._partner, now, agreed=self._agreed, whole=whole)

    def problems(self, now: float) -> Slices[list[ProblemView]]:
        """Return what would break flows if the partner took over now."""
        self._note(now)
        host = Host(self._unset(), self._keyless(), self._uncertified())
        return problems(self._router, self._pair, self._partner, self._states, now, host=host)

    def at_partner(self, place: Place) -> FlowPartnerView:
        """Return where a flow would go there that is in this place here."""
        from routerd.api.views.partner import at_partner  # as who asks has loaded the rest

        return at_partner(self._router, self._pair, self._partner, place, time.monotonic())

    def figures(self) -> Slices[PairFigures]:
        """Return the pair in numbers."""
        self._note(time.monotonic())
        counts = views.by_state(self._pair)
        # Of groups that are equal there is nothing to add up, which is how all are nearly always.
        sums = (yield from views.totals(self._pair)) if views.APART & counts.keys() else views.Totals()
        return PairFigures(
            self._partner,
            self._pair.up,
            {state: counts.get(state, 0) for state in views.STATES},
            sums.differing,
            sums.conflicts,
            0.0 if self._agreed is None else self._epoch.clock(self._agreed),
            self._counts,
        )

    async def set_seed(self, by: str) -> SeedView:
        """Give the kernel the pair's seed, as `by` asked for: each flow through this router moves once."""
        try:
            before, after = await self._set_seed()
        except OSError as error:
            raise Failure(503, f"the kernel does not take the seed: {error.strerror or error}") from error
        except ValueError as error:
            raise Failure(409, f"the seed is made of the key, and there is none: key_file {error}") from error
        log.warning("hash seed", by=by, changed=before != after)
        return SeedView(changed=before != after, before=before, after=after)

    # ------------------------------------------------------------------------------------------ events

    async def watch(self) -> None:
        """Tell when the two do not agree any more, and when they do again."""
        while True:
            for event in self.look(time.monotonic()):
                getattr(log, event.level)(event.name, **event.fields)
            await asyncio.sleep(INTERVAL)

    def look(self, now: float) -> list[Event]:
        """Return what there is to tell: that groups differ once they have for a while, and when all are equal after
        that, or after the partner was not heard."""
        self._note(now)
        counts = views.by_state(self._pair)
        if self._pair.agrees:
            if self._apart:
                self._apart = False
                return [Event("pair agrees again", {"partner": self._partner, "groups": sum(counts.values())})]
        elif not self._pair.up:
            self._apart = True  # that is told where the channel ends
        elif not self._apart and self._states and now - min(self._states.values()) > PATIENCE:
            self._apart = True
            fields = {state.replace(" ", "_"): count for state, count in counts.items()}
            return [Event("pair differs", {"partner": self._partner, **fields}, level="warning")]
        return []

    def _note(self, now: float) -> None:
        """Note since when groups are in which states."""
        found = [state for state in views.by_state(self._pair) if state != EQUAL]
        self._states = {state: self._states.get(state, now) for state in found}
        if self._pair.agrees:
            self._agreed = now
