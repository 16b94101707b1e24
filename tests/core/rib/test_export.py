"""What a peer is told of a path: its next hop, and what must stay inside the AS."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from routerd.config.model import PeerGroup
from routerd.core.memo import ENTRY
from routerd.core.rib import export
from routerd.core.rib.decision import GRACEFUL_SHUTDOWN
from routerd.core.rib.export import Exporter
from routerd.core.route import LOCAL, AsPath, Attributes, Family, Path, SegmentType, Unknown, parse_address
from tests.support.core import sequence

NEXT_HOPS = {Family.IPV4: parse_address("10.0.0.1"), Family.IPV6: parse_address("fd00::1")}
PATH = Path("10.0.0.2", Attributes(as_path=sequence(65001), next_hop=parse_address("10.0.0.2")))
ROUTE_TARGET = bytes.fromhex("0002fde800000001")
LINK_BANDWIDTH, OPAQUE = bytes.fromhex("4004fde846c35000"), bytes.fromhex("4300430043004300")
LOCAL_TARGET = bytes.fromhex("4002fde800000001")


def exporter(*, external: bool = True) -> Exporter:
    return Exporter(PeerGroup(advertise=("learned",)), 65000, external=external, next_hops=NEXT_HOPS)


@pytest.mark.parametrize("families", [(Family.IPV4, Family.IPV6), (Family.IPV6, Family.IPV4)])
def test_each_family_has_its_own_next_hop_whichever_is_told_first(families: tuple[Family, ...]) -> None:
    made = exporter()
    for family in (*families, *families):
        told = made.told(PATH, family)
        assert told is not None
        assert told[0].next_hop == NEXT_HOPS[family]


def test_communities_that_are_not_transitive_stay_inside_the_as() -> None:
    tagged = PATH.attributes._replace(extended_communities=(LOCAL_TARGET, ROUTE_TARGET, OPAQUE))
    outside = exporter().told(Path(PATH.peer, tagged), Family.IPV4)
    inside = exporter(external=False).told(Path(PATH.peer, tagged), Family.IPV4)
    assert outside is not None
    assert outside[0].extended_communities == (ROUTE_TARGET,)
    assert inside is not None
    assert inside[0].extended_communities == (LOCAL_TARGET, ROUTE_TARGET, OPAQUE)


def test_what_is_not_understood_is_passed_on_as_partial() -> None:
    """RFC 4271 section 5: the bit says so, and stays once it is set; the others are left alone."""
    unknown = (Unknown(0xC0, 99, b"one"), Unknown(0xE0, 100, b"two"))
    told = exporter().told(Path(PATH.peer, PATH.attributes._replace(unknown=unknown)), Family.IPV4)
    assert told is not None
    assert told[0].unknown == (Unknown(0xE0, 99, b"one"), Unknown(0xE0, 100, b"two"))


@pytest.mark.parametrize("transitive", [True, False])
@pytest.mark.parametrize("external", [True, False])
def test_the_bandwidth_of_the_link_to_a_node_says_nothing_of_that_to_the_router(
    *, transitive: bool, external: bool
) -> None:
    """RFC 10005: a router that makes itself the next hop does not pass it on."""
    bandwidth = bytes([0x00 if transitive else 0x40]) + LINK_BANDWIDTH[1:]
    told = exporter(external=external).told(
        Path(PATH.peer, PATH.attributes._replace(extended_communities=(bandwidth, ROUTE_TARGET))), Family.IPV4
    )
    assert told is not None
    assert told[0].extended_communities == (ROUTE_TARGET,)


@pytest.mark.parametrize(
    ("community", "outside", "inside"),
    [(0xFFFFFF01, False, True), (0xFFFFFF02, False, False), (0xFFFFFF03, False, True), (65001 << 16 | 1, True, True)],
    ids=["NO_EXPORT", "NO_ADVERTISE", "NO_EXPORT_SUBCONFED", "any other"],
)
def test_well_known_communities_are_obeyed(community: int, *, outside: bool, inside: bool) -> None:
    """RFC 1997."""
    path = Path(PATH.peer, PATH.attributes._replace(communities=(community,)))
    assert (exporter().told(path, Family.IPV4) is not None) is outside
    assert (exporter(external=False).told(path, Family.IPV4) is not None) is inside


def test_what_ibgp_has_told_is_told_to_ebgp_alone() -> None:
    """RFC 4271 section 9.2."""
    path = Path(PATH.peer, PATH.attributes, external=False)
    assert exporter().told(path, Family.IPV4) is not None
    assert exporter(external=False).told(path, Family.IPV4) is None


@pytest.mark.parametrize("external", [True, False])
def test_med_and_local_preference_stay_inside_the_as(external: bool) -> None:
    """RFC 4271 sections 5.1.4 and 5.1.5."""
    told = exporter(external=external).told(
        Path(PATH.peer, PATH.attributes._replace(med=10, local_pref=200)), Family.IPV4
    )
    assert told is not None
    assert (told[0].med, told[0].local_pref) == ((None, None) if external else (10, 200))


@pytest.mark.parametrize("external", [True, False])
def test_a_router_that_is_drained_asks_to_be_avoided(external: bool) -> None:
    """RFC 8326: GRACEFUL_SHUTDOWN for all, once; within the AS the lowest LOCAL_PREF besides."""
    group = PeerGroup(advertise=("learned", "networks", "default"))
    made = Exporter(group, 65000, external=external, next_hops=NEXT_HOPS, draining=True)
    other = 65001 << 16 | 1
    for path in (
        Path(PATH.peer, PATH.attributes._replace(communities=(other,), local_pref=200)),
        Path(PATH.peer, PATH.attributes._replace(communities=(other, GRACEFUL_SHUTDOWN))),
        Path(LOCAL, Attributes()),
    ):
        told = made.told(path, Family.IPV4)
        assert told is not None
        assert told[0].communities == ((GRACEFUL_SHUTDOWN,) if path.peer == LOCAL else (other, GRACEFUL_SHUTDOWN))
        assert told[0].local_pref == (None if external else 0)
    assert {attributes.communities for attributes, _ in made.defaults.values()} == {(GRACEFUL_SHUTDOWN,)}


SET, FULL = (SegmentType.SET, (65001,)), sequence(*[65001] * 255)


@pytest.mark.parametrize(
    ("heard", "told"),
    [
        ((), sequence(65000)),
        (sequence(65001), sequence(65000, 65001)),
        (sequence(*[65001] * 254), sequence(65000, *[65001] * 254)),
        (FULL, (*sequence(65000), *FULL)),
        ((SET,), (*sequence(65000), SET)),
        ((*sequence(65001), *sequence(65002)), (*sequence(65000, 65001), *sequence(65002))),
        ((*sequence(65001), SET), (*sequence(65000, 65001), SET)),
        ((SET, *sequence(65001)), (*sequence(65000), SET, *sequence(65001))),
        ((*sequence(65001), *FULL), (*sequence(65000, 65001), *FULL)),
        ((*FULL, *sequence(65001)), (*sequence(65000), *FULL, *sequence(65001))),
    ],
)
def test_the_routers_as_comes_first_in_the_first_sequence_that_has_room(heard: AsPath, told: AsPath) -> None:
    """RFC 4271 section 5.1.2: at most 255 AS numbers in a segment; within the AS nothing is added."""
    path = Path(PATH.peer, PATH.attributes._replace(as_path=heard))
    for external, as_path in ((True, told), (False, heard)):
        said = exporter(external=external).told(path, Family.IPV4)
        assert said is not None
        assert said[0].as_path == as_path


def test_what_is_remembered_weighs_what_the_path_does_and_what_is_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    each = ENTRY + 2 * PATH.weight
    monkeypatch.setattr(export, "_MEMO_LIMIT", 10 * each)
    made, told = exporter(), Counter[float]()
    monkeypatch.setattr(made, "_rewrite", lambda path, _: told.update([path.since]) or path.attributes)
    paths = [replace(PATH, since=float(number)) for number in range(11)]
    for some in (paths[:10], paths[:10], paths[10:], paths[:1]):
        for path in some:
            made.told(path, Family.IPV4)
    assert [told[path.since] for path in paths] == [2, *[1] * 10]
