"""What people see of a pair: never that all is well when flows would break if the other router took over."""

from __future__ import annotations

from typing import Any

import pytest

from routerd.api.views import pair as views
from routerd.api.views.flow import Place
from routerd.api.views.partner import at_partner
from routerd.api.views.problems.pair import WHILE, Host, problems
from routerd.core.route import parse_prefix
from tests.support.core import Simulation
from tests.support.pair import HERE, THERE, FakePair, agreed
from tests.support.pairs import BUCKETS, IDLE, Two
from tests.support.slices import whole

NOBODY = Simulation().router
A, B = "192.168.10.100", "192.168.10.101"
VIP = "172.16.1.1/32"


@pytest.fixture(scope="module")
def two() -> Simulation:
    made = Simulation()
    for node in (A, B):
        made.up(node)
        made.announce(node, VIP)
        made.end_of_rib(node)
    made.settle()
    return made


def seen(two: Simulation, pair: FakePair, *, everything: bool = False) -> Any:
    return whole(views.pair(two.router, pair, "gw2", 100.0, agreed=90.0, whole=everything))


SOUND = Host()


def told(pair: FakePair, states: dict[str, float] | None = None, host: Host = SOUND) -> list[str]:
    since = dict.fromkeys(pair.summary(), 0.0) if states is None else states
    found = whole(problems(NOBODY, pair, "gw2", since, 100.0, host=host))
    assert all(each["where"] == "pair" and each["remedy"] for each in found)
    return [each["what"] for each in found]


# ---------------------------------------------------------------------------------------------------- the view


def test_groups_that_are_equal_are_named_if_one_asks(two: Simulation) -> None:
    id = two.router.fib.routes[parse_prefix(VIP)].id
    pair = FakePair(
        agreed(VIP, id, 1024, 0, 0, 2),
        agreed("10.0.0.1/32", 0, 512, 7, 3, 1, state="differs"),
        agreed("x", 0, state="only there"),
    )
    view, every = seen(two, pair), seen(two, pair, everything=True)
    assert [each["key"] for each in view["first"]] == ["10.0.0.1/32", "x"]
    assert [each["key"] for each in every["first"]] == [VIP, "10.0.0.1/32", "x"]
    assert every["first"][0]["nexthop_id"] == id
    assert (every["first"][0]["prefix"], every["first"][0]["prefixes"]) == (VIP, 1)
    assert view["first"][1]["nexthop_id"] is None
    for each in (view, every):
        assert (each["ok"], each["agreed_seconds"]) == (False, 10.0)
        assert each["groups"] == {"equal": 1, "differs": 1, "only there": 1}
        assert (each["differing"], each["conflicts"], each["off"]) == (7, 3, 3)


def test_of_many_groups_the_first_are_named_and_all_counted(two: Simulation) -> None:
    view = seen(two, FakePair(*(agreed(str(number), 0, state="not told") for number in range(1000))))
    assert (len(view["first"]), view["total"], view["groups"]) == (views.SHOWN, 1000, {"not told": 1000})


def test_a_pair_that_agrees(two: Simulation) -> None:
    view = seen(two, FakePair(agreed(VIP, 1)))
    assert (view["ok"], view["agreed_seconds"], view["leads"], view["total"]) == (True, 0.0, "gw1", 0)
    assert (view["here"]["hash_seed"], view["there"]["router"]) == ("5f0c", "gw2")
    assert seen(two, FakePair(agreed(VIP, 1), leads=False))["leads"] == "gw2"


@pytest.mark.parametrize(
    "changes",
    [
        {"up": False, "reason": "connection refused"},
        {"complete": False},
        {"partner": THERE._replace(seed="0000")},
        {"partner": THERE._replace(policy="l3")},
        {"partner": THERE._replace(kernel="6.18.1")},
        {"hello": HERE._replace(idle_timer=120.0), "partner": THERE._replace(idle_timer=60.0)},
        {"hello": HERE._replace(seed="random"), "partner": THERE._replace(seed="random")},
        {"hello": HERE._replace(seed=""), "partner": THERE._replace(seed="")},
        {"hello": HERE._replace(policy="l4"), "partner": THERE._replace(policy="l4")},
        {"partner": None, "up": False},
    ],
    ids=str,
)
def test_it_is_not_well_as_soon_as_flows_would_break(two: Simulation, changes: dict[str, Any]) -> None:
    pair = FakePair(agreed(VIP, 1), **changes)
    assert not seen(two, pair)["ok"]
    assert len(told(pair)) == 1


# ---------------------------------------------------------------------------------------------------- problems


def test_nothing_is_wrong_with_a_pair_that_agrees() -> None:
    assert told(FakePair(agreed(VIP, 1), partner=THERE._replace(kernel="6.12.99", version="0.2.0"))) == []


def test_why_the_partner_is_not_heard_and_since_when() -> None:
    (what,) = told(FakePair(up=False, since=40.0, reason="connection refused"))
    assert what.startswith("gw2 is not heard, for 60 s: connection refused; groups are as they were agreed last")
    (what,) = told(FakePair(up=False, partner=None, since=40.0, reason="the keys differ"))
    assert what == "gw2 was never heard since this router started, 60 s ago: the keys differ"


def test_what_keeps_two_from_meeting_is_named_the_firewall_included() -> None:
    for known in (None, THERE):
        pair = FakePair(up=False, partner=known, since=40.0, reason="gw2 at 10.255.0.2 port 7179: no answer")
        (found,) = whole(problems(NOBODY, pair, "gw2", {}, 100.0, host=Host()))
        assert all(word in found["remedy"] for word in ("address", "key", "port", "firewalls", "site"))


def test_without_a_key_no_flows_are_blamed_for_the_seed() -> None:
    (what,) = told(FakePair(hello=HERE._replace(seed="random")))
    assert what.startswith("the seed of the hash is made of the key, which this router has never had")


def test_groups_of_one_router_alone_are_a_problem_once_they_stay_so() -> None:
    for state in ("only here", "only there"):
        pair = FakePair(agreed("x", 0, state=state), agreed("y", 0, state=state))
        assert told(pair, {state: 100.0 - WHILE + 1}) == []
        (what,) = told(pair, {state: 100.0 - WHILE - 1})
        assert what.startswith("2 groups are ")
        assert what.endswith("for 11 s")


def test_groups_that_differ_are_one_at_once_and_conflicts_are_counted() -> None:
    pair = FakePair(agreed("x", 1, 1024, 5, 2, 0, state="differs"), agreed("y", 2, 1024, 3, 0, 0, state="differs"))
    differing, conflicts = told(pair, {"differs": 99.0})
    assert differing == "2 groups lead some buckets elsewhere on gw2, 8 buckets in all, for 1 s"
    assert conflicts.startswith("2 buckets carry flows on both routers")
    (what,) = told(FakePair(agreed("x", 1, 1024, 5, 0, 0, state="other nodes")))
    assert what == "1 group leads to other nodes than on gw2, 5 buckets in all, for 100 s"
    (what,) = told(FakePair(agreed("x", 1, state="other nodes")))
    assert what == "1 group leads to other nodes than on gw2, for 100 s"
    (size,) = told(FakePair(agreed("x", 1, state="other size")))
    assert size == "1 group has another number of buckets on gw2, for 100 s"


@pytest.mark.parametrize(
    ("why", "remedy"),
    [
        ("there were flows when it was to be set", "routerd pair --set-seed"),
        ("cannot write it: Read-only file system", "write the same hash_seed in [pair] of both"),
    ],
)
def test_a_seed_that_was_not_set_is_named_with_what_helps(why: str, remedy: str) -> None:
    (found,) = whole(problems(NOBODY, FakePair(agreed(VIP, 1)), "gw2", {}, 0.0, host=Host(unset=why)))
    assert found["what"] == f"the seed of the hash is not the pair's: {why}"
    assert found["remedy"].startswith(remedy)


def test_a_key_that_cannot_be_read_any_more_is_named_before_the_channel_is_lost() -> None:
    host = Host(keyless="/etc/key: Permission denied; let routerd's user read it")
    (what,) = told(FakePair(agreed(VIP, 1)), host=host)
    assert what == f"key_file {host.keyless}"
    (lost,) = told(FakePair(up=False, reason="this router has no key"), host=host)
    assert "this router has no key" in lost


def test_a_certificate_that_has_expired_is_named_before_the_channel_is_lost() -> None:
    host = Host(uncertified="certificate_file: /etc/gw1.pem is not valid by ca_file /etc/ca.pem: it has expired")
    assert told(FakePair(agreed(VIP, 1)), host=host) == [host.uncertified]
    (lost,) = told(FakePair(up=False, reason="this router has no certificate"), host=host)
    assert "this router has no certificate" in lost


def test_nothing_is_said_of_groups_while_nobody_is_heard() -> None:
    assert len(told(FakePair(agreed("x", 1, 1024, 5, 2, 0, state="differs"), up=False, reason="lost"))) == 1


def test_groups_that_the_pair_leaves_out_are_named(two: Simulation) -> None:
    group = two.router.fib.routes[parse_prefix(VIP)]
    buckets, group.buckets = group.buckets, 0
    try:
        found = whole(problems(two.router, FakePair(), "gw2", {}, 0.0, host=SOUND))
        view = seen(two, FakePair())
    finally:
        group.buckets = buckets
    assert not view["ok"], "their flows may go to other nodes"
    assert view["differences"] == [each["what"] for each in found]
    assert [each["what"][:44] for each in found] == ["1 group cannot be compared with gw2: no bucke"[:44]]
    assert whole(problems(two.router, FakePair(), "gw2", {}, 0.0, host=SOUND)) == []


# ---------------------------------------------------------------------------------------------------- a flow


def test_where_a_flow_would_go_by_the_partner(two: Simulation) -> None:
    group = two.router.fib.routes[parse_prefix(VIP)]
    first, second = group.legs

    def asked(bucket: int | None, state: str = "equal", **changes: Any) -> Any:
        pair = FakePair(agreed(VIP, group.id, state=state), **changes)
        pair.there = {(group.id, 1): first, (group.id, 2): second}
        return at_partner(two.router, pair, "gw2", Place(group.id, bucket, first), 100.0)

    same = asked(1)
    assert (same["gateway"], same["peers"], same["same"], same["doubts"]) == (A, [A], True, [])
    assert asked(2, state="differs")["same"] is False
    assert asked(None)["same"] is True
    for unknown in (
        asked(None, "differs"), asked(3, state="differs"), asked(1, "only here"), asked(1, "other size"),
        asked(1, up=False), asked(1, partner=THERE._replace(seed="0000")),
    ):  # fmt: skip
        assert unknown["same"] is None
        assert unknown["doubts"]


# ------------------------------------------------------------------------------------------------ two real ones


def test_of_two_routers_that_lose_each_other_and_meet_again() -> None:
    two = Two()
    for half in two.both:
        for node in (A, B):
            half.up(node)
            half.announce(node, VIP)
            half.end_of_rib(node)
    two.advance(3 * IDLE)

    def shown() -> Any:
        return whole(views.pair(two.a.router, two.a.pair, "b", two.a.now, agreed=None, whole=True))

    first = shown()
    assert (first["groups"], first["first"][0]["prefix"], first["there"]["router"]) == ({"equal": 1}, VIP, "b")
    assert views.state(two.a.pair, "b", two.a.now)["agrees"]
    group = two.a.router.fib.routes[parse_prefix(VIP)]
    for bucket in range(BUCKETS):
        place = Place(group.id, bucket, two.a.gateway(VIP, bucket))
        found = at_partner(two.a.router, two.a.pair, "b", place, two.a.now)
        assert (found["gateway"] in (A, B), found["peers"] == [found["gateway"]]) == (True, True)

    two.disconnect()
    lost = whole(problems(two.a.router, two.a.pair, "b", {}, two.a.now + 60, host=SOUND))
    assert any("b is not heard, for 60 s: connection lost" in each["what"] for each in lost)
    two.b.down(A)
    two.advance(IDLE)
    two.connect()
    two.deliver()
    assert not shown()["ok"]
    assert not views.state(two.a.pair, "b", two.a.now)["agrees"]
    two.b.up(A)
    two.b.announce(A, VIP)
    two.b.end_of_rib(A)
    two.advance(4 * IDLE)
    assert shown()["groups"] == {"equal": 1}
