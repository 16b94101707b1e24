"""Which buckets the legs had that a group has lost: one that returns is to have them again, for its flows may be
there still. What flows have used since, here or at the partner, stays where it is."""

from __future__ import annotations

from routerd.core.layout import AT_ONCE_LOST, KEPT
from routerd.core.pair.decisions import Weights
from routerd.core.pair.layouts import Held, indices
from routerd.core.route import Address


class Past:
    """Groups are by id. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._held: dict[int, Held] = {}
        self._lost: dict[int, dict[Address, tuple[float, int]]] = {}
        """When a leg was lost, and a mask of the buckets that it had; the latest last."""

    def read(self, id: int, held: Held, now: float) -> None:
        """A group was read."""
        before, self._held[id] = self._held.get(id, held), held
        lost = self._lost.pop(id, {})
        if len(before.owners) != len(held.owners) or (before.owners == held.owners and not lost):
            return  # of another size: another group has the id
        here = set(held.owners)
        lost = {leg: (at, mask) for leg, (at, mask) in lost.items() if now - at < KEPT and leg not in here}
        elsewhere = 0
        for at, mask in lost.values():
            elsewhere |= mask if now - at < AT_ONCE_LOST else 0
        for leg in sorted(set(before.owners) - here):
            if mask := before.mask({leg}) & ~elsewhere:
                lost[leg] = (now, mask)
        if lost:
            self._lost[id] = lost

    def restored(self, id: int, held: Held, there: Held | None, weights: Weights) -> Held:
        """Return a group as it is to be once legs that have no bucket, and are to have some, have those again that
        they had, and that are busy neither here nor `there`."""
        if not (lost := self._lost.get(id)):
            return held
        owners, total = list(held.owners), sum(weights.values())
        busy = held.busy | (0 if there is None else there.busy)
        for leg, (_, mask) in lost.items():
            for index in indices(mask & ~busy) if weights.get(leg, 0) * len(owners) >= total else ():
                owners[index] = leg
        return held._replace(owners=tuple(owners))

    def forget(self, id: int) -> None:
        """A group is gone."""
        self._held.pop(id, None)
        self._lost.pop(id, None)
