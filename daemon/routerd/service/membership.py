"""Tells of groups that are made, go, and get or lose members: one event for all of a second."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

import structlog

from routerd.core.fib.groups import Groups
from routerd.core.message import DeleteNexthop, Gateway, Operation, SetGroup, SetNexthop
from routerd.core.route import Prefix, format_address, format_prefix
from routerd.service.changes import LIMIT, Changes, Members

COALESCE = 1.0
"""Seconds whose changes are told together."""
NAMED = 5
"""Prefixes and gateways that an event names at most."""
_AT_ONCE = 128
"""Groups that are compared between two looks of others at the event loop."""

log = structlog.get_logger()


class Membership:
    """`groups` are the core's own, `changes` who changed each last. Noting costs what was written."""

    def __init__(self, groups: Groups, changes: Changes) -> None:
        self._groups = groups
        self._changes = changes
        self._gateways: dict[int, Gateway] = {}
        self._before: dict[int, Members | None] = {}
        self._made: dict[int, None] = {}
        self._gone: dict[int, tuple[Prefix, ...]] = {}
        self._left: Counter[Gateway] = Counter()
        self._bereft: dict[int, None] = {}
        """The first groups that somebody left because his nexthop object went."""
        self._news = asyncio.Event()

    def look(self) -> None:
        """Take note of the nexthop objects that there are."""
        self._gateways = {id_: gateway for gateway, id_ in self._groups.nexthops.items()}

    def note(self, operations: Iterable[Operation]) -> None:
        """These operations are carried out: to be called before `changes` knows of them."""
        for each in operations:
            match each:
                case SetGroup(id=id_, known=False):
                    self._made[id_] = None
                    self._news.set()
                case SetGroup(id=id_):
                    self._change(id_)
                case SetNexthop(id=id_, gateway=gateway):
                    self._gateways[id_] = gateway
                case DeleteNexthop(id=id_):
                    gone = self._gateways.pop(id_, None)
                    if gone is None:
                        self._delete(id_)
                    elif groups := self._groups.having(gone):
                        self._left[gone] += len(groups)
                        if len(self._bereft) < NAMED:
                            self._bereft |= dict.fromkeys(group.id for group in islice(groups, NAMED))
                        self._news.set()

    def _change(self, id_: int) -> None:
        if id_ not in self._before and len(self._before) < LIMIT:
            last = self._changes.of(id_)
            self._before[id_] = None if last is None else last.after
        self._news.set()

    def _delete(self, id_: int) -> None:
        if len(self._gone) < LIMIT:
            self._gone[id_] = self._prefixes(id_)
        self._news.set()

    def _prefixes(self, id_: int) -> tuple[Prefix, ...]:
        """Return the first prefix of a group, as far as it has any."""
        group = self._groups.by_id.get(id_)
        return () if group is None or not group.prefixes else (next(iter(group.prefixes)),)

    async def run(self) -> None:
        """Tell what was noted, again and again."""
        while True:
            await self._news.wait()
            await asyncio.sleep(COALESCE)
            self._news.clear()
            await self._tell()

    async def _tell(self) -> None:
        before, self._before = self._before, {}
        made, self._made = self._made, {}
        gone, self._gone = self._gone, {}
        left, self._left = self._left, Counter()
        bereft, self._bereft = self._bereft, {}
        joined, changed = Counter[Gateway](), list[int]()
        for number, (id_, members) in enumerate(before.items()):
            if number % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            if id_ not in made and id_ not in gone and self._compare(id_, members, joined, left):
                changed.append(id_)
        self.look()
        names = [prefix for each in gone.values() for prefix in each]
        names += self._named([*made, *changed, *bereft])
        fields: dict[str, str | int] = {
            "made": len(made),
            "gone": len(gone),
            "changed": len(changed),
            "joined": _listed(joined),
            "left": _listed(left),
            "first": ", ".join(dict.fromkeys(format_prefix(each) for each in names[:NAMED])),
        }
        if made or gone or changed or left:
            log.info("groups changed", **{name: value for name, value in fields.items() if value})

    def _compare(self, id_: int, before: Members | None, joined: Counter[Gateway], left: Counter[Gateway]) -> bool:
        """Count who joined and left a group; tell whether anybody did."""
        last = self._changes.of(id_)
        if last is None or before is None:
            return False  # a former run made it, and who was in it is not known
        was, is_ = ({member.id for member in each} for each in (before, last.after))
        for ids, counts in ((is_ - was, joined), (was - is_, left)):
            counts.update(gateway for each in ids if (gateway := self._gateways.get(each)) is not None)
        return was != is_

    def _named(self, ids: list[int]) -> Iterator[Prefix]:
        for id_ in ids[:NAMED]:
            yield from self._prefixes(id_)


def _listed(counts: Counter[Gateway]) -> str:
    """Return whom it was about, and how many groups each: the first few, and how many there are more."""
    some = [f"{format_address(gateway.address)} ({count})" for gateway, count in counts.most_common(NAMED)]
    more = len(counts) - len(some)
    return ", ".join([*some, f"{more} more"] if more else some)
