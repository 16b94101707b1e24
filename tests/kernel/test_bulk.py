"""Routes and new groups that a thread writes, on the real kernel: all arrive, whose they are stays known."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator

import pytest

from routerd.core.message import (
    DeleteNexthop,
    DeleteRoutes,
    Member,
    SetGroup,
    SetNexthop,
    SetRoutes,
    WriteFailed,
)
from routerd.kernel.backlog import MANY_GROUPS, Backlog
from routerd.kernel.bulk import AT_ONCE, Bulk
from routerd.kernel.dump import dump
from routerd.kernel.writer import KernelWriter
from tests.kernel.scenario import FIB, METRIC, gateway, many
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root

ROUTES = many(20_000)


class Watched:
    """A bulk of the writer; `woken` is released once an operation."""

    def __init__(self, writer: KernelWriter) -> None:
        self.woken = threading.Semaphore(0)
        self.bulk = Bulk(writer.routes, writer.groups, self.woken.release)


@pytest.fixture
def watched(writer: KernelWriter) -> Iterator[Watched]:
    nexthops = [SetNexthop(number, gateway(f"10.0.0.{number + 1}")) for number in (1, 2)]
    assert writer.write([*nexthops, SetGroup(5, (Member(1), Member(2))), SetGroup(6, (Member(1),))]) == []
    made = Watched(writer)
    yield made
    made.bulk.close()


def test_all_is_written_and_the_caller_is_woken(watched: Watched) -> None:
    bulk = watched.bulk
    bulk.start([SetRoutes(5, ROUTES[:10_000])])
    bulk.start([SetRoutes(6, ROUTES[10_000:])])
    for _ in range(AT_ONCE):
        assert watched.woken.acquire(timeout=30)
    assert bulk.done
    assert bulk.finish() + bulk.finish() == []
    assert dump(FIB).routes == dict.fromkeys(ROUTES[:10_000], 5) | dict.fromkeys(ROUTES[10_000:], 6)

    bulk.start([SetRoutes(6, ROUTES[:5])])  # known as ours: replaced
    bulk.start([DeleteRoutes(ROUTES[5:])])
    bulk.wait()
    assert bulk.finish() + bulk.finish() == []
    assert dump(FIB).routes == dict.fromkeys(ROUTES[:5], 6)


def test_what_is_somebody_elses_stays_so(watched: Watched, router: Namespace) -> None:
    bulk = watched.bulk
    router.ip("route", "add", "172.16.0.7/32", "dev", "eth0", "metric", str(METRIC))
    bulk.start([SetRoutes(5, ROUTES[:1000])])
    again = SetRoutes(6, ROUTES[7:9])
    assert not bulk.takes(again)  # until it is known whose these routes are
    assert bulk.takes(SetRoutes(6, ROUTES[1000:]))
    assert not bulk.takes(SetGroup(5, (Member(1),)))
    [refused] = bulk.finish()
    assert (refused.operation, refused.errno) == (SetRoutes(5, ROUTES[7:8]), errno.EEXIST)
    assert bulk.takes(again)
    bulk.start([again])
    [refused] = bulk.finish()
    assert refused.operation == SetRoutes(6, ROUTES[7:8])
    assert "172.16.0.7 dev eth0" in router.run("ip", "route", "show", "172.16.0.7")


def test_no_more_than_a_few_operations_are_begun(watched: Watched) -> None:
    for number in range(AT_ONCE):
        assert watched.bulk.takes(SetRoutes(5, ROUTES[number : number + 1]))
        watched.bulk.start([SetRoutes(5, ROUTES[number : number + 1])])
    assert not watched.bulk.takes(SetRoutes(5, ROUTES[9:]))
    watched.bulk.finish()
    assert watched.bulk.takes(SetRoutes(5, ROUTES[9:]))


def test_failover_does_not_wait_and_routes_of_a_lost_group_are_refused(
    watched: Watched, writer: KernelWriter
) -> None:
    watched.bulk.start([SetRoutes(6, ROUTES)])
    assert writer.write([DeleteNexthop(1)]) == []  # the only member of group 6
    overtaken = not watched.bulk.done
    refused = watched.bulk.finish()
    assert overtaken, "20,000 routes were written in less time than one deletion took"
    assert 0 < len(refused) <= len(ROUTES)
    assert {failed.errno for failed in refused} == {errno.ENOENT}
    assert dump(FIB).routes == {}


def groups_of(ids: range, *members: int) -> list[SetGroup]:
    return [SetGroup(id, tuple(map(Member, members)), 64, 120.0) for id in ids]


def routes_to(ids: range) -> list[SetRoutes]:
    return [SetRoutes(id, (prefix,)) for id, prefix in zip(ids, ROUTES, strict=False)]


IDS = range(100, 400)


def test_new_groups_and_their_routes_are_written(watched: Watched, writer: KernelWriter) -> None:
    bulk, groups, routes = watched.bulk, groups_of(IDS, 1, 2), routes_to(IDS)
    assert all(map(bulk.makes, groups))
    bulk.start([*groups, *routes])
    assert not bulk.takes(SetRoutes(IDS[7], ROUTES[-1:]))  # the kernel may refuse that group
    assert not bulk.takes(groups[7])
    assert not bulk.takes(SetRoutes(5, ROUTES[:1]))
    assert not bulk.takes(DeleteNexthop(IDS[0]))
    assert bulk.takes(SetRoutes(5, ROUTES[-1:]))
    assert bulk.takes(groups_of(range(500, 501), 1)[0])
    assert watched.woken.acquire(timeout=30)
    assert bulk.finish() == []
    found = dump(FIB)
    assert {group.id: group.buckets for group in found.groups if group.id in IDS} == dict.fromkeys(IDS, 64)
    assert found.routes == dict(zip(ROUTES, IDS, strict=False))
    # They are ours, and what they lead to is known.
    assert writer.memory.counts(IDS[0]) == {gateway("10.0.0.2"): 32, gateway("10.0.0.3"): 32}
    assert not bulk.makes(groups[0])
    assert writer.write([SetGroup(IDS[0], (Member(2),), 64, 120.0, known=True), DeleteNexthop(IDS[1])]) == []


def test_no_route_leads_to_a_group_of_somebody_else(
    watched: Watched, writer: KernelWriter, router: Namespace
) -> None:
    bulk, groups, routes = watched.bulk, groups_of(IDS, 1, 2), routes_to(IDS)
    router.ip("nexthop", "add", "id", str(IDS[3]), "blackhole")
    bulk.start([*groups, *routes])
    refused = bulk.finish()
    assert [(type(failed), failed.operation) for failed in refused] == [
        (WriteFailed, groups[3]),
        (WriteFailed, routes[3]),
    ]
    others = dict(zip(ROUTES, IDS, strict=False))
    del others[ROUTES[3]]
    assert dump(FIB).routes == others
    assert "blackhole" in router.run("ip", "nexthop", "show", "id", str(IDS[3]))
    assert not bulk.makes(SetGroup(600, (Member(IDS[3]),)))  # nor is somebody else's a member


def test_a_node_that_is_lost_meanwhile_leaves_all_groups_to_the_others(
    watched: Watched, writer: KernelWriter
) -> None:
    backlog = Backlog(writer.write, lambda _: False, watched.bulk)
    ids = range(1000, 3000)
    backlog.add([*groups_of(ids, 1, 2), *routes_to(ids)])
    told: list[object] = [*backlog.write(0.0)]
    assert not watched.bulk.takes(SetRoutes(ids[0], ROUTES[-1:]))  # it is being made
    told += backlog.jump([DeleteNexthop(1)])
    while backlog.length:
        watched.bulk.wait()
        told += backlog.write(1.0)
    assert told == []
    found = dump(FIB)
    assert {group.id: group.members for group in found.groups if group.id in ids} == dict.fromkeys(ids, (Member(2),))
    assert found.routes == dict(zip(ROUTES, ids, strict=False))


def test_a_route_that_is_being_written_is_not_taken_for_somebody_elses(
    watched: Watched, writer: KernelWriter
) -> None:
    """Its prefix goes on to a group of its own before it is known whose the route is."""
    backlog = Backlog(writer.write, lambda _: False, watched.bulk)
    ids = range(1000, 1040)
    backlog.add([SetRoutes(5, ROUTES[:1000]), *groups_of(ids, 1), *routes_to(ids)])
    told: list[object] = []
    while backlog.length:
        told += backlog.write(1.0)
        watched.bulk.wait()
    assert told == []
    assert dump(FIB).routes == dict.fromkeys(ROUTES[:1000], 5) | dict(zip(ROUTES, ids, strict=False))


def test_groups_that_are_more_than_one_send_may_have(watched: Watched, writer: KernelWriter) -> None:
    """A thousand nodes and `max_paths` to match: eight thousand octets a group."""
    members = range(1000, 2100)
    nexthops = [SetNexthop(id, gateway(f"fd00::{id:x}")) for id in members]
    assert writer.write(nexthops) == []
    groups = [SetGroup(id, tuple(map(Member, members))) for id in range(3000, 3000 + MANY_GROUPS)]
    watched.bulk.start(groups[1:])
    assert watched.bulk.finish() == []
    assert writer.write(groups) == []  # one of them is new
    made = {group.id: len(group.members) for group in dump(FIB).groups if group.id >= 3000}
    assert made == dict.fromkeys(range(3000, 3000 + MANY_GROUPS), len(members))
