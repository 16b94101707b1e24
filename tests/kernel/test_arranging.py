"""Buckets that no flow uses are handed to other members, exactly, and no flow breaks: the kernel is asked itself."""

from __future__ import annotations

import errno
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from routerd.core.layout import rebalanced
from routerd.core.message import (
    Arrange,
    DeleteNexthop,
    Gateway,
    KernelGroup,
    Member,
    SetGroup,
    SetNexthop,
    SetRoutes,
    WriteFailed,
)
from routerd.core.message.flow import Flow
from routerd.core.route import parse_address
from routerd.kernel import flow, lookup
from routerd.kernel.backlog import Backlog
from routerd.kernel.dump import objects
from routerd.kernel.memory import runs_of
from routerd.kernel.messages import NARROW
from routerd.kernel.stand_in import StandIns
from routerd.kernel.writer import KernelWriter
from routerd.lab.waiting import until
from tests.kernel.scenario import during, gateway, prefixes
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
def family(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(autouse=True)
def forwarding(router: Namespace) -> None:
    router.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
    router.sysctl(net__ipv4__fib_multipath_hash_policy=1, net__ipv6__fib_multipath_hash_policy=1)


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
    backlog = Backlog(writer.write, writer.buckets.took_over, unfinished=writer.unfinished)
    backlog.add([Arrange(100, tuple(runs_of(layout)))])
    while backlog.length:
        assert backlog.write(0.001) == []


def weigh(writer: KernelWriter, layout: list[int]) -> None:
    """Have buckets handed over that the kernel picks by itself."""
    assert writer.write([Arrange(100, tuple(runs_of(layout)), by_weight=True)]) == []
    writer.memory.seen(100, lookup.owners(100))


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


def tell_apart() -> None:
    """Let time pass: the kernel counts in 1/100 s, and what it says to be 30 ms apart counts as the same moment."""
    time.sleep(0.1)


@pytest.mark.parametrize("how", ["left", "deleted", "deleted by somebody"])
def test_what_a_member_has_lost_and_nobody_has_used_since_may_go_back_to_it(
    router: Namespace, writer: KernelWriter, family: int, how: str
) -> None:
    """Though it returned before the group was read."""
    group, traffic = made(writer, family)
    was = lookup.owners(100)
    writer.memory.seen(100, was)
    tell_apart()
    if how == "deleted by somebody":
        router.ip("nexthop", "delete", "id", "3")
        writer.adopt_objects(objects())
    elif how == "deleted":
        assert writer.write([DeleteNexthop(3)]) == []
    less = replace(group, members=group.members[:2], hold=True, known=True)
    assert writer.write([less]) == []
    tell_apart()
    began = time.monotonic()
    before = {port: traffic.send(port) for port in range(1000, 1060)}
    busy = {index for index, _, idle in lookup.buckets(100) if idle < time.monotonic() - began + 0.05}
    assert 20 < len(busy) < 100
    tell_apart()
    back = SetNexthop(3, gateway(NODES[family].format(4)))
    assert writer.write([back, replace(less, members=group.members)]) == []
    between = lookup.owners(100)
    writer.memory.seen(100, between)
    assert used(writer) == busy
    arrange(writer, was)
    assert lookup.owners(100) == [between[i] if i in busy else was[i] for i in range(128)]
    assert {port: traffic.send(port) for port in before} == before


def test_flows_that_come_before_one_hears_that_a_gateway_was_lost_are_seen(
    router: Namespace, writer: KernelWriter, family: int
) -> None:
    """Else the partner is told that their buckets are idle, and they are given back to who returns."""
    group, traffic = made(writer, family)
    writer.memory.seen(100, lookup.owners(100))
    router.ip("nexthop", "delete", "id", "3")
    tell_apart()
    began = time.monotonic()
    for port in range(1000, 1030):
        traffic.send(port)
    busy = {index for index, _, idle in lookup.buckets(100) if idle < time.monotonic() - began + 0.05}
    assert 10 < len(busy) < 60
    tell_apart()
    writer.adopt_objects(objects())
    assert writer.write([replace(group, members=group.members[:2], hold=True, known=True)]) == []
    tell_apart()
    writer.memory.seen(100, lookup.owners(100))
    assert used(writer) == busy


@contextmanager
def beginning(router: Namespace, traffic: Traffic) -> Iterator[dict[int, Gateway]]:
    """Have flows begin all the time, a packet each, a thousand a second or so; return where each went."""
    began: dict[int, Gateway] = {}
    lost: list[int] = []
    over = threading.Event()

    def begin() -> None:
        with router.enter():
            for port in range(2000, 60000):
                if over.wait(0.0005):
                    break
                while port not in began:  # as a client does: a packet that was lost used a bucket, too
                    try:
                        began[port] = traffic.send(port)
                    except OSError as error:
                        lost.append(error.errno or 0)

    thread = threading.Thread(target=begin)
    thread.start()
    try:
        yield began
    finally:
        over.set()
        thread.join()
    # While a group is replaced on another CPU the kernel has no way for an IPv6 packet, once in some thousand: in 17
    # of 180 runs of this test, and in none of 100 that were kept on one CPU.
    assert set(lost) <= {errno.ENETUNREACH}
    assert len(lost) <= 1 + len(began) // 50


def test_flows_that_begin_meanwhile_stay_where_they_are(router: Namespace, writer: KernelWriter, family: int) -> None:
    """But for those that the kernel takes for none: their only packet came within the tick in which the bucket was
    handed over, and it is handed over once more because another flow began at that moment. On a busy machine these
    are up to one in twenty, with one stand-in for all buckets one in four."""
    group, traffic = made(writer, family, buckets=512)
    time.sleep(0.05)
    with beginning(router, traffic) as began:
        arrange(writer, shuffled(group, 1))
    moved = [port for port, where in began.items() if traffic.send(port) != where]
    assert began
    assert len(moved) <= max(5, len(began) // 10)
    time.sleep(0.05)  # what is used within 30 ms of when it was handed over counts as never used
    settled = {port: traffic.send(port) for port in began}
    busy, wanted = used(writer), shuffled(group, 2)

    def wrong() -> str:
        """A process that has to wait between two looks takes idle buckets for used: so once more."""
        arrange(writer, wanted)
        found = lookup.owners(100)
        return str([index for index in range(512) if index not in busy and found[index] != wanted[index]] or "")

    until(wrong, 5, "idle buckets are where they are to be")
    assert {port: traffic.send(port) for port in settled} == settled


def test_what_cannot_be_or_is_so_already_changes_nothing(
    router: Namespace, writer: KernelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(writer, 4)
    was = lookup.owners(100)
    with monkeypatch.context() as patch:
        patch.setattr(StandIns, "replace", lambda *_: pytest.fail("something was written"))
        arrange(writer, was)
        arrange(writer, [99] * 128)  # who has left, or was never here
        assert writer.write([Arrange(101, ((1, 128),))]) == []  # a group that is gone
        (told,) = writer.write([Arrange(100, ((1, 64),))])
    assert isinstance(told, WriteFailed)
    assert told.text == "the group has 128 buckets, not 64"


def test_a_member_that_has_left_gets_nothing_and_the_others_what_they_are_to_have(
    router: Namespace, writer: KernelWriter
) -> None:
    group, _ = made(writer, 4)
    wanted = shuffled(group, 1)
    assert writer.write([DeleteNexthop(2)]) == []
    was = lookup.owners(100)
    arrange(writer, wanted)
    assert lookup.owners(100) == [was[i] if wanted[i] == 2 else wanted[i] for i in range(128)]


def test_weights_say_afterwards_what_is_there_whatever_was_before(router: Namespace, writer: KernelWriter) -> None:
    """Two groups of one layout are alike, and lose a member alike: the wanted weights where they fit, else those of
    the buckets that each has."""
    group, _ = made(writer, 4)
    fresh = [(entry.id, entry.weight) for entry in members()]
    assert fresh == [(1, 1), (2, 1), (3, 1)]
    even = lookup.owners(100)
    arrange(writer, [1] * 100 + [2] * 28)
    assert [entry.id for entry in members()] == [3, 2, 1]
    assert writer.write([replace(group, known=True, hold=True)]) == []
    assert lookup.owners(100) == [1] * 100 + [2] * 28
    arrange(writer, even)
    assert [(entry.id, entry.weight) for entry in members()] == fresh
    assert writer.memory.counts(100) == {gateway(f"10.0.0.{2 + i}"): count for i, count in enumerate((43, 42, 43))}


def members() -> tuple[Member, ...]:
    """Return the members of the group as the kernel has them."""
    group = lookup.nexthop(100)
    assert isinstance(group, KernelGroup)
    return group.members


@pytest.mark.parametrize("reading", [1, 2])
def test_a_group_that_somebody_deletes_meanwhile_leaves_nothing_behind(
    router: Namespace, writer: KernelWriter, monkeypatch: pytest.MonkeyPatch, reading: int
) -> None:
    group, _ = made(writer, 4)
    during(reading, monkeypatch, lambda: router.ip("nexthop", "del", "id", "100"))
    assert writer.write([Arrange(100, tuple(runs_of(shuffled(group, 1))))]) == []
    assert [entry["id"] for entry in router.ip_json("nexthop", "show")] == [1, 2, 3]


@pytest.mark.parametrize("reading", [1, 2])
def test_a_link_that_goes_down_meanwhile_is_a_refusal_and_leaves_nothing(
    router: Namespace, writer: KernelWriter, monkeypatch: pytest.MonkeyPatch, reading: int
) -> None:
    group, _ = made(writer, 4)
    during(reading, monkeypatch, lambda: router.ip("link", "set", "eth0", "down"))
    (told,) = writer.write([Arrange(100, tuple(runs_of(shuffled(group, 1))))])
    assert isinstance(told, WriteFailed)
    assert told.errno == errno.EINTR
    assert router.ip_json("nexthop", "show") == []


def continued(writer: KernelWriter) -> tuple[SetGroup, Traffic, dict[int, Gateway]]:
    """Make group 101, which takes over the flows of another one; return that, the traffic, and where flows go."""
    group, traffic = made(writer, 4)
    time.sleep(0.05)  # what is used within 30 ms of when its group was made counts as never used
    before = {port: traffic.send(port) for port in range(1000, 1030)}
    (vip,) = prefixes(f"{VIPS[4]}/32")
    again = replace(group, id=101, like=100)
    assert writer.write([again, SetRoutes(101, (vip,)), DeleteNexthop(100)]) == []
    return group, traffic, before


def test_a_group_that_continues_another_keeps_the_flows_that_the_kernel_has_not_seen(
    router: Namespace, writer: KernelWriter
) -> None:
    group, traffic, before = continued(writer)
    assert writer.write([Arrange(101, tuple(runs_of(shuffled(group, 1))))]) == []
    assert {port: traffic.send(port) for port in before} == before


def test_narrow_weights_are_told_of_where_they_do_not_suffice(
    router: Namespace, writer: KernelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_widest", NARROW)
    group, _ = made(writer, 4)
    arrange(writer, wanted := shuffled(group, 1))
    assert lookup.owners(100) == wanted
    (told,) = writer.write([Arrange(100, ((1, 128),))])
    assert isinstance(told, WriteFailed)
    assert told.text == "too many buckets for weights before Linux 6.12"
    assert lookup.owners(100) == wanted


def test_a_group_with_a_member_of_somebody_else_is_left_as_it_is(router: Namespace, writer: KernelWriter) -> None:
    group, _ = made(writer, 4)
    router.ip("nexthop", "add", "id", "77", "via", "10.0.0.9", "dev", "eth0")
    router.ip("nexthop", "replace", "id", "100", "group", "1/2/3/77", "type", "resilient", "buckets", "128")
    was = lookup.owners(100)
    (told,) = writer.write([Arrange(100, tuple(runs_of(shuffled(group, 1))))])
    assert isinstance(told, WriteFailed)
    assert "77" in told.text
    assert lookup.owners(100) == was


def test_by_weight_the_kernel_picks_the_buckets_that_it_is_foreseen_to_pick(
    router: Namespace, writer: KernelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no stand-in is made for that."""
    group, _ = made(writer, 4, members=5)
    arrange(writer, shuffled(group, 1))
    monkeypatch.delattr(StandIns, "make")
    dice = random.Random(2)
    for _ in range(20):
        counts = Counter(dict.fromkeys(range(1, 6), 0))
        counts.update(dice.choices(dice.sample(range(1, 6), 3), k=128))
        foreseen = rebalanced(lookup.owners(100), [False] * 128, counts)
        weigh(writer, foreseen)
        assert lookup.owners(100) == foreseen
        assert used(writer) == set()
        there = lookup.nexthop(100)
        assert isinstance(there, KernelGroup)
        assert {member.id for member in there.members} == set(range(1, 6))


def test_by_weight_a_flow_that_has_begun_stays_and_another_bucket_goes(
    router: Namespace, writer: KernelWriter, family: int
) -> None:
    _, traffic = made(writer, family)
    time.sleep(0.05)  # what is used within 30 ms of when its group was made counts as never used
    foreseen = rebalanced(lookup.owners(100), [False] * 128, Counter({1: 0, 2: 64, 3: 64}))
    before = {port: traffic.send(port) for port in range(1000, 1010)}
    busy, was = used(writer), lookup.owners(100)
    weigh(writer, foreseen)
    assert {port: traffic.send(port) for port in before} == before
    assert used(writer) == busy
    assert {index for index, owner in enumerate(lookup.owners(100)) if owner == 1} == {i for i in busy if was[i] == 1}


def test_flows_that_the_kernel_has_not_seen_are_not_given_away_by_weight(
    router: Namespace, writer: KernelWriter
) -> None:
    _, traffic, before = continued(writer)
    layout = tuple(runs_of(rebalanced(lookup.owners(101), [False] * 128, Counter({1: 0, 2: 64, 3: 64}))))
    assert writer.write([Arrange(101, layout, by_weight=True)]) == []
    assert {port: traffic.send(port) for port in before} == before
