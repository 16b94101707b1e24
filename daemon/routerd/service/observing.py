"""Who watches what the core is told and what it decides, and changes nothing by that.

Observers are called in between of what routing does: they take notes, and do their work later. One that fails is not
called again; routing goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog

from routerd.core.message import Advertise, Input
from routerd.core.planning import Planning
from routerd.core.rib.loc_rib import Change
from routerd.session.frames import RawUpdate

log = structlog.get_logger()


class Observer(Protocol):
    """What an observer is told; each at once, in the order in which it happens."""

    def heard(self, raw: RawUpdate) -> None:
        """A peer has sent an UPDATE that can be read; the core is about to take it in."""

    def handled(self, message: Input) -> None:
        """The core has taken a message in."""

    def changed(self, changes: list[Change]) -> None:
        """Paths of prefixes have changed, or are decided otherwise."""

    def advertised(self, advertise: Advertise) -> None:
        """A peer is told something."""


class Observers(dict[Observer, Callable[[Exception], None]]):
    """All of them, as one, each with what is called when it has failed. The `planning` tells of changes from when
    there is one."""

    def __init__(self, planning: Planning) -> None:
        super().__init__()
        self._planning = planning

    def add(self, observer: Observer, failed: Callable[[Exception], None]) -> None:
        """Tell an observer of all from now on; `failed` is called when that is over because of an error."""
        self[observer] = failed
        self._planning.watch = self.changed

    def remove(self, observer: Observer) -> None:
        """Tell it no more."""
        self.pop(observer, None)

    def heard(self, raw: RawUpdate) -> None:
        """See `Observer`, as for the others."""
        self._tell(lambda each: each.heard(raw))

    def handled(self, message: Input) -> None:
        self._tell(lambda each: each.handled(message))

    def changed(self, changes: list[Change]) -> None:
        self._tell(lambda each: each.changed(changes))

    def advertised(self, advertise: Advertise) -> None:
        self._tell(lambda each: each.advertised(advertise))

    def _tell(self, tell: Callable[[Observer], None]) -> None:
        for each in list(self):
            try:
                tell(each)
            except Exception as error:
                failed = self.pop(each)
                log.exception("an observer has failed", observer=type(each).__name__)
                failed(error)
