"""The writer on the real kernel, seen with `ip`."""

import errno
import time
from pathlib import Path

import pytest

from routerd.core.message import (
    DeleteNexthop,
    DeleteRoutes,
    Member,
    Operation,
    SetGroup,
    SetNexthop,
    SetRoutes,
    WriteFailed,
)
from routerd.kernel.dump import dump
from routerd.kernel.messages import narrow
from routerd.kernel.writer import KernelWriter
from routerd.lab.waiting import until
from tests.kernel.scenario import FIB, METRIC, gateway, many, prefixes
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root


def refused(writer: KernelWriter, *operations: Operation) -> list[WriteFailed]:
    """Write, and return what was refused, which is all there is to be told."""
    told = writer.write(operations)
    failures = [each for each in told if isinstance(each, WriteFailed)]
    assert failures == told
    return failures


def two_nodes(writer: KernelWriter) -> None:
    """Nexthops 1 and 2 for IPv4, 3 for IPv6, group 10 of the first two and 11 of the third."""
    failures = writer.write(
        [
            SetNexthop(1, gateway("10.0.0.2")),
            SetNexthop(2, gateway("10.0.1.2", "eth1")),
            SetNexthop(3, gateway("fd00::2")),
            SetGroup(10, (Member(1), Member(2, 3)), buckets=128, idle_timer=2.5, unbalanced_timer=60),
            SetGroup(11, (Member(3),)),
        ]
    )
    assert failures == []


def test_round_trip_as_ip_shows_it(router: Namespace, writer: KernelWriter) -> None:
    two_nodes(writer)
    ipv4, ipv6 = prefixes("172.16.1.1/32", "0.0.0.0/0"), prefixes("2001:db8::/32", "::/0")
    assert writer.write([SetRoutes(10, ipv4), SetRoutes(11, ipv6)]) == []

    nexthops = {entry["id"]: entry for entry in router.ip_json("nexthop")}
    assert nexthops[1] | {"gateway": "10.0.0.2", "dev": "eth0", "protocol": "bgp"} == nexthops[1]
    assert nexthops[3] | {"gateway": "fd00::2", "dev": "eth0", "protocol": "bgp"} == nexthops[3]
    assert nexthops[10]["group"] == [{"id": 1}, {"id": 2, "weight": 3}]
    assert nexthops[10]["type"] == "resilient"
    arguments = nexthops[10]["resilient_args"]
    assert (arguments["buckets"], arguments["idle_timer"], arguments["unbalanced_timer"]) == (128, 2.5, 60)
    for version, nhid, names in (("-4", 10, {"172.16.1.1", "default"}), ("-6", 11, {"2001:db8::/32", "default"})):
        routes = router.ip_json(version, "route", "show", "proto", "bgp")
        assert {route["dst"] for route in routes} == names
        assert {(route["nhid"], route["metric"]) for route in routes} == {(nhid, METRIC)}

    found = dump(FIB)
    assert found.routes == dict.fromkeys(ipv4, 10) | dict.fromkeys(ipv6, 11)

    assert writer.write([DeleteRoutes(ipv4 + ipv6), DeleteNexthop(10), DeleteNexthop(1)]) == []
    found = dump(FIB)
    assert (found.routes, [group.id for group in found.groups]) == ({}, [11])
    assert [nexthop.id for nexthop in found.nexthops] == [2, 3]


def test_deleting_what_is_gone_is_no_refusal(writer: KernelWriter) -> None:
    two_nodes(writer)
    gone: list[Operation] = [
        DeleteRoutes(prefixes("172.16.1.1/32", "2001:db8::/32")),
        DeleteNexthop(1),
        DeleteNexthop(1),
    ]
    assert writer.write(gone) == []


def test_a_group_is_replaced_without_a_route_message(router: Namespace, writer: KernelWriter, tmp_path: Path) -> None:
    """One that listens to the route groups in compat mode is told of every route, so that mode is off here."""
    router.sysctl(net__ipv4__nexthop_compat_mode=0)
    two_nodes(writer)
    writer.write([SetRoutes(10, many(100))])
    said = tmp_path / "monitor"

    def heard(mark: str) -> str:
        router.ip("nexthop", "add", "id", mark, "blackhole", "proto", "static")
        router.ip("nexthop", "del", "id", mark)
        return "" if f"Deleted id {mark} " in said.read_text() else "not yet"

    with said.open("w") as sink, router.spawn("ip", "-o", "monitor", "route", "nexthop", stdout=sink) as monitor:
        try:
            until(lambda: heard("901"), 10, "the monitor listens")
            group = SetGroup(10, (Member(2),), buckets=128, idle_timer=2.5, unbalanced_timer=60)
            assert writer.write([group, DeleteNexthop(1)]) == []
            until(lambda: heard("902"), 10, "the monitor has said all")
        finally:
            monitor.terminate()
    output = said.read_text()
    assert "id 10" in output
    assert "172.16." not in output
    assert dump(FIB).routes == dict.fromkeys(many(100), 10)


def test_foreign_routes_stay(router: Namespace, writer: KernelWriter) -> None:
    two_nodes(writer)
    router.ip("route", "add", "172.16.0.1", "via", "10.0.0.9", "metric", str(METRIC), "proto", "static")
    router.ip("route", "add", "172.16.0.2", "via", "10.0.0.9", "metric", "5", "proto", "bgp")
    router.ip("-6", "route", "add", "2001:db8::/32", "via", "fd00::9", "metric", str(METRIC))
    before = router.ip("route"), router.ip("-6", "route")

    failures = refused(writer, SetRoutes(10, many(4)), SetRoutes(11, prefixes("2001:db8::/32")))
    assert [(failure.operation, failure.errno) for failure in failures] == [
        (SetRoutes(10, prefixes("172.16.0.1/32")), errno.EEXIST),
        (SetRoutes(11, prefixes("2001:db8::/32")), errno.EEXIST),
    ]
    assert "foreign route" in failures[0].text
    # Again, and deleted: what was refused did not become ours.
    assert len(writer.write([SetRoutes(10, many(4))])) == 1
    assert writer.write([DeleteRoutes(many(4) + prefixes("2001:db8::/32"))]) == []
    assert (router.ip("route"), router.ip("-6", "route")) == before


def test_foreign_nexthops_stay(router: Namespace, writer: KernelWriter) -> None:
    router.ip("nexthop", "add", "id", "1", "via", "10.0.0.9", "dev", "eth0")
    before = router.ip("nexthop")
    (failure,) = refused(writer, SetNexthop(1, gateway("10.0.0.2")), DeleteNexthop(1))
    assert failure.errno == errno.EEXIST
    assert "not routerd's" in failure.text
    assert router.ip("nexthop") == before


def test_each_refused_prefix_is_reported(writer: KernelWriter) -> None:
    two_nodes(writer)
    mixed = prefixes("172.16.1.1/32", "2001:db8::1/128", "172.16.1.2/32")
    (failure,) = refused(writer, SetRoutes(10, mixed))
    assert failure.operation == SetRoutes(10, mixed[1:2])
    assert failure.errno == errno.EINVAL
    assert failure.text
    assert set(dump(FIB).routes) == {mixed[0], mixed[2]}


def test_no_refusal_of_a_large_batch_is_lost(writer: KernelWriter) -> None:
    failures = refused(writer, SetRoutes(99, many(20_000)))
    assert [failure.operation.prefixes[0] for failure in failures] == list(many(20_000))  # type: ignore[union-attr]
    assert {(failure.errno, failure.text) for failure in failures} == {
        (errno.ENOENT, "nexthop id 99 is not routerd's: another program has it, or nobody")
    }


def test_refused_nexthops_and_groups(writer: KernelWriter) -> None:
    two_nodes(writer)
    operations: list[Operation] = [
        SetNexthop(20, gateway("192.168.77.1")),
        SetNexthop(21, gateway("2001:db8:77::1")),
        SetGroup(22, (Member(1), Member(1))),
        SetGroup(10, (Member(1),), buckets=64, idle_timer=2.5),
        SetGroup(23, (Member(1),)),
    ]
    failures = refused(writer, *operations)
    assert [(failure.operation, failure.errno) for failure in failures] == [
        (operations[0], errno.ENETUNREACH),
        (operations[1], errno.EHOSTUNREACH),
        (operations[2], errno.EINVAL),
        (operations[3], errno.EINVAL),
    ]


@pytest.mark.alone
def test_twenty_thousand_routes(writer: KernelWriter) -> None:
    two_nodes(writer)
    routes = many(20_000)
    started = time.perf_counter()
    assert writer.write([SetRoutes(10, routes)]) == []
    assert writer.write([SetRoutes(10, routes)]) == []
    written = time.perf_counter()
    assert dump(FIB).routes == dict.fromkeys(routes, 10)
    assert written - started < 2
    assert time.perf_counter() - written < 1


def test_a_new_writer_adopts(writer: KernelWriter) -> None:
    two_nodes(writer)
    writer.write([SetRoutes(10, many(3))])
    heir = KernelWriter(FIB)
    try:
        assert len(heir.write([SetRoutes(10, many(3))])) == 3
        heir.adopt(dump(FIB))
        group = SetGroup(10, (Member(1),), buckets=128, idle_timer=2.5)
        assert heir.write([SetNexthop(2, gateway("10.0.1.3", "eth1")), group, SetRoutes(11, ())]) == []
        assert heir.write([SetRoutes(1, many(3)), DeleteNexthop(10)]) == []
    finally:
        heir.close()
    assert dump(FIB).routes == dict.fromkeys(many(3), 1)


def test_a_dump_older_than_a_write_takes_nothing_away(writer: KernelWriter) -> None:
    two_nodes(writer)
    writer.write([SetRoutes(10, many(2))])
    writer.routes.begin_audit()
    old = dump(FIB)
    writer.write([DeleteRoutes(many(1)), SetRoutes(10, many(4)[2:])])
    writer.routes.adopt(old.routes)
    assert refused(writer, DeleteRoutes(many(1)), SetRoutes(10, many(4)[1:])) == []
    assert set(dump(FIB).routes) == set(many(4)[1:])


def test_weights_are_scaled_for_old_kernels() -> None:
    assert narrow((Member(1, 1), Member(2, 256))) == (Member(1, 1), Member(2, 256))
    assert narrow((Member(1, 1), Member(2, 512), Member(3, 1024))) == (Member(1, 1), Member(2, 128), Member(3, 256))


def test_sixteen_bit_weights_reach_the_kernel(writer: KernelWriter) -> None:
    if not writer.wide_weights:
        pytest.skip("this kernel has eight bits for weights")
    two_nodes(writer)
    members = (Member(1, 1), Member(2, 65535))
    assert writer.write([SetGroup(12, members)]) == []
    assert members in {group.members for group in dump(FIB).groups}


def test_the_probe_leaves_nothing(router: Namespace, writer: KernelWriter) -> None:
    assert writer.supports_resilient
    assert router.ip("nexthop") == ""
