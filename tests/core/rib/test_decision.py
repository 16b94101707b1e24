"""The decision process: a row a step, in the numbers of docs/decision-process.md."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.core.message import Gateway
from routerd.core.rib.decision import GRACEFUL_SHUTDOWN, Options, Step, decide
from routerd.core.rib.ways import Resolution
from routerd.core.route import LOCAL, Attributes, Origin, Path, parse_address
from tests.support.core import sequence

NOWHERE = parse_address("192.0.2.1")


def path(peer: str = "10.0.0.1", **changes: object) -> Path:
    """Return a path; `since`, `router_id` and `external` are the path's, all else are attributes."""
    own = {name: changes.pop(name) for name in ("since", "external") if name in changes}
    router_id = parse_address(str(changes.pop("router_id", "1.1.1.1")))
    next_hop = parse_address("10.9.9.9" if peer == LOCAL else peer)
    attributes = {"next_hop": next_hop, "as_path": sequence(65001), **changes}
    return Path(peer, Attributes(**attributes), router_id=router_id, **own)  # type: ignore[arg-type]


def resolve(candidate: Path) -> Resolution | None:
    """Everything is on the link, but NOWHERE; a next hop that ends in .200 is 10 further away."""
    next_hop = candidate.attributes.next_hop
    if next_hop == NOWHERE:
        return None
    return Resolution((Gateway(next_hop, 2),), 10 if next_hop[-1] == 200 else 0)


ROWS = [
    (Step.UNUSABLE, {}, {"next_hop": NOWHERE}),
    (Step.LOCAL_PREFERENCE, {"local_pref": 200}, {}),
    (Step.LOCAL_PREFERENCE, {}, {"local_pref": 99}),
    (Step.LOCAL_ORIGIN, {"peer": LOCAL, "as_path": ()}, {}),
    (Step.AS_PATH_LENGTH, {}, {"as_path": sequence(65001, 65002)}),
    (Step.ORIGIN, {}, {"origin": Origin.INCOMPLETE}),
    (Step.MED, {}, {"med": 5}),
    (Step.MED, {"med": 4}, {"med": 5}),
    (Step.EXTERNAL, {}, {"external": False}),
    (Step.IGP_METRIC, {}, {"peer": "10.0.0.200"}),
]
TIES = [
    (Step.OLDEST, {"since": 1.0}, {"since": 2.0, "router_id": "0.0.0.1"}),
    (Step.ROUTER_ID, {}, {"router_id": "1.1.1.2"}),
    (Step.ROUTER_ID, {"originator_id": parse_address("1.0.0.0")}, {}),
    (Step.CLUSTER_LIST, {}, {"cluster_list": (parse_address("3.3.3.3"),)}),
    (Step.PEER_ADDRESS, {}, {}),
]


@pytest.mark.parametrize(("step", "winner", "loser"), ROWS)
def test_a_step_that_takes_a_path_out(step: Step, winner: dict[str, object], loser: dict[str, object]) -> None:
    good, bad = path(**{"peer": "10.0.0.1", **winner}), path(**{"peer": "10.0.0.2", **loser})  # type: ignore[arg-type]
    for order in ((good, bad), (bad, good)):
        decision = decide(order, Options(), resolve)
        assert decision.best is good
        assert decision.multipath == (good,)
        assert decision.lost == {bad: step}


@pytest.mark.parametrize(("step", "winner", "loser"), TIES)
def test_a_step_that_only_breaks_the_tie(step: Step, winner: dict[str, object], loser: dict[str, object]) -> None:
    good, second = path("10.0.0.1", **winner), path("10.0.0.2", **loser)
    for order in ((good, second), (second, good)):
        decision = decide(order, Options(), resolve)
        assert decision.best is good
        assert decision.multipath == (good, second)
        assert decision.lost == {second: step}


def test_the_local_path_has_no_members() -> None:
    decision = decide([path(LOCAL, as_path=()), path()], Options(), resolve)
    assert decision.members == ()


def test_nothing_usable() -> None:
    lonely = path(next_hop=NOWHERE)
    decision = decide([lonely], Options(), resolve)
    assert decision.best is None
    assert decision.lost == {lonely: Step.UNUSABLE}


def test_med_is_compared_within_a_neighbour_as_only() -> None:
    a1, a2 = path("10.0.0.1", med=10), path("10.0.0.2", med=20)
    b = path("10.0.0.3", med=30, as_path=sequence(65002))
    assert decide([a1, a2, b], Options(), resolve).multipath == (a1, b)
    always = decide([a1, a2, b], Options(always_compare_med=True), resolve)
    assert always.multipath == (a1,)
    assert always.lost == {a2: Step.MED, b: Step.MED}


def test_ignore_origin() -> None:
    a, b = path("10.0.0.1"), path("10.0.0.2", origin=Origin.INCOMPLETE)
    assert len(decide([a, b], Options(ignore_origin=True), resolve).multipath) == 2


def test_without_relax_the_as_paths_must_be_the_same() -> None:
    a, b = path("10.0.0.1"), path("10.0.0.2", as_path=sequence(65002))
    decision = decide([a, b], Options(multipath_relax=False), resolve)
    assert decision.multipath == (a,)
    assert decision.lost == {b: Step.AS_PATH_CONTENT}


def test_max_paths_keeps_the_best_ranked() -> None:
    paths = [path(f"10.0.0.{i}") for i in range(1, 6)]
    decision = decide(reversed(paths), Options(max_paths=3), resolve)
    assert list(decision.multipath) == paths[:3]
    assert [decision.lost[p] for p in paths[3:]] == [Step.MAX_PATHS] * 2


def test_two_peers_with_one_next_hop_are_one_member() -> None:
    a, b = path("10.0.0.1"), path("10.0.0.2", next_hop=parse_address("10.0.0.1"))
    decision = decide([a, b], Options(), resolve)
    assert len(decision.multipath) == 2
    assert decision.members == (Gateway(parse_address("10.0.0.1"), 2),)


@pytest.mark.parametrize(
    ("leaving", "drained"), [((), ()), (("10.0.0.1",), ("10.0.0.1",)), (("10.0.0.1", "10.0.0.2"), ())]
)
def test_who_says_that_it_will_go_is_drained_unless_all_do(
    leaving: tuple[str, ...], drained: tuple[str, ...]
) -> None:
    """RFC 8326."""
    paths = [
        path(peer, communities=(GRACEFUL_SHUTDOWN,) if peer in leaving else ()) for peer in ("10.0.0.1", "10.0.0.2")
    ]
    wanted = decide(paths, Options(), resolve).wanted
    assert wanted.leaving == {Gateway(parse_address(peer), 2) for peer in drained}
    assert len(wanted.members) == 2


candidates = st.lists(
    st.builds(
        lambda number, med, length, origin, preference, since: path(
            f"10.0.0.{number}",
            med=med,
            as_path=sequence(*range(65001, 65001 + length)),
            origin=origin,
            local_pref=preference,
            since=since,
        ),
        st.integers(1, 250),
        st.sampled_from([None, 0, 5]),
        st.integers(0, 3),
        st.sampled_from(Origin),
        st.sampled_from([None, 100, 200]),
        st.floats(0, 2),
    ),
    unique_by=lambda candidate: candidate.peer,
    max_size=6,
)


@given(candidates)
def test_every_path_wins_or_says_where_it_lost_and_order_does_not_matter(paths: list[Path]) -> None:
    decision = decide(paths, Options(max_paths=3), resolve)
    assert set(decision.lost) == {p for p in paths if p is not decision.best}
    assert (decision.best is None) == (not paths)
    assert len(decision.members) <= 3
    for order in itertools.islice(itertools.permutations(paths), 24):
        assert decide(order, Options(max_paths=3), resolve) == decision


@given(candidates)
def test_a_losing_path_can_leave_without_changing_the_winners(paths: list[Path]) -> None:
    decision = decide(paths, Options(), resolve)
    # MED is the known exception of RFC 4271: it may make paths win that another path's MED held down.
    losers = [p for p, step in decision.lost.items() if p not in decision.multipath and step is not Step.MED]
    if losers:
        rest = decide([p for p in paths if p is not losers[0]], Options(), resolve)
        assert rest.best is decision.best
        assert rest.multipath == decision.multipath


def test_the_gateways_of_one_next_hop_are_in_order_and_each_is_there_once() -> None:
    """As where it is reached by a route with several legs, whatever their order."""
    first, second = Gateway(parse_address("10.0.0.7"), 2), Gateway(parse_address("10.0.0.8"), 2)
    for gateways in ((second, first), (first, second, first)):
        found = decide([path()], Options(), lambda _, legs=gateways: Resolution(legs, 0))
        assert found.wanted.members == (first, second)
