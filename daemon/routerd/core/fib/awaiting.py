"""After a restart: groups that the kernel has wait for the nodes behind their legs, until these have said what they
announce now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Set

from routerd.core.fib.groups import Groups
from routerd.core.fib.model import Group, in_order
from routerd.core.message import Gateway


class Awaiting:
    """Adopted groups that wait, and those `released` since: what their prefixes want is perhaps not planned yet."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._counts = Counter[Gateway]()
        self.released: dict[Group, None] = {}

    def __contains__(self, group: Group) -> bool:
        """Tell whether what prefixes of a group want is not yet known, or not yet planned."""
        return bool(group.awaiting) or group in self.released

    @property
    def gateways(self) -> Set[Gateway]:
        """The gateways that some group still waits for."""
        return self._counts.keys()

    def adopt(self, group: Group) -> None:
        """Enter a group that the kernel has."""
        self._groups.add(group)
        self._await(group, frozenset(group.legs))

    def end(self, gateways: Iterable[Gateway]) -> None:
        """The nodes behind these gateways have said all they announce, or will not return: what waited for them can
        proceed."""
        for gateway in in_order(self.gateways & set(gateways)):
            for group in [group for group in self._groups.having(gateway) if gateway in group.awaiting]:
                self._await(group, group.awaiting - {gateway})

    def abandon(self, groups: Iterable[Group]) -> None:
        """Groups that have lost their last leg keep no flow, and wait for no node any more if others announce their
        prefixes."""
        for group in groups:
            if group.awaiting and not group.legs:
                wanted = group.waiting.values()
                if any(not self._groups.down.issuperset(each.members) for each in wanted):
                    self._await(group, frozenset())

    def _await(self, group: Group, gateways: frozenset[Gateway]) -> None:
        self._counts.update(gateways - group.awaiting)
        for gateway in group.awaiting - gateways:
            self._counts[gateway] -= 1
            if not self._counts[gateway]:
                del self._counts[gateway]
        group.awaiting = gateways
        if not gateways:
            self.released[group] = None
