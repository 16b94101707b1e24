"""What peers of one kind hear is encoded once."""

from __future__ import annotations

import pytest

from routerd.core.message import Advertise, SessionUp
from routerd.core.route import Attributes, Family, Prefix, parse_address, parse_prefix
from routerd.core.withheld import KEPT, TooLarge
from routerd.session import codecs as module
from routerd.session.codecs import Codecs
from routerd.session.frames import RawUpdate
from tests.support.core import opened, sequence

PREFIX = parse_prefix("172.16.1.1/32")
ROUTES = ((Attributes(as_path=sequence(65000), next_hop=parse_address("10.0.0.1")), (PREFIX,)),)


def codecs(*peers: tuple[str, int]) -> Codecs:
    made = Codecs()
    for generation, (peer, asn) in enumerate(peers, 1):
        made.up(SessionUp(peer, generation, "10.0.0.1", opened(asn, peer), opened(65000, "10.0.0.1")))
    return made


def test_peers_of_a_kind_share_octets_and_others_do_not() -> None:
    peers = {"10.0.0.2": 65001, "10.0.0.3": 65001, "10.0.0.4": 65000}
    made = codecs(*peers.items())
    outside, again, inside = (made.encode(Advertise(peer, (), ROUTES)) for peer in peers)
    assert outside == again
    assert inside != outside
    local_pref = bytes.fromhex("400504 00000064")
    assert local_pref in inside
    assert local_pref not in outside
    ended = made.encode(Advertise("10.0.0.3", (), ROUTES, (Family.IPV4,)))
    assert ended.startswith(outside)
    assert len(ended) == len(outside) + 23
    assert made.encode(Advertise("10.0.0.2", (PREFIX,), ())) != outside
    assert made.withheld == {}


def test_a_session_that_is_over_has_no_codec() -> None:
    made = codecs(("10.0.0.2", 65001))
    made.down("10.0.0.2", 7)
    assert made.generation("10.0.0.2") == 1
    assert made.decode(RawUpdate("10.0.0.2", 1, bytes(4))) is not None
    assert made.decode(RawUpdate("10.0.0.2", 7, bytes(4))) is None
    made.down("10.0.0.2", 1)
    assert made.generation("10.0.0.2") == 0
    assert made.decode(RawUpdate("10.0.0.2", 1, bytes(4))) is None


def test_when_the_speaker_ends_no_session_has_one() -> None:
    """What was still in line of those sessions is not read any more."""
    made = codecs(("10.0.0.2", 65001), ("10.0.0.3", 65000))
    end_of_rib = RawUpdate("10.0.0.3", 2, bytes(4))
    assert made.decode(end_of_rib) is not None
    made.clear()
    assert made.decode(end_of_rib) is None
    assert [made.generation(peer) for peer in ("10.0.0.2", "10.0.0.3")] == [0, 0]


LIMIT = 4096


def path(asns: int) -> tuple[tuple[Attributes, tuple[Prefix, ...]], ...]:
    """Return a route with so many AS numbers: 4 octets each."""
    return ((ROUTES[0][0]._replace(as_path=sequence(*range(65001, 65001 + asns))), (PREFIX,)),)


def largest() -> int:
    """How many AS numbers a route may have that just fits into a message."""
    made = codecs(("10.0.0.2", 65001))
    for asns in range(LIMIT // 4, 0, -1):
        made.encode(Advertise("10.0.0.2", (), path(asns)))
        if not made.withheld["10.0.0.2"].routes:
            return asns
    raise AssertionError("nothing fits")


def test_what_fits_into_no_message_is_withdrawn_and_told_of() -> None:
    told: list[tuple[str, TooLarge]] = []
    made = Codecs(lambda peer, found: told.append((peer, found)))
    for generation, peer in enumerate(("10.0.0.2", "10.0.0.3"), 1):
        made.up(SessionUp(peer, generation, "10.0.0.1", opened(65001, peer), opened(65000, "10.0.0.1")))
    most = largest()
    fits, larger = path(most), path(most + 1)
    for peer in ("10.0.0.2", "10.0.0.3"):  # the second one is given what was encoded for the first
        assert made.encode(Advertise(peer, (), fits))
        assert told == [] or peer == "10.0.0.3"
        assert made.encode(Advertise(peer, (), larger)) == made.encode(Advertise(peer, (PREFIX,)))
    (first, found), (second, again) = told
    assert (first, second, found) == ("10.0.0.2", "10.0.0.3", again)
    assert found.prefixes == (PREFIX,)
    assert found.octets > found.limit == LIMIT


def test_what_is_withheld_is_known_as_long_as_it_is() -> None:
    made = codecs(("10.0.0.2", 65001))
    for end in (Advertise("10.0.0.2", (PREFIX,)), Advertise("10.0.0.2", (), ROUTES)):
        made.encode(Advertise("10.0.0.2", (), path(1100)))
        assert list(made.withheld["10.0.0.2"].routes) == [PREFIX]
        made.encode(end)
        assert not made.withheld["10.0.0.2"].routes
    more = parse_prefix("172.16.1.2/32")
    for prefix in (PREFIX, more):
        made.encode(Advertise("10.0.0.2", (), ((path(1100)[0][0], (prefix,)),)))
    assert list(made.withheld["10.0.0.2"].routes) == [PREFIX, more]
    made.encode(Advertise("10.0.0.2", (), path(20_000)))
    assert made.withheld["10.0.0.2"].routes[PREFIX].octets == 0  # more than an attribute may have
    made.down("10.0.0.2", 1)
    assert made.withheld == {}


def test_what_is_remembered_of_what_is_withheld_is_bounded() -> None:
    made = codecs(("10.0.0.2", 65001))
    many = tuple(parse_prefix(f"10.{i >> 8}.{i & 255}.0/24") for i in range(KEPT + 1))
    made.encode(Advertise("10.0.0.2", (), ((path(1100)[0][0], many),)))
    assert len(made.withheld["10.0.0.2"].routes) == KEPT
    assert made.withheld["10.0.0.2"].beyond


def test_what_is_remembered_of_what_was_encoded_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many short messages as of a few long ones: the latest serve again, the others are let go."""
    monkeypatch.setattr(module, "_REMEMBERED", 100_000)
    for asns in (1, 500):
        made = codecs(("10.0.0.2", 65001))
        said = [Advertise("10.0.0.2", (), path(asns)) for _ in range(1000)]
        octets = [len(made.encode(each)) for each in said]
        assert 50_000 < len(made._encoded) * (octets[0] + 512) <= 100_000
        assert made._encoded[next(reversed(made._encoded))][0] is said[-1]
        made.down("10.0.0.2", 1)
        assert not made._encoded, "it may be of routes that went with the session"
        assert made._octets == 0


def test_what_is_too_large_to_be_remembered_serves_again_until_something_else_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full table for one peer after the other of its kind."""
    monkeypatch.setattr(module, "_REMEMBERED", 100)
    made = codecs(("10.0.0.2", 65001), ("10.0.0.3", 65001))
    table, more = path(500), path(501)
    for peer in ("10.0.0.2", "10.0.0.3"):
        made.encode(Advertise(peer, (), table))
        [(change, _, _)] = made._encoded.values()
        assert (change.peer, change.announced) == ("10.0.0.2", table)
    made.encode(Advertise("10.0.0.3", (), more))
    [(change, _, _)] = made._encoded.values()
    assert change.announced is more
