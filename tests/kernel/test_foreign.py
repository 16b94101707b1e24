"""Foreign routes: what is told of them adds up to what a dump has, and next hops resolve as the kernel's do."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from routerd.core.message import ForeignRoute, ForeignRoutes, KernelDump, NexthopChange, RouteChange
from routerd.core.rib.foreign import leg_of, network_of
from routerd.core.rib.nexthop import NexthopTable
from routerd.core.route import IPV4_PREFIX_SIZE, Address, format_prefix, parse_address
from routerd.kernel import parse, wire
from routerd.kernel.dump import dump, is_own
from routerd.kernel.monitor import Monitor
from tests.daemon.harness import becomes
from tests.kernel.scenario import FIB
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root

FIBMATCH, LOOKUP_TABLE = 0x2000, 0x1000


class Follower:
    """Follows the kernel by what the monitor tells, as the core does."""

    def __init__(self) -> None:
        self.table = NexthopTable()
        self.heard: list[RouteChange | NexthopChange] = []
        found = dump(FIB)
        self.table.update(found.interfaces, found.foreign, [*found.nexthops, *found.groups])

    def owns(self, id_: int) -> bool:
        return False

    def owns_route(self, route: ForeignRoute) -> bool:
        return is_own(route, FIB)

    def kernel_changed(self, reason: str) -> None:
        """Interfaces do not matter here."""

    def routes_stale(self) -> None:
        """Nothing is deleted silently here."""

    def not_understood(self, error: Exception) -> None:
        raise error

    def routes_changed(self, changes: tuple[RouteChange | NexthopChange, ...]) -> None:
        self.heard += changes
        self.table.apply(change for change in changes if isinstance(change, NexthopChange) or not change.own)


@contextmanager
def following() -> Iterator[Follower]:
    """Follow the kernel in the namespace that the thread is in, from now on."""
    follower = Follower()
    monitor = Monitor([], follower, lambda entry, port: None)
    monitor.start()
    try:
        yield follower
    finally:
        monitor.close()


def brief(routes: ForeignRoutes) -> dict[str, list[object]]:
    """Return routes such that a difference can be read. An IPv6 route's legs have no order, and the kernel shows the
    protocol of its first one."""
    found: dict[str, list[object]] = {}
    for prefix, entries in routes.items():
        found[format_prefix(prefix)] = [
            entry if len(prefix) == IPV4_PREFIX_SIZE else (entry.kind, entry.metric, entry.nexthop, set(entry.legs))
            for entry in entries
        ]
    return found


def differences(follower: Follower, dumped: KernelDump) -> dict[str, object]:
    """Return where what was told and a dump differ, and how it came to that."""
    foreign = follower.table.foreign
    told, found = brief(foreign.routes), brief(dumped.foreign)
    objects = {each.id: each for each in dumped.nexthops} | {group.id: group for group in dumped.groups}
    if foreign._objects != objects:
        return {"objects": (foreign._objects, objects)}
    return {
        prefix: (told.get(prefix), found.get(prefix), [c for c in follower.heard if format_change(c) == prefix])
        for prefix in told.keys() | found.keys()
        if told.get(prefix) != found.get(prefix)
    }


def format_change(change: RouteChange | NexthopChange) -> str:
    return format_prefix(change.prefix) if isinstance(change, RouteChange) else f"nexthop {change.id}"


# ---------------------------------------------------------------------------------------------- random lives

KINDS = ("blackhole", "unreachable", "prohibit", "throw")


class Author:
    """Writes random `ip` commands of one family, many of which the kernel refuses."""

    def __init__(self, chance: random.Random, version: int) -> None:
        self.chance = chance
        self.version = version
        self.inner = ip_network("10.5.0.0/16" if version == 4 else "fd05::/32")
        self.gateways = ["10.0.0.2 dev eth0", "10.0.0.3 dev eth0", "10.0.1.2 dev eth1"]
        if version == 6:
            self.gateways = ["fd00::2 dev eth0", "fd00::3 dev eth0", "fd01::2 dev eth1"]

    def address(self) -> str:
        """Return one of a few addresses, close to each other and in connected networks."""
        if self.chance.random() < 0.2:
            return self.chance.choice(("10.0.0.7", "10.0.1.9") if self.version == 4 else ("fd00::7", "fd01::9"))
        return str(self.inner[self.chance.choice((1, 2, 3, 5, 9, 17, 33, 65))])

    def command(self) -> str:
        if self.chance.random() < 0.1:
            id, gateway = self.chance.choice((70, 71)), self.chance.choice(self.gateways)
            return f"nexthop replace id {id} via {gateway} proto zebra"
        prefix, verb = self._prefix(), self.chance.choice(("add", "append", "prepend", "replace", "delete"))
        way = self._way(prefix)
        metric = f"metric {self.chance.choice((5, 10, 30)) + self._apart(way)}"
        if verb == "delete":
            return f"route delete {self.chance.choice((f'{prefix} {metric}', way, prefix))}"
        return f"route {verb} {way} {metric} proto {self.chance.choice(('static', 'bird', 'bgp'))}"

    def _apart(self, way: str) -> int:
        """Give IPv6 routes with and without gateways metrics of their own: what a REPLACE by several legs replaces is
        not told where both have the same."""
        return int(self.version == 6 and "via" in way)

    def _prefix(self) -> str:
        whole = 32 if self.version == 4 else 128
        bits = whole - self.chance.choice((0, 0, 1, 2, 4, 8, 12))
        return str(ip_network(f"{self.address()}/{bits}", strict=False)) if self.chance.random() < 0.95 else "default"

    def _way(self, prefix: str) -> str:
        draw = self.chance.random()
        if draw < 0.15:
            return f"{self.chance.choice(KINDS)} {prefix}"
        if draw < 0.3:
            return f"{prefix} dev {self.chance.choice(('eth0', 'eth1'))}"
        if draw < 0.4:
            return f"{prefix} nhid {self.chance.choice((70, 71, 72))}"
        if draw < 0.5:
            return f"{prefix} via {'10.99.0.1' if self.version == 4 else 'fd99::1'} dev eth1 onlink"
        if draw < 0.65:
            some = self.chance.sample(self.gateways, self.chance.choice((2, 3)))
            return f"{prefix} " + " ".join(f"nexthop via {gateway}" for gateway in some)
        return f"{prefix} via {self.chance.choice(self.gateways)}"


Ways = frozenset[tuple[Address, int]]


def ask(address: Address, flags: int) -> bytes:
    """Ask the kernel where an address leads; nothing if nowhere."""
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    body = struct.pack("=BBBBBBBBI", family, len(address) * 8, 0, 0, 0, 0, 0, 0, flags) + wire.attribute(1, address)
    try:
        return wire.query(wire.request(wire.RTM_GETROUTE, 0, body))
    except OSError:
        return b""


def flow(address: Address) -> Ways:
    """Return the way that the kernel sends a packet."""
    if not (answer := ask(address, 0)):
        return frozenset()
    found = wire.attributes(answer, wire.HEADER.size + 12, len(answer))
    (index,) = struct.unpack("=I", found[4])
    return frozenset({(Address(found.get(5, address)), index)})


def every_way(address: Address) -> Ways:
    """Return all ways of the kernel's FIB entry; none if that is the default route."""
    if not (answer := ask(address, FIBMATCH | (LOOKUP_TABLE if len(address) == 4 else 0))):
        return frozenset()
    prefix, (route,) = parse.RouteParser().parse(answer, wire.HEADER.size, len(answer))
    if route.kind != 1 or not prefix[0]:
        return frozenset()
    legs = set(route.legs)
    if route.nexthop:
        found = dump(FIB)
        groups = {group.id: [member.id for member in group.members] for group in found.groups}
        ids = groups.get(route.nexthop, [route.nexthop])
        legs = {leg_of(nexthop) for nexthop in found.nexthops if nexthop.id in ids}
    return frozenset((leg.gateway or address, leg.ifindex) for leg in legs)


def entry(follower: Follower, address: Address) -> tuple[ForeignRoute, ...]:
    """Return what is known of the longest match, the default route included."""
    routes = follower.table.foreign.routes
    matches = (routes.get(network_of(address, bits), ()) for bits in range(len(address) * 8, -1, -1))
    return next(filter(None, matches), ())


@pytest.mark.parametrize("seed", range(10))
async def test_what_is_told_adds_up_and_next_hops_resolve_as_in_the_kernel(
    router: Namespace, tmp_path: Path, seed: int
) -> None:
    version = 4 if seed % 2 == 0 else 6
    chance = random.Random(seed)
    author = Author(chance, version)
    first, second, _ = author.gateways
    for words in (f"70 via {first}", f"71 via {second}", "72 group 70/71"):
        router.ip("nexthop", "add", "id", *words.split(), "proto", "zebra")
    batch = tmp_path / "batch"
    with router.enter(), following() as follower:
        for _ in range(12):
            batch.write_text("".join(f"{author.command()}\n" for _ in range(10)))
            router.run("ip", f"-{version}", "-force", "-batch", str(batch), check=False)
            await becomes(lambda: differences(follower, dump(FIB)), {})
            for _ in range(30):
                address = parse_address(author.address())
                best, *others = entry(follower, address) or (None,)
                way = follower.table.resolve(address, None, address)
                ways = frozenset((g.address, g.ifindex) for g in way.gateways) if way is not None else frozenset()
                if version == 4 or best is None or (not best.nexthop and not others):
                    assert every_way(address) == ways, ip_address(bytes(address))
                elif ways and (not others or best.metric < others[0].metric):
                    # It shows any route that has led to the nexthop, and takes turns with routes of one metric.
                    assert flow(address) <= ways, ip_address(bytes(address))
