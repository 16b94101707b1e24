"""What peers of one kind hear is encoded once."""

from __future__ import annotations

from routerd.core.message import Advertise, SessionUp
from routerd.core.route import Attributes, Family, parse_address, parse_prefix
from routerd.session.codecs import Codecs
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
    assert inside != outside  # LOCAL_PREF, for one
    ended = made.encode(Advertise("10.0.0.3", (), ROUTES, (Family.IPV4,)))
    assert ended.startswith(outside)
    assert len(ended) == len(outside) + 23
    assert made.encode(Advertise("10.0.0.2", (PREFIX,), ())) != outside


def test_a_session_that_is_over_has_no_codec() -> None:
    made = codecs(("10.0.0.2", 65001))
    made.down("10.0.0.2", 7)
    assert made.generation("10.0.0.2") == 1
    made.down("10.0.0.2", 1)
    assert made.generation("10.0.0.2") == 0
