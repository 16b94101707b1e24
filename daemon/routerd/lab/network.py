"""Building a topology out of namespaces: a switch with a bridge a network, and cables to its members."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from routerd.lab.namespaces import Namespace, namespace
from routerd.lab.topology import CLIENT_HOST, ROUTER_HOST, Attachment, Node, Topology
from routerd.lab.waiting import until


@dataclass(frozen=True, slots=True)
class Fabric:
    """A built topology. The bridges live in a namespace of their own, as switches do: a node that dies takes
    no carrier from the router."""

    topology: Topology
    switch: Namespace
    routers: dict[str, Namespace]
    client: Namespace
    nodes: dict[str, Namespace]

    @property
    def router(self) -> Namespace:
        """The first router."""
        return self.routers[self.topology.routers[0].name]

    def unplug(self, attachment: Attachment) -> None:
        """Pull the cable of an interface out of the switch: both ends lose their carrier at once."""
        self.switch.ip(f"link set {attachment.port} down")

    def plug(self, attachment: Attachment) -> None:
        """Put the cable back."""
        self.switch.ip(f"link set {attachment.port} up")


@contextmanager
def built(topology: Topology) -> Iterator[Fabric]:
    """Build a topology: namespaces, bridges, cables, addresses, default routes by way of the gateway, and the
    VIPs on each node's loopback. Everything is gone at the end. Of several routers, none is the gateway yet."""
    with ExitStack() as stack:
        switch = stack.enter_context(namespace("switch"))
        routers = {router.name: stack.enter_context(namespace(router.name)) for router in topology.routers}
        client = stack.enter_context(namespace("client"))
        nodes = {node.name: stack.enter_context(namespace(node.name)) for node in topology.nodes}
        fabric = Fabric(topology, switch, routers, client, nodes)
        everything = (switch, *routers.values(), client, *nodes.values())
        for member in everything[1:]:
            # The router cannot ask for an IPv6 neighbour while it still checks its link-local address for doubles.
            for scope in ("all", "default"):
                member.sysctl(f"net.ipv6.conf.{scope}.accept_dad", "0")
        for network in (*topology.networks, *filter(None, [topology.between])):
            switch.ip(f"link add {network.name} type bridge mcast_snooping 0", f"link set {network.name} up")
        for router in topology.routers:
            for attachment in topology.cables(router):
                _cable(switch, routers[router.name], attachment)
            for setting in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
                routers[router.name].sysctl(setting, "1")
        _cable(switch, client, topology.client.attachment("client", CLIENT_HOST))
        _default_route(client, topology.client.attachment("client", CLIENT_HOST))
        for node in topology.nodes:
            _node(fabric, node)
        until(lambda: ", ".join(_starting(everything)), 10, "all cables are up")
        yield fabric


def _node(fabric: Fabric, node: Node) -> None:
    inside = fabric.nodes[node.name]
    _cable(fabric.switch, inside, node.attachment)
    _default_route(inside, node.attachment)
    inside.ip(*(f"address add {vip} dev lo nodad" for vip in fabric.topology.vip_prefixes))


def _cable(switch: Namespace, member: Namespace, attachment: Attachment) -> None:
    name, port = attachment.network.name, attachment.port
    switch.ip(
        f"link add {port} type veth peer name {name} netns {member.pid}",
        f"link set {port} master {name}",
        f"link set {port} up",
    )
    v4, v6 = attachment.addresses
    member.ip(f"link set {name} up", f"address add {v4} dev {name}", f"address add {v6} dev {name} nodad")


def _starting(namespaces: Iterable[Namespace]) -> list[str]:
    """The cables that drop packets yet: the kernel may take a second to act on a carrier that it sees."""
    show = ("ip", "-json", "link", "show", "type", "veth")
    links = [(ns.name, link) for ns in namespaces for link in json.loads(ns.run(*show))]
    return [f"{name} {link['ifname']}" for name, link in links if link["operstate"] != "UP"]


def _default_route(member: Namespace, attachment: Attachment) -> None:
    network = attachment.network
    member.ip(
        f"route add default via {network.address4(ROUTER_HOST)}",
        f"route add default via {network.address6(ROUTER_HOST)}",
    )
