"""The story that `routerd lab --pair` tells: a router dies, and no connection breaks."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from routerd.lab.connections import Connections, Held
from routerd.lab.gateway import hand_over
from routerd.lab.laboratory import Laboratory
from routerd.lab.pairing import killed, layout, switched_on, wait_for_agreement
from routerd.lab.story import Show, Step, unharmed
from routerd.lab.topology import PAIR, Router
from routerd.lab.traffic import steady_requests
from routerd.lab.waiting import LabError, until

_OPEN = 150
"""Connections to each of the two VIPs."""
_JOINS, _LEAVES = "k8s-w2", "k8s-w1"
_A, _B = PAIR


def _start(lab: Laboratory, show: Show) -> str:
    for router in PAIR:
        switched_on(lab, router)
    hand_over(lab.fabric, _A.name)
    return f"{_A.name} and {_B.name} answer on their sockets; {_A.name} has the gateway's addresses"


def _boot(lab: Laboratory, show: Show) -> str:
    names = _names(lab, _JOINS)
    for name in names:
        lab.boot(name)
    lab.wait_for_sessions(names, 30)
    _wait_for_nodes(lab, names)
    lab.wait_for_balance(30)
    wait_for_agreement(lab, 30)
    return f"each of {len(names)} nodes speaks with both routers, and all buckets lead alike on both"


def _connect(lab: Laboratory, show: Show) -> str:
    for vip in lab.topology.vips:
        lab.clients[vip] = Connections(lab.fabric.client, vip, _OPEN)
    held = _held(lab)
    table = Table("node", *lab.topology.vips, title=f"{_OPEN} connections that stay open, to each VIP")
    for name in _names(lab, _JOINS):
        table.add_row(name, *(str(each["alive"].get(name, 0)) for each in held.values()))
    show(table)
    return _living(held)


def _joins(lab: Laboratory, show: Show) -> str:
    names = _names(lab)

    def idle() -> str:
        counts = [layout(lab, _B, vip).count(_gateway(lab, _JOINS, vip)) for vip in lab.topology.vips]
        return "" if all(counts) else f"it has {counts} buckets"

    with steady_requests(lab.fabric.client, lab.topology.vips[0]) as finish:
        lab.boot(_JOINS)
        _wait_for_nodes(lab, names)
        until(idle, 30, f"{_JOINS} gets buckets")
        wait_for_agreement(lab, 30)
        tally = finish()
    return f"it gets buckets that no flow is in, the same ones on both; {unharmed(tally)}; {_living(_held(lab))}"


def _leaves(lab: Laboratory, show: Show) -> str:
    """A node dies: its own connections are lost, and only they."""
    lab.lose(_LEAVES)
    session = lab.speakers[_LEAVES].session
    _wait_for_nodes(lab, _names(lab, _LEAVES), session.hold_time + session.restart_time + 6)
    took = wait_for_agreement(lab, 30)
    with steady_requests(lab.fabric.client, lab.topology.vips[0]) as finish:
        held = _held(lab)
        tally = finish()
    if any(set(each["broken"]) - {_LEAVES} for each in held.values()):
        raise LabError(f"connections to other nodes broke: {held}")
    lost = sum(each["broken"].get(_LEAVES, 0) for each in held.values())
    return f"its {lost} connections go with it, no other; agreed after {took:.1f} s; {unharmed(tally)}"


def _dies(lab: Laboratory, show: Show) -> str:
    return _moved(lab, _A, _B)


def _returns(lab: Laboratory, show: Show) -> str:
    names = _names(lab, _LEAVES)
    switched_on(lab, _A)
    lab.wait_for_sessions(names, 60)
    _wait_for_nodes(lab, names)
    took = wait_for_agreement(lab, 30)
    return f"sessions are back, and {took:.1f} s later it leads every flow as {_B.name} does"


def _back(lab: Laboratory, show: Show) -> str:
    return _moved(lab, _B, _A)


def _moved(lab: Laboratory, dying: Router, taking: Router) -> str:
    """A router dies while requests are made; the other one becomes the gateway."""
    before = {vip: held["alive"] for vip, held in _held(lab).items()}
    with steady_requests(lab.fabric.client, lab.topology.vips[0]) as finish:
        killed(lab, dying)
        hand_over(lab.fabric, taking.name)
        held = _held(lab)
        tally = finish()
    if before != {vip: each["alive"] for vip, each in held.items()}:
        raise LabError(f"connections broke: {held}")
    return f"{taking.name} carries on: {_living(held)}, 0 broke; meanwhile {unharmed(tally)}"


def _status(lab: Laboratory, show: Show) -> str:
    show(Text(lab.daemons[_A.name].screen().rstrip(), style="cyan"))
    return f"{_A.name} says what it knows of {_B.name}"


def _names(lab: Laboratory, *without: str) -> list[str]:
    return [node.name for node in lab.topology.nodes if node.name not in without]


def _gateway(lab: Laboratory, name: str, vip: str) -> str:
    return lab.speakers[name].session.next_hop(vip)


def _wait_for_nodes(lab: Laboratory, names: list[str], timeout: float = 30.0) -> None:
    """Wait until these nodes are the next hops of both VIPs, on every router that runs."""
    for router in PAIR:
        if lab.daemons[router.name].runs:
            for vip in lab.topology.vips:
                lab.wait_for_next_hops(vip, names, timeout, router.name)


def _held(lab: Laboratory) -> dict[str, Held]:
    return {vip: connections.look() for vip, connections in lab.clients.items()}


def _living(held: dict[str, Held]) -> str:
    count = sum(sum(each["alive"].values()) for each in held.values())
    if not count:
        raise LabError(f"no connection lives: {held}")
    return f"{count} connections live"


STEPS = (
    Step("Two routers start, each with a hash seed of its own", _start),
    Step("The nodes boot", _boot),
    Step("Connections that stay open", _connect),
    Step(f"{_JOINS} joins", _joins),
    Step(f"{_LEAVES} dies", _leaves),
    Step(f"{_A.name}, which carries all that, is killed", _dies),
    Step(f"{_A.name} boots, with nothing in its kernel", _returns),
    Step(f"{_B.name} is killed", _back),
    Step("routerd status", _status),
)
