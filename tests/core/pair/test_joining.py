"""A router that comes up empty leaves traffic to its partner until it has what that has."""

from __future__ import annotations

from routerd.api.views.problems.pair import Host, problems
from routerd.core.drains import JOINING
from routerd.core.message import DrainSelf
from tests.core.pair.test_pair import NODES, VIP, carry, serve
from tests.support.pairs import BUCKETS, IDLE, Half, Two
from tests.support.slices import whole


def is_asking_for_less(half: Half) -> bool:
    """Tell whether all that peers are told carries GRACEFUL_SHUTDOWN."""
    return half.router.rib.advertising.adj_ribs_out.draining


def events(half: Half, name: str) -> list[object]:
    found = [event for event in half.events if event.name == name]
    assert all(event.level == ("info" if event.fields["agrees"] else "warning") for event in found)
    return [event.fields["agrees"] for event in found]


def test_a_router_that_is_back_empty_asks_for_traffic_once_it_leads_flows_where_the_partner_does() -> None:
    two = Two()
    serve(two, *NODES[:2])
    carry(two.b, *range(BUCKETS))
    two.advance(IDLE)
    serve(two, NODES[2])  # which gets no bucket: the layout has a history
    two.a.forget()
    two.restart(two.a, empty=True)
    assert is_asking_for_less(two.a)
    assert not is_asking_for_less(two.b)
    two.connect()
    two.advance(5.0)
    assert is_asking_for_less(two.a)
    found = whole(problems(two.a.router, two.a.pair, "b", {}, two.a.now, host=Host()))
    assert any("tells peers to prefer b" in each["what"] for each in found)
    serve(two, *NODES[:3])
    two.advance(5.0)
    assert two.a.layout(VIP) == two.b.layout(VIP)
    assert not is_asking_for_less(two.a)
    assert events(two.a, "joined its pair") == [True]


def test_one_whose_kernel_has_forwarded_all_the_time_goes_on() -> None:
    two = Two()
    serve(two, *NODES[:2])
    two.restart(two.a)
    assert not is_asking_for_less(two.a)


def test_a_partner_that_is_not_heard_is_not_waited_for_for_ever() -> None:
    two = Two(connected=False)
    two.advance(JOINING - 1)
    assert is_asking_for_less(two.a)
    two.advance(1)
    assert not is_asking_for_less(two.a)
    assert events(two.a, "joined its pair") == [False]


def test_the_operator_s_drain_outlives_it() -> None:
    two = Two(connected=False)
    two.a.take(DrainSelf(True, "somebody", 1.0))
    two.connect()
    two.advance(1.0)
    assert not is_asking_for_less(two.b)
    assert is_asking_for_less(two.a)
    two.a.take(DrainSelf(False))
    assert not is_asking_for_less(two.a)
