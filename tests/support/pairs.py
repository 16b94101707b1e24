"""Two routers, each on a kernel in memory with buckets, and the channel between them: what is said arrives in order,
or, when the channel is lost, not at all."""

from __future__ import annotations

from collections import deque

from routerd.config.load import parse
from routerd.core.fib.model import WIDEST
from routerd.core.message import (
    Arrange,
    Effect,
    FindUnused,
    Gateway,
    GroupActivity,
    GroupsUnused,
    Hello,
    InspectGroups,
    Introduce,
    PartnerDown,
    PartnerMessage,
    PartnerSaid,
    PartnerUp,
    Program,
    ReadBuckets,
    Settle,
    TellPartner,
    Work,
)
from routerd.core.pair.pair import Pair
from routerd.core.route import format_address, parse_prefix
from tests.support.core import CONFIG, LINKS, Simulation
from tests.support.resilient import ResilientKernel

IDLE = 20.0
BUCKETS = 16
PAIRED = CONFIG + f"\n[fib]\nmax_paths = 8\nbuckets = {BUCKETS}\nidle_timer = {IDLE}\n"


def hello(router: str, age: float = 0.0) -> Hello:
    """Return what a router says of itself."""
    return Hello(router, "1", "1.0", "6.18", "l4", "abcd", age)


class Half(Simulation):
    """One of two routers; `said` is what it has told the other one and has not arrived."""

    def __init__(self, name: str, config: str = PAIRED, *, widest: int = WIDEST) -> None:
        self.name = name
        self.said: deque[PartnerMessage] = deque()
        self.told = 0
        self.asked: deque[int] = deque()
        fib = parse(config).fib.model_copy(update={"nexthop_id_base": 1})
        self.buckets = ResilientKernel(LINKS, fib=fib)
        super().__init__(config, self.buckets, widest=widest)

    def restart(self, *, listening: bool = True, age: float = 0.0) -> None:
        """Start routerd anew, as one of a pair."""
        self.said.clear()
        self.asked.clear()
        self.age = age
        super().restart(listening=listening)

    def dump(self) -> None:
        """Before anything is read, the core learns that it is one of a pair."""
        if not self.router.synchronised:
            self.take(Introduce(hello(self.name, self.age)))
        super().dump()

    @property
    def pair(self) -> Pair:
        """The agreement, as seen from here."""
        assert self.router.pair is not None
        return self.router.pair

    def _took_over(self, group: int) -> bool:
        return bool(self.buckets.busy(self.likes.get(group, 0)))

    def write_out(self) -> None:
        """Write all that waits; then read what the core asked for."""
        super().write_out()
        while self.asked:
            self._inbox.append(self.buckets.read(self.asked.popleft()))
            if len(self._inbox) == 1:
                self._handle()
            super().write_out()

    def _execute(self, effects: list[Effect]) -> None:
        rest: list[Effect] = []
        for effect in effects:
            match effect:
                case ReadBuckets(ids=ids):
                    self.effects.append(effect)
                    self.asked.extend(ids)
                case TellPartner(message=message):
                    self.effects.append(effect)
                    self.said.append(message)
                    self.told += 1
                case InspectGroups(ids=ids):
                    owners = {id: self.buckets.owners[id] for id in ids if id in self.buckets.owners}
                    busy = {id: {some[bucket]: 1 for bucket in self.buckets.busy(id)} for id, some in owners.items()}
                    self.take(GroupActivity(busy))
                case Program(operations=operations):
                    unsettled = {
                        group.id for group in self.router.fib.groups if group in self.router.fib.groups.settling
                    }
                    assert not [each for each in operations if isinstance(each, Arrange) and each.id in unsettled]
                    rest.append(effect)
                case FindUnused(ids=ids):
                    self.take(GroupsUnused(tuple(id for id in ids if not self.buckets.busy(id))))
                case _:
                    rest.append(effect)
        super()._execute(rest)

    def settle_now(self) -> None:
        """Do what is due, and nothing that is due later."""
        self.take(Settle())
        while self.router.busy:
            self.take(Work())
            self.take(Settle())

    def layout(self, prefix: str) -> list[str]:
        """Return the address to which each bucket of a prefix leads; none if it has no route."""
        parsed = parse_prefix(prefix)
        if parsed not in self.buckets.routes:
            return []
        found = [self.buckets.gateway(parsed, bucket) for bucket in range(BUCKETS)]
        return ["" if gateway is None else format_address(gateway.address) for gateway in found]

    def gateway(self, prefix: str, bucket: int) -> Gateway | None:
        """Return where a bucket leads."""
        return self.buckets.gateway(parse_prefix(prefix), bucket)


class Two:
    """Routers `a` and `b`, whose clocks go alike. What one says arrives when time passes."""

    def __init__(self, config: str = PAIRED, *, connected: bool = True, widest: int = WIDEST) -> None:
        self.a, self.b = Half("a", config, widest=widest), Half("b", config, widest=widest)
        self.connected = False
        self.exchanged = 0
        if connected:
            self.connect()

    @property
    def both(self) -> tuple[Half, Half]:
        """The two routers."""
        return self.a, self.b

    def connect(self) -> None:
        """The channel comes up."""
        for half in self.both:
            half.said.clear()
        self.connected = True
        for half in self.both:
            half.take(PartnerUp())

    def disconnect(self) -> None:
        """The channel is lost, with all that is on its way."""
        self.connected = False
        for half in self.both:
            half.said.clear()
            half.take(PartnerDown("connection lost"))
            half.said.clear()

    def restart(self, half: Half, *, empty: bool = False) -> None:
        """Restart routerd on one of the two, perhaps after its machine was."""
        self.disconnect()
        if empty:
            half.kernel = half.buckets = ResilientKernel(LINKS, fib=half.config.fib)
        half.restart()

    def deliver(self, count: int = 10_000) -> int:
        """Deliver what has been said, and what comes of that, message by message; return how many those were."""
        done = 0
        while self.connected and done < count and (self.a.said or self.b.said):
            for half, other in (self.both, self.both[::-1]):
                if half.said:
                    other.take(PartnerSaid(half.said.popleft()))
                    done += 1
        self.exchanged += done
        assert done < count, "there is no end to what they say"
        return done

    def advance(self, seconds: float) -> None:
        """Let time pass on both, and what is said arrive."""
        end = self.a.now + seconds
        self.deliver()
        while True:
            due = [half.router.timer for half in self.both if half.router.timer is not None]
            now = min([max(min(due), self.a.now), end] if due else [end])
            for half in self.both:
                half.now = now
                half.settle_now()
            self.deliver()
            if now >= end:
                return
