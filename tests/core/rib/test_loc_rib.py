"""The Loc-RIB: interned path sets, against a model that keeps every prefix apart."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.core.message import Gateway
from routerd.core.rib import loc_rib
from routerd.core.rib.decision import GRACEFUL_SHUTDOWN, Decision, Options, Step, decide, joined
from routerd.core.rib.loc_rib import LocRib, PathSet
from routerd.core.rib.ways import Resolution
from routerd.core.route import LOCAL, Attributes, Path, Prefix, parse_address, parse_prefix
from tests.support.core import sequence

PEERS = [f"10.0.0.{i}" for i in range(1, 5)]
PREFIXES = [parse_prefix(f"172.16.0.{i}/32") for i in range(6)]
PATHS = {
    (peer, med): Path(peer, Attributes(next_hop=parse_address(peer), med=med)) for peer in PEERS for med in (None, 1)
}


def deciding(paths: PathSet) -> Decision:
    def resolve(path: Path) -> Resolution:
        return Resolution((Gateway(path.attributes.next_hop, 2),), 0)

    return decide(paths.paths, Options(), resolve, paths.incumbent, paths.seated)


def test_prefixes_with_the_same_paths_share_one_set() -> None:
    rib = LocRib(deciding)
    for peer in PEERS:
        rib.announce(PATHS[peer, None], PREFIXES)
    sets = {rib.paths_of(prefix) for prefix in PREFIXES}
    assert len(sets) == 1
    assert sets.pop().users == len(PREFIXES)
    assert len(list(rib.sets())) == 1


def test_changes_come_grouped() -> None:
    rib = LocRib(deciding)
    [(old, new, moved)] = rib.announce(PATHS[PEERS[0], None], PREFIXES)
    assert old is rib.empty
    assert moved == PREFIXES
    assert new is rib.paths_of(PREFIXES[0])
    assert rib.announce(PATHS[PEERS[0], None], PREFIXES) == []
    assert rib.withdraw(PEERS[1], PREFIXES) == []


def test_the_best_so_far_stays_when_another_would_win_the_mere_tie() -> None:
    rib = LocRib(deciding)
    first, second = PATHS[PEERS[0], None], PATHS[PEERS[1], None]  # the first one wins at step 11
    rib.announce(first, PREFIXES[:2])
    rib.announce(second, PREFIXES[:2])
    together = rib.paths_of(PREFIXES[0])
    assert rib.decision(together).best is first
    rib.withdraw(first.peer, PREFIXES[:1])
    rib.announce(first, PREFIXES[:1])
    after = rib.paths_of(PREFIXES[0])
    assert rib.decision(after).best is second
    assert rib.decision(after).lost == {first: Step.OLDEST}
    assert rib.decision(after).multipath == (second, first)
    assert rib.paths_of(PREFIXES[1]) is together, "a prefix that did not flap has its best path still"
    assert rib.withdraw(PEERS[2], PREFIXES[:2]) == [], "nor do peers without a path change anything"
    assert rib.announce(first, PREFIXES[:1]) == []


def test_sets_do_not_differ_by_a_best_path_that_wins_anyway() -> None:
    rib = LocRib(deciding)
    for peer in PEERS:
        rib.announce(PATHS[peer, None], PREFIXES[:1])
    for peer in (PEERS[0], *reversed(PEERS[1:])):
        rib.announce(PATHS[peer, None], PREFIXES[1:2])
    assert rib.paths_of(PREFIXES[0]) is rib.paths_of(PREFIXES[1])


@pytest.mark.parametrize("seed", range(30))
def test_who_was_there_stays(seed: int) -> None:
    """The best path so far is the incumbent where it would lose the mere tie, and who was in the multipath set is
    seated where somebody of these would have no place; and what is decided from the decision before one more path
    came is what all paths come to."""
    chance = random.Random(seed)
    options = Options(max_paths=chance.choice([1, 2, 3, 64]), multipath_relax=chance.random() < 0.7)
    peers, prefix = [f"10.0.0.{number}" for number in range(1, 8)], PREFIXES[0]
    ways = {peer: _way(peer, chance) for peer in peers}
    as_paths = {peer: sequence(65000 + int(chance.random() < 0.3)) for peer in (LOCAL, *peers)}
    shutdown, bandwidth = (GRACEFUL_SHUTDOWN,), (bytes.fromhex("4004fde84b000000"),)
    from_before = [0, 0]

    def joining(before: Decision, path: Path) -> Decision | None:
        after = joined(before, path, options, lambda path: ways[path.peer])
        from_before[after is None] += 1
        return after

    def deciding(paths: PathSet, *before: Any) -> Decision:
        incumbent, seated = before or (paths.incumbent, paths.seated)
        return decide(paths.paths, options, lambda path: ways[path.peer], incumbent, seated)

    rib = LocRib(deciding, joining)
    for _ in range(200):
        peer, claims, since = chance.choice(peers), chance.random() < 0.3, chance.choice([1.0, 2.0, 3.0])
        before, old = rib.paths_of(prefix), rib.decision(rib.paths_of(prefix))
        if LOCAL in (path.peer for path in before.paths) or chance.random() < 0.05:
            peer = LOCAL
        if comes := chance.random() < 0.6:
            hop, med = parse_address("10.0.0.99"), chance.choice([0, 0, 0, 1])
            says: dict[str, Any] = {"communities": shutdown} if chance.random() < 0.1 else {}
            says |= {"extended_communities": bandwidth} if chance.random() < 0.1 else {}
            said = Attributes(as_path=as_paths[peer], next_hop=hop, med=med, **says)
            rib.announce(Path(peer, said, since), [prefix], claims=claims)
        else:
            rib.withdraw(peer, [prefix])
        paths = rib.paths_of(prefix)
        if not paths.paths or paths is before:
            continue
        anew = deciding(paths)
        assert (rib.decision(paths), [*rib.decision(paths).lost]) == (anew, [*anew.lost])
        alone = deciding(paths, None, frozenset())
        stays = old.best is not None and alone.lost.get(old.best, Step.UNUSABLE) >= Step.OLDEST
        assert paths.incumbent == (old.best if stays else None)
        there, without = ({path.peer for path in some} for some in (old.multipath, _without_place(alone)))
        keeps = there & without and not (comes and claims)
        assert paths.seated == (there.intersection(path.peer for path in paths.paths) if keeps else frozenset())
    assert all(from_before), from_before


def _way(peer: str, chance: random.Random) -> Resolution | None:
    """Some lead to two gateways, of which one is another peer's too, some go a long way, and some nowhere."""
    gateways = [parse_address(peer), *([parse_address("10.0.0.100")] if chance.random() < 0.2 else [])]
    way = Resolution(tuple(Gateway(address, 2) for address in gateways), int(chance.random() < 0.2))
    return way if chance.random() < 0.95 else None


def _without_place(decision: Decision) -> list[Path]:
    return [path for path, step in decision.lost.items() if step is Step.MAX_PATHS]


def test_what_only_one_prefix_could_do_again_is_not_remembered() -> None:
    rib = LocRib(deciding)
    for peer in PEERS:
        rib.announce(PATHS[peer, None], PREFIXES[:1])
    assert [old for old, _ in rib._steps] == [rib.empty]


def test_what_is_remembered_is_bounded_and_dies_with_its_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loc_rib, "_STEPS_LIMIT", 1 << 20)
    rib, octets = LocRib(deciding), []
    for number in range(2000):
        attributes = Attributes(next_hop=parse_address(PEERS[0]), communities=tuple(range(number, number + 900)))
        paths = Path(PEERS[0], attributes)
        rib.announce(paths, PREFIXES[:1])
        rib.withdraw(PEERS[0], PREFIXES[:1])
        octets.append(rib._steps.octets)
    assert max(octets) <= 1 << 20
    assert (rib.users, rib.hops, list(rib.sets())) == ({}, {}, [])


steps = st.lists(
    st.tuples(
        st.sampled_from(PEERS),
        st.sampled_from([None, 1, "withdraw"]),
        st.lists(st.sampled_from(PREFIXES), min_size=1),
    ),
    max_size=40,
)


@given(steps)
def test_it_equals_a_plain_model(actions: list[tuple[str, int | str | None, list[Prefix]]]) -> None:
    rib = LocRib(deciding)
    model: dict[Prefix, dict[str, Path]] = {}
    for peer, what, prefixes in actions:
        if what == "withdraw":
            rib.withdraw(peer, prefixes)
        else:
            rib.announce(PATHS[peer, what], prefixes)  # type: ignore[index]
        for prefix in prefixes:
            if what == "withdraw":
                model.get(prefix, {}).pop(peer, None)
            else:
                model.setdefault(prefix, {})[peer] = PATHS[peer, what]  # type: ignore[index]
    wanted = {prefix: frozenset(paths.values()) for prefix, paths in model.items() if paths}
    assert {prefix: frozenset(paths.paths) for prefix, paths in rib.table.items()} == wanted
    assert {paths: paths.users for paths in rib.sets()} == Counter(rib.table.values())
    assert rib.empty.users == 0
    identities = {(frozenset(paths.paths), paths.incumbent) for paths in rib.sets()}
    assert len(identities) == len(list(rib.sets()))
    users = Counter(path for paths in wanted.values() for path in paths)
    assert rib.users == users
    assert rib.hops == {path.peer: {(path.attributes.next_hop, None): _prefixes(users, path.peer)} for path in users}


def _prefixes(users: Counter[Path], peer: str) -> int:
    return sum(count for path, count in users.items() if path.peer == peer)


def test_what_decides_differently_after_invalidate_is_noted() -> None:
    dead: set[str] = set()

    def resolving(paths: PathSet) -> Decision:
        alive = lambda p: None if p.peer in dead else Resolution((Gateway(p.attributes.next_hop, 2),), 0)  # noqa: E731
        return decide(paths.paths, Options(), alive, paths.incumbent)

    rib = LocRib(resolving)
    rib.announce(PATHS[PEERS[0], None], PREFIXES[:1])
    rib.announce(PATHS[PEERS[1], None], PREFIXES[1:])
    assert all(rib.decision(paths).best for paths in rib.sets())
    rib.invalidate()
    assert all(rib.decision(paths).best for paths in list(rib.stale))
    assert not rib.untold
    dead.add(PEERS[1])
    rib.invalidate()
    for paths in list(rib.stale):
        rib.decision(paths)
    assert list(rib.untold) == [rib.paths_of(PREFIXES[1])]
    assert rib.decision(rib.paths_of(PREFIXES[1])).best is None


def test_steps_are_not_remembered_when_decisions_may_be_others() -> None:
    dead: set[str] = set()

    def resolving(paths: PathSet) -> Decision:
        alive = lambda p: None if p.peer in dead else Resolution((Gateway(p.attributes.next_hop, 2),), 0)  # noqa: E731
        return decide(paths.paths, Options(), alive, paths.incumbent)

    rib = LocRib(resolving)
    first, second = PATHS[PEERS[0], None], PATHS[PEERS[1], None]  # the first one wins the mere tie
    rib.announce(second, PREFIXES[:2])
    rib.announce(first, PREFIXES[:1])
    assert rib.paths_of(PREFIXES[0]).incumbent is second
    dead.add(second.peer)
    rib.invalidate()
    rib.announce(first, PREFIXES[1:2])
    assert rib.paths_of(PREFIXES[1]).incumbent is None
