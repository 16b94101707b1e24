"""Buckets that no flow uses are handed to other members, exactly, and no flow breaks: the kernel is asked itself."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from routerd.core.message import Arrange, DeleteNexthop, Gateway, Member, SetGroup, SetNexthop, SetRoutes, WriteFailed
from routerd.core.message.flow import Flow
from routerd.core.route import parse_address
from routerd.kernel import flow, lookup
from routerd.kernel.memory import runs_of
from routerd.kernel.writer import KernelWriter
from tests.kernel.scenario import gateway, prefixes
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root

NODES = {4: "10.0.0.{}", 6: "fd00::{}"}
VIPS = {4: "172.16.0.1", 6: "fd00:ac10::1"}
CLIENTS = {4: "10.0.1.9", 6: "fd01::9"}


class Traffic:
    """Packets of flows, told apart by their source port: the kernel is asked which way, and counts that as one."""

    def __init__(self, family: int) -> None:
        self._source, self._destination = parse_address(CLIENTS[family]), parse_address(VIPS[family])
        self._index = socket.if_nametoindex("eth1")

    def send(self, port: int) -> Gateway:
        """Send a packet; return where it goes."""
        asked = Flow(self._source, self._destination, port, 80, 6)
        return flow._leg(flow._ask(asked, self._index, 0))


@pytest.fixture(params=[4, 6])
def family(request: pytest.FixtureRequest, router: Namespace) -> int:
    router.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
    router.sysctl(net__ipv4__fib_multipath_hash_policy=1, net__ipv6__fib_multipath_hash_policy=1)
    return int(request.param)


def made(writer: KernelWriter, family: int, buckets: int = 128, members: int = 3) -> tuple[SetGroup, Traffic]:
    """Make a group with a route, which flows may use."""
    ids = range(1, members + 1)
    group = SetGroup(100, tuple(map(Member, ids)), buckets=buckets, idle_timer=60.0)
    nexthops = [SetNexthop(id, gateway(NODES[family].format(id + 1))) for id in ids]
    length = 32 if family == 4 else 128
    assert writer.write([*nexthops, group, SetRoutes(100, prefixes(f"{VIPS[family]}/{length}"))]) == []
    return group, Traffic(family)


def shuffled(group: SetGroup, seed: int) -> list[int]:
    """Return a layout that has nothing to do with what is there."""
    chosen = random.Random(seed)
    return [chosen.choice(group.members).id for _ in range(group.buckets)]


def arrange(writer: KernelWriter, layout: list[int]) -> None:
    assert writer.write([Arrange(100, tuple(runs_of(layout)))]) == []


def used(writer: KernelWriter) -> set[int]:
    return {index for index, _, _ in writer.buckets.flows(100, 60.0)}


def test_idle_buckets_go_where_they_are_wanted_and_no_flow_moves(
    router: Namespace, writer: KernelWriter, family: int
) -> None:
    group, traffic = made(writer, family)
    time.sleep(0.05)  # what is used within 30 ms of when its group was made counts as never used
    before = {port: traffic.send(port) for port in range(1000, 1060)}
    busy, was = used(writer), lookup.owners(100)
    assert 20 < len(busy) < 100
    for seed in range(3):
        wanted = shuffled(group, seed)
        arrange(writer, wanted)
        assert lookup.owners(100) == [was[i] if i in busy else wanted[i] for i in range(128)]
        assert used(writer) == busy
    assert {port: traffic.send(port) for port in before} == before
    assert [entry["id"] for entry in router.ip_json("nexthop", "show")] == [1, 2, 3, 100]


@contextmanager
def beginning(router: Namespace, traffic: Traffic) -> Iterator[dict[int, Gateway]]:
    """Have flows begin all the time, one packet each, as fast as one thread can; return where each went."""
    began: dict[int, Gateway] = {}
    over = threading.Event()

    def begin() -> None:
        with router.enter():
            port = 2000
            while not over.is_set() and port < 65000:
                began[port] = traffic.send(port)
                port += 1

    thread = threading.Thread(target=begin)
    thread.start()
    try:
        yield began
    finally:
        over.set()
        thread.join()


def test_flows_that_begin_meanwhile_stay_where_they_are(router: Namespace, writer: KernelWriter, family: int) -> None:
    group, traffic = made(writer, family, buckets=1024)
    wanted = shuffled(group, 1)
    with beginning(router, traffic) as began:
        first = time.monotonic()
        arrange(writer, wanted)
        took = time.monotonic() - first
    found, busy = lookup.owners(100), used(writer)
    moved = {port: where for port, where in began.items() if traffic.send(port) != where}
    wrong = sum(owner != want for index, (owner, want) in enumerate(zip(found, wanted)) if index not in busy)
    print(f"{family}: {took * 1000:.1f} ms, {len(began)} flows began, {len(moved)} moved; {len(busy)} busy, {wrong} wrong")
    assert len(began) > 10
    assert not moved
