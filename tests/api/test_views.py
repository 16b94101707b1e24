"""The views of the core: every one of them says what the kernel has."""

from __future__ import annotations

import pytest

from routerd.api.models import KernelRouteView, RouteView
from routerd.api.views import groups, peer, peers
from routerd.api.views import routes as view
from routerd.api.views.problems.awaited import too_few
from routerd.api.views.problems.vanished import vanished
from routerd.cli.peer import lines
from routerd.cli.screen import Screen
from routerd.core.fib.settling import Why
from routerd.core.message import Enable, Gateway, NeighbourState, Reconfigure, Shutdown
from routerd.core.route import parse_address, parse_prefix
from tests.support.core import CONFIG, Simulation, preserving
from tests.support.slices import whole

A, B, C = "192.168.10.100", "192.168.10.101", "192.168.20.100"
VIP, OWN = "172.16.1.1/32", "172.20.0.0/24"
NOTHING = KernelRouteView(present=False, protocol="", metric=None, nexthop_id=None, members=[])


@pytest.fixture
def three() -> Simulation:
    """Three nodes with one VIP, and the first has a prefix of its own. The first is the oldest, so the best."""
    made = Simulation()
    for node in (A, B, C):
        made.up(node)
        made.announce(node, VIP, *((OWN,) if node == A else ()))
        made.end_of_rib(node)
        made.now += 1
    made.settle()
    return made


def _silence(simulation: Simulation, *, alive: bool = False) -> None:
    simulation.take(NeighbourState(Gateway(parse_address(A), 2), alive=alive))
    simulation.settle()


def in_fib(simulation: Simulation) -> dict[str, int]:
    """The column In FIB, by peer."""
    return {
        peer["address"]: peer["totals"]["in_fib"] for peer in whole(peers.peers(simulation.router, simulation.now))
    }


def routes(simulation: Simulation, peer: str | None = None) -> list[RouteView]:
    """The rows of `routes`."""
    found = whole(view.routes(simulation.router, 0, 100, peer))
    assert found is not None
    assert found["total"] == len(found["routes"])
    return found["routes"]


def next_hops(simulation: Simulation) -> dict[str, list[str]]:
    """The next hops that `routes` shows, of prefixes that are in the FIB."""
    rows = routes(simulation)
    assert all(row["in_fib"] == bool(row["next_hops"]) for row in rows if row["prefix"] != "10.10.1.0/24")
    return {row["prefix"]: sorted(row["next_hops"]) for row in rows if row["next_hops"]}


def marks(simulation: Simulation, prefix: str) -> dict[str, tuple[str, str]]:
    """The mark of each path, and what it lost at."""
    found = view.route(simulation.router, parse_prefix(prefix), NOTHING, simulation.now)
    assert found is not None
    return {
        path["peer"]: (">" if path["best"] else "=" if path["multipath"] else "", path["lost_at"])
        for path in found["paths"]
    }


def test_every_view_agrees_with_the_kernel(three: Simulation) -> None:
    assert in_fib(three) == {A: 2, B: 1, C: 1}
    assert next_hops(three) == three.fib() == {VIP: [A, B, C], OWN: [A]}
    assert marks(three, VIP) == {A: (">", ""), B: ("=", "8 oldest"), C: ("=", "8 oldest")}


def test_a_silent_node_is_out_of_every_view(three: Simulation) -> None:
    _silence(three)
    assert next_hops(three) == three.fib() == {VIP: [B, C]}
    assert in_fib(three) == {A: 0, B: 1, C: 1}
    assert marks(three, VIP) == {
        A: ("", "out: its link layer does not answer"),
        B: (">", ""),
        C: ("=", "8 oldest"),
    }
    assert marks(three, OWN) == {A: ("", "out: its link layer does not answer")}
    rows = {row["prefix"]: row for row in routes(three)}
    assert rows[VIP]["best_peer"] == B
    assert (rows[OWN]["best_peer"], rows[OWN]["in_fib"]) == ("", False)
    for group in whole(groups.groups(three.router, three.now)):
        assert A not in [member["gateway"] for member in group["members"]]


def test_a_vip_is_found_by_its_group_and_the_group_by_its_vip(three: Simulation) -> None:
    found = view.route(three.router, parse_prefix(VIP), NOTHING, three.now)
    assert found is not None
    (group,) = [each for each in whole(groups.groups(three.router, three.now)) if each["id"] == found["group_id"]]
    assert (group["first"], group["prefixes"]) == ([VIP], 1)
    assert found["members"] == group["members"]


def test_a_vip_says_which_buckets_its_members_have_and_why_not_their_share(three: Simulation) -> None:
    legs = {Gateway(parse_address(A), 2): 1000, Gateway(parse_address(B), 2): 24}
    found = view.route(three.router, parse_prefix(VIP), NOTHING, three.now, lambda _: legs)
    assert found is not None
    assert {each["gateway"]: each["buckets"] for each in found["members"]} == {A: 1000, B: 24, C: 0}
    assert (found["unbalanced"], found["balanced_in_seconds"]) == (groups.IN_USE, None)
    three.withdraw(B, VIP)
    three.withdraw(C, VIP)
    three.settle()
    three.now += 60
    three.announce(B, VIP)
    three.settle()
    found = view.route(three.router, parse_prefix(VIP), NOTHING, three.now)
    assert found is not None
    assert found["unbalanced"] == Why.ALONE.value
    assert found["balanced_in_seconds"] == pytest.approx(120.0, abs=5)


def test_it_is_back_in_every_view(three: Simulation) -> None:
    _silence(three)
    _silence(three, alive=True)
    assert in_fib(three) == {A: 2, B: 1, C: 1}
    assert next_hops(three) == three.fib() == {VIP: [A, B, C], OWN: [A]}
    assert marks(three, VIP)[A] == (">", "")


def test_routes_of_one_peer(three: Simulation) -> None:
    assert [row["prefix"] for row in routes(three, A)] == [VIP, OWN]
    assert [row["prefix"] for row in routes(three, B)] == [VIP]
    assert [(row["prefix"], row["local"]) for row in routes(three, "local")] == [("10.10.1.0/24", True)]
    assert whole(view.routes(three.router, 0, 100, "nobody")) is None


def test_dynamic_peers_are_in_the_order_of_their_addresses() -> None:
    made = Simulation()
    for node in ("192.168.10.101", "192.168.10.9", "192.168.10.100"):
        made.up(node)
    listed = [peer["address"] for peer in whole(peers.peers(made.router, made.now)) if peer["dynamic"]]
    assert listed == ["192.168.10.9", "192.168.10.100", "192.168.10.101"]


def test_the_prefix_that_covers_another() -> None:
    made = Simulation()
    made.up(A)
    made.announce(A, "172.16.0.0/16", "172.16.1.0/24")
    made.settle()

    def covering(text: str) -> str:
        return view.covering(made.router, parse_prefix(text))

    assert covering("172.16.1.7/32") == "172.16.1.0/24"
    assert covering("172.16.1.0/24") == "172.16.0.0/16"
    assert covering("172.16.0.0/16") == covering("172.17.0.0/16") == covering("fd00::1/128") == ""


def test_who_is_shut_down_is_not_missing(three: Simulation) -> None:
    """Neither among the nodes that a range expects, nor where all nodes of one have gone."""
    config = three.router.config
    ranges = tuple(each.model_copy(update={"expected": 3}) for each in config.dynamic_peers)
    three.take(Reconfigure(config.model_copy(update={"dynamic_peers": ranges})))
    assert [*too_few(three.router)] == []
    three.down(B)
    (problem,) = too_few(three.router)
    assert problem["what"] == "2 nodes have a session, 3 are expected"
    three.take(Shutdown(B, "somebody", 0.0))
    assert [*too_few(three.router)] == []
    three.down(A)
    (problem,) = too_few(three.router)
    assert problem["what"] == "1 nodes have a session, 1 are shut down, 3 are expected"
    three.take(Reconfigure(config))
    for node in (A, C):
        three.take(Shutdown(node, "somebody", 0.0))
    three.settle()
    assert [*vanished(three.router, three.now)] == []
    assert {each["state"] for each in whole(peers.peers(three.router, three.now))} == {"shutdown"}
    three.take(Enable(A))
    assert [problem["where"] for problem in vanished(three.router, three.now)] == ["range 192.168.0.0/16"]


def test_only_what_may_be_stale_is_said_to_go() -> None:
    """Whoever is back, and has announced all, has nothing that waits."""
    simulation = Simulation()

    def going() -> float | None:
        [row] = whole(peers.peers(simulation.router, simulation.now))
        found = simulation.router.rib.peers[A]
        timers = whole(peer.detail(found, row, simulation.now, 10, refusals=[], messages=None))["timers"]
        return timers["stale_seconds"]

    simulation.up(A, graceful=preserving())
    simulation.announce(A, VIP)
    assert going() == 60
    simulation.end_of_rib(A)
    simulation.settle()
    assert going() is None
    simulation.down(A)
    assert going() == 15
    simulation.up(A, graceful=preserving())
    assert going() == 60
    simulation.announce(A, VIP)
    simulation.end_of_rib(A)
    simulation.settle()
    assert going() is None


def test_all_that_is_known_of_a_peer_that_never_had_a_session() -> None:
    static = '[[peers]]\nname = "w0"\naddress = "192.168.10.109"\ngroup = "nodes"\n'
    simulation = Simulation(CONFIG.replace("accept =", 'remote_as = "external"\naccept =', 1) + static)
    [row] = whole(peers.peers(simulation.router, simulation.now))
    found = simulation.router.rib.peers[row["address"]]
    detail = whole(peer.detail(found, row, simulation.now, 10, refusals=[], messages=None))
    assert detail["peer"]["name"] == "w0"
    assert (detail["external"], detail["sent"], detail["received"]) == (None, None, None)
    assert any(line.endswith("nodes, configured") for line in lines(Screen(80, colours=False), detail))
