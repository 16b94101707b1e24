"""What a dry run of another configuration says is what happens, and the dry run itself changes nothing."""

from __future__ import annotations

import gc
import random
import struct
import time
from collections import Counter
from dataclasses import replace
from itertools import combinations
from typing import Any
from unittest.mock import Mock

import pytest

from routerd.config.diff import resets
from routerd.config.model import Config, FibSection
from routerd.core.fib.fib import Fib
from routerd.core.fib.forecast import SLICE, Part, Slices, Unseen, foresee
from routerd.core.fib.model import Shape
from routerd.core.message import (
    ForeignRoute,
    Gateway,
    Leg,
    Notification,
    Reconfigure,
    RouteChange,
    RoutesChanged,
    Update,
)
from routerd.core.rib.forecast import Fate, Forecast, Loss, Sample
from routerd.core.rib.policy import Reject
from routerd.core.route import (
    Address,
    Attributes,
    Family,
    Prefix,
    format_address,
    format_prefix,
    parse_address,
    parse_prefix,
)
from routerd.core.wanted import Wanted
from tests.core.test_reconfigure import RESET, changed
from tests.support.core import CONFIG, Simulation, preserving, sequence

NODES = ("192.168.10.101", "192.168.10.102", "192.168.10.103", "192.168.20.101")
VIPS = [*(f"172.16.1.{i}/32" for i in range(8)), "172.20.0.1/32", "192.0.2.9/32", "10.10.1.7/32"]
VIPS6 = ["fd00:ac10::1/128", "fd00:bb::1/128"]
BANDWIDTHS = [struct.pack(">HHf", 0x4004, 65001, octets) for octets in (0.0, 1.0, 2.0)]
KEYS: list[tuple[str, dict[str, Any]]] = [
    ("nodes", {"accept": ["172.16.0.0/16"]}),
    ("nodes", {"accept": ["172.16.1.0/30", "172.20.0.0/16"]}),
    ("nodes", {"accept": "any"}),
    ("nodes", {"accept": ["172.16.0.0/12", "192.0.2.9/32", "fd00::/16"]}),
    ("nodes", {"next_hop": "any"}),
    ("nodes", {"families": ["ipv4"]}),
    ("nodes", {"remote_as": 65001}),
    ("nodes", {"hold_time": 30}),
    ("nodes", {"advertise": ["learned", "default"]}),
    ("fib", {"max_paths": 1}),
    ("fib", {"max_paths": 2}),
    ("fib", {"multipath_relax": False}),
    ("fib", {"ignore_origin": True}),
    ("fib", {"always_compare_med": True}),
    ("fib", {"link_bandwidth": "ignore"}),
    ("fib", {"link_bandwidth": "skip-missing"}),
    ("fib", {"link_bandwidth": "default-weight-for-missing"}),
    ("fib", {"groups": "hash-threshold"}),
    ("fib", {"idle_timer": 3.0}),
    ("router", {"networks": ["172.20.0.0/24"]}),
    ("router", {"networks": ["172.16.1.4/30", "10.10.1.0/24"]}),
    ("router", {"asn": 65009}),
    ("router", {"router_id": "192.168.10.201"}),
]


def dry_run(simulation: Simulation, config: Config) -> tuple[Forecast, list[Part]]:
    """Return what is foreseen of paths and routes, and of groups."""
    router = simulation.router
    forecast = Forecast(router.rib, config)
    for _ in forecast.run():
        pass
    return forecast, found(foresee(router.fib, Shape(config.fib), forecast.wants))


def found(parts: Slices[list[Part]]) -> list[Part]:
    """Return what comes of a dry run's slices."""
    while True:
        try:
            next(parts)
        except StopIteration as end:
            return list(end.value)


def verdicts(simulation: Simulation) -> dict[tuple[str, Prefix], Reject]:
    """Return the verdict on each path that some peer has announced."""
    found: dict[tuple[str, Prefix], Reject] = {}
    for address, peer in simulation.router.rib.peers.items():
        heard = peer.adj_rib_in
        found |= {(address, prefix): reason for prefix, (_, reason) in heard.rejected.kept.items()}
        found |= {(address, prefix): Reject.NONE for prefix in (*heard.accepted, *heard.stale)}
    return found


def ways(simulation: Simulation) -> dict[Prefix, Wanted]:
    """Return where the decision process leads each prefix."""
    loc_rib = simulation.router.rib.loc_rib
    decisions = {prefix: loc_rib.decision(paths) for prefix, paths in loc_rib.table.items()}
    return {prefix: each.wanted for prefix, each in decisions.items() if each.members}


def state(simulation: Simulation) -> Any:
    """Return what a dry run must leave as it is, fit to be compared."""
    rib, fib = simulation.router.rib, simulation.router.fib
    loc_rib, nexthops, hosts = rib.loc_rib, rib.nexthops, rib.judge.hosts
    return (
        [dict(loc_rib.table), dict(loc_rib.users), set(loc_rib._sets), [s.users for s in loc_rib.table.values()]],
        [list(rib.effects), dict(rib.rejudging._left), set(rib.judge.guard.prefixes), verdicts(simulation)],
        [list(hosts.asked), {peer: dict(known) for peer, known in hosts._of.items()}, dict(hosts._links)],
        [dict(nexthops._ways._watched), set(nexthops.onlink), len(nexthops._memo)],
        [list(loc_rib.stale), dict(loc_rib.untold), [s._decision for s in loc_rib.sets()], loc_rib._steps.octets],
        [(peer.address, peer.group_name, peer.group, peer.addresses, len(peer.known)) for peer in rib.peers.values()],
        [(g.id, g.wanted, dict(g.legs), dict(g.prefixes), dict(g.waiting), set(g.emptied)) for g in fib.groups],
        [dict(fib.groups.changed), dict(fib.groups.nexthops), dict(fib.groups.empty), dict(fib._pending)],
    )


class Story:
    """A simulation, and what its nodes announce with which attributes."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        peer = f'[[peers]]\nname = "w1"\naddress = "{NODES[0]}"\ngroup = "nodes"\n'
        self.simulation = Simulation(f"{CONFIG}\n{peer}")
        self.announced: dict[str, dict[str, Attributes]] = {node: {} for node in NODES}
        for node in NODES:
            self.up(node)
            for _ in range(3):
                self.announce(node)
        self.simulation.settle()

    def up(self, node: str) -> None:
        """A node has a session, and says all that it announces."""
        config = self.simulation.config
        group = config.group_of(node)
        asn = 65002 if node == NODES[2] else 65001
        if group is None or (isinstance(group[1].remote_as, int) and group[1].remote_as != asn):
            return
        families = frozenset(Family[each.upper()] for each in group[1].families)
        self.simulation.up(node, asn, preserving(), families=families)
        for prefix, attributes in self.announced[node].items():
            if (Family.IPV6 if ":" in prefix else Family.IPV4) in families:
                self.simulation.announce(node, prefix, attributes=attributes)
        self.simulation.end_of_rib(node)

    def announce(self, node: str) -> None:
        """A node says something; what it says may be refused."""
        if node not in self.simulation.sessions:
            return
        chance, families = self.chance, self.simulation.sessions[node].received.families
        six = chance.random() < 0.3 and Family.IPV6 in families
        own = f"fd00:10::{node.rpartition('.')[2]}" if six else node
        other = f"fd00:10::{chance.randrange(101, 104)}" if six else chance.choice(NODES)
        asn = self.simulation.sessions[node].received.asn
        attributes = Attributes(
            as_path=sequence(*chance.choice(((asn,), (asn,), (asn,), (asn, 65077), (65009,), (asn, 65009)))),
            next_hop=parse_address(own if chance.random() < 0.85 else other),
            med=chance.choice((None, None, 0, 5)),
            communities=(0xFFFF0000,) if chance.random() < 0.1 else (),
            extended_communities=(chance.choice(BANDWIDTHS),) if chance.random() < 0.4 else (),
        )
        prefixes = chance.sample(VIPS6, 1) if six else chance.sample(VIPS, 4)
        self.announced[node] |= dict.fromkeys(prefixes, attributes)
        self.simulation.announce(node, *prefixes, attributes=attributes)

    def wanted(self) -> Config:
        """Return another configuration."""
        data = self.simulation.router.config.model_dump(exclude_none=True)
        for section, keys in self.chance.sample(KEYS, self.chance.choice((1, 1, 2, 3))):
            (data["peer_groups"]["nodes"] if section == "nodes" else data[section]).update(keys)
        if self.chance.random() < 0.2:
            data["peers"] = self.chance.choice(
                (
                    [],
                    [{"name": "w1", "address": NODES[0], "group": "nodes", "addresses": ["192.168.10.103"]}],
                    [{"name": "w9", "address": "192.168.10.109", "group": "nodes"}],
                )
            )
        if self.chance.random() < 0.15:
            data["dynamic_peers"][0]["range"] = "192.168.10.0/24"
        return Config.model_validate(data)

    def reconfigure(self, config: Config) -> dict[tuple[str, Prefix], Reject]:
        """Put a configuration in force: sessions whose parameters differ are reset, and those that may come back.
        Return the verdicts before the sessions end."""
        lost = resets(self.simulation.router.config, config, list(self.simulation.sessions))
        self.simulation.take(Reconfigure(config))
        self.simulation.config = config
        self.simulation.settle()
        judged = verdicts(self.simulation)
        for node in lost:
            gone = config.group_of(node) is None
            self.simulation.down(node, Notification(True, 6, 3) if gone else RESET)
        for node in lost:
            self.up(node)
        self.simulation.settle()
        self.simulation.advance(400)
        return judged


def shown(found: dict[Prefix, Any]) -> dict[str, Any]:
    """Return where prefixes lead, for people."""
    return {format_prefix(p): [format_address(g.address) for g in w[0]] for p, w in sorted(found.items())}


@pytest.mark.parametrize("seed", range(40))
def test_what_is_foreseen_happens(seed: int) -> None:
    """Routes, verdicts and groups, by random configurations among random announcements; and it leaves no trace."""
    story = Story(seed)
    simulation = story.simulation
    for _ in range(6):
        story.announce(story.chance.choice(NODES))
        simulation.settle()
        simulation.advance(400)
        config = story.wanted()
        before, judged, was = ways(simulation), verdicts(simulation), state(simulation)
        legs = {group.id: dict(group.legs) for group in simulation.router.fib.groups}
        forecast, parts = dry_run(simulation, config)
        assert state(simulation) == was
        assert all(part.prefixes for part in parts)
        during = story.reconfigure(config)
        after = ways(simulation)
        _compare_fib(simulation, after)
        foreseen = {p: w for p, w in (before | forecast.wants).items() if w[0]}
        assert shown(foreseen) == shown(after)
        assert foreseen == after
        fates = Counter(fate for fate, each in forecast.routes.items() for _ in range(each.total))
        assert fates[Fate.COMES] == len(after.keys() - before.keys())
        assert fates[Fate.GOES] == len(before.keys() - after.keys())
        assert fates[Fate.MOVES] == sum(after[p] != before[p] for p in after.keys() & before.keys())
        _compare_verdicts(forecast, judged, during, verdicts(simulation))
        _compare_groups(simulation, legs, parts)
        for node in NODES:
            if node not in simulation.sessions:
                story.up(node)


def _compare_fib(simulation: Simulation, wanted: dict[Prefix, Wanted]) -> None:
    """Members that get no new flow may have left already; all others are there, and nothing else."""
    fib = simulation.fib()
    assert fib.keys() == set(map(format_prefix, wanted))
    for prefix, each in wanted.items():
        there = set(fib[format_prefix(prefix)])
        assert {format_address(member.address) for member in set(each.members) - each.light} <= there
        assert there <= {format_address(member.address) for member in each.members}


def _compare_verdicts(
    forecast: Forecast, before: dict[Any, Reject], during: dict[Any, Reject], after: dict[Any, Reject]
) -> None:
    """What policy says takes effect at once; what sessions do not bring back is gone in the end."""
    foreseen = Counter({pair: sample.total for pair, sample in forecast.verdicts.items()})
    losses = sum(count for (_, now), count in foreseen.items() if isinstance(now, Loss))
    gone = [key for key, verdict in before.items() if not verdict and not during[key] and key not in after]
    assert losses == len(gone)
    told = Counter({pair: count for pair, count in foreseen.items() if not isinstance(pair[1], Loss)})
    changed = Counter((verdict, during[key]) for key, verdict in before.items() if during[key] is not verdict)
    brief = Counter((v, during[key]) for key, v in before.items() if v and not during[key] and key not in after)
    assert told == changed - brief, "what is accepted only until the session ends is not told of"


def _compare_groups(simulation: Simulation, before: dict[int, Any], parts: list[Part]) -> None:
    """A group of which nothing is said is as it was; one that all leave for the same has the legs foreseen."""
    foreseen: dict[int, list[Part]] = {}
    for part in parts:
        foreseen.setdefault(part.group, []).append(part)
    for id, legs in before.items():
        group = simulation.router.fib.groups.by_id.get(id)
        if id not in foreseen:
            assert group is not None
            assert group.legs == legs
        elif group is not None and not foreseen[id][0].afresh and len(foreseen[id]) == 1:
            assert group.legs in (legs, foreseen[id][0].after)


@pytest.mark.parametrize("seed", range(10))
def test_routing_goes_on_meanwhile(seed: int) -> None:
    """Between two slices nodes come, go and say something else: the dry run takes things as it finds them."""
    story = Story(seed)
    simulation, config = story.simulation, story.wanted()
    forecast = Forecast(simulation.router.rib, config)
    runs = [forecast.run(), foresee(simulation.router.fib, Shape(config.fib), forecast.wants)]
    for run in runs:
        for _ in run:
            node, what = story.chance.choice(NODES), story.chance.random()
            if node not in simulation.sessions:
                story.up(node)
            elif what < 0.5:
                story.announce(node)
            elif what < 0.7:
                simulation.withdraw(node, story.chance.choice(VIPS))
            else:
                simulation.down(node)
            simulation.settle()
    assert sum(each.total for each in forecast.routes.values()) == len(forecast.wants)
    assert simulation.fib().keys() == simulation.rib().keys()


def test_what_is_yet_to_be_decided_anew_is_left_alone() -> None:
    """The way to a node has changed, and there are more path sets than are looked at right away."""
    simulation = Simulation()
    nodes = [f"192.168.10.{101 + number}" for number in range(9)]
    vips = {f"172.16.2.{number}/32": some for number, some in enumerate(combinations(nodes, 4))}
    for node in nodes:
        simulation.up(node)
        simulation.announce(node, *(vip for vip, those in vips.items() if node in those))
        simulation.end_of_rib(node)
    simulation.settle()
    config = changed(simulation, "nodes", accept=["172.16.2.0/26"])
    way, host = ForeignRoute(1, 4, 0, 0, (Leg(None, 2),)), parse_prefix(f"{nodes[0]}/32")
    simulation.kernel.foreign[host] = (way,)
    simulation.take(RoutesChanged((RouteChange(host, way),)))
    assert simulation.router.rib.loc_rib.stale
    was = state(simulation)
    forecast, _ = dry_run(simulation, config)
    assert state(simulation) == was
    simulation.settle()
    before = ways(simulation)
    simulation.take(Reconfigure(config))
    simulation.settle()
    after = ways(simulation)
    assert forecast.routes[Fate.GOES].total == len(before) - len(after) == len(vips) - 64
    assert {p: w for p, w in (before | forecast.wants).items() if w[0]} == after


@pytest.mark.parametrize(
    ("remote_as", "asn", "returns"),
    [
        ("external", 65001, True),
        ("external", 65000, False),
        ("internal", 65000, True),
        ("internal", 65001, False),
        (65001, 65001, True),
        (65002, 65001, False),
        (65000, 65000, True),
    ],
)
def test_a_peer_whose_as_is_not_the_one_that_is_wanted_does_not_come_back(
    remote_as: str | int, asn: int, returns: bool
) -> None:
    simulation = Simulation()
    simulation.up(NODES[0], asn)
    config = changed(simulation, "nodes", remote_as=remote_as)
    peer = simulation.router.rib.peers[NODES[0]]
    losses = Forecast(simulation.router.rib, config).losses(peer, config.group_of(NODES[0]))
    assert losses == ({} if returns else dict.fromkeys(Family, Loss.AS))


def test_what_is_decided_is_not_decided_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only sets that are to be decided anew are, for now, and all that may decide otherwise then."""
    simulation = Story(1).simulation
    monkeypatch.setattr(Forecast, "_decided_now", Mock(side_effect=AssertionError))
    dry_run(simulation, changed(simulation, "fib", max_paths=1))


def test_what_is_not_kept_by_name_is_not_passed_over() -> None:
    """More is rejected than is kept: the node is asked to say it again, and nobody knows what that will be."""
    simulation = Simulation()
    simulation.up(NODES[0])
    simulation.announce(NODES[0], *(f"10.{i // 250}.{i % 250}.0/24" for i in range(5000)))
    simulation.settle()
    forecast, _ = dry_run(simulation, changed(simulation, "nodes", accept="any"))
    assert forecast.routes[Fate.COMES].total == 4096 - 1, "10.10.1.0/24 is the router's own"
    assert forecast.unnamed == 5000 - 4096


def test_the_first_few_of_a_kind_are_kept_and_all_are_counted() -> None:
    """Five are, as docs/api.md says."""
    for total in (5, 6):
        sample = Sample[int]()
        for each in range(total):
            sample.note(each)
        assert (list(sample), sample.total) == (list(range(5)), total)


@pytest.mark.parametrize("whose", ["received", "sent"])
def test_who_cannot_be_asked_again_is_counted(whose: str) -> None:
    """Without ROUTE-REFRESH on both sides (RFC 2918) what is not kept by name comes with the next session."""
    simulation = Simulation()
    simulation.up(NODES[0])
    up = simulation.sessions[NODES[0]]
    without = replace(getattr(up, whose), route_refresh=False)
    simulation.sessions[NODES[0]] = replace(up, generation=up.generation + 1, **{whose: without})
    simulation.take(simulation.sessions[NODES[0]])
    simulation.announce(NODES[0], *(f"10.{i // 250}.{i % 250}.0/24" for i in range(5000)))
    simulation.settle()
    forecast, _ = dry_run(simulation, changed(simulation, "nodes", accept="any"))
    assert (forecast.unnamed, forecast.unasked) == (0, 5000 - 4096)


@pytest.mark.parametrize(
    ("before", "after", "afresh", "gone"),
    [("", "a", True, False), ("ab", "abc", False, False), ("ab", "ac", False, True), ("ab", "ab", True, True)],
)
def test_flows_lose_their_node_if_it_leaves_or_the_group_is_made_afresh(
    before: str, after: str, afresh: bool, gone: bool
) -> None:
    legs = [{Gateway(Address(each.encode()), 2): 1 for each in some} for some in (before, after)]
    assert Part(1, 1, legs[0], legs[1], afresh, None).gone is gone


def test_of_a_shared_group_those_are_counted_that_leave_it() -> None:
    simulation = Simulation()
    for node in NODES[:2]:
        simulation.up(node)
        simulation.announce(node, *(f"172.16.{i >> 8}.{i & 255}/32" for i in range(600)))
        simulation.end_of_rib(node)
    simulation.settle()
    assert len(simulation.kernel.groups) == 1
    _, parts = dry_run(simulation, changed(simulation, "nodes", accept=["172.16.0.0/23"]))
    assert [(part.prefixes, len(part.before), part.after) for part in parts] == [(600 - 512, 2, {})]


@pytest.mark.parametrize("alone", [True, False])
def test_where_one_node_was_alone_buckets_do_not_tell_what_moves(alone: bool) -> None:
    """Elsewhere they do, though the group is made afresh: by another type of groups, here."""
    simulation = Simulation()
    for node in NODES[: 1 if alone else 2]:
        simulation.up(node)
        simulation.announce(node, VIPS[0])
        simulation.end_of_rib(node)
    simulation.settle()
    simulation.advance(1000)
    _, (part,) = dry_run(simulation, changed(simulation, "fib", groups="hash-threshold"))
    assert part.afresh
    assert part.unseen is (Unseen.ALONE if alone else None)


@pytest.mark.parametrize(("left", "unseen"), [(0, None), (1, Unseen.ALONE)])
def test_only_flows_of_who_was_alone_are_not_seen_while_they_have_to_show_themselves(
    left: int, unseen: Unseen | None
) -> None:
    a, b = nodes = tuple(Gateway(parse_address(node), 2) for node in NODES[:2])
    prefix, shape = parse_prefix(VIPS[0]), Shape(FibSection(nexthop_id_base=1))
    fib = Fib(shape)
    for wanted in ((a,), (a, b)):
        fib.want([prefix], Wanted(wanted))
        fib.plan(1000.0)
    assert fib.routes[prefix] in fib.groups.settling
    [part] = found(foresee(fib, shape, {prefix: Wanted((nodes[left],))}))
    assert (part.gone, part.afresh, part.unseen) == (True, False, unseen)


def test_a_group_of_which_no_member_stays_takes_over_no_bucket() -> None:
    a, b, c = (Gateway(parse_address(node), 2) for node in NODES[:3])
    prefix, shape = parse_prefix(VIPS[0]), Shape(FibSection(nexthop_id_base=1))
    fib = Fib(shape)
    fib.want([prefix], Wanted((a, b)))
    fib.plan(0.0)
    [part] = found(foresee(fib, shape, {prefix: Wanted((c,))}))
    assert (part.gone, part.afresh) == (True, True)


def test_flows_that_took_their_buckets_along_are_seen_there() -> None:
    """They have yet to show themselves in the group that was made for them, but no bucket has moved under them."""
    a, b, c = (Gateway(parse_address(node), 2) for node in NODES[:3])
    prefixes = [parse_prefix(f"172.16.{i >> 8}.{i & 255}/32") for i in range(600)]
    shape = Shape(FibSection(nexthop_id_base=1))
    fib = Fib(shape)
    for some, wanted in ((prefixes, (a, b, c)), (prefixes[:300], (a, b))):
        fib.want(some, Wanted(wanted))
        fib.plan(0.0)
        fib.part(0.0)
    assert fib.routes[prefixes[0]] in fib.groups.settling
    [part] = found(foresee(fib, shape, dict.fromkeys(prefixes[:300], Wanted((a,)))))
    assert (part.gone, part.unseen) == (True, None)


def test_a_group_that_gets_what_it_has_is_not_told_of() -> None:
    simulation = Simulation()
    for node in NODES[:2]:
        simulation.up(node)
        simulation.announce(node, VIPS[0])
    simulation.settle()
    (group,) = simulation.router.fib.groups
    same = {next(iter(group.prefixes)): Wanted(group.members)}
    assert found(foresee(simulation.router.fib, Shape(simulation.config.fib), same)) == []
    for other in (Wanted(group.members[:1]), Wanted(group.members, weights=(1, 2))):
        others = dict.fromkeys(same, other)
        assert len(found(foresee(simulation.router.fib, Shape(simulation.config.fib), others))) == 1


def test_a_group_of_another_type_that_all_leave_for_the_same_is_told_of_once() -> None:
    a, b = (Gateway(parse_address(node), 2) for node in NODES[:2])
    prefixes = [parse_prefix(vip) for vip in VIPS[:2]]
    fib = Fib(Shape(FibSection(nexthop_id_base=1, groups="hash-threshold")))
    fib.want(prefixes, Wanted((a, b)))
    fib.plan(0.0)
    shape = Shape(FibSection(nexthop_id_base=1))
    for leaving, counts in ((2, [2]), (1, [1, 1])):
        parts = found(foresee(fib, shape, dict.fromkeys(prefixes[:leaving], Wanted((a,)))))
        assert [part.prefixes for part in parts] == counts


def test_others_have_their_turn_while_many_prefixes_are_looked_at() -> None:
    simulation = Simulation()
    wants = {Prefix(bytes([32, 172, 16, i >> 8, i & 255])): Wanted(()) for i in range(4 * SLICE)}
    assert len(list(foresee(simulation.router.fib, Shape(simulation.config.fib), wants))) == 4


def test_slices_are_short() -> None:
    """100,000 paths: no stretch of the dry run is longer than some of its prefixes take."""
    simulation = Simulation()
    wide = [Prefix(bytes([32, 172, 16 + (i >> 16), i >> 8 & 255, i & 255])) for i in range(50_000)]
    for node in NODES[:2]:
        simulation.up(node)
        up = simulation.sessions[node]
        simulation.take(Update(node, up.generation, [], [(simulation.attributes(node), wide)]))
    simulation.settle()
    config = changed(simulation, "nodes", accept=["172.16.0.0/17"])
    forecast = Forecast(simulation.router.rib, config)
    gc.collect()
    gc.disable()  # it would look through all that other tests have left, too
    try:
        longest, begun = 0.0, time.thread_time()
        for _ in forecast.run():
            now = time.thread_time()
            longest, begun = max(longest, now - begun), now
    finally:
        gc.enable()
    assert longest < 0.02
    assert forecast.routes[Fate.GOES].total == 50_000 - 32768
    assert forecast.verdicts[Reject.NONE, Reject.NOT_ACCEPTED].total == 2 * (50_000 - 32768)


def test_a_next_hop_of_an_unknown_host_keeps_its_routes() -> None:
    """Its verdict is another one, and nothing goes before the kernel has answered."""
    simulation = Simulation()
    simulation.up(NODES[0])
    simulation.take(Reconfigure(changed(simulation, "nodes", next_hop="any")))
    simulation.announce(NODES[0], VIPS6[0], attributes=simulation.attributes(NODES[0], "fd00:10::101"))
    simulation.settle()
    forecast, _ = dry_run(simulation, changed(simulation, "nodes", next_hop="peer"))
    assert forecast.verdicts[Reject.NONE, Reject.UNKNOWN_HOST].total == 1
    assert not forecast.wants


def test_a_new_peer_is_guarded() -> None:
    """Its address is a node's from then on, and nobody may announce it."""
    simulation = Simulation()
    simulation.up(NODES[0])
    simulation.take(Reconfigure(changed(simulation, "nodes", accept="any")))
    simulation.announce(NODES[0], "10.77.0.9/32", VIPS[0])
    simulation.settle()
    data = simulation.router.config.model_dump(exclude_none=True)
    data["peers"] = [{"name": "far", "address": "10.77.0.9", "group": "nodes"}]
    config = Config.model_validate(data)
    forecast, _ = dry_run(simulation, config)
    assert {pair: each.total for pair, each in forecast.verdicts.items()} == {(Reject.NONE, Reject.NODE_ADDRESS): 1}
    simulation.take(Reconfigure(config))
    simulation.settle()
    assert simulation.fib() == simulation.rib() == {VIPS[0]: [NODES[0]]}
