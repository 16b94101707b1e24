"""What peers would be told by another configuration is what they are told."""

from __future__ import annotations

import gc
import time
from collections import Counter
from typing import Any

import pytest

from routerd.config.model import Config
from routerd.core.message import Reconfigure, Update
from routerd.core.rib import forecast as forecast_module
from routerd.core.rib.export_forecast import ExportForecast, Said, Telling
from routerd.core.rib.forecast import Forecast
from routerd.core.route import Attributes, Prefix, format_prefix
from tests.core.test_forecast import NODES, VIPS, Story, state
from tests.core.test_reconfigure import changed
from tests.support.core import CONFIG, Simulation

Heard = dict[Prefix, Attributes]
EXPORTS: list[tuple[str, dict[str, Any]]] = [
    ("nodes", {"advertise": ["learned", "networks"]}),
    ("nodes", {"advertise": ["learned", "default"]}),
    ("nodes", {"advertise": ["networks"]}),
    ("nodes", {"advertise": []}),
    ("router", {"networks": ["10.10.1.0/24", "10.20.0.0/16"]}),
    ("router", {"networks": ["172.16.1.4/30"]}),
    ("router", {"networks": ["0.0.0.0/0", "::/0"]}),
]


def dry_run(simulation: Simulation, config: Config) -> list[Said]:
    """Return what is foreseen."""
    return looked(simulation, config)[0]


def looked(simulation: Simulation, config: Config) -> tuple[list[Said], int]:
    """Return what is foreseen, and in how many slices that was found."""
    routes = Forecast(simulation.router.rib, config)
    for _ in routes.run():
        pass
    export = ExportForecast(simulation.router.rib, config, routes)
    slices = sum(1 for _ in export.run())
    return export.said, slices


def heard(simulation: Simulation) -> dict[str, tuple[Any, Heard]]:
    """Return the update group of each peer with a session, and what the peer has heard."""
    ribs = simulation.router.rib.advertising.adj_ribs_out
    return {
        peer: (place[0], place[1].heard(peer))
        for peer in simulation.sessions
        if (place := ribs.place_of(peer)) is not None
    }


def telling(prefix: Prefix, before: Heard, after: Heard) -> Telling | None:
    """Return what a peer was told of a prefix."""
    if before.get(prefix) == after.get(prefix):
        return None
    if prefix not in before:
        return Telling.ANNOUNCED
    return Telling.CHANGED if prefix in after else Telling.WITHDRAWN


def told(before: dict[str, tuple[Any, Heard]], after: dict[str, tuple[Any, Heard]]) -> dict[frozenset[Prefix], int]:
    """Return how many peers were told of which prefixes: those that heard, and hear, the same, are one kind."""
    audiences: dict[Any, list[str]] = {}
    for peer in before.keys() & after.keys():
        audiences.setdefault((before[peer][0], after[peer][0]), []).append(peer)
    found: dict[frozenset[Prefix], int] = {}
    for peers in audiences.values():
        prefixes = frozenset(
            prefix
            for peer in peers
            for prefix in before[peer][1].keys() | after[peer][1].keys()
            if telling(prefix, before[peer][1], after[peer][1])
        )
        if prefixes:
            found[prefixes] = found.get(prefixes, 0) + len(peers)
    return found


@pytest.mark.parametrize("seed", range(15))
def test_what_is_foreseen_is_told(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By random configurations among random announcements; and the dry run leaves no trace."""
    monkeypatch.setattr(forecast_module, "FIRST", 1000)
    story = Story(seed)
    simulation = story.simulation
    for _ in range(6):
        story.announce(story.chance.choice(NODES))
        simulation.settle()
        simulation.advance(400)
        data = story.wanted().model_dump(exclude_none=True)
        for section, keys in story.chance.sample(EXPORTS, story.chance.choice((0, 1, 2))):
            (data["peer_groups"]["nodes"] if section == "nodes" else data[section]).update(keys)
        config = Config.model_validate(data)
        before, was = heard(simulation), state(simulation)
        said = dry_run(simulation, config)
        assert state(simulation) == was
        story.reconfigure(config)
        after = heard(simulation)
        foreseen = Counter[frozenset[Prefix]]()
        for each in said:
            foreseen[frozenset(p for some in each.prefixes.values() for p in some)] += each.peers
        happened = told(before, after)
        assert _shown(foreseen) == _shown(happened)
        for each in said:
            for what, sample in each.prefixes.items():
                assert sample.total == len(sample)
                for prefix in sample:
                    pairs = [(before[peer][1], after[peer][1]) for peer in before.keys() & after.keys()]
                    assert what in {telling(prefix, *pair) for pair in pairs}
        for node in NODES:
            if node not in simulation.sessions:
                story.up(node)


def _shown(found: dict[frozenset[Prefix], int]) -> dict[tuple[str, ...], int]:
    return {tuple(sorted(map(format_prefix, prefixes))): peers for prefixes, peers in found.items()}


def test_only_who_is_told_is_named() -> None:
    """A peer alone that announces all itself hears nothing of it; what nobody hears otherwise costs no look."""
    simulation = Simulation()
    simulation.up(NODES[0])
    simulation.announce(NODES[0], *VIPS[:3])
    simulation.settle()
    learned = changed(simulation, "nodes", advertise=["networks", "learned"])
    assert dry_run(simulation, learned) == []
    simulation.up(NODES[1])
    (said,) = dry_run(simulation, learned)
    assert (said.group, said.peers, said.prefixes[Telling.ANNOUNCED].total) == ("nodes", 2, 3)
    simulation.take(Reconfigure(learned))
    simulation.settle()
    assert looked(simulation, changed(simulation, "nodes", stale_time=300)) == ([], 2), "a look at each peer"


def test_a_peer_that_has_never_come_is_told_nothing() -> None:
    peer = f'[[peers]]\nname = "w1"\naddress = "{NODES[0]}"\ngroup = "nodes"\n'
    simulation = Simulation(f"{CONFIG}{peer}")
    assert NODES[0] in simulation.router.rib.peers
    assert dry_run(simulation, changed(simulation, "router", networks=["10.20.0.0/16"])) == []


def test_peers_that_are_told_as_much_are_told_of_together_if_they_are_of_one_group() -> None:
    """On each link they hear of another address of the router's; on one of the two there is none of IPv6."""
    other = CONFIG.partition("[peer_groups.nodes]")[2].partition("[[")[0]
    peer = f'[[peers]]\nname = "w1"\naddress = "{NODES[0]}"\ngroup = "other"\n'
    simulation = Simulation(f"{CONFIG}[peer_groups.other]{other}{peer}")
    for node in (NODES[0], NODES[1], NODES[3]):
        simulation.up(node)
    more = changed(simulation, "router", networks=["10.10.1.0/24", "10.20.0.0/16"])
    told = [(said.group, said.peers, said.prefixes[Telling.ANNOUNCED].total) for said in dry_run(simulation, more)]
    assert sorted(told) == [("nodes", 2, 1), ("other", 1, 1)]
    default = changed(simulation, "nodes", advertise=["networks", "default"])
    told = [(said.group, said.peers, said.prefixes[Telling.ANNOUNCED].total) for said in dry_run(simulation, default)]
    assert sorted(told) == [("nodes", 1, 1), ("nodes", 1, 2)]


def test_slices_are_short() -> None:
    """A large table is gone through a part at a time, whatever changes of it."""
    simulation = Simulation()
    wide = [Prefix(bytes([32, 172, 16 + (i >> 16), i >> 8 & 255, i & 255])) for i in range(70_000)]
    for node in NODES[:2]:
        simulation.up(node)
    up = simulation.sessions[NODES[0]]
    simulation.take(Update(up.peer, up.generation, [], [(simulation.attributes(up.peer), wide)]))
    simulation.settle()
    for keys, what, count in (
        ({"advertise": ["learned"]}, Telling.ANNOUNCED, len(wide)),
        ({"advertise": ["learned"], "accept": ["172.17.0.0/16"]}, Telling.WITHDRAWN, 1 << 16),
    ):
        config = changed(simulation, "nodes", **keys)
        routes = Forecast(simulation.router.rib, config)
        for _ in routes.run():
            pass
        export = ExportForecast(simulation.router.rib, config, routes)
        gc.collect()
        gc.disable()  # it would look through all that other tests have left, too
        try:
            longest, begun = 0.0, time.thread_time()
            for _ in export.run():
                now = time.thread_time()
                longest, begun = max(longest, now - begun), now
        finally:
            gc.enable()
        assert longest < 0.02
        assert [each.prefixes[what].total for each in export.said] == [count]
        simulation.take(Reconfigure(config))
        simulation.settle()
