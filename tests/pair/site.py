"""Two routers with the real daemon before the same nodes, which speak BGP with both.

    with pair(unpaired) as site:
        site.start()
        site.up(site.numbers, VIP4, VIP6)
        site.wait_for(VIP4, site.numbers)
        site.carry(site.b)

`a` and `b` are sites of `tests.failover.cluster`, each with its own daemon, and its own speaker on every node. The
gateway's addresses, of the client and of the nodes, are with one of the two, and `carry` moves them. What comes from
the client's second address goes to router B in any case, once `split` was called.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from routerd.core.pair.decisions import SLACK
from routerd.lab.gateway import hand_over
from routerd.lab.network import Fabric, built
from routerd.lab.topology import (
    BETWEEN,
    CLIENT_NETWORK,
    FIRST_NODE_HOST,
    NODES_10,
    NODES_20,
    PAIR,
    Attachment,
    Router,
    Topology,
)
from routerd.lab.topology import Node as Place
from routerd.lab.waiting import until
from tests.failover.cluster import VIP4, VIP6, Node, Site, configuration, router_of, serving

VIPS = {"ipv4": VIP4, "ipv6": VIP6}
MORE = {"ipv4": "172.16.1.2", "ipv6": "fd00:ac10::2"}
"""Further VIPs, for what happens to one of several."""
ADDRESSES = (*VIPS.values(), *MORE.values())
SECOND = {"ipv4": CLIENT_NETWORK.address4(11), "ipv6": CLIENT_NETWORK.address6(11)}
"""The client's second address."""
IDLE = 1.5
"""Seconds until a bucket may move; connections talk at least every half second."""
SEED = "net.ipv4.fib_multipath_hash_seed"
SEEDS = ("11111", "22222")
"""Of the kernels at boot: a machine gives the same one to all of its namespaces, two machines do not."""
_TABLE = "11"

Configure = Callable[[Router, Router, Path], str]
"""Makes the configuration of a router, of its partner and a directory that both can read."""


def unpaired(router: Router, partner: Router, directory: Path) -> str:
    """Return the configuration of a router that knows nothing of the other one."""
    base = configuration(fib=f"idle_timer = {IDLE}", router_id=NODES_10.address4(router.host))
    return base + '\n[[dynamic_peers]]\nrange = "192.168.20.0/24"\ngroup = "nodes"\n'


def paired(router: Router, partner: Router, directory: Path, more: str = "") -> str:
    """Return the configuration of a router of a pair that talks over a cable of its own; `more` is for `[pair]`."""
    key = directory / "key"
    if not key.exists():
        key.write_text("what both routers know, and nobody else\n")
        key.chmod(0o600)
    return f"""{unpaired(router, partner, directory)}
[pair]
router = "{router.name}"
partner = "{partner.name}"
channel = "link"
address = "{BETWEEN.address4(partner.host)}"
listen = "{BETWEEN.address4(router.host)}"
key_file = "{key}"
{more}
"""


class PairSite:
    """Both routers; nodes go by their number, from 0 on."""

    def __init__(self, fabric: Fabric, a: Site, b: Site, directory: Path) -> None:
        self.fabric, self.directory = fabric, directory
        self.a, self.b = a, b
        self.both = (a, b)
        self.numbers = tuple(range(len(a.nodes)))

    def router(self, site: Site) -> Router:
        """Return which router of the topology this is."""
        return self.fabric.topology.routers[self.both.index(site)]

    def name(self, number: int) -> str:
        """Return a node's name, under which its connections are counted."""
        return self.a.nodes[number].name

    # ---------------------------------------------------------------------------------------------- the routers

    def start(self) -> None:
        """Boot both routers with kernels that are empty and have seeds of their own; A is the gateway."""
        for site in self.both:
            self._boot(site)
        self.unsplit()
        self.carry(self.a)

    def _boot(self, site: Site) -> None:
        site.daemon.kill()
        site.close_sessions()
        until(site.empty, 10, "an empty kernel")
        for cable in self.fabric.topology.cables(self.router(site)):
            self.fabric.plug(cable)
        site.router.sysctl(SEED, SEEDS[self.both.index(site)])
        site.start()

    def same_seed(self) -> None:
        """Give both kernels the same seed by hand."""
        for site in self.both:
            site.router.sysctl(SEED, SEEDS[0])

    def kill(self, site: Site) -> None:
        """Let a router die: its process without a farewell, and all of its cables."""
        site.daemon.kill()
        for cable in self.fabric.topology.cables(self.router(site)):
            self.fabric.unplug(cable)

    def reboot(self, site: Site) -> None:
        """Bring a dead router back: nothing is left in its kernel, and the seed is another one."""
        self._boot(site)

    def cut(self) -> None:
        """Cut the cable between the routers."""
        self.fabric.unplug(self._channel())

    def mend(self) -> None:
        """Put the cable between the routers back."""
        self.fabric.plug(self._channel())

    def _channel(self) -> Attachment:
        return BETWEEN.attachment(PAIR[0].name, PAIR[0].host)

    # ---------------------------------------------------------------------------------------------- the traffic

    def carry(self, site: Site) -> None:
        """Move all traffic to a router, but what is split off."""
        hand_over(self.fabric, self.router(site).name)

    def split(self) -> None:
        """Lead what comes from the client's second address by way of router B."""
        self.unsplit()
        gateways = {"-4": CLIENT_NETWORK.address4(PAIR[1].host), "-6": CLIENT_NETWORK.address6(PAIR[1].host)}
        for (family, gateway), source in zip(gateways.items(), SECOND.values(), strict=True):
            self.fabric.client.run("ip", family, "route", "replace", "default", "via", gateway, "table", _TABLE)
            self.fabric.client.run("ip", family, "rule", "add", "from", source, "lookup", _TABLE)

    def unsplit(self) -> None:
        """Lead all by way of the gateway again."""
        for family, source in (("-4", SECOND["ipv4"]), ("-6", SECOND["ipv6"])):
            self.fabric.client.attempt("ip", family, "rule", "delete", "from", source, "lookup", _TABLE)

    # ---------------------------------------------------------------------------------------------- the nodes

    def nodes(self, number: int) -> tuple[Node, Node]:
        """Return the two speakers of a node."""
        return self.a.nodes[number], self.b.nodes[number]

    def up(self, numbers: Iterable[int], *vips: str) -> None:
        """Have nodes dial in to both routers and announce these addresses."""
        for number in numbers:
            for node in self.nodes(number):
                node.up(*vips)

    def announce(self, number: int, *vips: str) -> None:
        """Have a node announce addresses to both routers."""
        for node in self.nodes(number):
            node.announce(*vips)

    def withdraw(self, number: int, *vips: str) -> None:
        """Have a node withdraw addresses from both routers."""
        for node in self.nodes(number):
            node.withdraw(*vips)

    def close(self, number: int) -> None:
        """End both sessions of a node."""
        for node in self.nodes(number):
            node.close()

    # ---------------------------------------------------------------------------------------------- the kernels

    def wait_for(self, address: str, numbers: Iterable[int], seconds: float = 10.0) -> None:
        """Wait until both kernels lead to exactly these nodes."""
        chosen = list(numbers)
        for site in self.both:
            site.wait_for(address, [site.nodes[number] for number in chosen], seconds)

    def differing(self, address: str) -> list[int]:
        """Return the buckets that lead to different nodes on the two routers, as the kernels have them."""
        here, there = (site.layout(address) for site in self.both)
        return sorted(n for n in here.keys() | there.keys() if not here.get(n) == there.get(n) != "")

    def unequal(self, *addresses: str) -> str:
        """Return what differs, empty if the two routers lead every flow to these addresses to the same node."""
        seeds = {site.router.sysctl(SEED) for site in self.both}
        found = [f"{address}: {len(those)}" for address in addresses if (those := self.differing(address))]
        return ", ".join([*found, *(["seeds"] if len(seeds) > 1 else [])])

    def wait_equal(self, *addresses: str, seconds: float = 10.0) -> float:
        """Wait until the two routers agree; return the seconds that it took."""
        return until(lambda: self.unequal(*addresses), seconds, "both routers lead alike")

    def uneven(self, *addresses: str) -> str:
        """Return which groups do not have fair shares, on either router; empty if all do."""
        found = []
        for address in addresses:
            for site in self.both:
                counts = site.buckets(address)
                apart = max(counts.values()) - min(counts.values())
                if apart > 1 + counts.total() // SLACK or len(counts) < len(site.next_hops(address)):
                    found.append(f"{address}: {dict(counts)}")
        return ", ".join(found)


@contextmanager
def pair(configure: Configure, nodes: int = 4) -> Iterator[PairSite]:
    """Build two routers and so many nodes on two networks, with servers; the daemons are not started."""
    networks = (NODES_10, NODES_10, NODES_20, NODES_20)
    places = [Place(f"node{n}", n, network, FIRST_NODE_HOST + n) for n, network in enumerate(networks[:nodes])]
    topology = Topology(tuple(places), CLIENT_NETWORK, routers=PAIR, between=BETWEEN)
    with (
        tempfile.TemporaryDirectory(prefix="routerd-pair-") as text,
        built(topology) as fabric,
        serving(fabric, Path(text)),
        _router(fabric, configure, Path(text), PAIR[0], PAIR[1]) as a,
        _router(fabric, configure, Path(text), PAIR[1], PAIR[0]) as b,
    ):
        for node in fabric.nodes.values():
            node.ip(*(f"address add {vip} dev lo" for vip in MORE.values()))
        fabric.client.ip(*(f"address add {address} dev {CLIENT_NETWORK.name}" for address in SECOND.values()))
        yield PairSite(fabric, a, b, Path(text))


@contextmanager
def _router(fabric: Fabric, configure: Configure, directory: Path, own: Router, other: Router) -> Iterator[Site]:
    place = directory / own.name
    place.mkdir()
    with router_of(fabric, own, configure(own, other, directory), place) as site:
        yield site
