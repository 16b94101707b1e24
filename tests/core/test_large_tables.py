"""What takes long for a large table goes in slices, and comes to the same as at once."""

from __future__ import annotations

from dataclasses import replace

from routerd.core.message import Advertise, KernelObjects, RouteAudit, RouteRefresh, SoftReset, Work
from routerd.core.rib.loc_rib import Change
from routerd.core.rib.peer import Peer
from routerd.core.rib.peers import FORGET_AFTER
from routerd.core.rib.refreshes import INTERVAL, PIECE
from routerd.core.rib.rejudging import SLICE as REJUDGE_SLICE
from routerd.core.route import Family, Prefix, format_prefix, parse_address, parse_prefix
from tests.support.core import CONFIG, Simulation

A, B = "192.168.10.100", "192.168.10.101"
COUNT = 2 * max(PIECE, REJUDGE_SLICE) + 500
TABLE = [f"172.{16 + number // 65536}.{number // 256 % 256}.{number % 256}/32" for number in range(COUNT)]


def full(*, learned: bool) -> Simulation:
    """Return a router that has heard a large table of one of its two peers."""
    config = CONFIG.replace('advertise = ["networks"]', 'advertise = ["learned"]') if learned else CONFIG
    simulation = Simulation(config)
    for peer in (A, B):
        simulation.up(peer)
        simulation.end_of_rib(peer)
    for start in range(0, COUNT, 1000):
        simulation.announce(A, *TABLE[start : start + 1000])
    simulation.settle()
    simulation.forget()
    return simulation


def told(simulation: Simulation) -> list[set[Prefix]]:
    """The prefixes that each effect has announced since the last call of `forget`."""
    found = [effect for effect in simulation.effects if isinstance(effect, Advertise)]
    return [{prefix for _, prefixes in effect.announced for prefix in prefixes} for effect in found]


def test_a_large_table_is_announced_again_piece_by_piece() -> None:
    simulation = full(learned=True)
    asked = RouteRefresh(B, simulation.sessions[B].generation, Family.IPV4)
    simulation.take(asked)
    simulation.take(Work())
    assert len(told(simulation)) == 1
    gone = [format_prefix(prefix) for prefix in sorted(set(map(parse_prefix, TABLE)) - told(simulation)[0])[:10]]
    simulation.withdraw(A, *gone)
    simulation.settle()
    pieces = [piece for piece in told(simulation) if piece]
    assert max(map(len, pieces)) <= PIECE
    assert set().union(*pieces) == set(map(parse_prefix, TABLE)) - set(map(parse_prefix, gone))
    assert sum(map(len, pieces)) == COUNT - len(gone)
    assert not simulation.router.busy


def test_a_peer_that_asks_again_meanwhile_hears_all_once_more_and_one_that_leaves_nothing() -> None:
    simulation = full(learned=True)
    asked = RouteRefresh(B, simulation.sessions[B].generation, Family.IPV4)
    simulation.take(asked)
    simulation.take(Work())
    simulation.take(asked)
    simulation.settle()
    assert sum(map(len, told(simulation))) == COUNT
    simulation.forget()
    simulation.advance(INTERVAL)
    assert sum(map(len, told(simulation))) == COUNT
    simulation.advance(INTERVAL)
    simulation.take(asked)
    simulation.down(B)
    simulation.forget()
    simulation.settle()
    assert told(simulation) == []


def test_an_address_of_the_router_has_a_large_table_judged_again_in_slices() -> None:
    simulation = full(learned=False)
    link = simulation.kernel.interfaces[2]
    own = parse_prefix("172.16.0.0/24")
    moved = replace(link, addresses=(*link.addresses, parse_address("172.16.0.1")), networks=(*link.networks, own))
    simulation.kernel.interfaces[2] = moved
    found = simulation.kernel.dump()
    simulation.take(KernelObjects(found.interfaces, found.nexthops, found.groups))
    assert simulation.router.busy
    gone = [prefix for prefix in TABLE if prefix.startswith("172.16.1.")]
    simulation.withdraw(A, *gone)
    simulation.settle()
    inside = {prefix for prefix in TABLE if prefix.startswith("172.16.0.")}
    rejected = simulation.router.rib.peers[A].adj_rib_in.rejected.kept
    assert {format_prefix(prefix) for prefix in rejected} == inside
    assert simulation.fib().keys() == set(TABLE) - inside - set(gone)


def test_a_peer_that_is_forgotten_before_it_is_its_turn_is_judged_no_more() -> None:
    simulation = full(learned=False)
    link = simulation.kernel.interfaces[2]
    own = parse_prefix("172.31.0.0/24")
    simulation.kernel.interfaces[2] = replace(link, networks=(*link.networks, own))
    found = simulation.kernel.dump()
    simulation.take(KernelObjects(found.interfaces, found.nexthops, found.groups))
    while not simulation.router.rib.rejudging:
        simulation.take(Work())
    rejudging = simulation.router.rib.rejudging
    assert rejudging._left.keys() == {A, B}
    simulation.take(SoftReset(B, incoming=True))
    assert rejudging._asked_later == {B}
    simulation.down(B)
    simulation.now += 2 * FORGET_AFTER
    simulation.take(RouteAudit(simulation.router.fib.expected(), (), {}, {}, {}))
    assert B not in simulation.router.rib.peers
    simulation.settle()
    assert not rejudging
    assert not rejudging._asked_later
    assert len(simulation.fib()) == COUNT


def test_all_is_judged_again_however_often_that_is_asked_for_meanwhile() -> None:
    simulation = full(learned=False)
    rejudging, judged = simulation.router.rib.rejudging, set[Prefix]()
    judge_again, peer = rejudging._importer.judge_again, simulation.router.rib.peers[A]

    def noting(peer: Peer, prefixes: list[Prefix]) -> list[Change]:
        judged.update(prefixes)
        return judge_again(peer, prefixes)

    rejudging._importer.judge_again = noting  # type: ignore[method-assign]
    for _ in range(COUNT // REJUDGE_SLICE + 1):
        rejudging.ask([peer])
        rejudging.slice()
    assert len(judged) == COUNT
    assert rejudging, "and once more, as that was asked for in the midst of it"
    simulation.settle()
    assert not rejudging._anew
