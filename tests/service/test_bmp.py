"""What collectors are told: whatever happens in between, they end with what the router has; and nobody waits."""

from __future__ import annotations

import ipaddress
import random
import struct
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, cast

import pytest

from routerd.config.load import parse
from routerd.config.monitoring import View
from routerd.core.message import Advertise, Effect, Input, Notification, Reconfigure, SessionUp, Update
from routerd.core.route import Attributes, Family, Origin, Path, Prefix, format_as_path, format_prefix, weight
from routerd.service.bmp.feed import AT_ONCE, Feed
from routerd.service.bmp.notes import Notes
from routerd.service.observing import Observers
from routerd.session.frames import RawUpdate, Up
from routerd.session.translation import Translation
from routerd.telemetry.bmp import messages
from tests.support.bmp import Reading
from tests.support.core import CONFIG, Simulation, preserving, sequence

LEARNED = CONFIG.replace('advertise = ["networks"]', 'advertise = ["networks", "learned"]')
PEERS = ["192.168.10.100", "192.168.10.101", "192.168.20.102"]
OTHERS = [
    parse(text)
    for text in (
        LEARNED,
        LEARNED.replace('"172.16.0.0/12"', '"172.16.0.0/21"'),
        LEARNED + "[fib]\nignore_origin = true\n",
    )
]
"""Configurations that judge and decide otherwise."""
VIEWS: tuple[View, ...] = ("pre-policy", "post-policy", "adj-rib-out", "loc-rib")
PREFIXES = [f"172.16.{number}.0/24" for number in range(12)] + [f"fd00:ac10:{number}::/48" for number in range(6)]
PREFIXES += ["192.0.2.0/24", "198.51.100.0/24"]  # which are not accepted


class Watched(Simulation):
    """A simulation whose router is observed."""

    def restart(self, *, listening: bool = True) -> None:
        self.ups: dict[int, Up] = {}
        super().restart(listening=False)
        self.observers = Observers(self.router.planning)
        handle = self.router.handle

        def watched(message: Input, now: float) -> list[Effect]:
            if isinstance(message, SessionUp):
                body = struct.pack("!BHH4sB", 4, 65001, 9, message.received.router_id, 0)
                self.ups[message.generation] = Up(message.peer, message.local, True, body, body, (179, 40000))
            if isinstance(message, Update):
                self.observers.heard(RawUpdate(message.peer, message.generation, b""))
            effects = handle(message, now)
            self.observers.handled(message)
            for effect in effects:
                if isinstance(effect, Advertise):
                    self.observers.advertised(effect)
            return effects

        cast("Any", self.router).handle = watched

    def notes(self, views: tuple[View, ...] = VIEWS, limit: int = 1 << 30) -> Notes:
        translation = cast("Translation", type("Sessions", (), {"ups": self.ups})())
        made = Notes(views, limit, self.router, translation)
        self.observers.add(made, _failed)
        return made


def _failed(error: Exception) -> None:
    raise error


class Session:
    """A collector's session, whose work is done by `some` steps at a time."""

    def __init__(self, simulation: Watched, views: tuple[View, ...] = VIEWS) -> None:
        self.notes = simulation.notes(views)
        self.feed = Feed(simulation.router, views)
        self.reading = Reading()
        self._take(messages.initiation("router", "routerd"))
        self._take(messages.loc_rib_up(1.7e9, self.feed.loc_rib))
        for up in self.notes.begin():
            self._take(self.feed.up(up))
        self._work = self._all(self.feed.table())

    def _all(self, table: Any) -> Any:
        while True:
            if self.notes:
                yield from self.feed.tell(*self.notes.take())
            elif (part := next(table, None)) is not None:
                yield part
            else:
                return

    def some(self, steps: int) -> bool:
        """Do so many steps; False when there is nothing left."""
        for _ in range(steps):
            part = next(self._work, None)
            if part is None:
                self._work = self._all(iter(()))
                return False
            self._take(part)
        return True

    def _take(self, octets: bytes) -> None:
        while octets:
            version, size, kind = struct.unpack("!BIB", octets[:6])
            assert version == 3
            self.reading.take(kind, octets[6:size])
            octets = octets[size:]


def tables(simulation: Watched) -> dict[tuple[str, str], dict[str, tuple[str, str]]]:
    """Return prefixes and next hops of all RIBs, as the router has them."""
    rib = simulation.router.rib
    bests = ((prefix, rib.loc_rib.decision(paths).best) for prefix, paths in rib.loc_rib.table.items())
    found = {("loc-rib", "loc"): hops((prefix, best.attributes) for prefix, best in bests if best is not None)}
    for address, peer in rib.peers.items():
        if peer.session is None:
            continue
        rib_in, out = peer.adj_rib_in, rib.advertising.adj_ribs_out
        found[address, "post"] = hops((prefix, path.attributes) for prefix, path in rib_in.accepted.items())
        kept = hops((prefix, path.attributes) for prefix, (path, _) in rib_in.rejected.kept.items())
        found[address, "pre"] = found[address, "post"] | kept
        said = [out.again(address, family, out.prefixes(address)) for family in Family]
        found[address, "out"] = hops(
            (p, attributes) for each in said for attributes, some in each.announced for p in some
        )
    return {key: table for key, table in found.items() if table}


def hops(rows: Iterable[tuple[Prefix, Attributes]]) -> dict[str, tuple[str, str]]:
    """Return AS paths and next hops as UPDATEs have them: of IPv6 prefixes these are IPv6 addresses."""
    found: dict[str, tuple[str, str]] = {}
    for prefix, attributes in rows:
        width = len(prefix) - 1
        hop = attributes.next_hop or bytes(width)
        mapped = bytes(10) + b"\xff\xff" + hop if (width, len(hop)) == (16, 4) else hop
        found[format_prefix(prefix)] = format_as_path(attributes.as_path), str(ipaddress.ip_address(mapped))
    return found


def told(reading: Reading) -> dict[tuple[str, str], dict[str, tuple[str, str]]]:
    return {
        key: {p: (path, hop) for p, (path, hop, *_) in table.items()}
        for key, table in reading.tables.items()
        if table
    }


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_a_collector_ends_with_what_the_router_has(seed: int) -> None:
    """Its work is done a few steps at a time, in between of all that happens; it comes at any time."""
    rng, simulation = random.Random(seed), Watched(LEARNED)
    sessions: list[Session] = []
    for _ in range(120):
        peer = rng.choice(PEERS)
        match rng.randrange(12):
            case 0 | 1 if peer not in simulation.sessions:
                simulation.up(peer, graceful=rng.choice([None, preserving()]))
            case 2 if peer in simulation.sessions:
                simulation.down(peer, rng.choice([None, Notification(False, 6, 2), Notification(True, 6, 2)]))
            case 3 if peer in simulation.sessions:
                simulation.end_of_rib(peer)
            case 4 if peer in simulation.sessions:
                simulation.withdraw(peer, *rng.sample(PREFIXES, 3))
            case 5:
                simulation.settle()
            case 6:
                simulation.advance(rng.choice([0.1, 3.0, 70.0]))
            case 7 if rng.random() < 0.2:
                simulation.speaker_dies()
            case 9:
                simulation.take(Reconfigure(rng.choice(OTHERS)))
            case 8 if len(sessions) < 4:
                sessions.append(Session(simulation))
            case _ if peer in simulation.sessions:
                path = sequence(*rng.choices([65001, 65002], k=rng.randint(1, 3)))
                said = simulation.attributes(peer, as_path=path)._replace(origin=rng.choice(list(Origin)))
                simulation.announce(peer, *rng.sample(PREFIXES, 4), attributes=said)
        for session in sessions:
            session.some(rng.randrange(3))
    sessions.append(Session(simulation))
    simulation.settle()
    for session in sessions:
        while session.some(100):
            pass
        assert told(session.reading) == tables(simulation)
        assert session.reading.peers.keys() == {*simulation.sessions, "loc-rib"}


def test_100_000_paths_go_in_slices() -> None:
    simulation = Watched()
    simulation.up(PEERS[0])
    path = Path(PEERS[0], simulation.attributes(PEERS[0]))
    table = [Prefix(b"\x20\xac" + number.to_bytes(3, "big")) for number in range(100_000)]
    simulation.router.rib.loc_rib.announce(path, table)
    session, parts = Session(simulation, ("loc-rib",)), []
    while session.some(1):
        parts.append(sum(session.reading.updates.values()))
    assert len(parts) > len(table) / AT_ONCE
    assert max(after - before for before, after in pairwise(parts)) <= 3
    assert len(session.reading.tables["loc-rib", "loc"]) == len(table) + 1


def test_who_takes_nothing_gets_no_more_notes_than_there_is_room_for() -> None:
    simulation = Watched()
    notes = simulation.notes(limit=10_000)
    simulation.up(PEERS[0])
    for number in range(200):
        assert notes or number == 0
        simulation.announce(PEERS[0], "172.16.0.0/24", attributes=None)
        if notes.full.is_set():
            break
    assert notes.full.is_set()
    assert not notes
    simulation.announce(PEERS[0], "172.16.1.0/24")
    assert not notes


def test_an_observer_that_fails_is_asked_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    simulation, failures = Watched(), list[Exception]()
    notes = simulation.notes(())
    monkeypatch.setattr(notes, "handled", lambda message: 1 / 0)
    simulation.observers.add(notes, failures.append)
    simulation.up(PEERS[0])
    simulation.announce(PEERS[0], "172.16.0.0/24")
    simulation.settle()
    assert [type(each) for each in failures] == [ZeroDivisionError]
    assert simulation.fib()["172.16.0.0/24"] == [PEERS[0]]
    assert not simulation.observers


def test_a_best_path_that_is_another_one_because_it_is_decided_otherwise() -> None:
    simulation = Watched(OTHERS[2])
    for peer, origin in zip(PEERS, (Origin.INCOMPLETE, Origin.IGP), strict=False):
        simulation.up(peer)
        simulation.now += 1
        said = simulation.attributes(peer)._replace(origin=origin)
        simulation.announce(peer, "172.16.0.0/24", attributes=said)
    session = Session(simulation)
    while session.some(100):
        pass
    assert told(session.reading)["loc-rib", "loc"]["172.16.0.0/24"] == ("65001", PEERS[0])
    simulation.take(Reconfigure(OTHERS[0]))
    simulation.settle()
    while session.some(100):
        pass
    assert told(session.reading)["loc-rib", "loc"]["172.16.0.0/24"] == ("65001", PEERS[1])


def test_times_are_of_what_happened_not_of_when_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 7854 section 4.2; zero where nobody knows."""
    simulation = Watched()
    simulation.up(PEERS[0])
    begun = simulation.now
    simulation.now += 1000
    simulation.announce(PEERS[0], "172.16.0.0/24")
    announced = simulation.now
    simulation.end_of_rib(PEERS[0])
    clock = {"time": 1.8e9, "monotonic": announced + 5000}
    for name in ("time", "monotonic"):
        monkeypatch.setattr(f"time.{name}", lambda name=name: clock[name])
    session = Session(simulation)
    session.some(1000)
    times = session.reading.times
    up, route = (1.8e9 + each - clock["monotonic"] for each in (begun, announced))
    assert times[PEERS[0], "pre"][:2] == [up, route]
    assert times[PEERS[0], "post"][0] == route
    assert route in times["loc-rib", "loc"]
    assert 0 in times[PEERS[0], "out"]
    simulation.withdraw(PEERS[0], "172.16.0.0/24")
    clock["time"] += 100
    session.some(1000)
    assert times[PEERS[0], "pre"][-1] == times[PEERS[0], "post"][-1] == 1.8e9
    simulation.announce(PEERS[0], "172.16.0.0/24")
    clock["time"] = 0.0  # a clock that lost its battery, or was set back: all was before its time
    session = Session(simulation)
    session.some(1000)
    assert set(session.reading.times[PEERS[0], "post"]) == {0}


def test_a_prefix_that_comes_later_with_attributes_of_others_has_a_time_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Paths are shared by all prefixes of the same attributes, and are as old as the first of them; and a best path
    was installed when it was decided (RFC 9069 section 5.1), however long it had been known."""
    simulation = Watched()
    clock = 1.8e9
    monkeypatch.setattr("time.time", lambda: clock)
    monkeypatch.setattr("time.monotonic", lambda: simulation.now)
    for peer in PEERS[:2]:
        simulation.up(peer)
        simulation.announce(peer, "172.16.0.0/24")
        simulation.settle()
    session = Session(simulation)
    session.some(1000)
    for happens, prefix in ((simulation.announce, "172.16.1.0/24"), (simulation.withdraw, "172.16.0.0/24")):
        clock += 1000
        simulation.now += 1000
        happens(PEERS[0], prefix)
        simulation.settle()
        session.some(1000)
        times = session.reading.times
        assert [times[key][-1] for key in ((PEERS[0], "pre"), (PEERS[0], "post"), ("loc-rib", "loc"))] == [clock] * 3
    assert told(session.reading)["loc-rib", "loc"]["172.16.0.0/24"] == ("65001", PEERS[1])


def test_no_session_begins_after_what_was_said_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Peer Up has the time of the session (RFC 7854 section 4.2), of one that was there before to the second."""
    simulation = Watched()
    session = Session(simulation)
    monkeypatch.setattr("time.time", lambda: 1.8e9 + simulation.now)
    monkeypatch.setattr("time.monotonic", lambda: simulation.now)
    simulation.now = 1000.75
    simulation.up(PEERS[0])
    simulation.announce(PEERS[0], "172.16.0.0/24")
    session.some(1000)
    assert session.reading.times[PEERS[0], "pre"][:2] == [1.8e9 + 1000.75] * 2
    late = Session(simulation)
    late.some(1000)
    assert late.reading.times[PEERS[0], "pre"][:2] == [1.8e9 + 1000] * 2


def test_no_route_is_older_than_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither one that graceful restart has kept, and that was announced again, nor one of the second in which the
    session began, while the table is told."""
    simulation = Watched()
    monkeypatch.setattr("time.time", lambda: 1.8e9 + simulation.now)
    monkeypatch.setattr("time.monotonic", lambda: simulation.now)
    simulation.now = 1000.0
    simulation.up(PEERS[0], graceful=preserving())
    simulation.announce(PEERS[0], "172.16.0.0/24", "192.0.2.0/24")
    simulation.down(PEERS[0])
    simulation.now = 1010.75
    session = Session(simulation)
    simulation.up(PEERS[0], graceful=preserving())
    simulation.announce(PEERS[0], "172.16.0.0/24", "192.0.2.0/24")
    simulation.end_of_rib(PEERS[0])
    for each, begun in ((session, 1.8e9 + 1010.75), (Session(simulation), 1.8e9 + 1010)):
        each.some(1000)
        times = [*each.reading.times[PEERS[0], "pre"], *each.reading.times[PEERS[0], "post"]]
        assert len(each.reading.tables[PEERS[0], "pre"]) == 2
        assert (times[0], min(times)) == (begun, begun)


def test_the_open_of_the_loc_rib_says_that_its_messages_may_be_long() -> None:
    """RFC 9069 section 5.2: it has all capabilities that its messages need (RFC 8654)."""
    simulation = Watched()
    simulation.up(PEERS[0])
    many = simulation.attributes(PEERS[0])._replace(communities=tuple(range(2000)))
    simulation.announce(PEERS[0], "172.16.0.0/24", attributes=many)
    session = Session(simulation)
    session.some(1000)
    assert len(session.reading.tables["loc-rib", "loc"]["172.16.0.0/24"][3]) == 2000
    assert b"\6\0" in session.reading.opens["loc-rib"][0]


def test_the_bound_of_what_waits_counts_attributes() -> None:
    """As they take memory: a thousand communities a message take a hundred times what its prefix takes."""
    simulation = Watched()
    simulation.up(PEERS[0])
    notes = simulation.notes(("pre-policy", "adj-rib-out"), limit=1 << 20)
    one = simulation.attributes(PEERS[0])
    many = one._replace(communities=tuple(range(1000)))
    for _ in range((1 << 20) // weight(many)):
        assert not notes.full.is_set()
        simulation.announce(PEERS[0], "172.16.0.0/24", attributes=many)
    simulation.announce(PEERS[0], "172.16.0.0/24", attributes=many)
    assert notes.full.is_set()
    notes = simulation.notes(("adj-rib-out",), limit=weight(many))
    notes.advertised(Advertise(PEERS[0], announced=((many, ()),)))
    assert notes.full.is_set()


def test_a_session_that_takes_the_place_of_another_one_comes_after_its_end() -> None:
    simulation = Watched()
    simulation.up(PEERS[0])
    simulation.announce(PEERS[0], "172.16.0.0/24")
    session = Session(simulation)
    session.some(100)
    simulation.up(PEERS[0])
    while session.some(100):
        pass
    assert [(name, reason) for name, reason, _ in session.reading.downs] == [(PEERS[0], 2)]
    assert told(session.reading) == tables(simulation)
