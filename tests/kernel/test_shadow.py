"""What the writer adds to a group with a single IPv4 member, and that nobody else sees it."""

from __future__ import annotations

from dataclasses import replace

from routerd.core.message import DeleteNexthop, Member, Operation, SetGroup, SetNexthop, SetRoutes
from routerd.kernel import lookup, messages, wire
from routerd.kernel.dump import dump, objects
from routerd.kernel.flush import flush
from routerd.kernel.shadow import shadow
from routerd.kernel.writer import KernelWriter
from tests.kernel.scenario import FIB, gateway, prefixes
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root

LONE = SetGroup(10, (Member(1),), buckets=128, idle_timer=60.0)
BOTH = SetGroup(10, (Member(1), Member(2)), buckets=128, idle_timer=60.0)
VIP = prefixes("172.16.1.1/32")


def write(writer: KernelWriter, *operations: Operation) -> None:
    nexthops = [SetNexthop(1, gateway("10.0.0.2")), SetNexthop(2, gateway("10.0.1.2", "eth1"))]
    assert writer.write([*nexthops, *operations]) == []


def legs(group: int = 10) -> list[tuple[int, int]]:
    """Return ids and weights of a group in the kernel."""
    found = messages.decode(wire.query(messages.get_nexthop(group)))
    return [(member.id, member.weight) for member in found.get_attr("NHA_GROUP")]


def ids(router: Namespace) -> list[int]:
    return sorted(entry["id"] for entry in router.ip_json("nexthop"))


def test_a_lone_member_has_a_shadow_that_holds_no_bucket(router: Namespace, writer: KernelWriter) -> None:
    write(writer, LONE, SetRoutes(10, VIP))
    assert legs() == [(shadow(1), 1), (1, 65535)]
    listed = router.ip_json("nexthop", "bucket", "show", "id", "10")
    assert {entry["bucket"]["nhid"] for entry in listed} == {1}

    found = dump(FIB)
    assert [nexthop.id for nexthop in found.nexthops] == [1, 2]
    assert [group.members for group in found.groups] == [(Member(1),)]
    found_route = lookup.route(VIP[0])
    assert found_route is not None
    assert [leg.nexthop for leg in found_route.legs] == [1]

    # Another group has it as well: it goes with the last one.
    writer.write([replace(LONE, id=11), BOTH])
    assert legs() == [(1, 1), (2, 1)]
    assert ids(router) == [1, 2, 10, 11, shadow(1)]
    writer.write([DeleteNexthop(11)])
    assert ids(router) == [1, 2, 10]


def test_it_goes_with_its_member_and_the_route_too(router: Namespace, writer: KernelWriter) -> None:
    write(writer, LONE, SetRoutes(10, VIP), DeleteNexthop(1))
    assert ids(router) == [2]
    assert dump(FIB).routes == {}


def test_ipv6_and_hash_threshold_groups_need_none(router: Namespace, writer: KernelWriter) -> None:
    write(
        writer,
        SetNexthop(3, gateway("fd00::2")),
        SetGroup(10, (Member(3),), buckets=128, idle_timer=60.0),
        SetGroup(11, (Member(1),)),
    )
    assert (legs(), legs(11)) == ([(3, 1)], [(1, 1)])


def test_a_group_made_like_another_one_has_it_too(router: Namespace, writer: KernelWriter) -> None:
    write(writer, BOTH, SetRoutes(10, VIP))
    for port in range(200):
        router.run("ip", "route", "get", "172.16.1.1", "ipproto", "tcp", "sport", str(1000 + port))
    writer.write([SetGroup(11, (Member(2),), buckets=128, idle_timer=60.0, like=10)])
    assert writer.buckets.took_over(11)
    assert legs(11) == [(shadow(2), 1), (2, 65535)]


def test_a_new_writer_adopts_it(router: Namespace, writer: KernelWriter) -> None:
    write(writer, LONE)
    later = KernelWriter(FIB)
    later.adopt(dump(FIB))
    later.write([BOTH])
    assert ids(router) == [1, 2, 10]
    later.write([LONE])
    assert legs() == [(shadow(1), 1), (1, 65535)]
    later.write([DeleteNexthop(1)])
    later.close()
    assert ids(router) == [2]


def test_flush_leaves_none(router: Namespace, writer: KernelWriter) -> None:
    write(writer, LONE)
    assert flush(FIB) == []
    assert ids(router) == []


def test_its_loss_is_seen_and_mended(router: Namespace, writer: KernelWriter) -> None:
    write(writer, LONE)
    router.ip("nexthop", "delete", "id", str(shadow(1)))
    (group,) = objects().groups
    assert group.members != LONE.members
    writer.write([LONE])
    assert legs() == [(shadow(1), 1), (1, 65535)]


def test_an_object_of_somebody_else_under_its_id_stays(router: Namespace, writer: KernelWriter) -> None:
    router.ip("nexthop", "add", "id", str(shadow(1)), "via", "10.0.0.9", "dev", "eth0", "proto", "zebra")
    write(writer, LONE, SetRoutes(10, VIP))
    assert legs() == [(1, 1)]
    writer.write([DeleteNexthop(1)])
    assert ids(router) == [2, shadow(1)]
