"""Random changes of the configuration, there and back, among all that nodes and the router do meanwhile."""

from __future__ import annotations

import random
from typing import Any

import pytest

from routerd.config.diff import resets
from routerd.config.model import Config
from routerd.core.message import Drain, Notification, Reconfigure, SpeakerUp
from tests.core.test_reconfigure import RESET, changed
from tests.support.core import Simulation

NODES = ("192.168.10.101", "192.168.10.102", "192.168.10.103")
VIPS = [*(f"172.16.1.{i}/32" for i in range(6)), "172.20.0.1/32"]
KEYS: list[tuple[str, dict[str, Any]]] = [
    ("nodes", {"accept": ["172.16.0.0/16"]}),
    ("nodes", {"accept": "any"}),
    ("nodes", {"hold_time": 30}),
    ("nodes", {"stale_time": 90}),
    ("nodes", {"next_hop": "any"}),
    ("nodes", {"advertise": ["learned", "default"]}),
    ("fib", {"max_paths": 1}),
    ("fib", {"groups": "hash-threshold"}),
    ("fib", {"idle_timer": 3.0}),
    ("fib", {"buckets": 512}),
    ("fib", {"multipath_relax": False}),
    ("router", {"networks": ["172.20.0.0/24"]}),
    ("router", {"asn": 65009}),
    ("router", {"router_id": "192.168.10.201"}),
]


class Story:
    """A simulation, and what its nodes announce."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.simulation = Simulation()
        self.first = self.simulation.config
        self.announced: dict[str, set[str]] = {node: set() for node in NODES}

    def up(self, node: str) -> None:
        """A node has a new session, and says all that it announces."""
        if node in self.simulation.sessions:
            self.simulation.down(node)
        self.simulation.up(node)
        if self.announced[node]:
            self.simulation.announce(node, *self.announced[node])
        self.simulation.end_of_rib(node)

    def reconfigure(self, config: Config) -> None:
        """Put a configuration in force; the speaker resets sessions, or some are lost at that moment."""
        lost = resets(self.simulation.router.config, config, list(self.simulation.sessions))
        self.simulation.take(Reconfigure(config))
        self.simulation.config = config
        for node in lost:
            self.simulation.down(node, RESET if self.chance.random() < 0.9 else None)

    def step(self) -> None:
        """Let something happen."""
        simulation, node, what = self.simulation, self.chance.choice(NODES), self.chance.random()
        if what < 0.25:
            section, keys = self.chance.choice(KEYS)
            self.reconfigure(changed(simulation, section, **keys) if self.chance.random() < 0.7 else self.first)
        elif what < 0.5:
            self.up(node)
        elif what < 0.54:
            simulation.speaker_dies()
            simulation.take(SpeakerUp())
        elif what < 0.58:
            simulation.restart()
        elif what < 0.62:
            simulation.take(Drain(node, self.chance.random() < 0.5))
        elif node in simulation.sessions and what < 0.7:
            simulation.down(node, self.chance.choice((None, Notification(False, 6, 2))))
        elif node in simulation.sessions:
            some = set(self.chance.sample(VIPS, 3))
            if what < 0.9:
                simulation.announce(node, *some)
                self.announced[node] |= some
            else:
                simulation.withdraw(node, *some)
                self.announced[node] -= some
        if self.chance.random() < 0.3:
            simulation.settle()
        if self.chance.random() < 0.1:
            simulation.advance(self.chance.choice((1, 5, 40)))


@pytest.mark.parametrize("seed", range(40))
def test_the_end_is_as_if_nothing_had_changed(seed: int) -> None:
    story = Story(seed)
    for _ in range(40):
        story.step()
    story.reconfigure(story.first)
    for node in NODES:
        story.up(node)
        story.simulation.take(Drain(node, False))
    story.simulation.settle()
    story.simulation.advance(400)
    members = {vip: sorted(node for node in NODES if vip in story.announced[node]) for vip in VIPS}
    wanted = {vip: nodes for vip, nodes in members.items() if nodes}
    assert story.simulation.fib() == wanted == story.simulation.rib()
