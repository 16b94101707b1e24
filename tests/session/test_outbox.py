"""What waits for peers: a window for each, shared pieces, and the end of one that takes nothing."""

from __future__ import annotations

import pytest

from routerd.core.message import Advertise, SessionUp
from routerd.core.route import Attributes, Family, Prefix, parse_address, parse_prefix, weight
from routerd.core.withheld import TooLarge
from routerd.session import outbox as module
from routerd.session.codecs import Codecs
from routerd.session.encode import UpdateEncoder
from routerd.session.outbox import WINDOW, Outbox
from tests.support.core import opened, sequence

OPEN = opened(65001, "10.0.0.2")
LARGE = 40_000


def prefixes(count: int) -> tuple[Prefix, ...]:
    return tuple(parse_prefix(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}/32") for i in range(count))


def routes(count: int) -> tuple[tuple[Attributes, tuple[Prefix, ...]], ...]:
    """Return as many routes, each with attributes of its own."""
    base = Attributes(as_path=sequence(65000), next_hop=parse_address("10.0.0.1"))
    return tuple((base._replace(med=i), (prefix,)) for i, prefix in enumerate(prefixes(count)))


class Peers:
    """Codecs of some peers, an outbox, and what each peer is sent."""

    def __init__(self, *names: str) -> None:
        self.codecs = Codecs()
        self.sent: dict[str, list[bytes]] = {name: [] for name in names}
        self.closed: list[tuple[str, int, int]] = []
        self.outbox = Outbox(self.codecs, self._send, lambda peer, _, code, sub, __: self._close(peer, code, sub))
        for generation, name in enumerate(names, 1):
            self.up(name, generation)

    def up(self, name: str, generation: int) -> None:
        self.codecs.up(SessionUp(name, generation, "10.0.0.1", OPEN, opened(65000, "10.0.0.1")))

    def _send(self, peer: str, generation: int, octets: bytes) -> None:
        self.sent[peer].append(octets)

    def _close(self, peer: str, code: int, subcode: int) -> None:
        self.closed.append((peer, code, subcode))

    def octets(self, peer: str) -> int:
        return sum(map(len, self.sent[peer]))

    def read_all(self, peer: str, generation: int) -> bytes:
        """Have a peer take all that is sent to it, until no more comes; return it."""
        taken = 0
        while (sent := self.octets(peer)) > taken:
            self.outbox.taken(generation, sent - taken)
            taken = sent
        return b"".join(self.sent[peer])


def test_a_window_is_on_the_way_and_the_rest_waits_its_turn() -> None:
    peers = Peers("slow", "quick")
    announced = routes(LARGE)
    for peer in ("slow", "quick"):
        peers.outbox.put(Advertise(peer, (), announced, (Family.IPV4,)))
    later = Advertise("slow", prefixes(1), ())
    peers.outbox.put(later)
    whole = peers.codecs.encode(Advertise("quick", (), announced, (Family.IPV4,)))
    assert WINDOW <= peers.octets("slow") < WINDOW + 64 * 1024 < len(whole)
    assert peers.read_all("quick", 2) == whole
    assert peers.octets("slow") < WINDOW + 64 * 1024
    assert peers.read_all("slow", 1) == whole + peers.codecs.encode(later)


def test_a_piece_is_encoded_once_for_all_that_hear_it(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"10.0.0.{number}" for number in range(50)]
    peers = Peers(*names)
    announced = routes(LARGE)
    calls: list[int] = []
    encode = UpdateEncoder.routes

    def counted(self: UpdateEncoder, change: Advertise) -> tuple[bytes, tuple[TooLarge, ...]]:
        calls.append(1)
        return encode(self, change)

    monkeypatch.setattr(UpdateEncoder, "routes", counted)
    for name in names:
        peers.outbox.put(Advertise(name, (), announced))
    assert len(calls) == len(peers.sent[names[0]])
    assert len({b"".join(sent) for sent in peers.sent.values()}) == 1


def test_large_effects_are_cut_and_lose_nothing() -> None:
    base = Attributes(as_path=sequence(65000), next_hop=parse_address("10.0.0.1"))
    withdrawn, announced = prefixes(10_000), ((base, prefixes(9_000)), *routes(600))
    pieces = module._cut(withdrawn, announced)
    assert [p for piece in pieces for p in piece[0]] == list(withdrawn)
    flat = [(attributes, p) for piece in pieces for attributes, some in piece[1] for p in some]
    assert flat == [(attributes, p) for attributes, some in announced for p in some]
    assert all(len(p[0]) + sum(len(s) for _, s in p[1]) <= 4096 and len(p[1]) <= 256 for p in pieces)
    assert module._cut((), ()) == [((), ())]


def test_a_peer_for_which_too_much_waits_loses_its_session_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 20 << 20)
    peers = Peers("stuck", "other")
    while not peers.closed:
        announced = routes(LARGE)
        for peer in ("stuck", "other"):
            peers.outbox.put(Advertise(peer, (), announced))
        peers.read_all("other", 2)
        peers.sent["other"].clear()
    assert peers.closed == [("stuck", 6, 8)]
    sent = peers.octets("stuck")
    peers.outbox.taken(1, sent)
    assert peers.octets("stuck") == sent, "what waited is forgotten"


def test_attributes_that_change_and_change_again_count_with_their_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else has them any more when they have waited for long."""
    monkeypatch.setattr(module, "MAX_WAITING", 20 << 20)
    peers = Peers("stuck")
    base = Attributes(as_path=sequence(65000), next_hop=parse_address("10.0.0.1"))
    waiting = 0
    while not peers.closed:
        heavy = base._replace(communities=tuple(range(waiting, waiting + 965)))
        peers.outbox.put(Advertise("stuck", (), ((heavy, prefixes(1)),)))
        waiting += weight(heavy)
    assert waiting < 2 * module.MAX_WAITING


def test_attributes_that_stay_the_same_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 1 << 20)
    peers = Peers("slow")
    base = Attributes(as_path=sequence(65000), next_hop=parse_address("10.0.0.1"), communities=tuple(range(965)))
    for prefix in prefixes(2000):
        peers.outbox.put(Advertise("slow", (), ((base, (prefix,)),)))
    assert not peers.closed


def test_a_new_session_begins_anew() -> None:
    peers = Peers("node")
    peers.outbox.put(Advertise("node", (), routes(LARGE)))
    peers.outbox.down("node", 7)  # an attempt that came to nothing, and not the session
    before = peers.octets("node")
    peers.outbox.taken(1, WINDOW)
    assert peers.octets("node") > before
    peers.up("node", 2)
    peers.sent["node"].clear()
    peers.outbox.put(Advertise("node", (), routes(3)))
    assert peers.octets("node") == len(peers.codecs.encode(Advertise("node", (), routes(3))))
    peers.outbox.taken(1, WINDOW)  # of the old one
    peers.outbox.put(Advertise("nobody", (), routes(3)))
