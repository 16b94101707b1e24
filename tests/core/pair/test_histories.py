"""Whatever happens to two routers, no flow on a living node moves on either, and at quiet they are as one."""

from __future__ import annotations

import random
import struct

import pytest

from routerd.core.message import BucketsRead, Drain
from routerd.core.route import parse_prefix
from tests.support.pairs import BUCKETS, IDLE, Half, Two

VIPS = ("172.16.1.1/32", "172.16.1.2/32")
NODES = [f"192.168.10.10{i}" for i in range(1, 6)]
STEPS = 60


class History:
    """Things happen to two routers, by chance. `serving` has the nodes of each VIP, `flows` which node each goes to,
    by router, VIP and bucket; of a `weighted` one the nodes announce bandwidths."""

    def __init__(self, seed: int, *, weighted: bool = False) -> None:
        self.chance = random.Random(seed)
        self.two = Two(connected=self.chance.random() < 0.7)
        self.bandwidths = {node: self.chance.randint(1, 3) for node in NODES} if weighted else {}
        self.serving: dict[str, set[str]] = {vip: set() for vip in VIPS}
        self.drained: dict[Half, set[str]] = {half: set() for half in self.two.both}
        self.flows: dict[tuple[Half, str, int], str] = {}
        self.done: list[str] = []
        for vip in VIPS:
            for node in NODES[:3]:
                self.join(node, vip)

    def step(self) -> None:
        """Something happens."""
        chance = self.chance
        node, vip, half = chance.choice(NODES), chance.choice(VIPS), chance.choice(self.two.both)
        what = chance.choice(
            ["join"] * 3
            + ["leave"] * 2
            + ["die", "drain", "drain here", "lose", "unread", "restart", "empty", "channel"]
            + ["flows", "take over"] * 6
            + ["end"] * 4
            + ["weigh"] * 3 * bool(self.bandwidths)
        )
        self.done.append(f"{what} {node} {vip} {half.name}")
        match what:
            case "join":
                self.join(node, vip)
            case "leave" if len(self.serving[vip]) > 1:
                self.leave(node, vip)
            case "die":
                self.die(node)
            case "drain":
                on = node not in self.drained[half]
                for each in self.in_some_order():
                    self.drain(each, node, on=on)
                    self.pause()
            case "drain here":
                self.drain(half, node, on=node not in self.drained[half])
            case "lose" if node in half.sessions:
                self.lose(half, node)
            case "unread":
                for group in list(half.router.fib.groups.by_id):
                    half.take(BucketsRead(group))
            case "take over":
                self.take_over(half)
            case "restart" | "empty":
                self.restart(half, empty=what == "empty")
            case "channel" if self.two.connected:
                self.two.disconnect()
            case "channel":
                self.two.connect()
            case "flows":
                self.begin(half, vip)
            case "end":
                self.end(half)
            case "weigh":
                self.weigh(node)
        self.check()
        self.two.advance(chance.choice([0.0, 0.01, 0.1, 1.0, IDLE / 3, 2 * IDLE]))
        self.check()

    def in_some_order(self) -> tuple[Half, ...]:
        return self.two.both if self.chance.random() < 0.5 else self.two.both[::-1]

    def pause(self) -> None:
        """The two do not hear of anything at the same moment."""
        self.two.advance(self.chance.choice([0.0, 0.0, 0.001, 0.2]))

    def drain(self, half: Half, node: str, *, on: bool) -> None:
        (self.drained[half].add if on else self.drained[half].discard)(node)
        half.take(Drain(node, on))

    def lose(self, half: Half, node: str) -> None:
        """One router alone loses its session with a node for a while, and what went there by it."""
        self.flows = {flow: to for flow, to in self.flows.items() if flow[0] is not half or to != node}
        self.carry()
        half.down(node)
        half.settle_now()
        self.pause()
        self.check()
        for vip in VIPS:
            if node in self.serving[vip]:
                self.announce(half, node, vip)

    def take_over(self, half: Half) -> None:
        """All traffic of a router comes to the other one: it is where it was, if they say that they agree."""
        other = self.two.b if half is self.two.a else self.two.a
        if half.pair.agrees and other.pair.agrees and not (self.two.a.said or self.two.b.said):
            self.flows = {(other, vip, bucket): to for (_, vip, bucket), to in self.flows.items()}
            self.carry()

    def join(self, node: str, vip: str) -> None:
        self.serving[vip].add(node)
        for half in self.in_some_order():
            self.announce(half, node, vip)
            self.pause()

    def announce(self, half: Half, node: str, vip: str) -> None:
        if node not in half.sessions:
            half.up(node)
        said = half.attributes(node)
        if node in self.bandwidths:
            said = said._replace(extended_communities=(struct.pack(">HHf", 0x4004, 65001, self.bandwidths[node]),))
        half.announce(node, vip, attributes=said)
        half.settle_now()

    def weigh(self, node: str) -> None:
        """A node announces another bandwidth."""
        self.bandwidths[node] = self.chance.randint(1, 3)
        for half in self.in_some_order():
            for vip in VIPS:
                if node in self.serving[vip] and node in half.sessions:
                    self.announce(half, node, vip)
            self.pause()

    def leave(self, node: str, vip: str) -> None:
        self.serving[vip].discard(node)
        self.flows = {flow: to for flow, to in self.flows.items() if flow[1] != vip or to != node}
        self.carry()
        for half in self.in_some_order():
            if node in half.sessions:
                half.withdraw(node, vip)
                half.settle_now()
            self.pause()

    def die(self, node: str) -> None:
        for nodes in self.serving.values():
            nodes.discard(node)
        self.flows = {flow: to for flow, to in self.flows.items() if to != node}
        self.carry()
        for half in self.in_some_order():
            if node in half.sessions:
                half.down(node)
                half.settle_now()
            self.pause()

    def restart(self, half: Half, *, empty: bool) -> None:
        if empty:  # its flows end with it
            self.flows = {flow: to for flow, to in self.flows.items() if flow[0] is not half}
        self.two.restart(half, empty=empty)
        self.carry()
        for node in self.drained[half]:
            half.take(Drain(node, True))
        for node in self.chance.sample(NODES, len(NODES)):
            for vip in VIPS:
                if node in self.serving[vip]:
                    self.announce(half, node, vip)
                    self.pause()
            if node in half.sessions:
                half.end_of_rib(node)
                half.settle_now()
        if self.chance.random() < 0.8:
            self.two.connect()

    def begin(self, half: Half, vip: str) -> None:
        """Flows begin where the router sends them."""
        layout = half.layout(vip)
        for bucket in self.chance.sample(range(BUCKETS), 4) if layout else ():
            if layout[bucket] in self.serving[vip]:
                self.flows.setdefault((half, vip, bucket), layout[bucket])
        self.carry()

    def end(self, half: Half) -> None:
        for flow in [flow for flow in self.flows if flow[0] is half and self.chance.random() < 0.5]:
            del self.flows[flow]
        self.carry()

    def carry(self) -> None:
        """The kernels see the flows."""
        for half in self.two.both:
            half.buckets.flows.clear()
        for half, vip, bucket in self.flows:
            half.buckets.flows[parse_prefix(vip)][bucket] += 1

    def check(self) -> None:
        """No flow has moved."""
        layouts = {(half, vip): half.layout(vip) for half in self.two.both for vip in VIPS}
        for (half, vip, bucket), node in self.flows.items():
            assert layouts[half, vip], (half.name, vip, self.done)
            assert layouts[half, vip][bucket] == node, (half.name, vip, bucket, self.done[-6:])

    def quiet(self) -> None:
        """Nothing happens any more; the two find each other."""
        if not self.two.connected:
            self.two.connect()
        self.two.advance(12 * IDLE)
        self.check()

    def busy(self, half: Half, vip: str) -> set[int]:
        return {bucket for each, prefix, bucket in self.flows if each is half and prefix == vip}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(30))
def test_a_random_history(seed: int, *, weighted: bool) -> None:
    history = History(seed, weighted=weighted)
    for _ in range(STEPS):
        history.step()
    history.quiet()
    two = history.two
    for vip in VIPS:
        here, there = two.a.layout(vip), two.b.layout(vip)
        both = history.busy(two.a, vip) & history.busy(two.b, vip)
        differing = {bucket for bucket in range(BUCKETS) if here and here[bucket] != there[bucket]}
        assert differing <= both, (vip, here, there, history.done)
        assert set(here) == set(there) or both
    before = two.exchanged
    two.advance(20 * IDLE)
    assert two.exchanged == before
    history.end(two.a)
    history.flows.clear()
    history.carry()
    two.advance(4 * IDLE)
    for vip in VIPS:
        layout = two.a.layout(vip)
        assert layout == two.b.layout(vip)
        leader, other = two.both if two.a.pair.leads else two.both[::-1]
        alive = history.serving[vip] - history.drained[leader] or history.serving[vip]
        alive = alive - history.drained[other] or alive
        assert set(layout) == alive
        weights = {node: history.bandwidths.get(node, 1) for node in alive}
        for node, weight in weights.items():
            assert abs(layout.count(node) - BUCKETS * weight / sum(weights.values())) <= 1
    assert all(half.pair.timer is None for half in two.both)
