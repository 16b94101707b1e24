"""The synchronous core on a kernel in memory: drive it with a line a step, and compare the two."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Sequence
from typing import TypeVar

from routerd.config.load import parse
from routerd.config.model import Config
from routerd.core.fib.model import WIDEST
from routerd.core.message import (
    Effect,
    Event,
    FindUnused,
    Gateway,
    GracefulRestart,
    GroupActivity,
    GroupLost,
    GroupsUnused,
    Identified,
    Identify,
    Input,
    InspectGroups,
    Interface,
    KernelObjects,
    Notification,
    Open,
    Operation,
    Program,
    Resync,
    SessionDown,
    SessionUp,
    SetGroup,
    Settle,
    SpeakerDown,
    SpeakerUp,
    Update,
    Work,
    WriteFailed,
)
from routerd.core.planning import MOVE_PATIENCE
from routerd.core.route import (
    AsPath,
    Attributes,
    Family,
    SegmentType,
    format_address,
    format_prefix,
    parse_address,
    parse_prefix,
)
from routerd.core.router import Router
from routerd.kernel.audit import compare
from routerd.kernel.backlog import Backlog
from tests.support.kernel import FakeKernel

CONFIG = """
[router]
asn = 65000
router_id = "192.168.10.200"
networks = ["10.10.1.0/24"]




[peer_groups.nodes]
hold_time = 9
multihop = 2
graceful_restart = true
restart_time = 30
stale_time = 60
accept = ["172.16.0.0/12", "fd00:ac10::/32"]
advertise = ["networks"]

[[dynamic_peers]]
range = "192.168.0.0/16"
group = "nodes"
"""

LINKS = (
    Interface(
        2,
        "nodes10",
        True,
        (parse_address("192.168.10.200"), parse_address("fd00:10::200")),
        (parse_prefix("192.168.10.0/24"), parse_prefix("fd00:10::/64")),
    ),
    Interface(3, "nodes20", True, (parse_address("192.168.20.200"),), (parse_prefix("192.168.20.0/24"),)),
)

BOTH = frozenset(Family)
T = TypeVar("T", bound=Operation)


def sequence(*asns: int) -> AsPath:
    """Return an AS_PATH of one AS_SEQUENCE."""
    return ((SegmentType.SEQUENCE, asns),) if asns else ()


def opened(
    asn: int, router_id: str, graceful: GracefulRestart | None = None, families: frozenset[Family] = BOTH
) -> Open:
    """Return an OPEN with these families and the usual capabilities."""
    return Open(asn, 9, parse_address(router_id), families, True, True, False, graceful)


def preserving(seconds: int = 15, *, notification: bool = False) -> GracefulRestart:
    """Return a Graceful Restart capability with the F bit for both families."""
    return GracefulRestart(False, notification, seconds, dict.fromkeys(Family, True))


def link_layer(gateway: Gateway) -> bytes:
    """Return the link-layer address of a node in a simulation: 192.168.10.101 and fd00:10::101 have the same."""
    return re.split(r"[.:]", format_address(gateway.address))[-1].encode()


class Simulation:
    """A router, its kernel, and the nodes that the test speaks for. `now` is seconds; nothing else moves it.

    While it is `slow` nothing is written but what is urgent; `write_some` writes a little, `write_out` the rest.
    While it `identifies`, the kernel tells at once that addresses are of one host if they end alike: `link_layer`.
    """

    def __init__(
        self, config: Config | str = CONFIG, kernel: FakeKernel | None = None, *, widest: int = WIDEST
    ) -> None:
        wanted = parse(config) if isinstance(config, str) else config
        fib = wanted.fib.model_copy(update={"nexthop_id_base": 1})  # small ids, so that tests can name them
        self.config = wanted.model_copy(update={"fib": fib})
        self.kernel = kernel or FakeKernel(LINKS, fib=fib)
        self.widest = widest
        self.now = 1000.0
        self.generations = 0
        self.sessions: dict[str, SessionUp] = {}
        self.events: list[Event] = []
        self.effects: list[Effect] = []
        self.operations: list[Operation] = []
        self.busy_groups: set[int] = set()
        self.idle_members: set[int] = set()
        self.slow = False
        self.identifies = True
        self.likes: dict[int, int] = {}
        self._inbox: deque[Input] = deque()
        self._resync = False
        self.restart()

    def restart(self, *, listening: bool = True) -> None:
        """Start a new router on the kernel as it is; unless `listening`, no node can dial in yet."""
        self.router = Router(self.config, self.now, widest=self.widest)
        self.backlog = Backlog(self._write, self._took_over, portion=3)
        self.sessions.clear()
        self.dump()
        if listening:
            self.take(SpeakerUp())

    # ------------------------------------------------------------------------------------------ driving

    def take(self, message: Input) -> None:
        """Hand over a message and carry out what comes of it; what that brings is handed over afterwards."""
        self._inbox.append(message)
        if len(self._inbox) > 1:
            return  # from within an effect
        self._handle()
        if not self.slow:
            self.write_out()
        if self._resync:
            self._resync = False
            self.dump()

    def _handle(self) -> None:
        while self._inbox:
            self._execute(self.router.handle(self._inbox[0], self.now))
            self._inbox.popleft()

    def _write(self, operations: Sequence[Operation]) -> list[WriteFailed | GroupLost]:
        return self.kernel.write(operations)

    def _took_over(self, group: int) -> bool:
        return self.likes.get(group) in self.busy_groups

    def _busy(self, group: int) -> dict[int, int]:
        """Count the buckets in use by member: those of `busy_groups` have some for each."""
        members = self.kernel.groups[group].members if group in self.busy_groups else ()
        return {member.id: 1 for member in members if member.id not in self.idle_members}

    def write_out(self) -> None:
        """Write all that waits."""
        while self.backlog.length:
            self._inbox.extend(self.backlog.write(math.inf))
            self._handle()

    def write_some(self) -> None:
        """Write one portion of what waits."""
        self._inbox.extend(self.backlog.write(0))
        self._handle()

    def _execute(self, effects: list[Effect]) -> None:
        self.effects += effects
        for effect in effects:
            if isinstance(effect, Program):
                self.operations += effect.operations
                self.likes |= {each.id: each.like for each in effect.operations if isinstance(each, SetGroup)}
                if effect.urgent:
                    self._inbox.extend(self.backlog.jump(effect.operations))
                else:
                    self.backlog.add(effect.operations)
            elif isinstance(effect, InspectGroups):
                self.take(GroupActivity({id: self._busy(id) for id in effect.ids}))
            elif isinstance(effect, FindUnused):
                self.take(GroupsUnused(tuple(id for id in effect.ids if id not in self.busy_groups)))
            elif isinstance(effect, Identify):
                if self.identifies:
                    self.take(Identified({each: link_layer(each) for each in effect.gateways}))
            elif isinstance(effect, Resync):
                self._resync = True
            elif isinstance(effect, Event):
                self.events.append(effect)

    def dump(self) -> None:
        """Write all, and read the kernel: all of it at first, later objects and routes apart, as the daemon does."""
        self.write_out()
        found = self.kernel.dump()
        if not self.router.synchronised:
            self.take(found)
            return
        self.take(KernelObjects(found.interfaces, found.nexthops, found.groups))
        known = self.router.rib.nexthops.foreign.routes
        self.take(compare(self.router.fib.expected(), known, self.kernel.dump()))

    def settle(self) -> None:
        """Let all background work finish, and the FIB follow."""
        while True:
            while self.router.busy:
                self.take(Work())
                self.take(Settle())
            self.take(Settle())
            if self.router.fib.has_waiting() or (self.router.synchronised and self.router.fib.behind):
                self.now += MOVE_PATIENCE  # a node that has just come may still say more
            elif not self.router.busy:
                return

    def advance(self, seconds: float) -> None:
        """Let time pass, stopping at every timer on the way."""
        end = self.now + seconds
        while (due := self.router.timer) is not None and due <= end:
            self.now = max(due, self.now)
            self.settle()
        self.now = end
        self.settle()

    # ------------------------------------------------------------------------------------------ nodes

    def up(
        self,
        peer: str,
        asn: int = 65001,
        graceful: GracefulRestart | None = None,
        *,
        notification: bool = True,
        families: frozenset[Family] = BOTH,
    ) -> None:
        """A node's session comes up; `notification` is the N bit that the router sends, `families` are the node's."""
        self.generations += 1
        local = "192.168.10.200" if peer.startswith("192.168.10.") else "192.168.20.200"
        sent = opened(
            self.config.router.asn, self.config.router.router_id, preserving(120, notification=notification)
        )
        router_id = peer if "." in peer else "10.0.0.1"
        up = SessionUp(peer, self.generations, local, opened(asn, router_id, graceful, families), sent, True)
        self.sessions[peer] = up
        self.take(up)

    def attributes(self, peer: str, next_hop: str | None = None, as_path: AsPath | None = None) -> Attributes:
        """Return what a node announces by default."""
        asn = self.sessions[peer].received.asn
        path = sequence(asn) if as_path is None else as_path
        return Attributes(as_path=path, next_hop=parse_address(next_hop or peer))

    def announce(self, peer: str, *prefixes: str, attributes: Attributes | None = None) -> None:
        """A node announces prefixes in one UPDATE; the FIB follows at `settle`."""
        parsed = [parse_prefix(prefix) for prefix in prefixes]
        announced = [(attributes or self.attributes(peer), parsed)]
        self.take(Update(peer, self.sessions[peer].generation, [], announced))

    def withdraw(self, peer: str, *prefixes: str) -> None:
        """A node withdraws prefixes."""
        parsed = [parse_prefix(prefix) for prefix in prefixes]
        self.take(Update(peer, self.sessions[peer].generation, parsed))

    def end_of_rib(self, peer: str) -> None:
        """A node has announced all, in both families."""
        for family in Family:
            self.take(Update(peer, self.sessions[peer].generation, end_of_rib=family))

    def down(self, peer: str, notification: Notification | None = None) -> None:
        """A node's session ends; without a NOTIFICATION the connection was lost."""
        up = self.sessions.pop(peer)
        self.take(SessionDown(peer, up.generation, "connection lost", notification))

    def speaker_dies(self) -> None:
        """The ExaBGP child is killed."""
        self.take(SpeakerDown("killed"))
        self.sessions.clear()

    @staticmethod
    def refusal(operation: Operation) -> list[WriteFailed]:
        """Return what a kernel answers that refuses an operation."""
        return [WriteFailed(operation, 22, "Nexthop has invalid gateway")]

    # ------------------------------------------------------------------------------------------ looking

    def fib(self) -> dict[str, list[str]]:
        """Return what the kernel forwards: each prefix with the addresses of its gateways."""
        result: dict[str, list[str]] = {}
        for prefix, id in self.kernel.routes.items():
            group = self.kernel.groups.get(id)
            members = [member.id for member in group.members] if group else [id]
            gateways = [self.kernel.nexthops[member].gateway for member in members]
            result[format_prefix(prefix)] = sorted(format_address(g.address) for g in gateways if g is not None)
        return result

    def rib(self) -> dict[str, list[str]]:
        """Return what the decision process wants in the FIB, in the shape of `fib`."""
        loc_rib = self.router.rib.loc_rib
        wanted = {
            format_prefix(prefix): sorted(format_address(g.address) for g in loc_rib.decision(paths).members)
            for prefix, paths in loc_rib.table.items()
        }
        return {prefix: gateways for prefix, gateways in wanted.items() if gateways}

    def group_of(self, prefix: str) -> int:
        """Return the nexthop id of a prefix's route in the kernel."""
        return self.kernel.routes[parse_prefix(prefix)]

    def operations_of(self, kind: type[T]) -> list[T]:
        """Return the operations of a kind asked for since the last call of `forget`."""
        return [operation for operation in self.operations if isinstance(operation, kind)]

    def forget(self) -> None:
        """Start counting operations, effects and events anew."""
        self.operations.clear()
        self.effects.clear()
        self.events.clear()
