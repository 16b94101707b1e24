"""What the core tells of: rejected paths once for each reason, gateways that go out or come back once for all."""

from __future__ import annotations

from tests.support.core import Simulation

A, B = "192.168.10.100", "192.168.10.101"
VIP = "172.16.1.1/32"


def told(simulation: Simulation, name: str) -> list[dict[str, object]]:
    """The fields of all events of a name so far."""
    return [dict(each.fields) for each in simulation.events if each.name == name]


def test_a_rejected_table_is_one_event_and_another_reason_another() -> None:
    simulation = Simulation()
    simulation.up(A)
    simulation.announce(A, "10.99.1.0/24", "10.99.2.0/24")
    simulation.announce(A, "10.99.3.0/24", VIP)
    wanted = {"peer": A, "prefix": "10.99.1.0/24", "prefixes": 2, "reason": "6 not in accept"}
    assert told(simulation, "path rejected") == [wanted]
    simulation.announce(A, "0.0.0.0/0", "10.99.4.0/24")
    assert [each["prefix"] for each in told(simulation, "path rejected")] == ["10.99.1.0/24", "0.0.0.0/0"]


def test_a_reason_that_had_gone_is_told_anew() -> None:
    simulation = Simulation()
    simulation.up(A)
    for _ in range(2):
        simulation.announce(A, "10.99.1.0/24")
        simulation.withdraw(A, "10.99.1.0/24")
    assert len(told(simulation, "path rejected")) == 2


def test_gateways_behind_a_link_go_out_and_come_back_in_one_event_each() -> None:
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, VIP)
        simulation.end_of_rib(node)
    simulation.settle()
    link = simulation.kernel.interfaces[2]
    simulation.kernel.link_down(2)
    simulation.dump()
    (out,) = told(simulation, "gateway out")
    assert (out["gateway"], out["count"], out["interface"]) == (f"{A}, {B}", 2, "nodes10")
    assert out["reason"] in ("its interface is down", "no route leads there")
    assert told(simulation, "gateway back") == []
    simulation.kernel.interfaces[2] = link
    simulation.dump()
    simulation.settle()
    (back,) = told(simulation, "gateway back")
    assert (back["gateway"], back["count"]) == (f"{A}, {B}", 2)
    assert back["was"] in ("its interface is down", "no route leads there")
    levels = [(each.name, each.level) for each in simulation.events if each.name.startswith("gateway")]
    assert levels == [("gateway out", "warning"), ("gateway back", "info")]


def test_a_session_that_ends_is_told_of_by_its_own_event_alone() -> None:
    simulation = Simulation()
    simulation.up(A)
    simulation.announce(A, VIP)
    simulation.settle()
    simulation.down(A)
    simulation.settle()
    assert len(told(simulation, "peer down")) == 1
    assert told(simulation, "gateway out") == []
