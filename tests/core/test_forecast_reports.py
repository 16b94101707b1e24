"""What went wrong when other routers were reloaded, as users reported it: what is foreseen is what happens."""

from __future__ import annotations

from typing import Any

import pytest

from routerd.config.load import parse
from routerd.core.message import Notification, Reconfigure
from routerd.core.rib.forecast import Fate
from routerd.core.route import Family, format_address, format_prefix
from tests.core.test_forecast import dry_run
from tests.core.test_reconfigure import RESET, changed
from tests.support.core import CONFIG, Simulation, preserving

A, B, C = "192.168.10.101", "192.168.10.102", "192.168.10.103"
VIP, OTHER, VIP6 = "172.16.1.1/32", "172.20.0.1/32", "fd00:ac10::1/128"
Keys = tuple[str, dict[str, Any]]


@pytest.fixture
def simulation() -> Simulation:
    """Return a router with three nodes that announce two addresses; one of them, another one too."""
    made = Simulation()
    for node in (A, B, C):
        made.up(node, graceful=preserving())
        made.announce(node, VIP, OTHER)
        made.end_of_rib(node)
    made.announce(A, VIP6, attributes=made.attributes(A, "fd00:10::101"))
    made.settle()
    return made


def foreseen(simulation: Simulation, keys: Keys) -> dict[str, list[str]]:
    """Return the FIB that the dry run foresees."""
    forecast, _ = dry_run(simulation, changed(simulation, keys[0], **keys[1]))
    rows = {format_prefix(p): sorted(format_address(g.address) for g in w[0]) for p, w in forecast.wants.items()}
    return {prefix: hops for prefix, hops in (simulation.rib() | rows).items() if hops}


STORIES: list[tuple[str, list[Keys], Keys]] = [
    ("FRR#12088: a list that is written in another order", [],
     ("nodes", {"accept": ["fd00:ac10::/32", "172.16.0.0/12"]})),
    ("FRR#19812: permit becomes deny", [], ("nodes", {"accept": ["fd00:ac10::/32"]})),
    ("FRR#13007: deny any becomes permit", [("nodes", {"accept": []})], ("nodes", {"accept": ["172.16.0.0/12"]})),
    ("FRR#126: an entry more", [("nodes", {"accept": ["172.16.0.0/16"]})],
     ("nodes", {"accept": ["172.16.0.0/16", "172.20.0.0/16"]})),
    ("FRR#14392: of two entries that overlap one goes", [("nodes", {"accept": ["172.16.0.0/12", "172.20.0.0/16"]})],
     ("nodes", {"accept": ["172.20.0.0/16"]})),
    ("FRR#6819: the networks are all others", [("router", {"networks": ["172.20.0.0/24"]})],
     ("router", {"networks": ["172.16.1.0/24", "10.9.0.0/16"]})),
    ("FRR#20493: one path alone", [("fib", {"max_paths": 2})], ("fib", {"max_paths": 1})),
    ("fewer next hops than there are paths after a reload", [("fib", {"max_paths": 1})], ("fib", {"max_paths": 64})),
    ("MetalLB#1715: a family less", [], ("nodes", {"families": ["ipv4"]})),
    ("GoBGP#2697: what is told, and nothing else", [], ("nodes", {"advertise": ["learned"]})),
    ("MetalLB#2454: a default that is written out", [], ("nodes", {"ttl_security": False})),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), [story[1:] for story in STORIES], ids=[story[0] for story in STORIES])
def test_a_story(simulation: Simulation, before: list[Keys], after: Keys) -> None:
    for section, keys in before:
        simulation.take(Reconfigure(changed(simulation, section, **keys)))
        simulation.settle()
    expected = foreseen(simulation, after)
    simulation.take(Reconfigure(changed(simulation, after[0], **after[1])))
    simulation.settle()
    if "families" in after[1]:
        _bounce(simulation)
    simulation.advance(400)
    assert simulation.fib() == expected == simulation.rib()


def _bounce(simulation: Simulation) -> None:
    """Reset the sessions; the nodes come back with IPv4 alone."""
    for node in (A, B, C):
        simulation.down(node, RESET)
        simulation.up(node, graceful=preserving(), families=frozenset({Family.IPV4}))
        simulation.announce(node, VIP, OTHER)
        simulation.end_of_rib(node)
    simulation.settle()


def test_what_is_stale_is_foreseen_too(simulation: Simulation) -> None:
    """rustybgp#417: a soft reset passes over stale paths, which go on by the policy of before."""
    for node in (A, B, C):
        simulation.down(node)
    simulation.settle()
    keys = ("nodes", {"accept": ["172.16.0.0/16"]})
    expected = foreseen(simulation, keys)
    assert expected == {VIP: [A, B, C]}
    simulation.take(Reconfigure(changed(simulation, keys[0], **keys[1])))
    simulation.settle()
    assert simulation.fib() == expected


def test_a_peer_that_is_removed(simulation: Simulation) -> None:
    """calico#4248: a peer is out of the file, and not out of the table."""
    config = parse(CONFIG.replace("192.168.0.0/16", f"{A}/32"))
    config = config.model_copy(update={"fib": simulation.config.fib})
    forecast, parts = dry_run(simulation, config)
    assert forecast.routes[Fate.MOVES].total == 2
    assert {format_address(gateway.address) for part in parts for gateway in part.after} == {A}
    simulation.take(Reconfigure(config))
    for node in (B, C):
        simulation.down(node, Notification(True, 6, 3))
    simulation.settle()
    assert simulation.fib() == {VIP: [A], OTHER: [A], VIP6: ["fd00:10::101"]}
