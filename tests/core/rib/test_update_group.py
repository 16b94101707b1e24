"""Update groups: what members hear, message by message, is what they should have heard."""

from __future__ import annotations

import random

import pytest

from routerd.config.model import PeerGroup
from routerd.core.rib.export import DEFAULT_ROUTES, Exporter
from routerd.core.rib.regrouping import Regrouping
from routerd.core.rib.update_group import UpdateGroup
from routerd.core.route import Attributes, Family, Path, Prefix, parse_address, parse_prefix
from tests.support.core import sequence

ROUTER = {Family.IPV4: parse_address("10.0.0.1"), Family.IPV6: parse_address("fd00::1")}
PEERS = [f"10.0.0.{number}" for number in range(2, 6)]
PREFIXES = [parse_prefix(f"172.16.1.{i}/32") for i in range(8)] + [
    parse_prefix(f"fd00:ac10::{i}/128") for i in range(4)
]


def group(*advertise: str) -> UpdateGroup:
    made = UpdateGroup(Exporter(PeerGroup(advertise=list(advertise)), 65000, external=True, next_hops=ROUTER))
    made.members = dict.fromkeys(PEERS)
    return made


def path(peer: str, asn: int) -> Path:
    return Path(peer, Attributes(as_path=sequence(asn), next_hop=parse_address(peer)), 0.0, parse_address(peer), True)


@pytest.mark.parametrize("seed", range(20))
def test_what_is_said_adds_up_to_what_is_heard(seed: int) -> None:
    chance = random.Random(seed)
    updates = group("learned", "default")
    heard: dict[str, dict[Prefix, Attributes]] = {peer: {} for peer in PEERS}
    best: dict[Prefix, Path] = {}
    for _ in range(200):
        chosen = chance.choice([None, *(path(peer, asn) for peer in PEERS for asn in (65001, 65002))])
        some = chance.sample([*PREFIXES, *DEFAULT_ROUTES.values()], chance.randint(1, 6))
        best |= {prefix: chosen for prefix in some if chosen is not None}
        for prefix in some if chosen is None else ():
            best.pop(prefix, None)
        difference = updates.take([(chosen, some)])
        for peer, table in heard.items():
            withdrawn, announced = difference.heard_by(peer)
            for prefix in withdrawn:
                del table[prefix]  # nothing is withdrawn that was not announced
            for attributes, prefixes in announced:
                for prefix in prefixes:
                    assert table.get(prefix) != attributes, "announced twice"
                    table[prefix] = attributes
    for peer, table in heard.items():
        assert table == updates.heard(peer)
        learned = table.keys() - set(DEFAULT_ROUTES.values())
        assert learned == {p for p, b in best.items() if b.peer != peer} - set(DEFAULT_ROUTES.values())
        assert {prefix: a for a, prefixes in updates.whole(peer) for prefix in prefixes} == table
        for family, size in ((Family.IPV4, 5), (Family.IPV6, 17)):
            assert updates.count(peer, family) == sum(len(prefix) == size for prefix in table)


def test_peers_that_announce_nothing_are_given_the_same_tuples() -> None:
    updates = group("learned")
    difference = updates.take([(path(PEERS[0], 65001), PREFIXES)])
    first, second, third = (difference.heard_by(peer) for peer in PEERS[1:4])
    assert first[1] is second[1] is third[1]
    assert updates.whole(PEERS[1]) is updates.whole(PEERS[2])
    assert difference.heard_by(PEERS[0]) == ((), ())
    assert updates.whole(PEERS[0]) == ()


def test_nothing_is_kept_of_who_announces_nothing_any_more() -> None:
    """Nodes come and go with new addresses, and a group lives as long as one of its members."""
    updates = group("learned")
    for number in range(50):
        updates.take([(path(f"10.1.0.{number}", 65001), PREFIXES)])
        updates.take([(None, PREFIXES)])
    assert not updates._counts


def test_a_way_on_which_nobody_is_any_more_is_over() -> None:
    way = Regrouping(group("learned"), group("networks"))
    way.peers = dict.fromkeys(PEERS)
    way.begin()
    assert not way.over
    way.peers.clear()
    assert way.over
