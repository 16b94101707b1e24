"""Traffic moves from one router to the other again and again, whatever happens to both. Flows are silent for nearly
an idle timer: who takes over has yet to see a packet of theirs, and must not give their buckets away until then."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass

import pytest

from routerd.core.layout import KEPT
from routerd.core.message import DeleteNexthop, Drain, Operation
from routerd.core.route import Prefix, parse_prefix
from tests.support import pairs
from tests.support.core import LINKS
from tests.support.pairs import BUCKETS, IDLE, Half, Two
from tests.support.resilient import ResilientKernel

VIPS = ("172.16.1.1/32", "172.16.1.2/32")
NODES = [f"192.168.10.10{i}" for i in range(1, 6)]
STEPS = 50
RARE = (376, 941, 1211, 1441, 4115)
"""Histories in which a node that had returned was given buckets back that flows used at the partner, or one that
joined a young VIP got buckets of flows that were silent meanwhile."""
DEEDS = [
    *(["join"] * 4 + ["leave"] * 2 + ["begin"] * 6 + ["end"] * 2 + ["move"] * 5),
    *("die", "drain", "restart", "empty", "flap", "cable", "cables"),
]


class Clocked(ResilientKernel):
    """A bucket is busy for an idle timer since the last packet that went to whom it leads to. Nothing is seen of
    those to a group with one member."""

    half: Half | None = None

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.used: dict[Prefix, dict[int, tuple[float, int]]] = defaultdict(dict)
        self._lost_at = 0.0

    def _carry_out(self, operation: Operation) -> int:
        now = 0.0 if self.half is None else self.half.now
        if now - self._lost_at > KEPT:
            self._past.clear()
        if isinstance(operation, DeleteNexthop):
            self._lost_at = now
        return super()._carry_out(operation)

    def busy(self, group: int) -> set[int]:
        owners = self.owners.get(group)
        if owners is None or self.half is None:
            return set()
        used = [some for prefix, some in self.used.items() if self.routes.get(prefix) == group]
        return {
            bucket
            for some in used
            for bucket, (at, owner) in some.items()
            if self.half.now - at < IDLE and owners[bucket] == owner
        }

    def packet(self, vip: str, bucket: int) -> None:
        assert self.half is not None
        prefix = parse_prefix(vip)
        group = self.routes[prefix]
        if len(self.groups[group].members) > 1:
            self.used[prefix][bucket] = (self.half.now, self.owners[group][bucket])


def kernel(half: Half) -> Clocked:
    assert isinstance(half.buckets, Clocked)
    return half.buckets


@dataclass(eq=False)
class Flow:
    """`half` carries it, and it speaks at `next`. `safe`: the other router would lead it to its node. `hurt`: it is
    lost if it speaks before that is so again: its node has left this router, or it came while nobody told of it."""

    vip: str
    bucket: int
    node: str
    half: Half
    next: float
    safe: bool = False
    hurt: bool = False


class Takeovers:
    """Things happen to two routers, by chance; `up` has the nodes of each VIP that each of them hears."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.two = Two()
        for half in self.two.both:
            kernel(half).half = half
        self.up: dict[Half, dict[str, set[str]]] = {half: {vip: set() for vip in VIPS} for half in self.two.both}
        self.flows: list[Flow] = []
        self.drained: set[str] = set()
        self.carrier = self.two.a
        self.moved = 0
        self.done: list[str] = []
        for node in NODES[:3]:
            for vip in VIPS:
                for half in self.in_some_order():
                    self.announce(half, node, vip)
        self.advance(3 * IDLE)

    def in_some_order(self) -> tuple[Half, ...]:
        return self.two.both if self.chance.random() < 0.5 else self.two.both[::-1]

    def other(self, half: Half) -> Half:
        return self.two.b if half is self.two.a else self.two.a

    def advance(self, seconds: float) -> None:
        """Let time pass, and each flow speak when it is its turn."""
        end = self.two.a.now + seconds
        while True:
            due = min((flow.next for flow in self.flows), default=end)
            self.two.advance(min(max(due, self.two.a.now), end) - self.two.a.now)
            for flow in [flow for flow in self.flows if flow.next <= self.two.a.now]:
                self.speak(flow)
            if self.two.a.now >= end:
                return

    def pause(self) -> None:
        self.advance(self.chance.choice([0.0, 0.0, 0.001, 0.2]))

    def speak(self, flow: Flow) -> None:
        if self.to(flow.half, flow) != flow.node:
            assert flow.hurt, (flow, self.to(flow.half, flow), self.done[-6:])
            self.flows.remove(flow)
            return
        flow.hurt = False
        kernel(flow.half).packet(flow.vip, flow.bucket)
        flow.next = flow.half.now + IDLE * self.chance.choice([0.02, 0.3, 0.9, 0.95])

    def to(self, half: Half, flow: Flow) -> str:
        layout = half.layout(flow.vip)
        return layout[flow.bucket] if layout else ""

    def look(self, *, calm: bool) -> None:
        """Note which flows the other router could take over, as the two know of each other."""
        if not all(half.pair.complete for half in self.two.both):
            return
        for flow in self.flows:
            flow.safe = self.to(self.other(flow.half), flow) == flow.node
        if calm and any(half.pair.agrees for half in self.two.both):
            for vip in VIPS:
                assert self.two.a.layout(vip) == self.two.b.layout(vip), (vip, self.done[-6:])

    def move(self, to: Half) -> None:
        """All traffic goes to one router."""
        self.carrier = to
        for flow in [flow for flow in self.flows if flow.half is not to]:
            if self.to(to, flow) != flow.node:
                assert not flow.safe, (flow, self.to(to, flow), self.done[-6:])
                self.flows.remove(flow)
                continue
            self.moved += 1
            flow.half, flow.safe, flow.hurt = to, False, flow.hurt or not self.two.connected

    # ------------------------------------------------------------------------------------------ what happens

    def announce(self, half: Half, node: str, vip: str) -> None:
        if node not in half.sessions:
            half.up(node)
        half.announce(node, vip)
        half.settle_now()
        self.up[half][vip].add(node)

    def lose(self, half: Half, node: str, *vips: str) -> None:
        """A node does not announce these any more to one of the two."""
        for vip in vips:
            self.up[half][vip].discard(node)
            for flow in [flow for flow in self.flows if (flow.vip, flow.node) == (vip, node)]:
                flow.hurt |= flow.half is half
                flow.safe &= flow.half is half
                if not any(node in self.up[each][vip] for each in self.two.both):
                    self.flows.remove(flow)
        if node in half.sessions:
            if len(vips) < len(VIPS):
                half.withdraw(node, *vips)
            else:
                half.down(node)
            half.settle_now()

    def step(self) -> None:
        """Something happens."""
        chance, half = self.chance, self.in_some_order()[0]
        deed, node, vip = chance.choice(DEEDS), chance.choice(NODES), chance.choice(VIPS)
        self.done.append(f"{self.two.a.now:.2f} {deed} {node} {vip} {half.name}, {self.carrier.name} carries")
        match deed:
            case "join":
                for each in self.in_some_order():
                    self.announce(each, node, vip)
                    self.pause()
            case "leave" | "die":
                if all(self.up[each][some] - {node} for each in self.two.both for some in VIPS):
                    for each in self.in_some_order():
                        self.lose(each, node, *(VIPS if deed == "die" else (vip,)))
                    self.pause()
            case "drain":
                self.drained ^= {node}
                for each in self.in_some_order():
                    each.take(Drain(node, node in self.drained))
                    self.pause()
            case "restart" | "empty":
                self.restart(half, empty=deed == "empty")
            case "flap":
                self.two.disconnect()
                self.advance(chance.choice([0.01, 1.0, IDLE / 3]))
                self.two.connect()
            case "cable" | "cables":
                self.cut(half, NODES if deed == "cables" else [node])
            case "begin":
                for _ in range(3):
                    flow = Flow(vip, chance.randrange(BUCKETS), "", self.carrier, 0.0)
                    flow.node = self.to(self.carrier, flow)
                    if flow.node in self.up[self.carrier][vip]:
                        self.flows.append(flow)
                        self.speak(flow)
            case "end":
                self.flows = [flow for flow in self.flows if chance.random() < 0.6]
            case "move":
                self.move(half)
        self.look(calm=False)
        wait = chance.choice([0.0, 0.01, 0.1, 1.0, IDLE / 3, 2 * IDLE])
        self.advance(wait)
        self.look(calm=wait >= 1.0)

    def cut(self, half: Half, nodes: list[str]) -> None:
        """A router loses nodes, traffic may go to the other one for that, and they may be back."""
        lost = {node: [vip for vip in VIPS if node in self.up[half][vip]] for node in nodes}
        for node in nodes:
            self.lose(half, node, *VIPS)
            self.pause()
        if self.chance.random() < 0.7:
            self.move(self.other(half))
        self.advance(self.chance.choice([0.0, 0.01, 0.3, 1.0, 3.0, IDLE / 2, 2 * IDLE]))
        for node in nodes if self.chance.random() < 0.8 else []:
            for vip in lost[node]:
                self.announce(half, node, vip)
            self.pause()

    def restart(self, half: Half, *, empty: bool) -> None:
        """routerd is killed and comes back, or the machine is rebooted, and the other one has all traffic before."""
        if empty:
            self.move(self.other(half))
            for flow in self.flows:
                flow.safe = False
        self.two.disconnect()
        if empty:
            half.kernel = half.buckets = Clocked(LINKS, fib=half.config.fib)
            kernel(half).half = half
        half.buckets._past.clear()  # of which routerd knows, and nobody else
        half.restart(age=0.0 if empty else half.now)
        for node in self.drained:
            half.take(Drain(node, True))
        if self.chance.random() < 0.5:
            self.two.connect()
        for node in self.chance.sample(NODES, len(NODES)):
            for vip in [vip for vip in VIPS if node in self.up[half][vip]]:
                self.announce(half, node, vip)
                self.pause()
            if node in half.sessions:
                half.end_of_rib(node)
                half.settle_now()
        if not self.two.connected:
            self.two.connect()


@pytest.mark.parametrize("seed", [*range(15), *RARE])
def test_traffic_moves(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "ResilientKernel", Clocked)
    history = Takeovers(seed)
    for _ in range(STEPS):
        history.step()
    history.advance(12 * IDLE)
    history.look(calm=True)
    assert history.moved
    history.flows.clear()
    history.advance(4 * IDLE)
    a, b = history.two.both
    assert history.up[a] != history.up[b] or [a.layout(vip) for vip in VIPS] == [b.layout(vip) for vip in VIPS]
