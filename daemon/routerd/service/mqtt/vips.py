"""Which host routes have a topic each. Pure.

A table of 100,000 prefixes does not become 100,000 topics: prefixes of other lengths have none, and of host routes
the first ones, up to a limit. Those that are left out are counted, and move up when others go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import islice

from routerd.core.fib.model import Group
from routerd.core.message import Arrange, DeleteNexthop, DeleteRoutes, Operation, SetGroup, SetRoutes
from routerd.core.route import Prefix

REMEMBERED = 65_536
"""Host routes without a topic that are told apart: six megabytes."""
_WHOLE = {5: 32, 17: 128}
"""The length of a host route by the size of its prefix."""


def hosts(prefixes: Iterable[Prefix]) -> list[Prefix]:
    """Return those that are host routes."""
    return [prefix for prefix in prefixes if prefix[0] == _WHOLE[len(prefix)]]


class Vips:
    """`routes` are the FIB's own. `changed` are those to be told anew, `gone` those to be told no more."""

    def __init__(self, routes: dict[Prefix, Group], limit: int) -> None:
        self.told: dict[Prefix, None] = {}
        self.changed: dict[Prefix, None] = {}
        self.gone: dict[Prefix, None] = {}
        self.begun = False
        self.uncounted = False
        """Whether there are host routes beyond those that are told or remembered."""
        self._routes = routes
        self._limit = self._most = limit
        self._left: dict[Prefix, None] = {}
        self._groups: set[int] = set()
        self._all = False

    @property
    def left_out(self) -> int:
        """How many host routes have no topic, as far as they are told apart."""
        return len(self._left)

    @property
    def incomplete(self) -> bool:
        """Whether there is room for host routes that were forgotten: all routes are to be seen again."""
        return self.uncounted and not self._left and len(self.told) < self._limit

    def begin(self) -> None:
        """All routes will be seen."""
        self.begun, self.uncounted = True, False

    def see(self, prefixes: Collection[Prefix]) -> None:
        """These prefixes have a route, new or not."""
        for prefix in hosts(prefixes):
            if prefix in self.told or len(self.told) < self._limit:
                self._tell(prefix)
            elif len(self._left) < REMEMBERED:
                self._left[prefix] = None
            elif prefix not in self._left:
                self.uncounted = True

    def _tell(self, prefix: Prefix) -> None:
        self._left.pop(prefix, None)
        self.gone.pop(prefix, None)
        self.told[prefix] = self.changed[prefix] = None

    def refuse(self, prefix: Prefix) -> None:
        """There is no room for this one, whatever the limit says, until `relax`."""
        del self.told[prefix]
        self._limit = len(self.told)
        self.see((prefix,))

    def relax(self) -> None:
        """There is room again."""
        self._limit = self._most

    def _lose(self, prefix: Prefix) -> None:
        self._left.pop(prefix, None)
        if prefix not in self.told:
            return
        del self.told[prefix]
        self.changed.pop(prefix, None)
        self.gone[prefix] = None

    def heed(self, operations: Iterable[Operation]) -> None:
        """These operations are carried out."""
        for operation in operations:
            match operation:
                case SetRoutes(prefixes=prefixes):
                    self.see(prefixes)
                case DeleteRoutes(prefixes=prefixes):
                    for prefix in hosts(prefixes):
                        self._lose(prefix)
                case SetGroup(id=id) | Arrange(id=id):
                    self._groups.add(id)
                case DeleteNexthop():
                    self._all = True  # a gateway is out of every group

    def touch(self) -> None:
        """Anything may have changed."""
        self._all = True

    def collect(self) -> None:
        """Find out which of those that are told may have changed with their groups, and fill what room there is."""
        if self._all or self._groups:
            for prefix in list(self.told):
                group = self._routes.get(prefix)
                if group is None:
                    self._lose(prefix)
                elif self._all or group.id in self._groups:
                    self.changed[prefix] = None
            self._groups.clear()
            self._all = False
        for prefix in list(islice(self._left, self._limit - len(self.told))):
            self._tell(prefix)
