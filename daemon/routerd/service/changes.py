"""Who changed a nexthop group last: its members before and after, as they were written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from routerd.core.message import DeleteNexthop, Gateway, Member, Operation, SetGroup, SetNexthop

LIMIT = 16_384
"""Groups, and nexthop objects that are gone, that are remembered: some 400 octets each, most of which others hold."""

T = TypeVar("T")
Members = tuple[Member, ...]


class Change(NamedTuple):
    """The last change of a group. `before` is None where that is not known: it was made then, or by a former run."""

    at: float
    before: Members | None
    after: Members

    def moved(self) -> list[tuple[int, str]]:
        """Return which nexthops `joined` or `left`; if none did, those whose share has another `weight`."""
        if self.before is None:
            return []
        before, after = ({member.id: member.weight for member in each} for each in (self.before, self.after))
        found = [(id_, "joined") for id_ in after if id_ not in before]
        found += [(id_, "left") for id_ in before if id_ not in after]
        if found:
            return found
        past, now = sum(before.values()), sum(after.values())
        return [(id_, "weight") for id_, weight in after.items() if weight * past != before[id_] * now]


class Changes:
    """What was written to groups lately. A nexthop object that is deleted leaves all of its groups, at no cost."""

    def __init__(self) -> None:
        self._groups: dict[int, Change] = {}
        self._gone: dict[int, float] = {}
        self._gateways: dict[int, Gateway] = {}

    def note(self, operations: Iterable[Operation], now: float) -> None:
        """These operations were handed to the writer."""
        for each in operations:
            match each:
                case SetGroup(id=id_, members=members):
                    last = self.of(id_)
                    if last is None or last.after != members:
                        _keep(self._groups, id_, Change(now, None if last is None else last.after, members))
                case SetNexthop(id=id_, gateway=gateway):
                    _keep(self._gateways, id_, gateway)
                case DeleteNexthop(id=id_):
                    if self._groups.pop(id_, None) is None:
                        _keep(self._gone, id_, now)

    def of(self, group: int) -> Change | None:
        """Return the last change of a group; None if it was not written since routerd started."""
        last = self._groups.get(group)
        if last is None or not self._gone:
            return last
        gone = {member.id: at for member in last.after if (at := self._gone.get(member.id, 0.0)) > last.at}
        if not gone:
            return last
        left = tuple(member for member in last.after if member.id not in gone)
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
