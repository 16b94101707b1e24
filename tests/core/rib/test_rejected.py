"""Rejected announcements: bounded, and counted as they are."""

from __future__ import annotations

import pytest

from routerd.core.message import Identified, Refresh
from routerd.core.rib import rejected
from routerd.core.rib.policy import Reject
from routerd.core.rib.rejected import Rejected
from routerd.core.route import Attributes, Family, Path, parse_prefix
from tests.core.rib.test_hosts import gateway
from tests.support.core import Simulation, link_layer

PATH = Path("10.0.0.1", Attributes())
PREFIXES = [parse_prefix(f"10.1.{number >> 8}.{number & 255}/32") for number in range(6000)]
A = "192.168.10.100"


def test_what_is_beyond_is_counted() -> None:
    found = Rejected()
    found.add(PATH, [(prefix, Reject.NOT_ACCEPTED) for prefix in PREFIXES])
    found.add(PATH, [(prefix, Reject.MARTIAN) for prefix in PREFIXES[:10]])
    assert len(found.kept) == rejected.LIMIT
    assert found.counts() == {(Family.IPV4, Reject.MARTIAN): 10, (Family.IPV4, Reject.NOT_ACCEPTED): 5990}
    for _ in range(3):
        found.withdraw(PREFIXES[-100:])
        assert sum(found.counts().values()) == 5900
        found.add(PATH, [(prefix, Reject.NOT_ACCEPTED) for prefix in PREFIXES[-100:]])
        assert sum(found.counts().values()) == 6000
    found.withdraw(PREFIXES)
    assert not found
    assert found.counts() == {}


def test_long_attributes_are_bounded_too() -> None:
    found = Rejected()
    for number, prefix in enumerate(PREFIXES):
        path = Path("10.0.0.1", Attributes(communities=tuple(range(number, number + 900))))
        found.add(path, [(prefix, Reject.NOT_ACCEPTED)])
    assert len(found.kept) <= rejected.OCTETS // (900 * 36)
    assert sum(found.counts().values()) == 6000


def test_that_more_is_rejected_than_is_kept_is_told_once() -> None:
    simulation = Simulation()
    simulation.up(A)
    for third in range(4):
        simulation.announce(A, *(f"10.{third}.{i // 250}.{i % 250}/32" for i in range(rejected.LIMIT)))
    told = [event for event in simulation.events if event.name == "more is rejected than is kept"]
    assert [event.fields for event in told] == [{"peer": A}]


@pytest.mark.parametrize("several", [True, False])
def test_what_was_beyond_is_asked_for_again_when_it_may_be_accepted(several: bool) -> None:
    simulation = Simulation()
    simulation.identifies = False
    simulation.up(A)
    prefixes = [f"fd00:ac10::{number:x}/128" for number in range(5000 if several else 50)]
    attributes = simulation.attributes(A, next_hop="fd00:10::100")
    for _ in range(2):
        simulation.announce(A, *prefixes, attributes=attributes)
    assert [each.name for each in simulation.events].count("more is rejected than is kept") == several
    simulation.forget()
    gateways = gateway(A), gateway("fd00:10::100")
    simulation.take(Identified({each: link_layer(each) for each in gateways}))
    asked = [each for each in simulation.effects if isinstance(each, Refresh)]
    assert asked == ([Refresh(A, (Family.IPV4, Family.IPV6))] if several else [])
    if several:
        simulation.announce(A, *prefixes, attributes=attributes)
    simulation.settle()
    assert len(simulation.fib()) == len(prefixes)
    assert simulation.router.rib.peers[A].adj_rib_in.rejections() == {}


def test_what_was_withdrawn_takes_no_room() -> None:
    """However often a peer announces something else that is found."""
    found, prefix = Rejected(), PREFIXES[0]
    for number in range(5000):
        found.add(Path("10.0.0.1", Attributes(med=number)), [(prefix, Reject.NOT_ACCEPTED)])
        found.withdraw([prefix])
    found.add(Path("10.0.0.1", Attributes()), [(prefix, Reject.NOT_ACCEPTED)])
    assert list(found.kept) == [prefix]
    assert not found.beyond


def test_what_several_prefixes_share_takes_room_until_the_last_of_them_goes() -> None:
    found, path = Rejected(), Path("10.0.0.1", Attributes(communities=tuple(range(900))))
    found.add(path, [(prefix, Reject.NOT_ACCEPTED) for prefix in PREFIXES[:3]])
    found.withdraw(PREFIXES[:2])
    others = [Path("10.0.0.1", Attributes(communities=tuple(range(n, n + 900)))) for n in range(1, 100)]
    for prefix, other in zip(PREFIXES[3:], others, strict=False):
        found.add(other, [(prefix, Reject.NOT_ACCEPTED)])
    assert len(found.kept) == rejected.OCTETS // path.weight
