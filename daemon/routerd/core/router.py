"""The synchronous core: messages in, effects out.

`handle(message, now)` is all there is. It does no I/O and asks no clock, so that a recorded run replays to the
same effects. It only hands on. What a message does to forwarding is decided in `planning.py` (what is wanted, and
when it is planned), `sessions.py`, `gateways.py`, `drains.py`, `reconciliation.py` and `retries.py`, each with a
state of its own; `pair/` is what two routers come to.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from routerd.config.model import Config
from routerd.core.drains import Drains
from routerd.core.fib.fib import Fib
from routerd.core.fib.model import WIDEST, Shape
from routerd.core.gateway_health import GatewayHealth
from routerd.core.gateways import Gateways
from routerd.core.message import (
    Arrange,
    BucketsRead,
    Drain,
    DrainSelf,
    Effect,
    Enable,
    Event,
    FindUnused,
    Gateway,
    GroupActivity,
    GroupLost,
    GroupMade,
    GroupsUnused,
    Hello,
    Identified,
    Input,
    Introduce,
    KernelDump,
    KernelObjects,
    NeighbourState,
    PartnerDown,
    PartnerSaid,
    PartnerUp,
    Program,
    Reconfigure,
    Resync,
    RouteAudit,
    RouteRefresh,
    RoutesChanged,
    SessionDown,
    SessionUp,
    Settle,
    Shutdown,
    SoftReset,
    SpeakerDown,
    SpeakerUp,
    Update,
    Work,
    WriteFailed,
)
from routerd.core.planning import Planning
from routerd.core.reconciliation import Reconciliation
from routerd.core.retries import Retries
from routerd.core.rib.rib import Rib
from routerd.core.route import format_address
from routerd.core.sessions import Sessions

if TYPE_CHECKING:
    from routerd.core.pair.pair import Pair


class Router:
    """The core's state. `busy` tells that Work is left; `timer` is when it next wants to be woken, if ever. `pair` is
    None unless it is one of two (`Introduce`)."""

    def __init__(self, config: Config, now: float, *, resilient: bool = True, widest: int = WIDEST) -> None:
        self._resilient, self._widest = resilient, widest
        self.started = self.configured = now
        self.rib = Rib(config, now)
        self.fib = Fib(self.shape(config))
        self.health = GatewayHealth()
        self.planning = Planning(self.rib, self.fib, now)
        self.gateways = Gateways(self.rib, self.fib, self.health)
        self.drains = Drains(self.rib, self.fib, now)
        self.retries = Retries(self.fib, self.planning, self.gateways)
        self.refusals = self.retries.refusals
        self.reconciliation = Reconciliation(self.rib, self.fib, self.planning, self.gateways, self.retries)
        self._sessions = Sessions(self.rib, self.fib, self.planning, self.gateways)
        self.pair: Pair | None = None

    def shape(self, config: Config) -> Shape:
        """Return how groups are made by a configuration on this kernel."""
        return Shape(config.fib, resilient=self._resilient, widest=self._widest)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.rib.config

    @property
    def synchronised(self) -> bool:
        """Whether the kernel's first dump was taken over: nothing is written before."""
        return self.planning.synchronised

    @property
    def busy(self) -> bool:
        """Whether Work and Settle would find something to do."""
        return self.planning.busy or self.rib.busy

    @property
    def timer(self) -> float | None:
        """The monotonic time at which a Settle message is due even without input."""
        deadlines = (
            self.rib.timer,
            self.planning.timer,
            self._sessions.timer,
            self.drains.timer,
            self.refusals.again_at,
            self.fib.groups.settling.next,
            None if self.pair is None else self.pair.timer,
        )
        return min((each for each in deadlines if each is not None), default=None)

    def handle(self, message: Input, now: float) -> list[Effect]:
        """Take in one message; return what is to be done about it, in order."""
        effects = self._handle(message, now)
        if self.pair is not None and self.drains.joining:
            effects += self.drains.joined(now, agrees=self.pair.agrees)
        effects += self.rib.effects
        self.rib.effects.clear()
        if self.health.news:
            effects += self.gateways.told()
        if self.pair is not None:
            operations = [each for effect in effects if isinstance(effect, Program) for each in effect.operations]
            effects += self.pair.noted(operations, now)
        return effects

    def _handle(self, message: Input, now: float) -> list[Effect]:
        match message:
            case Update():
                self.planning.changed(self.rib.update(message, now))
                if message.end_of_rib is not None:
                    self._sessions.heard_all(message.peer)
            case Settle(quiet=quiet, due=due):
                return [*(self._due(now) if due else ()), *self._settle(now, quiet=quiet)]
            case Work():
                return self._work(now)
            case SessionUp():
                self._sessions.up(message, now)
            case SessionDown():
                return self._sessions.down(message, now)
            case SpeakerUp():
                self._sessions.speaker_up(now)
            case SpeakerDown(reason=reason):
                self._sessions.speaker_down(reason, now)
            case RouteRefresh():
                self.rib.refresh(message, now)
            case KernelDump():
                effects = self.reconciliation.adopt(message, now)
                effects += self._sessions.adopted(now)
                if self.pair is not None:
                    effects += self.pair.wake(self.fib.groups.by_id, now)
                    if not self.fib.groups.by_id:
                        effects += self.drains.join(now)
                return effects + self._settle(now, quiet=True)
            case KernelObjects():
                if self.synchronised:
                    effects = self.reconciliation.objects(message, now)
                    if self.pair is not None:
                        effects += self.pair.seen(message.groups, now)
                    return effects + self._settle(now, quiet=True)
            case RoutesChanged():
                if self.synchronised:
                    effects, changed = self.reconciliation.routes(message)
                    return effects + self._settle(now, quiet=True) if changed else effects
            case RouteAudit():
                effects = self.reconciliation.audited(message)
                self._sessions.forget_absent(now, kept=self.drains.peers)
                return effects + self._settle(now, quiet=True)
            case NeighbourState(gateway=gateway, alive=alive):
                return self._neighbour(gateway, now, alive=alive)
            case Identified(addresses=addresses):
                concerned, changes = self.rib.identified(addresses)
                self.planning.changed(changes)
                for peer in concerned:
                    self._sessions.heard_all(peer)
            case GroupMade(id=id, flows=flows):
                if not flows:
                    self.fib.made_afresh(id)
                    if self.pair is not None:
                        return self.pair.wake([id], now)
            case GroupLost(id=id):
                return self.planning.program(self.fib.resend(id))
            case Drain(peer=peer, on=on):
                self.planning.changed(self.rib.guard_peer(peer, now))  # it is shown, even if it is not there
                self.drains.set(peer, on=on)
                return self.planning.plan(now)
            case DrainSelf():
                self.drains.set_own(message)
            case Shutdown():
                return self._sessions.shut(message, now)
            case Enable(peer=peer):
                self._sessions.enable(peer)
            case SoftReset(peer=peer, incoming=incoming):
                self.planning.changed(self.rib.soft_reset(peer, now, incoming=incoming))
            case Reconfigure(config=config):
                self.configured = now
                self._reconfigure(config, now)
                return self._settle(now, quiet=True)
            case WriteFailed(operation=Arrange(id=id), text=text):  # it is tried again with what is read next
                return [Event("kernel refused", {"operation": "Arrange", "id": id, "text": text}, level="error")]
            case WriteFailed():
                return self.retries.refused(message, now)
            case GroupActivity(busy=busy):
                self.fib.drained({id: self._busy(id, some, now) for id, some in busy.items()})
                return self.planning.plan(now)
            case GroupsUnused(ids=ids):
                self.fib.unused(ids)
                return self.planning.plan(now)
            case Introduce(hello=hello):
                return self._introduce(hello, now)
            case PartnerUp() | PartnerDown() | PartnerSaid() | BucketsRead():
                return [] if self.pair is None else self.pair.handle(message, now)
        return []

    def _introduce(self, hello: Hello, now: float) -> list[Effect]:
        """This router is one of a pair."""
        if self.pair is not None:
            return self.pair.introduce(hello, now)
        from routerd.core.pair.pair import Pair  # most routers are alone

        self.pair = Pair(self.fib, hello, now)
        self.fib.groups.paired = True
        return self.pair.wake(self.fib.groups.by_id, now)

    def _busy(self, id: int, busy: Collection[int], now: float) -> Collection[int]:
        """Add the nexthop objects of a group to which flows go on the partner."""
        if self.pair is None:
            return busy
        return {*busy, *(self.fib.groups.nexthops[each] for each in self.pair.busy_at_partner(id, now))}

    def _settle(self, now: float, *, quiet: bool) -> list[Effect]:
        if not self.planning.synchronised:
            return []
        if self.health.out:
            self.gateways.revive()
        if self.drains.peers or self.fib.groups.draining:
            self.drains.apply()
        self._sessions.heard_while_unreachable()
        effects = self.planning.settle(now, quiet=quiet)
        if self.health.out:
            self.gateways.forget_abandoned()
        if self.rib.advertising.deferring:
            self._sessions.end_deferral()
        return effects

    def _work(self, now: float) -> list[Effect]:
        """Do a slice. Once all is decided anew, every way in use is known again: a gateway may be back with a route
        that has returned while it was not (`NexthopTable.onlink`)."""
        deciding = bool(self.rib.reconsideration)
        self.planning.changed(self.rib.work(now))
        return self.gateways.reach() if deciding and not self.rib.reconsideration else []

    def _due(self, now: float) -> list[Effect]:
        """Do all whose time has come."""
        effects = self._sessions.expire(now)
        self.rib.advertising.refreshes.begin(now)
        self.fib.balance(now)
        if young := self.fib.groups.settling.looks_due(now):
            effects.append(FindUnused(tuple(young)))
        effects += self.drains.look(now)
        if self.refusals.due(now):
            effects.append(Resync("refused writes are tried again"))
        elif self.refusals.is_over():
            effects.append(Event("kernel refuses nothing any more", {}))
        return effects

    def _neighbour(self, gateway: Gateway, now: float, *, alive: bool) -> list[Effect]:
        """A silent node is dead, whatever its session or graceful restart says, until it answers again."""
        if alive != self.gateways.is_silent(gateway) or (not alive and self.gateways.is_settling(gateway, now)):
            return []
        peers = [peer.name for peer in self.rib.leads.peers(gateway)]
        fields: dict[str, str | int | float | bool | None] = {
            "gateway": format_address(gateway.address),
            "interface": self.rib.nexthops.name_of(gateway.ifindex),
            "peer": ", ".join(peers),
        }
        if alive:
            self.gateways.answered(gateway)
            return [*self.planning.plan(now), Event("neighbour answers again", fields)]
        failed = self.gateways.silenced(gateway, now)
        return [*failed, *self._settle(now, quiet=False), Event("neighbour is silent", fields, level="warning")]

    def _reconfigure(self, config: Config, now: float) -> None:
        """Another configuration: what peers announced is judged by it, and groups are made and written by it."""
        changes = self.rib.reconfigure(config, now)
        if self.fib.reshape(self.shape(config), now):
            self.rib.reconsideration.tell_all()
        self.planning.changed(changes)
        self.planning.reconsider()
