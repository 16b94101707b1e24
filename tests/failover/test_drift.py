"""Drift: what others, or links that go down, change in the kernel is found, mended under the same ids, and told."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from routerd.config.model import FibSection
from routerd.core.message import KernelDump
from routerd.core.route import parse_prefix
from routerd.kernel.dump import dump
from routerd.telemetry.repeats import BURST, INTERVAL
from tests.daemon.harness import Network, Routerd, becomes, node, node6
from tests.failover.agents import Agents, agents, configuration, logged, nexthops, own_routes, relearned, scratch
from tests.failover.agents import wide_network as _wide_network
from tests.failover.stream import stream
from tests.support.netns import Namespace, needs_root

pytestmark = [needs_root, pytest.mark.asyncio(loop_scope="module")]

VIP, VIP2, VIP6 = "172.16.1.1", "172.16.1.2", "fd00:ac10::1"
ALONE = "172.16.1.9"
NODES = 3
ELSEWHERE = "10.0.0.100"
IDLE = 777
"""Seconds: nothing is balanced while these tests last, however slow the machine is."""


@dataclass
class Site:
    """What the tests of this module share."""

    net: Network
    client: Namespace
    routerd: Routerd
    nodes: Agents

    @property
    def group(self) -> int:
        """The group of the IPv4 VIPs."""
        return self.net.nhid(VIP)

    def nexthop(self, number: int) -> int:
        """The object that leads to a node."""
        return next(id_ for id_, (gateway, _, _) in nexthops(self.net).items() if gateway == node(number))

    def members(self) -> str:
        """The members of the group, as `ip nexthop` wants them."""
        return "/".join(str(id_) for id_, _ in nexthops(self.net)[self.group][1])

    def state(self) -> tuple[object, object]:
        """What routerd has in the kernel."""
        return nexthops(self.net), own_routes(self.net)

    def legs(self) -> tuple[object, object]:
        """The same, without the weights of what is not balanced."""
        objects = {
            id_: (gateway, {id_ for id_, _ in members}) for id_, (gateway, members, _) in nexthops(self.net).items()
        }
        return objects, own_routes(self.net)

    def found(self) -> list[str]:
        """What the log says was wrong."""
        return [entry["found"] for entry in logged(self.routerd, "drift mended")]

    def lately(self) -> int:
        """How many lines of drift the log has of the time in which it lets no more than `BURST` pass."""
        since = datetime.now(UTC) - timedelta(seconds=INTERVAL)
        times = [datetime.fromisoformat(entry["timestamp"]) for entry in logged(self.routerd, "drift mended")]
        return sum(time > since for time in times)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    with _wide_network((VIP, VIP2, VIP6)) as (net, client):
        net.nodes.sysctl(net__ipv6__conf__eth0__keep_addr_on_down=1)
        options = configuration(f"audit_interval = 1\nidle_timer = {IDLE}")
        routerd = Routerd(net.router, tmp_path_factory.mktemp("drift"), options)
        try:
            routerd.start()
            async with agents(net, NODES) as nodes:
                for agent in nodes:
                    agent.announce(VIP, VIP2, VIP6)
                await nodes.up()
                await relearned(routerd, nodes)
                yield Site(net, client, routerd, nodes)
        finally:
            routerd.kill()


STRAY = str(FibSection().ids[4000])
"""An id of routerd's range that it does not use."""

Damage = Callable[[Site], str]
"""Does it, and returns a pattern of what the log should say."""


def _a_route(site: Site) -> str:
    site.net.router.ip("route", "delete", VIP, "proto", "bgp")
    return "1 routes were missing"


def _a_route_of_ipv6(site: Site) -> str:
    site.net.router.ip("-6", "route", "delete", VIP6, "proto", "bgp")
    return "1 routes were missing"


def _a_route_leads_elsewhere(site: Site) -> str:
    site.net.router.ip("route", "replace", VIP, "nhid", str(site.nexthop(1)), "metric", "20", "proto", "bgp")
    return "1 routes were changed"


def flush_routes(net: Network) -> None:
    """With nexthop_compat_mode on, `ip route flush` tells the kernel legs and nexthop id of each: it refuses both.
    And routerd, which has it off while it writes, may turn it on again at any time."""
    for option in ("-4", "-6"):
        for _ in range(100):
            net.router.sysctl(net__ipv4__nexthop_compat_mode=0)
            if not (refused := net.router.spawn("ip", option, "route", "flush", "proto", "bgp").wait()):
                break
        assert not refused
    net.router.sysctl(net__ipv4__nexthop_compat_mode=1)


def _all_routes(site: Site) -> str:
    flush_routes(site.net)
    return r"(2|3) routes were missing"


def _a_nexthop(site: Site) -> str:
    gone = site.nexthop(1)
    site.net.router.ip("nexthop", "delete", "id", str(gone))
    return f"nexthop {gone} was missing.*group {site.group} had 2 of 3 members"


def _a_nexthop_leads_elsewhere(site: Site) -> str:
    changed = site.nexthop(1)
    site.net.router.ip("nexthop", "replace", "id", str(changed), "via", ELSEWHERE, "dev", "eth0", "proto", "bgp")
    return f"nexthop {changed} was missing, or led elsewhere"


def _a_group(site: Site) -> str:
    gone = site.group
    site.net.router.ip("nexthop", "delete", "id", str(gone))
    return f"group {gone} had 0 of 3 members|1 routes were missing"  # whichever is heard first


def _all_nexthops(site: Site) -> str:
    group = site.group
    site.net.router.ip("nexthop", "flush")
    return f"group {group} had 0 of 3 members"


def _replace(site: Site, *words: str) -> None:
    site.net.router.ip("nexthop", "replace", "id", str(site.group), *words, "proto", "bgp")


def _a_group_has_other_members(site: Site) -> str:
    resilient = ("type", "resilient", "buckets", "1024", "idle_timer", str(IDLE))
    _replace(site, "group", str(site.nexthop(0)), *resilient)
    return f"group {site.group} had 1 of 3 members"


def _a_group_has_other_weights(site: Site) -> str:
    members = site.members().replace("/", ",7/", 1)
    _replace(site, "group", members, "type", "resilient", "buckets", "1024", "idle_timer", str(IDLE))
    return f"group {site.group} had 3 of 3 members, or other ones"


def _a_group_has_other_timers(site: Site) -> str:
    _replace(site, "group", site.members(), "type", "resilient", "buckets", "1024", "idle_timer", "3")
    return f"group {site.group} had timers of 3 s and 0 s"


def _a_group_is_of_another_type(site: Site) -> str:
    group, members = site.group, site.members()
    lines = [f"nexthop delete id {group}", f"nexthop add id {group} group {members} proto bgp"]
    lines += [f"route add {VIP} nhid {group} metric 20 proto bgp"]
    # Before routerd sees the first of it.
    site.net.router.run("sh", "-c", f"printf '%s\\n' '{chr(10).join(lines)}' | ip -batch -")
    return f"group {group} had (0 buckets instead of 1024|0 of 3 members)"


def _what_looks_like_routerds(site: Site) -> str:
    site.net.router.ip("nexthop", "add", "id", STRAY, "via", ELSEWHERE, "dev", "eth0", "proto", "bgp")
    route = ("ip", "route", "add", "172.16.9.1", "nhid", STRAY, "metric", "20", "proto", "bgp")
    site.net.router.run(*route, check=False)  # the nexthop may have been deleted already
    return f"nexthop {STRAY} was not expected|1 routes were not expected"


@pytest.mark.parametrize(
    "damage",
    [
        _a_route,
        _a_route_of_ipv6,
        _a_route_leads_elsewhere,
        _all_routes,
        _a_group_has_other_timers,
        _a_nexthop,
        _a_nexthop_leads_elsewhere,
        _a_group_has_other_members,
        _a_group_has_other_weights,
        _a_group,
        _all_nexthops,
        _a_group_is_of_another_type,
        _what_looks_like_routerds,
    ],
    ids=lambda damage: damage.__name__.strip("_"),
)
async def test_it_is_mended_under_the_same_ids_counted_and_told(site: Site, damage: Damage) -> None:
    await becomes(lambda: site.lately() < BURST - 4, True, 2 * INTERVAL)  # else the log holds this line back
    before, mended, told = site.state(), site.routerd.status()["fib"]["drift_mended"], len(site.found())
    pattern = damage(site)
    started = time.monotonic()
    await becomes(site.state, before, 5)
    print(f"mended after {time.monotonic() - started:.2f} s: ", end="")
    await becomes(lambda: re.search(pattern, "; ".join(site.found()[told:])))
    print("; ".join(site.found()[told:]))
    assert site.routerd.status()["fib"]["drift_mended"] > mended
    assert site.routerd.status()["fib"]["refused"] == 0


@pytest.mark.parametrize("protocol", [("proto", "bgp"), ()], ids=["bgp", "none"])
@pytest.mark.parametrize("other", [ELSEWHERE, node(0), node(2)])
async def test_a_nexthop_that_leads_elsewhere_is_mended_at_once(
    site: Site, other: str, protocol: tuple[str, ...]
) -> None:
    """`ip nexthop replace id N via OTHER`; without protocol bgp the id is no longer routerd's to write."""
    site.nodes[1].announce(ALONE)
    await becomes(lambda: site.net.legs(ALONE), {node(1)})
    taken, legs = site.nexthop(1), site.net.legs(VIP)
    site.net.router.ip("nexthop", "replace", "id", str(taken), "via", other, "dev", "eth0", *protocol)
    started = time.monotonic()
    await becomes(lambda: [site.net.legs(vip) for vip in (VIP, VIP2, ALONE)], [legs, legs, {node(1)}], 5)
    took = time.monotonic() - started
    print(f"mended after {took:.2f} s")
    assert took < 0.5
    if not protocol:
        site.net.router.ip("nexthop", "delete", "id", str(taken))
    site.nodes[1].withdraw(ALONE)
    await becomes(lambda: site.net.route(ALONE), "")
    await becomes(site.routerd.problems, {})


async def test_what_is_mended_is_not_found_again(site: Site) -> None:
    before, mended = site.state(), site.routerd.status()["fib"]["drift_mended"]
    await audited(site)
    assert site.routerd.status()["fib"]["drift_mended"] == mended + 2
    assert site.state() == before


async def audited(site: Site) -> None:
    """Wait for a whole audit: it removes a stray route, and counts two by the end."""
    stray = ("172.16.200.1", "nhid", str(site.nexthop(0)), "metric", "20", "proto", "bgp")
    for _ in range(2):  # the first one may have been found by an audit that was under way
        site.net.router.ip("route", "add", *stray)
        await becomes(lambda: site.net.route("172.16.200.1"), "")


async def test_lost_notifications_are_made_up_for(site: Site, tmp_path: Path) -> None:
    """ENOBUFS: while routerd does not read, others fill its buffer, and what matters comes last."""
    before, mended = site.legs(), site.routerd.status()["fib"]["drift_mended"]
    overruns, refused = "netlink overrun", len(logged(site.routerd, "kernel refused"))
    site.routerd.signal(signal.SIGSTOP)
    try:
        add = [f"nexthop add id {id_} blackhole proto static" for id_ in range(10_000, 55_000)]
        site.net.router.ip("-batch", scratch(tmp_path, "add", add))
        remove = [f"nexthop delete id {id_}" for id_ in range(10_000, 55_000)]
        site.net.router.ip("-batch", scratch(tmp_path, "remove", remove))
        site.net.router.ip("nexthop", "delete", "id", str(site.nexthop(2)))
    finally:
        site.routerd.signal(signal.SIGCONT)
    await becomes(lambda: [e for e in logged(site.routerd, "kernel changed") if overruns in e["reason"]])
    await becomes(site.legs, before, 5)
    # The log may hold the line back. If a group was due to be written anyway, the kernel refused that before.
    await becomes(
        lambda: (
            site.routerd.status()["fib"]["drift_mended"] > mended
            or len(logged(site.routerd, "kernel refused")) > refused
        )
    )


def _watch(net: Network, done: Callable[[KernelDump], bool], seconds: float = 5.0) -> tuple[float, float]:
    """Return when the router's interface had its carrier, and when the kernel's state was as wanted."""
    carrier = 0.0
    deadline = time.monotonic() + seconds
    with net.router.enter():
        while time.monotonic() < deadline:
            found = dump(FibSection())
            up = next(interface.up for interface in found.interfaces if interface.name == "eth0")
            carrier = (carrier or time.monotonic()) if up else 0.0
            if up and done(found):
                return carrier, time.monotonic()
            time.sleep(0.001)
    raise AssertionError(f"not within {seconds:g} s: {found.routes}")


def _led(found: KernelDump, *vips: str) -> bool:
    """Tell whether routes to these lead to a group of all nodes."""
    groups = {group.id: len(group.members) for group in found.groups}
    return all(groups.get(found.routes.get(parse_prefix(_host(vip)), 0)) == NODES for vip in vips)


def _host(vip: str) -> str:
    return f"{vip}/{128 if ':' in vip else 32}"


async def test_the_far_end_goes_down_and_up(site: Site) -> None:
    """The carrier goes; addresses stay. Everything is back within a second of the carrier, under the same ids."""
    before = own_routes(site.net)
    for _ in range(3):
        site.net.nodes.ip("link", "set", "eth0", "down")
        await becomes(lambda: own_routes(site.net), {}, 5)
        site.net.nodes.ip("link", "set", "eth0", "up")
        carrier, back = _watch(site.net, lambda found: _led(found, VIP, VIP2, VIP6))
        print(f"routes are back {back - carrier:.3f} s after the carrier")
        assert back - carrier < 1.0
    after = own_routes(site.net)
    assert after == before
    await becomes(lambda: {vip: site.net.legs(vip) for vip in (VIP, VIP6)}, _all_legs())
    assert [agent.losses for agent in site.nodes] == [0] * NODES


def _all_legs() -> dict[str, set[str]]:
    return {VIP: {node(n) for n in range(NODES)}, VIP6: {node6(n) for n in range(NODES)}}


async def test_the_routers_interface_is_set_down_and_up(site: Site) -> None:
    """IPv4 is back by itself. The router's IPv6 address has gone with the interface, and that is told; when somebody
    adds it again, IPv6 is back as well."""
    routes = own_routes(site.net)
    site.net.router.ip("link", "set", "eth0", "down")
    await becomes(lambda: own_routes(site.net), {}, 5)
    site.net.router.ip("link", "set", "eth0", "up")
    carrier, back = _watch(site.net, lambda found: _led(found, VIP, VIP2))
    print(f"IPv4 is back {back - carrier:.3f} s after the carrier")
    assert back - carrier < 1.0
    await audited(site)
    assert site.net.route(VIP6) == ""
    problems = [problem["what"] for problem in site.routerd.status()["problems"]]
    assert sum("nothing leads to their next hop" in what for what in problems) == NODES
    site.net.router.ip("address", "add", "fd00::1/64", "dev", "eth0", "nodad")
    started, back = _watch(site.net, lambda found: _led(found, VIP, VIP2, VIP6))
    print(f"IPv6 is back {back - started:.3f} s after the address")
    assert back - started < 1.0
    await becomes(lambda: own_routes(site.net).keys(), routes.keys())
    await becomes(lambda: {vip: site.net.legs(vip) for vip in (VIP, VIP6)}, _all_legs())
    await becomes(site.routerd.problems, {})
    assert [agent.losses for agent in site.nodes] == [0] * NODES


async def test_an_audit_of_what_is_right_writes_nothing(site: Site) -> None:
    """And the stream that the restarts are judged by does see a gap: here somebody makes one."""
    state = site.state()
    with stream(site.client, site.net.nodes, (VIP, VIP2, VIP6)) as finish:
        await audited(site)
        report = finish()
    print(report)
    assert (report.lost, report.unsent) == (0, 0)
    assert site.state() == state
    for _ in range(10):  # a gap may be so short that no packet falls into it
        with stream(site.client, site.net.nodes, (VIP, VIP2, VIP6)) as finish:
            for _ in range(3):
                flush_routes(site.net)
                await becomes(site.state, state)
            report = finish()
        print(report)
        if report.lost + report.unsent > 0:
            return
    raise AssertionError("the stream has seen no gap")
