"""Gateway health: a gateway is in the groups unless there is a reason why not.

Reasons come and go by themselves, each from its own source, and a gateway that has none left is back. Nothing else
remembers that a gateway is out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import Enum

from routerd.core.message import Gateway


class Reason(Enum):
    """Why a gateway is out of every group; the value is a line for people."""

    NO_SESSION = "no node with a session leads there"
    SILENT = "its link layer does not answer"
    RESTARTED = "it had neither session nor link: it has probably booted, and has not spoken BGP since"
    LINK_DOWN = "its interface is down"
    UNREACHABLE = "no route leads there"
    REFUSED = "the kernel refuses the nexthop"


class GatewayHealth:
    """The reasons of every gateway that has any."""

    def __init__(self) -> None:
        self._of: dict[Gateway, set[Reason]] = {}
        self.out: Collection[Gateway] = self._of.keys()
        """The gateways that have a reason, as they change."""
        self._having: dict[Reason, set[Gateway]] = {reason: set() for reason in Reason}
        self.news: list[tuple[Reason, frozenset[Gateway], bool]] = []
        """Gateways that went out (true), or are back: for whoever tells of it, and clears the list."""
        self.version = 0
        """Another one whenever gateways were given a reason."""

    def having(self, reason: Reason) -> Collection[Gateway]:
        """Return the gateways that are out for this reason, perhaps among others."""
        return self._having[reason]

    def reasons(self, gateway: Gateway) -> frozenset[Reason]:
        """Return why a gateway is out; nothing if it is not."""
        return frozenset(self._of.get(gateway, ()))

    def add(self, reason: Reason, gateways: Iterable[Gateway]) -> set[Gateway]:
        """Give these gateways a reason; return those that had none."""
        ill: set[Gateway] = set()
        self.version += 1
        for gateway in gateways:
            if gateway not in self._of:
                ill.add(gateway)
            self._of.setdefault(gateway, set()).add(reason)
            self._having[reason].add(gateway)
        if ill:
            self.news.append((reason, frozenset(ill), True))
        return ill

    def remove(self, reason: Reason, gateways: Iterable[Gateway]) -> set[Gateway]:
        """Take a reason from these gateways; return those that have none left."""
        well: set[Gateway] = set()
        for gateway in self._having[reason].intersection(gateways):
            self._having[reason].discard(gateway)
            self._of[gateway].discard(reason)
            if not self._of[gateway]:
                del self._of[gateway]
                well.add(gateway)
        if well:
            self.news.append((reason, frozenset(well), False))
        return well

    def forget(self, gateways: Iterable[Gateway]) -> None:
        """Nothing leads to these gateways any more: whatever they had is past."""
        for gateway in gateways:
            for reason in self._of.pop(gateway, ()):
                self._having[reason].discard(gateway)
