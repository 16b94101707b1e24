"""Indexes never get out of step with what they index, and nothing is kept of what is gone.

Nodes, links and people do what comes to a random mind; afterwards all that is kept twice is worked out anew, and
compared.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from routerd.core.gateway_health import Reason
from routerd.core.message import (
    Drain,
    ForeignRoute,
    Gateway,
    KernelNexthop,
    Leg,
    NeighbourState,
    NexthopChange,
    Notification,
    Reconfigure,
    RouteChange,
    RoutesChanged,
    SetNexthop,
    Settle,
    SpeakerUp,
    Work,
)
from routerd.core.rib.guard import Guard
from routerd.core.rib.leads import Leads
from routerd.core.route import parse_address, parse_prefix
from routerd.core.router import Router
from tests.support.core import Simulation, preserving

NODES = [f"192.168.10.{100 + i}" for i in range(3)] + [f"192.168.20.{100 + i}" for i in range(2)]
VIPS = [f"172.16.1.{i}/32" for i in range(6)]
THEIRS = 1 << 30
"""The id of somebody else's nexthop object."""
TABLE = [f"172.17.{i // 250}.{i % 250}/32" for i in range(520)]


def check_groups(router: Router) -> None:
    groups = router.fib.groups
    by_gateway: dict[Gateway, set[int]] = {}
    for group in groups:
        for gateway in {*group.members, *group.legs}:
            by_gateway.setdefault(gateway, set()).add(group.id)
    assert {gateway: {group.id for group in some} for gateway, some in groups._by_gateway.items()} == by_gateway
    shared = {(group.wanted, group.id) for group in groups if group.shared and group.adapted}
    assert {(wanted, group.id) for wanted, some in groups._by_wanted.items() for group in some} == shared
    assert groups.buckets == sum(group.buckets for group in groups)
    assert groups.ids._taken == groups.by_id.keys() | set(groups.nexthops.values())
    assert groups.nexthops.keys() <= by_gateway.keys()
    assert groups.down == set(router.health.out)
    known = set(groups)
    fib = router.fib
    assert known.issuperset({*groups.changed, *groups.settling._of, *fib.parting._apart, *fib.awaiting.released})
    assert groups.clinging.keys() <= groups.by_id.keys()
    assert fib.awaiting._counts == Counter(gateway for group in groups for gateway in group.awaiting)
    assert {prefix: group.id for prefix, group in router.fib.routes.items()} == {
        prefix: group.id for group in groups for prefix in group.prefixes
    }


def check_rib(router: Router) -> None:
    rib = router.rib
    kept, anew = rib.leads, Leads(rib._find)
    anew.touch(*rib.peers.values())
    for leads in (kept, anew):
        leads._follow()
    for name in ("_leads", "_speaking", "_present"):
        assert getattr(kept, name) == getattr(anew, name), name
    for name in ("_peers", "_naming"):
        assert _members(getattr(kept, name)) == _members(getattr(anew, name)), name
    users = Counter(path for paths in rib.loc_rib.table.values() for path in paths.paths)
    assert rib.loc_rib.users == users
    hops = Counter(((path.peer, (path.attributes.next_hop, path.attributes.link_local))) for path in users.elements())
    assert {(peer, hop): count for peer, some in rib.loc_rib.hops.items() for hop, count in some.items()} == hops
    introducing = {peer.address for peer in rib.peers.values() if peer.session is not None and peer.pending_eor}
    assert {peer.address for peer in rib.lifecycle.introductions} == introducing
    stale = {peer.address: peer.deadline for peer in rib.peers.values() if peer.deadline not in (None, float("inf"))}
    assert rib.lifecycle._deadlines._of == stale
    assert rib.advertising.adj_ribs_out._of.keys() == {
        peer.address for peer in rib.peers.values() if peer.session is not None
    }
    assert rib.lifecycle._blameless <= {peer.address for peer in rib.peers.values() if peer.session is None}


def check_ways(router: Router) -> None:
    """Whatever was remembered of ways is what a look at the routes tells."""
    nexthops, judge = router.rib.nexthops, router.rib.judge
    ways = nexthops._ways
    assert ways._watched == {address: ways.seek(address) for address in ways._watched}
    assert ways.onlink == {gateway for way in ways._watched.values() for gateway in way.onlink}
    assert nexthops._memo == {key: nexthops._resolve(*key, ways.seek) for key in nexthops._memo}
    guard = Guard(nexthops.look_leads)
    guard.add(judge.guard._shortest)
    assert (judge.guard._shortest, judge.guard._holds) == (guard._shortest, guard._holds)
    assert guard._shortest.keys() >= nexthops.addresses.union(*(peer.addresses for peer in router.rib.peers.values()))
    loc_rib = router.rib.loc_rib
    for paths in loc_rib.sets():
        assert not loc_rib.decision(paths).differs(router.rib._decide(paths))


def _members(index: dict[object, dict[str, object]]) -> dict[object, set[str]]:
    return {key: set(some) for key, some in index.items()}


def check_health(router: Router) -> None:
    health = router.health
    having = {(gateway, reason) for reason in Reason for gateway in health.having(reason)}
    assert having == {(gateway, reason) for gateway in health.out for reason in health.reasons(gateway)}
    assert router.gateways._silent_since.keys() == set(health.having(Reason.SILENT))


def check_watched(router: Router, before: dict[tuple[int, ...], set[Gateway]]) -> None:
    """Who has seen the version knows who is watched; `before` is what was seen of this router."""
    assert before.setdefault(router.gateways.version, router.gateways.watched) == router.gateways.watched


def check_timer(router: Router, now: float) -> None:
    """What was due has been done, and is not due again at once."""
    assert router.timer is None or router.timer > now


class Chance:
    """Does one thing after the other to a simulation."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.simulation = Simulation()
        self.silent: set[Gateway] = set()
        self.watched: dict[tuple[int, ...], set[Gateway]] = {}

    def step(self) -> None:
        """Do something."""
        often = (self.up, self.announce, self.down)
        seldom = (self.announce, self.withdraw, self.end_of_rib, self.silence, self.link, self.drain, self.speaker)
        others = (self.wait, self.delete, self.make, self.work, self.reload, self.write, self.restart)
        network = (self.lead, self.lead, self.object, self.readdress)
        self.random.choice((*often, *often, *seldom, *others, *network))()

    def _node(self, *, up: bool) -> str | None:
        found = [node for node in NODES if (node in self.simulation.sessions) is up]
        return self.random.choice(found) if found else None

    def up(self) -> None:
        if node := self._node(up=False):
            self.simulation.up(node, graceful=self.random.choice([None, preserving(10)]))

    def announce(self) -> None:
        if node := self._node(up=True):
            some = self.random.sample(VIPS, self.random.randint(1, 4))
            via = self.random.choice([node, node, node, "192.168.10.150"])
            self.simulation.announce(
                node,
                *(TABLE if self.random.random() < 0.15 else some),
                attributes=self.simulation.attributes(node, via),
            )

    def withdraw(self) -> None:
        if node := self._node(up=True):
            self.simulation.withdraw(node, *self.random.choice([TABLE, VIPS[:3], VIPS[2:4]]))

    def down(self) -> None:
        if node := self._node(up=True):
            self.simulation.down(node, self.random.choice([None, Notification(True, 6, 9)]))

    def end_of_rib(self) -> None:
        if node := self._node(up=True):
            self.simulation.end_of_rib(node)

    def silence(self) -> None:
        gateways = sorted(self.simulation.router.gateways.watched, key=lambda each: each.address)
        if gateways:
            gateway = self.random.choice(gateways)
            silent = gateway in self.simulation.router.health.having(Reason.SILENT)
            self.simulation.take(NeighbourState(gateway, alive=silent))

    def link(self) -> None:
        kernel, index = self.simulation.kernel, self.random.choice([2, 3])
        if kernel.interfaces[index].up:
            kernel.link_down(index)
        else:
            kernel.interfaces[index] = replace(kernel.interfaces[index], up=True)
        if self.random.random() < 0.8:
            self.simulation.dump()

    def lead(self) -> None:
        """Somebody adds or deletes a route to a node, to where others have their next hops, or to where nobody is."""
        kernel = self.simulation.kernel
        text = self.random.choice([f"{self.random.choice(NODES)}/32", "192.168.10.144/28", "192.168.77.0/24"])
        prefix, legs = parse_prefix(text), [Leg(parse_address("192.168.10.7"), 2), Leg(None, 3), Leg(None, 2)]
        legs.append(Leg(parse_address("10.3.3.3"), 2, onlink=True))
        before = kernel.foreign.get(prefix)
        ways = [ForeignRoute(1, 4, 0, 0, (leg,)) for leg in legs] + [ForeignRoute(1, 4, 0, THEIRS, ())]
        way = self.random.choice(ways) if before is None else before[0]
        if before is None:
            kernel.foreign[prefix] = (way,)
        else:
            del kernel.foreign[prefix]
        if self.random.random() < 0.8:
            self.simulation.take(RoutesChanged((RouteChange(prefix, way, deleted=before is not None),)))
        else:
            self.simulation.dump()

    def object(self) -> None:
        """Somebody makes, changes or deletes a nexthop object, to which a route may lead."""
        kernel, last = self.simulation.kernel, self.random.choice(["", "7", "8"])
        now = KernelNexthop(THEIRS, 4, Gateway(parse_address(f"192.168.10.{last}"), 2)) if last else None
        if now is None:
            kernel.nexthops.pop(THEIRS, None)
        else:
            kernel.nexthops[THEIRS] = now
        if self.random.random() < 0.8:
            self.simulation.take(RoutesChanged((NexthopChange(THEIRS, now),)))
        else:
            self.simulation.dump()

    def readdress(self) -> None:
        """The router gets an address, or loses it."""
        kernel, index = self.simulation.kernel, self.random.choice([2, 3])
        link, own = kernel.interfaces[index], parse_address(self.random.choice([NODES[0], "10.9.9.9", "fe80::9"]))
        addresses = [address for address in link.addresses if address != own]
        if own not in link.addresses:
            addresses.append(own)
        kernel.interfaces[index] = replace(link, addresses=tuple(addresses))
        self.simulation.dump()

    def drain(self) -> None:
        self.simulation.take(Drain(self.random.choice(NODES), self.random.random() < 0.5))

    def speaker(self) -> None:
        if self.random.random() < 0.3:
            self.simulation.speaker_dies()
            if self.random.random() < 0.8:
                self.simulation.take(SpeakerUp())

    def wait(self) -> None:
        self.simulation.advance(self.random.choice([0.05, 1.0, 15.0, 130.0]))

    def delete(self) -> None:
        kernel = self.simulation.kernel
        if ids := [id for id in (*kernel.nexthops, *kernel.groups) if id != THEIRS]:
            kernel.delete(self.random.choice(ids))
            if self.random.random() < 0.8:
                self.simulation.dump()

    def make(self) -> None:
        """Somebody makes an object with routerd's marks."""
        kernel = self.simulation.kernel
        ids = {*kernel.nexthops, *kernel.groups} - {THEIRS}
        id = max(ids, default=0) + self.random.randint(1, 3)
        gateway = Gateway(parse_address(self.random.choice(NODES[:3])), 2)
        if kernel.interfaces[2].up:
            kernel.write([SetNexthop(id, gateway)])
            self.simulation.dump()

    def restart(self) -> None:
        if self.random.random() < 0.3:
            self.simulation.restart()
            self.watched.clear()

    def work(self) -> None:
        self.simulation.take(self.random.choice([Work(), Settle(), Settle(quiet=False)]))

    def write(self) -> None:
        self.simulation.slow = not self.simulation.slow

    def reload(self) -> None:
        router = self.simulation.router
        fib = router.config.fib.model_copy(
            update={
                "groups": self.random.choice(["resilient", "resilient", "hash-threshold"]),
                "max_paths": self.random.choice([1, 2, 64]),
            }
        )
        nodes = router.config.peer_groups["nodes"]
        nodes = nodes.model_copy(update={"hold_time": self.random.choice([9, 9, 9, 12])})  # sessions are reset
        update = {"fib": fib, "peer_groups": {"nodes": nodes}}
        self.simulation.take(Reconfigure(router.config.model_copy(update=update)))


@pytest.mark.parametrize("seed", range(40))
def test_what_is_kept_twice_is_the_same(seed: int) -> None:
    chance = Chance(seed)
    for number in range(120):
        chance.step()
        check_watched(chance.simulation.router, chance.watched)
        if number % 8 == 3:  # by what was told alone
            chance.simulation.settle()
            check_timer(chance.simulation.router, chance.simulation.now)
            check_ways(chance.simulation.router)
        if number % 8 == 7:
            chance.simulation.slow = False
            chance.simulation.dump()
            chance.simulation.settle()
            check_timer(chance.simulation.router, chance.simulation.now)
            check_groups(chance.simulation.router)
            check_rib(chance.simulation.router)
            check_ways(chance.simulation.router)
            check_health(chance.simulation.router)
