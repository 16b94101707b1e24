"""Flushing removes what is routerd's, and only that."""

from routerd.core.message import Member, SetGroup, SetNexthop, SetRoutes
from routerd.kernel.flush import flush
from routerd.kernel.writer import KernelWriter
from tests.kernel.scenario import FIB, gateway, many, prefixes
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root


def test_only_ours(router: Namespace) -> None:
    router.ip("nexthop", "add", "id", "70", "via", "10.0.1.7", "dev", "eth1", "proto", "zebra")
    router.ip("nexthop", "add", "id", "71", "group", "70", "proto", "zebra")
    router.ip("route", "add", "172.16.0.1", "nhid", "71", "proto", "bgp", "metric", "21")
    router.ip("route", "add", "172.17.0.0/16", "via", "10.0.0.9", "proto", "static", "metric", "20")
    router.ip("-6", "route", "add", "2001:db8::/32", "via", "fd00::9", "metric", "20")
    before = router.ip("nexthop"), router.ip("route"), router.ip("-6", "route")
    with router.enter():
        writer = KernelWriter(FIB)
        writer.write([SetNexthop(1, gateway("10.0.0.2")), SetNexthop(2, gateway("fd00::2"))])
        writer.write([SetGroup(10, (Member(1),), 64, 1.0), SetGroup(11, (Member(2),))])
        writer.write([SetRoutes(10, many(100)), SetRoutes(11, prefixes("2001:db8:1::/48"))])
        writer.close()
        assert (router.ip("nexthop"), router.ip("route"), router.ip("-6", "route")) != before
        assert flush(FIB) == []
        assert flush(FIB) == []
    assert (router.ip("nexthop"), router.ip("route"), router.ip("-6", "route")) == before
