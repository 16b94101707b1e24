"""Two routers, gw1 and gw2, between what is upstream and a node: their cabling, and the node's announcements.

The uplink is 10.10.1.0/24 and fd00:c::/64, the nodes' network 192.168.10.0/24 and fd00:10::/64, as in
config/keepalived and config/upstream; both routers have the same host number on both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.support import bgp
from tests.support.netns import Namespace, namespace, veth

ROUTERS = {"gw1": 201, "gw2": 202}
UPLINK, NODES = "uplink", "nodes10"
SIDES = {UPLINK: ("10.10.1", "fd00:c:"), NODES: ("192.168.10", "fd00:10:")}
VIP, VIP6 = "172.16.1.1", "fd00:ac10::1"
CONFIG = """
[router]
asn = 65000
router_id = "192.168.10.{host}"
listen = ["192.168.10.{host}", "fd00:10::{host}"]

[api]
socket = "{{socket}}"
group = "root"

[peer_groups.nodes]
accept = ["172.16.0.0/12", "fd00:ac10::/32"]

[[dynamic_peers]]
range = "192.168.10.0/24"
group = "nodes"
"""
"""Of a router; `host` is its number."""


def addresses(side: str, host: int) -> tuple[str, str]:
    """Return a host's addresses on a side, IPv4 first."""
    four, six = SIDES[side]
    return f"{four}.{host}", f"{six}:{host}"


class Gateways:
    """The two namespaces, and those of a neighbour upstream, of the bridges between, and of a node with the VIPs. It
    has two addresses on its network, so that it may pass for two nodes."""

    def __init__(self, stack: ExitStack) -> None:
        roles = ("cables", "upstream", "node", *ROUTERS)
        made = {role: stack.enter_context(namespace(role)) for role in roles}
        self.cables, self.upstream, self.node = (made[role] for role in roles[:3])
        self.routers = {name: made[name] for name in ROUTERS}
        for each in made.values():
            each.sysctl(net__ipv6__conf__all__accept_dad=0, net__ipv6__conf__default__accept_dad=0)
        for side in SIDES:
            self.cables.bridge(side)
            for name, host in ROUTERS.items():
                self._plug(side, host, self.routers[name])
        self._plug(UPLINK, 1, self.upstream)
        self._plug(NODES, 101, self.node)
        self.node.address(NODES, *map("/".join, zip(addresses(NODES, 102), ("24", "64"), strict=True)))
        for vip in (f"{VIP}/32", f"{VIP6}/128"):
            self.node.ip("address", "add", vip, "dev", "lo")

    def _plug(self, side: str, host: int, member: Namespace) -> None:
        port = f"{side}-{host}"
        veth(self.cables, port, member, side)
        self.cables.ip("link", "set", port, "master", side)
        four, six = addresses(side, host)
        member.address(side, f"{four}/24", f"{six}/64")

    def switch(self, side: str, router: str, *, on: bool) -> None:
        """Pull a router's cable, or plug it in again."""
        self.cables.ip("link", "set", f"{side}-{ROUTERS[router]}", "up" if on else "down")


@contextmanager
def gateways() -> Iterator[Gateways]:
    """Make all of it, and remove it at the end."""
    with ExitStack() as stack:
        yield Gateways(stack)


async def announce(node: Namespace, router: str, host: int = 101) -> bgp.Client:
    """Come up as a node at one of the routers, and announce both VIPs."""
    four, six = addresses(NODES, host)
    with node.enter():
        client = await bgp.connect(addresses(NODES, ROUTERS[router])[0], source=four, router_id=four)
    await client.establish()
    client.send(bgp.update(bgp.attributes(next_hop=four, as_path=(65001,)), [f"{VIP}/32"]))
    client.send(bgp.update(bgp.attributes(as_path=(65001,)) + bgp.mp_reach(six, [f"{VIP6}/128"])))
    client.send(bgp.end_of_rib() + bgp.end_of_rib(bgp.IPV6))
    return client
