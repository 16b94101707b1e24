"""The gateways: what takes them out of the groups, and what brings them back.

`gateway_health.py` has the reasons. Here they are given and taken: by sessions, the link layer, links and routes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from routerd.core.fib.fib import Fib
from routerd.core.fib.model import NEVER, in_order
from routerd.core.gateway_health import GatewayHealth, Reason
from routerd.core.message import Effect, Event, Gateway, Program
from routerd.core.rib.rib import Rib
from routerd.core.route import format_address

LINK_LATE = 2.0
"""Seconds by which the kernel may tell late that a link is down (linkwatch: one, if it has changed lately): silence
that began shortly before is the link's, and ends with it."""

LINK_SETTLES = 1.0
"""Seconds after a link is back in which silence is not believed: the first questions may be lost, on a port that does
not forward yet. Nodes that come back one by one would lose their flows to each other."""

_UNTOLD = (Reason.NO_SESSION, Reason.SILENT)
_NAMED = 10
"""Gateways that an event names."""


class Gateways:
    """Keeps the FIB to gateways that are well. Times are monotonic seconds."""

    def __init__(self, rib: Rib, fib: Fib, health: GatewayHealth) -> None:
        self._rib = rib
        self._fib = fib
        self._health = health
        self._silent_since: dict[Gateway, float] = {}
        self._link_back: dict[int, float] = {}
        """When a link that was down came back, by interface index."""
        self._forgotten_at: tuple[int, int] | None = None
        """The version of all that `forget_abandoned` looks at, when there was nothing left to forget."""

    def fail(self, reason: Reason, gateways: Iterable[Gateway]) -> list[Effect]:
        """Take gateways out of every group before all else that is to be written."""
        operations = self._fib.fail(self._health.add(reason, gateways))
        return [Program(tuple(operations), urgent=True)] if operations else []

    def recover(self, reason: Reason, gateways: Iterable[Gateway]) -> None:
        """Let gateways into their groups again, if nothing else is wrong with them."""
        self._fib.restore(self._health.remove(reason, gateways))

    def told(self) -> list[Effect]:
        """Return events about gateways that went out or are back since the last time: one for all that did so
        together. Of sessions and of the link layer other events tell."""
        found: list[Effect] = []
        for reason, gateways, out in self._health.news:
            if reason in _UNTOLD:
                continue
            some = in_order(gateways)
            names = sorted({self._rib.nexthops.name_of(gateway.ifindex) for gateway in some})
            fields: dict[str, str | int | float | bool | None] = {
                "gateway": ", ".join(format_address(gateway.address) for gateway in some[:_NAMED]),
                "count": len(some),
                "interface": ", ".join(names),
                "reason" if out else "was": reason.value,
            }
            found.append(Event(f"gateway {'out' if out else 'back'}", fields, level="warning" if out else "info"))
        self._health.news.clear()
        return found

    # ------------------------------------------------------------------------------------------ sessions

    def revive(self) -> None:
        """Let gateways whose node is back into their groups again, once nothing of its last session is left."""
        if self._rib.lifecycle.purges:
            return
        leads, having = self._rib.leads, self._health.having
        for reason, leading in ((Reason.RESTARTED, leads.speaking), (Reason.NO_SESSION, leads.present)):
            if out := having(reason):
                self.recover(reason, leading(out))

    def forget_abandoned(self) -> None:
        """Forget gateways that are out and that no group wants and no peer leads to, even if its link is down."""
        version = self._rib.leads.version, self._health.version
        if version == self._forgotten_at or self._rib.lifecycle.purges:
            return
        abandoned = [gateway for gateway in self._health.out if not self._rib.leads.names(gateway.address)]
        gone = [gateway for gateway in abandoned if not self._fib.groups.having(gateway)]
        self._health.forget(gone)
        for gateway in gone:
            self._silent_since.pop(gateway, None)
        self._fib.forget(gone)
        if len(gone) == len(abandoned):
            self._forgotten_at = version

    # ------------------------------------------------------------------------------------------ the link layer

    @property
    def watched(self) -> set[Gateway]:
        """The gateways whose silence matters: all that are in groups, and those that are silent."""
        watched = self._fib.groups.nexthops.keys() | self._health.having(Reason.SILENT)
        return watched.difference(self._health.having(Reason.LINK_DOWN))

    @property
    def version(self) -> tuple[int, ...]:
        """Another one whenever others are `watched`: some came, or there are fewer."""
        groups, having = self._fib.groups, self._health.having
        fewer = len(groups.nexthops), len(having(Reason.SILENT)), len(having(Reason.LINK_DOWN))
        return groups.made, self._health.version, *fewer

    def watches(self, gateway: Gateway) -> bool:
        """Tell whether a gateway is one of `watched`."""
        if gateway in self._health.having(Reason.LINK_DOWN):
            return False
        return gateway in self._fib.groups.nexthops or self.is_silent(gateway)

    def is_silent(self, gateway: Gateway) -> bool:
        """Tell whether the link layer of a gateway does not answer."""
        return gateway in self._health.having(Reason.SILENT)

    def is_settling(self, gateway: Gateway, now: float) -> bool:
        """Tell whether the link of a gateway came back just now: it is asked again before its silence is believed."""
        return now - self._link_back.get(gateway.ifindex, NEVER) < LINK_SETTLES

    def silenced(self, gateway: Gateway, now: float) -> list[Effect]:
        """The link layer of a gateway has stopped answering: its node is dead, and nobody waits for it after a
        restart."""
        self._silent_since[gateway] = now
        failed = self.fail(Reason.SILENT, [gateway])
        self._fib.awaiting.end([gateway])
        return failed

    def answered(self, gateway: Gateway) -> None:
        """The link layer of a silent gateway answers again. Without a session its node has yet to say anything."""
        if not self._rib.leads.speaking([gateway]):
            self._health.add(Reason.RESTARTED, [gateway])
        del self._silent_since[gateway]
        self.recover(Reason.SILENT, [gateway])

    def silence(self, gateways: frozenset[Gateway], now: float) -> float | None:
        """Return for how many seconds some of these gateways have not answered; None if all do."""
        silent = gateways & self._silent_since.keys()
        return now - min(self._silent_since[gateway] for gateway in silent) if silent else None

    # ------------------------------------------------------------------------------------------ links and routes

    @property
    def known(self) -> set[Gateway]:
        """The gateways that have a nexthop object, or would if they were not down."""
        return self._fib.groups.nexthops.keys() | self._fib.groups.down

    def restarting(self, down: set[Gateway]) -> set[Gateway]:
        """Return those of the gateways behind links that are down that went down just now, and whose nodes restart:
        to be asked as long as the ways to them are known."""
        fallen = down.difference(self._health.having(Reason.LINK_DOWN))
        return fallen & self._rib.lifecycle.restarting(fallen) if fallen else fallen

    def links_down(self, down: set[Gateway], restarting: set[Gateway], now: float) -> list[Effect]:
        """The links of these gateways are down."""
        effects = self.fail(Reason.LINK_DOWN, down)
        late = [gateway for gateway in down if now - self._silent_since.get(gateway, NEVER) <= LINK_LATE]
        self._health.remove(Reason.SILENT, late)
        for gateway in late:
            del self._silent_since[gateway]
        self._health.add(Reason.RESTARTED, restarting)
        return effects

    def links_up(self, up: Collection[int], now: float) -> None:
        """These interfaces, by index, are up."""
        back = [gateway for gateway in self._health.having(Reason.LINK_DOWN) if gateway.ifindex in up]
        self._link_back = {index: at for index, at in self._link_back.items() if index in up}
        self._link_back.update((gateway.ifindex, now) for gateway in back)
        self.recover(Reason.LINK_DOWN, back)

    def reach(self) -> list[Effect]:
        """The ways are others. A link that goes down takes its routes along before it says so itself: the gateways
        behind it fail as they do with their link, and what flows there were is remembered with their groups."""
        reaches, lost = self._rib.nexthops.reaches, self._health.having(Reason.UNREACHABLE)
        back = [gateway for gateway in lost if reaches(gateway)]
        used = self._fib.groups.nexthops.keys() - self._fib.awaiting.gateways
        gone = [gateway for gateway in used if not reaches(gateway)]
        effects = self.fail(Reason.UNREACHABLE, gone)
        self.recover(Reason.UNREACHABLE, back)
        return effects
