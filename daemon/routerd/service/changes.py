"""Who changed a nexthop group last: its members before and after, as they were written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from routerd.core.message import DeleteNexthop, Gateway, Operation, SetGroup, SetNexthop

LIMIT = 16_384
"""Groups, and nexthop objects that are gone, that are remembered: some 250 octets each, beside what others hold."""

T = TypeVar("T")

Weights = Mapping[int, int]
"""Members of a group: the weight of each nexthop id."""


class Change(NamedTuple):
    """The last change of a group. `before` is None where that is not known: it was made then, or by a former run."""

    at: float
    before: Weights | None
    after: Weights

    def moved(self) -> list[tuple[int, str]]:
        """Return which nexthops `joined` or `left`; if none did, those whose share has another `weight`."""
        if self.before is None:
            return []
        found = [(id_, "joined") for id_ in self.after if id_ not in self.before]
        found += [(id_, "left") for id_ in self.before if id_ not in self.after]
        if found:
            return found
        past, now = sum(self.before.values()), sum(self.after.values())
        return [(id_, "weight") for id_, weight in self.after.items() if weight * past != self.before[id_] * now]


class Changes:
    """What was written to groups lately. A nexthop object that is deleted leaves all of its groups, at no cost."""

    def __init__(self) -> None:
        self._groups: dict[int, Change] = {}
        self._gone: dict[int, float] = {}
        self._gateways: dict[int, Gateway] = {}

    def note(self, operations: Iterable[Operation], now: float) -> None:
        """These operations are handed to the writer."""
        for each in operations:
            match each:
                case SetGroup():
                    self._written(each, now)
                case SetNexthop(id=id_, gateway=gateway):
                    _keep(self._gateways, id_, gateway)
                case DeleteNexthop(id=id_):
                    if self._groups.pop(id_, None) is None:
                        _keep(self._gone, id_, now)

    def _written(self, group: SetGroup, now: float) -> None:
        after = {member.id: member.weight for member in group.members}
        last = self.of(group.id)
        if last is None:
            _keep(self._groups, group.id, Change(now, None, after))
        elif last.after != after:
            _keep(self._groups, group.id, Change(now, last.after, after))

    def of(self, group: int) -> Change | None:
        """Return the last change of a group; None if it was not written since routerd started."""
        last = self._groups.get(group)
        if last is None:
            return None
        gone = {id_: self._gone[id_] for id_ in last.after if self._gone.get(id_, 0.0) > last.at}
        if not gone:
            return last
        left = {id_: weight for id_, weight in last.after.items() if id_ not in gone}
        return Change(max(gone.values()), last.after, left)

    def gateway(self, nexthop: int) -> Gateway | None:
        """Return where a nexthop object leads, or led before it was deleted."""
        return self._gateways.get(nexthop)


def _keep(table: dict[int, T], key: int, value: T) -> None:
    """Enter what is newest, and forget what is oldest beyond the limit."""
    table.pop(key, None)
    table[key] = value
    if len(table) > LIMIT:
        del table[next(iter(table))]
