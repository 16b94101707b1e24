"""Dumps and lookups of the real kernel."""

import asyncio
import time
from typing import Any

import pytest
from pydantic import ValidationError

from routerd.api.models import KernelRouteView
from routerd.api.views import kernel
from routerd.config.model import FibSection
from routerd.core.message import (
    ForeignBgp,
    ForeignRoute,
    ForeignRoutes,
    KernelDump,
    KernelGroup,
    KernelNexthop,
    Leg,
    Member,
    SetGroup,
    SetNexthop,
    SetRoutes,
)
from routerd.core.route import Prefix, format_address, format_prefix, parse_address, parse_prefix
from routerd.kernel import lookup
from routerd.kernel.audit import audit, compare
from routerd.kernel.dump import dump
from routerd.kernel.writer import KernelWriter
from tests.kernel.scenario import FIB, METRIC, gateway, many, prefixes
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root
BGP = 186
TAGGED = ("172.21.0.0/16", "172.22.0.0/16")
"""Routes of protocol bgp and metric 20, as zebra makes them."""


def test_dump_is_what_was_written(writer: KernelWriter) -> None:
    nexthops = {1: gateway("10.0.0.2"), 2: gateway("fd01::2", "eth1"), 3: gateway("fe80::2")}
    groups = [
        SetGroup(10, (Member(1),), buckets=1024, idle_timer=120, unbalanced_timer=0.5),
        SetGroup(11, (Member(2, 1), Member(3, 200))),
    ]
    routes = dict.fromkeys(many(5), 10) | dict.fromkeys(prefixes("0.0.0.0/0", "::/0", "2001:db8::/48"), 11)
    assert writer.write([*(SetNexthop(*item) for item in nexthops.items()), *groups]) == []
    for id_ in (10, 11):
        chosen = tuple(prefix for prefix, owner in routes.items() if owner == id_)
        assert writer.write([SetRoutes(id_, chosen)]) == []

    found = dump(FIB)
    assert found.nexthops == tuple(KernelNexthop(id_, BGP, to) for id_, to in nexthops.items())
    assert found.groups == tuple(
        KernelGroup(g.id, BGP, g.members, g.buckets, g.idle_timer, g.unbalanced_timer) for g in groups
    )
    assert found.routes == routes


@pytest.mark.parametrize("compat", [0, 1])
def test_foreign_routes(router: Namespace, writer: KernelWriter, compat: int) -> None:
    router.sysctl(net__ipv4__nexthop_compat_mode=compat)
    router.ip("nexthop", "add", "id", "70", "via", "10.0.1.7", "dev", "eth1", "proto", "zebra")
    router.ip("nexthop", "add", "id", "71", "group", "70", "proto", "zebra")
    router.ip("nexthop", "add", "id", "900000070", "via", "10.0.1.7", "dev", "eth1", "proto", "bgp")
    for arguments in (
        "default via 10.0.0.254 proto dhcp metric 100",
        "172.16.0.0/16 proto bgp metric 30 nexthop via 10.0.0.2 nexthop via 10.0.1.2",
        "172.17.0.0/16 nhid 71 proto bgp metric 20 table 77",
        "172.18.0.0/16 nhid 71 proto bgp metric 5",
        "172.19.0.0/16 via inet6 fd00::2 dev eth0 proto static",
        "blackhole 172.20.0.0/16",
        "172.21.0.0/16 via 10.0.0.2 proto bgp metric 20",
        "172.22.0.0/16 nhid 900000070 proto bgp metric 20",
        "172.23.0.0/16 via 10.0.0.2 proto static metric 9",
        "172.23.0.0/16 via 10.99.0.1 dev eth1 onlink proto static metric 7",
    ):
        router.ip("route", "add", *arguments.split())
    router.ip("-6", "route", "add", "2001:db8::/32", "via", "fd01::9", "metric", "20", "proto", "static")
    first, second = gateway("10.0.0.2").ifindex, gateway("10.0.1.2", "eth1").ifindex

    def route(protocol: int, metric: int, *legs: Leg, nexthop: int = 0, kind: int = 1) -> tuple[ForeignRoute, ...]:
        return (ForeignRoute(kind, protocol, metric, nexthop, legs),)

    def via(to: str, ifindex: int) -> Leg:
        return Leg(parse_address(to), ifindex)

    found = dump(FIB)
    assert {format_prefix(prefix): routes for prefix, routes in found.foreign.items()} == {
        "10.0.0.0/24": route(2, 0, Leg(None, first)),
        "10.0.1.0/24": route(2, 0, Leg(None, second)),
        "fd00::/64": route(2, 256, Leg(None, first)),
        "fd01::/64": route(2, 256, Leg(None, second)),
        "0.0.0.0/0": route(16, 100, via("10.0.0.254", first)),
        "172.16.0.0/16": route(BGP, 30, via("10.0.0.2", first), via("10.0.1.2", second)),
        "172.18.0.0/16": route(BGP, 5, nexthop=71),
        "172.19.0.0/16": route(4, 0, via("fd00::2", first)),
        "172.20.0.0/16": route(3, 0, kind=6),
        "172.21.0.0/16": route(BGP, 20, via("10.0.0.2", first)),
        "172.22.0.0/16": route(BGP, 20, nexthop=900000070),
        "172.23.0.0/16": (
            *route(4, 7, Leg(parse_address("10.99.0.1"), second, onlink=True)),
            *route(4, 9, via("10.0.0.2", first)),
        ),
        "2001:db8::/32": route(4, 20, via("fd01::9", second)),
    }
    assert found.routes == {}
    assert found.foreign_bgp == ForeignBgp(4, 1, prefixes("172.16.0.0/16", "172.18.0.0/16", *TAGGED))
    assert next(nexthop for nexthop in found.nexthops if nexthop.id == 70).protocol == 11


def test_interfaces(router: Namespace, writer: KernelWriter) -> None:
    router.ip("link", "set", "far1", "down")
    router.ip("address", "add", "192.0.2.1", "peer", "192.0.2.2", "dev", "eth0")
    found = {interface.name: interface for interface in dump(FIB).interfaces}
    eth0, eth1 = found["eth0"], found["eth1"]
    assert (eth0.up, eth1.up, found["far1"].up) == (True, False, False)
    texts = {format_address(address) for address in eth0.addresses}
    assert {"10.0.0.1", "fd00::1", "192.0.2.1"} < texts
    assert {format_prefix(network) for network in eth0.networks} == {"10.0.0.0/24", "fd00::/64", "192.0.2.2/32"}


def test_an_untouched_namespace(router: Namespace) -> None:
    """Without a first route there is no table, which the kernel reports as an error."""
    router.ip("address", "flush", "dev", "eth0")
    router.ip("address", "flush", "dev", "eth1")
    with router.enter():
        found = dump(FIB)
    assert (found.routes, found.foreign, found.nexthops, found.groups) == ({}, {}, (), ())


@pytest.mark.alone
def test_what_is_known_of_others_may_change_while_it_is_compared() -> None:
    known: ForeignRoutes = dict.fromkeys(prefixes("10.1.0.0/16", "10.2.0.0/16"), ())

    class Found(dict[Prefix, tuple[ForeignRoute, ...]]):
        def __contains__(self, prefix: object) -> bool:
            known[parse_prefix(f"10.3.{len(known)}.0/24")] = ()
            return False

    found = KernelDump((), (), (), {}, Found())
    assert compare({}, known, found).foreign.keys() == set(prefixes("10.1.0.0/16", "10.2.0.0/16"))


async def test_dump_in_a_thread_leaves_the_loop_alive(writer: KernelWriter) -> None:
    writer.write([SetNexthop(1, gateway("10.0.0.2")), SetRoutes(1, many(20_000))])
    longest, last = 0.0, time.perf_counter()
    task = asyncio.create_task(audit({}, {}, FIB))
    while not task.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    assert len((await task)[1].routes) == 20_000
    assert longest < 0.1


def test_lookup(router: Namespace, writer: KernelWriter) -> None:
    nodes = [SetNexthop(1, gateway("10.0.0.2")), SetNexthop(2, gateway("10.0.1.2", "eth1"))]
    writer.write([*nodes, SetNexthop(3, gateway("fd00::2"))])
    writer.write([SetGroup(10, (Member(1, 2), Member(2))), SetGroup(11, (Member(3),), buckets=8, idle_timer=1)])
    writer.write([SetRoutes(10, many(1000) + prefixes("172.16.0.0/12")), SetRoutes(11, prefixes("2001:db8::1/128"))])
    router.ip(
        "route", "add", "192.0.2.0/24", "proto", "static", "nexthop", "via", "10.0.0.2", "nexthop", "via", "10.0.1.2"
    )

    def view(prefix: Prefix) -> KernelRouteView:
        return kernel.route(lookup.route(prefix))

    def member(id_: int, to: str, interface: str, weight: int = 1) -> dict[str, Any]:
        return {
            "nexthop_id": id_,
            "gateway": to,
            "interface": interface,
            "weight": weight,
            "buckets": None,
            "peers": [],
        }

    ours = {
        "present": True,
        "protocol": "bgp",
        "metric": METRIC,
        "nexthop_id": 10,
        "members": [member(1, "10.0.0.2", "eth0", 2), member(2, "10.0.1.2", "eth1")],
    }
    assert view(many(8)[7]) == ours
    # Hidden by 172.16.0.0/32.
    assert view(parse_prefix("172.16.0.0/12")) == ours
    assert view(parse_prefix("2001:db8::1/128"))["members"] == [member(3, "fd00::2", "eth0")]
    foreign = view(parse_prefix("192.0.2.0/24"))
    assert (foreign["protocol"], foreign["nexthop_id"]) == ("static", None)
    assert foreign["members"] == [member(0, "10.0.0.2", "eth0"), member(0, "10.0.1.2", "eth1")]
    connected = view(parse_prefix("10.0.0.0/24"))
    assert (connected["protocol"], connected["members"]) == ("kernel", [member(0, "", "eth0")])
    for absent in ("172.16.0.0/13", "172.31.0.1/32", "198.51.100.1/32", "2001:db8::/32", "0.0.0.0/0", "::/0"):
        assert lookup.route(parse_prefix(absent)) is None


def test_buckets(writer: KernelWriter) -> None:
    writer.write([SetNexthop(1, gateway("10.0.0.2")), SetNexthop(2, gateway("10.0.1.2", "eth1"))])
    writer.write([SetGroup(10, (Member(1, 3), Member(2)), buckets=16, idle_timer=1)])
    found = lookup.buckets(10)
    assert [index for index, _, _ in found] == list(range(16))
    assert sorted(owner for _, owner, _ in found) == [1] * 12 + [2] * 4
    assert all(0 <= idle < 10 for _, _, idle in found)
    assert lookup.buckets(10, 2) == [entry for entry in lookup.buckets(10, 2) if entry[1] == 2]
    assert len(lookup.buckets(10, 2)) == 4
    with pytest.raises(FileNotFoundError):
        lookup.buckets(99)


@pytest.mark.parametrize("count", [300, 1000])
def test_a_route_of_many_legs_is_found(writer: KernelWriter, count: int) -> None:
    """The kernel ends a dump, without a word, at a first route that does not fit; `ip route` shows nothing either."""
    members = range(1000, 1000 + count)
    assert writer.write([SetNexthop(id, gateway(f"fd00::{id:x}")) for id in members]) == []
    assert writer.write([SetGroup(10, tuple(map(Member, members)))]) == []
    both = prefixes("172.16.0.1/32", "2001:db8::1/128")
    assert writer.write([SetRoutes(10, both)]) == []
    found = dump(FIB)
    assert (found.routes, len(found.groups[0].members)) == (dict.fromkeys(both, 10), count)


def test_a_group_of_as_many_members_as_a_route_may_have_is_found(writer: KernelWriter) -> None:
    members = range(1000, 5000)
    assert writer.write([SetNexthop(id, gateway(f"fd00::{id:x}")) for id in members]) == []
    assert writer.write([SetGroup(10, tuple(map(Member, members)), 4096, 120.0)]) == []
    [found] = dump(FIB).groups
    assert len(found.members) == len(members)
    with pytest.raises(ValidationError, match="less than or equal to 4000"):
        FibSection(max_paths=len(members) + 1)
