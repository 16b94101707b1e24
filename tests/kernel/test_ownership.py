"""What routerd owns in the kernel is told by protocol, metric and the range of ids; all else is never touched."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator

import pytest

from routerd.config.model import FibSection
from routerd.core.message import (
    DeleteNexthop,
    DeleteRoutes,
    Member,
    SetGroup,
    SetNexthop,
    SetRoutes,
    WriteFailed,
)
from routerd.core.route import parse_prefix
from routerd.kernel.audit import compare
from routerd.kernel.bulk import Bulk
from routerd.kernel.dump import dump
from routerd.kernel.flush import flush
from routerd.kernel.writer import KernelWriter
from tests.kernel.scenario import gateway, many, prefixes
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root

OWN = FibSection()
BASE = OWN.ids[0]
SPARE = OWN.spare_ids
VIP = prefixes("172.16.0.1/32")


@pytest.fixture
def writer(router: Namespace) -> Iterator[KernelWriter]:
    """A writer with the range of ids that is the default."""
    with router.enter():
        made = KernelWriter(OWN)
        yield made
        made.close()


def like_zebra(router: Namespace) -> None:
    """What zebra writes: nexthops of its own protocol and small ids, routes of protocol bgp and metric 20."""
    router.ip("nexthop", "add", "id", "14", "via", "10.0.0.9", "dev", "eth0", "proto", "zebra")
    router.ip("nexthop", "add", "id", "15", "group", "14", "proto", "zebra")
    router.ip("nexthop", "add", "id", "16", "via", "fd00::9", "dev", "eth0", "proto", "bgp")
    for prefix, way in (("default", "nhid 15"), ("172.31.0.1", "nhid 15"), ("172.31.0.2", "via 10.0.0.9")):
        router.ip("route", "add", prefix, *way.split(), "proto", "bgp", "metric", "20")
    for prefix, way in (("default", "nhid 16"), ("2001:db8::1", "nhid 16"), ("2001:db8::2", "via fd00::9")):
        router.ip("-6", "route", "add", prefix, *way.split(), "proto", "bgp", "metric", "20")


def state(router: Namespace) -> tuple[str, str, str]:
    return router.ip("nexthop"), router.ip("route"), router.ip("-6", "route")


def node(writer: KernelWriter, *, group: int = BASE + 1) -> None:
    """Write a nexthop object, and a group of it."""
    assert writer.write([SetNexthop(BASE, gateway("10.0.0.2")), SetGroup(group, (Member(BASE),))]) == []


def refusals(told: object) -> list[tuple[object, int]]:
    assert isinstance(told, list)
    return [(each.operation, each.errno) for each in told if isinstance(each, WriteFailed)]


def test_what_zebra_writes_is_foreign(router: Namespace, writer: KernelWriter) -> None:
    like_zebra(router)
    before = state(router)
    found = dump(OWN)
    assert found.routes == {}
    assert (found.foreign_bgp.routes, found.foreign_bgp.nexthops) == (6, 1)
    assert compare({}, {}, found).unknown == {}
    writer.adopt(found)
    everything = tuple(parse_prefix(text) for text in ("0.0.0.0/0", "172.31.0.1/32", "172.31.0.2/32", "::/0"))
    assert writer.write([DeleteRoutes(everything), *map(DeleteNexthop, (14, 15, 16))]) == []
    node(writer)
    assert len(writer.write([SetRoutes(BASE + 1, everything)])) == len(everything)
    assert flush(OWN) == []
    assert state(router) == before


def test_a_foreign_route_in_the_place_of_ours_is_neither_deleted_nor_taken_over(
    router: Namespace, writer: KernelWriter
) -> None:
    like_zebra(router)
    vips = prefixes("172.16.0.1/32", "172.16.0.2/32", "2001:db8:1::1/128", "2001:db8:1::2/128")
    writer.write([SetNexthop(BASE + 2, gateway("fd00::2")), SetGroup(BASE + 3, (Member(BASE + 2),))])
    node(writer)
    assert writer.write([SetRoutes(BASE + 1, vips[:2]), SetRoutes(BASE + 3, vips[2:])]) == []
    for prefix, way in (("172.16.0.1", "nhid 15"), ("172.16.0.2", "via 10.0.0.9")):
        router.ip("route", "replace", prefix, *way.split(), "proto", "bgp", "metric", "20")
    for prefix, way in (("2001:db8:1::1", "nhid 16"), ("2001:db8:1::2", "via fd00::9")):
        router.ip("-6", "route", "del", prefix)
        router.ip("-6", "route", "add", prefix, *way.split(), "proto", "bgp", "metric", "20")
    before = state(router)
    # Nobody has told the writer, which takes these routes for its own.
    assert writer.write([DeleteRoutes(vips)]) == []
    assert state(router) == before
    writer.write([SetRoutes(BASE + 1, vips[:2])])
    assert state(router) == before
    audit = compare(dict.fromkeys(vips[:2], BASE + 1), {}, dump(OWN))
    assert (audit.missing, audit.wrong, audit.unknown) == (vips[:2], {}, {})


def test_after_the_audit_a_foreign_route_is_not_replaced(router: Namespace, writer: KernelWriter) -> None:
    node(writer)
    assert writer.write([SetRoutes(BASE + 1, VIP)]) == []
    router.ip("route", "replace", "172.16.0.1", "via", "10.0.0.9", "proto", "bgp", "metric", "20")
    before = state(router)
    writer.routes.begin_audit()
    writer.routes.adopt(dump(OWN).routes)
    assert refusals(writer.write([SetRoutes(BASE + 1, VIP)])) == [(SetRoutes(BASE + 1, VIP), errno.EEXIST)]
    assert state(router) == before


def test_no_group_has_a_foreign_member_and_no_route_leads_to_a_foreign_id(
    router: Namespace, writer: KernelWriter
) -> None:
    router.ip("nexthop", "add", "id", str(BASE), "via", "10.0.0.9", "dev", "eth0", "proto", "zebra")
    router.ip("nexthop", "add", "id", str(BASE + 5), "group", str(BASE), "proto", "zebra")
    before = state(router)
    operations = [
        SetNexthop(BASE, gateway("10.0.0.2")),
        SetGroup(BASE + 1, (Member(BASE),)),
        SetRoutes(BASE + 1, VIP),
        SetGroup(BASE + 5, (Member(BASE),)),
        SetRoutes(BASE + 5, VIP),
    ]
    wanted = [errno.EEXIST, errno.EINVAL, errno.ENOENT, errno.EINVAL, errno.ENOENT]
    found = refusals(writer.write(operations))
    assert sorted(found, key=lambda each: operations.index(each[0])) == list(zip(operations, wanted, strict=True))
    bulk = Bulk(writer.routes, writer.groups, lambda: None)
    bulk.start([SetRoutes(BASE + 5, many(10))])
    bulk.wait()
    assert len(bulk.finish()) == 10
    bulk.close()
    assert state(router) == before


def test_a_group_is_not_continued_under_a_foreign_id(router: Namespace, writer: KernelWriter) -> None:
    both = (Member(BASE), Member(BASE + 1))
    writer.write([SetNexthop(BASE, gateway("10.0.0.2")), SetNexthop(BASE + 1, gateway("10.0.1.2", "eth1"))])
    source = SetGroup(BASE + 2, both, buckets=64, idle_timer=60.0)
    assert writer.write([source, SetRoutes(BASE + 2, VIP)]) == []
    time.sleep(0.1)  # longer than the writer takes for the time in which the kernel made the group
    for port in range(100):
        router.run("ip", "route", "get", "172.16.0.1", "ipproto", "tcp", "sport", str(1000 + port))
    router.ip("nexthop", "add", "id", str(BASE + 3), "blackhole", "proto", "static")
    foreign = SetGroup(BASE + 3, both[:1], buckets=64, idle_timer=60.0, like=BASE + 2)
    assert refusals(writer.write([foreign])) == [(foreign, errno.EEXIST)]
    assert f"id {BASE + 3} blackhole proto static" in router.ip("nexthop")
    # The stand-in's id is somebody else's: there are others.
    router.ip("nexthop", "add", "id", str(SPARE[-1]), "blackhole", "proto", "static")
    assert writer.write([SetGroup(BASE + 4, both[:1], buckets=64, idle_timer=60.0, like=BASE + 2)]) == []
    assert writer.buckets.took_over(BASE + 4)
    shown = router.ip("nexthop")
    assert f"id {SPARE[-1]} blackhole proto static" in shown
    assert f"id {SPARE[-2]} " not in shown


def test_what_a_crash_left_is_removed_and_what_others_have_there_is_left(router: Namespace) -> None:
    router.ip("nexthop", "add", "id", str(SPARE[0]), "blackhole", "proto", "static")
    router.ip("nexthop", "add", "id", str(SPARE[1]), "blackhole", "proto", "bgp")
    router.ip("nexthop", "add", "id", str(SPARE[2]), "group", str(SPARE[1]), "proto", "bgp")
    router.ip("nexthop", "add", "id", str(SPARE[-1]), "via", "10.0.0.2", "dev", "eth0", "proto", "bgp")
    with router.enter():
        writer = KernelWriter(OWN)
        writer.close()
    assert writer.supports_resilient
    assert [entry["id"] for entry in router.ip_json("nexthop")] == [SPARE[0]]


def test_a_range_whose_spare_ids_are_all_foreign_is_refused(router: Namespace) -> None:
    for id in SPARE:
        router.ip("nexthop", "add", "id", str(id), "blackhole", "proto", "static")
    with router.enter(), pytest.raises(OSError, match="nexthop_id_base"):
        KernelWriter(OWN)


def test_another_range_is_foreign(router: Namespace, writer: KernelWriter) -> None:
    other = FibSection(nexthop_id_base=500_000_000)
    node(writer)
    assert writer.write([SetRoutes(BASE + 1, VIP)]) == []
    before = state(router)
    found = dump(other)
    assert (found.routes, found.foreign_bgp.routes, found.foreign_bgp.nexthops) == ({}, 1, 2)
    assert flush(other) == []
    assert state(router) == before
    assert flush(OWN) == []
    assert router.ip("nexthop") == ""
