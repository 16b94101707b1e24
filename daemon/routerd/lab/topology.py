"""What the lab looks like: networks, nodes, addresses. Plain data, no I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

ROUTER_HOST = 200
"""The gateway of nodes and client: a single router's own, or what two routers share."""
CLIENT_HOST = 10
FIRST_NODE_HOST = 100


@dataclass(frozen=True, slots=True)
class Network:
    """A switched network. Its name is also the name of the interfaces that stand in it."""

    name: str
    ipv4: str
    ipv6: str

    def address4(self, host: int) -> str:
        """Return the IPv4 address of a host number: 192.168.10.0/24 and 200 make 192.168.10.200."""
        return str(ipaddress.IPv4Network(self.ipv4)[host])

    def address6(self, host: int) -> str:
        """Return the IPv6 address that reads like the IPv4 one: fd00:10::/64 and 200 make fd00:10::200."""
        return str(ipaddress.IPv6Network(self.ipv6)[int(str(host), 16)])

    def attachment(self, member: str, host: int) -> Attachment:
        """Return how `member` stands in this network as host number `host`."""
        return Attachment(member, self, host)


@dataclass(frozen=True, slots=True)
class Attachment:
    """An interface of `member` in a network, and the switch port that it is plugged into."""

    member: str
    network: Network
    host: int

    @property
    def port(self) -> str:
        """The name of the switch's end of the cable, at most 15 characters."""
        return f"{self.network.name}-{self.host}"

    @property
    def addresses(self) -> tuple[str, str]:
        """Both addresses with their prefix lengths, IPv4 first."""
        v4, v6 = self.network.ipv4.split("/")[1], self.network.ipv6.split("/")[1]
        return f"{self.network.address4(self.host)}/{v4}", f"{self.network.address6(self.host)}/{v6}"


@dataclass(frozen=True, slots=True)
class Node:
    """A Kubernetes node: where it stands, its number (it makes the PodCIDR) and what speaks BGP on it."""

    name: str
    number: int
    network: Network
    host: int
    speaker: str = "embedded"
    asn: int = 65001

    @property
    def ipv4(self) -> str:
        """The node's IPv4 address, which is also its router id."""
        return self.network.address4(self.host)

    @property
    def ipv6(self) -> str:
        """The node's IPv6 address."""
        return self.network.address6(self.host)

    @property
    def pod_cidrs(self) -> tuple[str, str]:
        """The networks of the node's pods, IPv4 first."""
        return f"172.20.{self.number}.0/24", f"fd00:ac14:{self.number:x}::/64"

    @property
    def attachment(self) -> Attachment:
        """The node's only interface."""
        return self.network.attachment(self.name, self.host)


@dataclass(frozen=True, slots=True)
class Router:
    """A router and its number in every network."""

    name: str = "router"
    host: int = ROUTER_HOST


@dataclass(frozen=True, slots=True)
class Topology:
    """Routers with one interface in every network, nodes, and a client in a network of its own.

    A single router is the gateway. Of several, one has the gateway's addresses beside its own ones (`gateway.py`);
    `between` is a network in which they alone stand.
    """

    nodes: tuple[Node, ...]
    client: Network
    router_asn: int = 65000
    vips: tuple[str, str] = ("172.16.1.1", "fd00:ac10::1")
    routers: tuple[Router, ...] = (Router(),)
    between: Network | None = None

    @property
    def networks(self) -> tuple[Network, ...]:
        """Every network with a gateway, the client's first."""
        return tuple(dict.fromkeys((self.client, *(node.network for node in self.nodes))))

    def cables(self, router: Router) -> tuple[Attachment, ...]:
        """Return how a router stands in every network."""
        own = (self.between,) if self.between is not None else ()
        return tuple(network.attachment(router.name, router.host) for network in (*self.networks, *own))

    @property
    def vip_prefixes(self) -> tuple[str, str]:
        """The VIPs as the host routes that the nodes announce."""
        return f"{self.vips[0]}/32", f"{self.vips[1]}/128"


CLIENT_NETWORK = Network("client", "10.10.1.0/24", "fd00:c::/64")
NODES_10 = Network("nodes10", "192.168.10.0/24", "fd00:10::/64")
NODES_20 = Network("nodes20", "192.168.20.0/24", "fd00:20::/64")
BETWEEN = Network("between", "10.10.9.0/24", "fd00:9::/64")
PAIR = (Router("router-a", 201), Router("router-b", 202))


def standard(speaker: str = "embedded") -> Topology:
    """Return the lab's own topology: three nodes on two networks, all with the same kind of speaker."""
    nodes = (
        Node("k8s-ctr", 0, NODES_10, 100, speaker),
        Node("k8s-w1", 1, NODES_10, 101, speaker),
        Node("k8s-w0", 2, NODES_20, 100, speaker),
    )
    return Topology(nodes, CLIENT_NETWORK)


def doubled(speaker: str = "embedded") -> Topology:
    """Return the standard lab with two routers, and with a fourth node."""
    one = standard(speaker)
    fourth = Node("k8s-w2", 3, NODES_10, 102, speaker)
    return Topology((*one.nodes, fourth), one.client, routers=PAIR, between=BETWEEN)


def row(speakers: Sequence[str]) -> Topology:
    """Return a topology with one node a speaker in 192.168.10.0/24, from .100 on: `node0`, `node1` and so on.

    At most 100 nodes, so that the addresses end before the router's. ValueError for more.
    """
    if len(speakers) > ROUTER_HOST - FIRST_NODE_HOST:
        raise ValueError(f"{len(speakers)} nodes do not fit below the router's address")
    nodes = (Node(f"node{i}", i, NODES_10, FIRST_NODE_HOST + i, kind) for i, kind in enumerate(speakers))
    return Topology(tuple(nodes), CLIENT_NETWORK)
