"""What peers are to hear changes for a large table: they are told in pieces, and hear the same in the end."""

from __future__ import annotations

import random

import pytest

from routerd.config.load import parse
from routerd.core.message import Advertise, DrainSelf, Reconfigure, Settle, Work
from routerd.core.rib.decision import GRACEFUL_SHUTDOWN
from routerd.core.rib.regrouping import PIECE
from routerd.core.route import Attributes, Family, Prefix, parse_prefix
from tests.support.core import CONFIG, Simulation

A, B, C = "192.168.10.100", "192.168.10.101", "192.168.20.102"
D = "192.168.10.102"
COUNT = 2 * PIECE + 100
TABLE = [f"172.16.{number // 256}.{number % 256}/32" for number in range(COUNT)]

Heard = dict[str, dict[Prefix, Attributes]]


def configured(*advertise: str, networks: str = "10.10.1.0/24") -> str:
    told = ", ".join(f'"{each}"' for each in advertise)
    return CONFIG.replace('["networks"]', f"[{told}]").replace("10.10.1.0/24", networks)


def full(*advertise: str) -> Simulation:
    """Return a router that has heard a large table of one of its three peers."""
    simulation = Simulation(configured(*advertise))
    for peer in (A, B, C):
        simulation.up(peer)
        simulation.end_of_rib(peer)
    for start in range(0, COUNT, 1000):
        simulation.announce(A, *TABLE[start : start + 1000])
    simulation.settle()
    return simulation


def hear(simulation: Simulation, heard: Heard) -> int:
    """Have the peers take in what was said since the last time; return how many prefixes it was at most for one."""
    most = 0
    for effect in [effect for effect in simulation.effects if isinstance(effect, Advertise)]:
        table = heard.setdefault(effect.peer, {})
        for prefix in effect.withdrawn:
            table.pop(prefix, None)
        for attributes, prefixes in effect.announced:
            table |= dict.fromkeys(prefixes, attributes)
        most = max(most, len(effect.withdrawn) + sum(len(prefixes) for _, prefixes in effect.announced))
    simulation.forget()
    return most


def reconfigure(simulation: Simulation, text: str) -> None:
    simulation.take(Reconfigure(parse(text)))


def whole(simulation: Simulation, peer: str) -> dict[Prefix, Attributes]:
    """Return what a peer hears that dials in now."""
    found = simulation.router.rib.advertising.adj_ribs_out
    return found._groups[found._of[peer]].heard(peer)


def test_learned_routes_are_told_and_taken_back_piece_by_piece() -> None:
    simulation, heard = full("networks"), Heard()
    hear(simulation, heard)
    for advertise, told in ((("networks", "learned"), COUNT), (("networks",), 0)):
        reconfigure(simulation, configured(*advertise))
        most = hear(simulation, heard)
        while simulation.router.busy:
            simulation.take(Work())
            simulation.take(Settle())
            most = max(most, hear(simulation, heard))
        assert most <= PIECE
        assert {peer: len(table) for peer, table in heard.items()} == {A: 1, B: 1 + told, C: 1 + told}
        assert heard == {peer: whole(simulation, peer) for peer in heard}


def test_networks_that_change_are_told_and_nothing_of_the_rest_again() -> None:
    simulation = full("networks", "learned")
    simulation.forget()
    reconfigure(simulation, configured("networks", "learned", networks="10.10.2.0/24"))
    simulation.settle()
    said = [effect for effect in simulation.effects if isinstance(effect, Advertise)]
    assert {each.peer for each in said} == {A, B, C}
    assert {prefix for each in said for prefix in each.withdrawn} == {parse_prefix("10.10.1.0/24")}
    assert {p for each in said for _, some in each.announced for p in some} == {parse_prefix("10.10.2.0/24")}


def test_who_dials_in_while_others_are_on_their_way_hears_all_at_once() -> None:
    """Its End-of-RIB follows, which says that this is all (RFC 4724 section 2)."""
    simulation = full("networks")
    simulation.down(B)
    reconfigure(simulation, configured("networks", "learned"))
    simulation.forget()
    simulation.up(B)
    (first, *_) = [each for each in simulation.effects if isinstance(each, Advertise) and each.peer == B]
    assert sum(len(prefixes) for _, prefixes in first.announced) == 1 + COUNT


def test_what_is_heard_otherwise_is_said_once() -> None:
    """All of the table has another AS_PATH then: what peers have heard already comes first, and not again."""
    simulation = full("networks", "learned")
    simulation.forget()
    reconfigure(simulation, configured("networks", "learned").replace("asn = 65000", "asn = 65009"))
    simulation.settle()
    heard = [effect for effect in simulation.effects if isinstance(effect, Advertise) and effect.peer == B]
    said = [prefix for each in heard for _, some in each.announced for prefix in some]
    assert len(said) == len(set(said)) == 1 + COUNT


def test_a_router_that_is_drained_tells_all_anew_piece_by_piece() -> None:
    """GRACEFUL_SHUTDOWN (RFC 8326) is added, and taken away again; the kernel sees nothing of that."""
    simulation, heard = full("networks", "learned", "default"), Heard()
    hear(simulation, heard)
    before = {peer: dict(table) for peer, table in heard.items()}
    for on in (True, False):
        simulation.operations.clear()
        simulation.take(DrainSelf(on, "somebody", 1.0))
        most = hear(simulation, heard)
        while simulation.router.busy:
            simulation.take(Work())
            simulation.take(Settle())
            most = max(most, hear(simulation, heard))
        assert 0 < most <= PIECE
        wanted = (GRACEFUL_SHUTDOWN,) if on else ()
        assert {a.communities for table in heard.values() for a in table.values()} == {wanted}
        assert {peer: table.keys() for peer, table in heard.items()} == {p: t.keys() for p, t in before.items()}
        assert simulation.operations == []
        simulation.down(C)
        del heard[C]
        simulation.up(C)  # and whoever dials in meanwhile
        hear(simulation, heard)
        assert {a.communities for a in heard[C].values()} == {wanted}
    assert heard == before


def test_a_drain_that_is_said_twice_tells_nobody_anything() -> None:
    simulation = full("networks", "learned")
    simulation.take(DrainSelf(True))
    simulation.settle()
    simulation.forget()
    simulation.take(DrainSelf(True))
    simulation.settle()
    assert not [effect for effect in simulation.effects if isinstance(effect, Advertise)]


def test_without_a_session_a_peer_hears_nothing() -> None:
    simulation = Simulation()
    simulation.up(A)
    count = simulation.router.rib.advertising.adj_ribs_out.count
    assert count(A, Family.IPV4) == 1
    simulation.down(A)
    assert count(A, Family.IPV4) == 0


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_on_the_way_peers_hear_what_they_should(seed: int) -> None:
    """Routes change, nodes come and go, and the configuration changes once more before all is said."""
    chance = random.Random(seed)
    simulation, heard, told = full("networks"), Heard(), ["networks"]
    for _ in range(12):
        match chance.randrange(6):
            case 0 | 1:
                told = chance.sample(["networks", "learned", "default"], chance.randrange(4))
                reconfigure(simulation, configured(*told, networks=chance.choice(["10.10.1.0/24", "10.10.2.0/24"])))
            case 2:
                simulation.withdraw(A, *chance.sample(TABLE, 50))
            case 3:
                simulation.announce(chance.choice([A, B]), *chance.sample(TABLE, 50))
            case 4:
                simulation.take(DrainSelf(chance.random() < 0.5))
            case _:
                hear(simulation, heard)
                simulation.down(C)
                heard.pop(C, None)
                simulation.up(C)
                simulation.end_of_rib(C)
        for _ in range(chance.randrange(4)):
            simulation.take(Work())
            simulation.take(Settle())
    simulation.settle()
    hear(simulation, heard)
    assert not simulation.router.rib.advertising.adj_ribs_out._moving
    best = {prefix: paths.paths[0].peer for prefix, paths in simulation.router.rib.loc_rib.table.items()}
    for peer in (A, B, C):
        assert heard.get(peer, {}) == whole(simulation, peer)
        if "learned" in told:
            others = {prefix for prefix, source in best.items() if source not in ("", peer)}
            assert others - whole(simulation, peer).keys() <= {p for p in others if best[p] != A}


def test_peers_that_come_from_different_groups_hear_each_what_is_other_for_it() -> None:
    """Of two peers of one group from now on the one has heard all before, and the other nothing."""
    other = CONFIG.partition("[peer_groups.nodes]")[2].partition("[[")[0].replace('["networks"]', "[]")
    peer = f'[peer_groups.other]{other}[[peers]]\nname = "b"\naddress = "{B}"\ngroup = "other"\n'
    simulation, heard = Simulation(configured("networks", "learned") + peer), Heard()
    for node in (B, A, "192.168.10.102"):
        simulation.up(node)
    simulation.announce(A, *TABLE[:3])
    simulation.settle()
    hear(simulation, heard)
    assert {node: len(table) for node, table in heard.items()} == {A: 1, B: 0, "192.168.10.102": 4}
    reconfigure(simulation, configured("networks") + peer.replace('group = "other"', 'group = "nodes"'))
    simulation.settle()
    hear(simulation, heard)
    assert {node: len(table) for node, table in heard.items()} == {A: 1, B: 1, "192.168.10.102": 1}


def test_who_follows_when_others_are_on_their_way_hears_all_of_it() -> None:
    """A part of it the others have heard by then."""
    nodes = CONFIG.partition("[peer_groups.nodes]")[2].partition("[[")[0]
    other = nodes.replace('["networks"]', '["networks", "learned"]')

    def having(*moved: str) -> str:
        peers = ((node, "other" if node in moved else "nodes") for node in (B, D))
        tables = (f'[[peers]]\nname = "{node}"\naddress = "{node}"\ngroup = "{group}"\n' for node, group in peers)
        return f"{configured('networks')}[peer_groups.other]{other}{''.join(tables)}"

    simulation, heard = Simulation(having()), Heard()
    for node in (A, B, D):
        simulation.up(node)
    simulation.announce(A, *TABLE)
    simulation.settle()
    reconfigure(simulation, having(B))
    while len(heard.get(B, {})) <= 1:
        simulation.take(Work())
        hear(simulation, heard)
    assert len(heard[B]) < 1 + COUNT
    reconfigure(simulation, having(B, D))
    simulation.settle()
    hear(simulation, heard)
    assert {node: len(table) for node, table in heard.items()} == {A: 1, B: 1 + COUNT, D: 1 + COUNT}
