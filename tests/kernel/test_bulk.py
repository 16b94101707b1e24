"""Routes that a thread writes, on the real kernel: all arrive, whose they are stays known, and nobody waits."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator

import pytest

from routerd.core.message import DeleteNexthop, DeleteRoutes, Member, SetGroup, SetNexthop, SetRoutes
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
        self.bulk = Bulk(writer.routes, self.woken.release)


@pytest.fixture
def watched(writer: KernelWriter) -> Iterator[Watched]:
    nexthops = [SetNexthop(number, gateway(f"10.0.0.{number + 1}")) for number in (1, 2)]
    assert writer.write([*nexthops, SetGroup(5, (Member(1), Member(2))), SetGroup(6, (Member(1),))]) == []
    made = Watched(writer)
    yield made
    made.bulk.close()


def test_all_is_written_and_the_caller_is_woken(watched: Watched) -> None:
    bulk = watched.bulk
    bulk.start(SetRoutes(5, ROUTES[:10_000]))
    bulk.start(SetRoutes(6, ROUTES[10_000:]))
    for _ in range(AT_ONCE):
        assert watched.woken.acquire(timeout=30)
    assert bulk.done
    assert bulk.finish() + bulk.finish() == []
    assert dump(FIB).routes == dict.fromkeys(ROUTES[:10_000], 5) | dict.fromkeys(ROUTES[10_000:], 6)

    bulk.start(SetRoutes(6, ROUTES[:5]))  # known as ours: replaced
    bulk.start(DeleteRoutes(ROUTES[5:]))
    bulk.wait()
    assert bulk.finish() + bulk.finish() == []
    assert dump(FIB).routes == dict.fromkeys(ROUTES[:5], 6)


def test_what_is_somebody_elses_stays_so(watched: Watched, router: Namespace) -> None:
    bulk = watched.bulk
    router.ip("route", "add", "172.16.0.7/32", "dev", "eth0", "metric", str(METRIC))
    bulk.start(SetRoutes(5, ROUTES[:1000]))
    again = SetRoutes(6, ROUTES[7:9])
    assert not bulk.takes(again)  # until it is known whose these routes are
    assert bulk.takes(SetRoutes(6, ROUTES[1000:]))
    assert not bulk.takes(SetGroup(5, (Member(1),)))
    [refused] = bulk.finish()
    assert (refused.operation, refused.errno) == (SetRoutes(5, ROUTES[7:8]), errno.EEXIST)
    assert bulk.takes(again)
    bulk.start(again)
    [refused] = bulk.finish()
    assert refused.operation == SetRoutes(6, ROUTES[7:8])
    assert "172.16.0.7 dev eth0" in router.run("ip", "route", "show", "172.16.0.7")


def test_no_more_than_a_few_operations_are_begun(watched: Watched) -> None:
    for number in range(AT_ONCE):
        assert watched.bulk.takes(SetRoutes(5, ROUTES[number : number + 1]))
        watched.bulk.start(SetRoutes(5, ROUTES[number : number + 1]))
    assert not watched.bulk.takes(SetRoutes(5, ROUTES[9:]))
    watched.bulk.finish()
    assert watched.bulk.takes(SetRoutes(5, ROUTES[9:]))


def test_failover_does_not_wait_and_routes_of_a_lost_group_are_refused(
    watched: Watched, writer: KernelWriter
) -> None:
    watched.bulk.start(SetRoutes(6, ROUTES))
    assert writer.write([DeleteNexthop(1)]) == []  # the only member of group 6
    overtaken = not watched.bulk.done
    refused = watched.bulk.finish()
    assert overtaken, "20,000 routes were written in less time than one deletion took"
    assert 0 < len(refused) <= len(ROUTES)
    assert {failed.errno for failed in refused} == {errno.ENOENT}
    assert dump(FIB).routes == {}
