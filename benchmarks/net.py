"""Network namespaces, the router's, the nodes' and a client's, joined by cables. They go when the process does."""

from __future__ import annotations

import ctypes
import ipaddress
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from routerd.lab.namespaces import Namespace, namespace

NETWORK = ipaddress.IPv4Network("10.99.0.0/22")
ROUTER = "10.99.0.1"
CLIENT_NETWORK = ipaddress.IPv4Network("10.98.0.0/24")
CLIENT = "10.98.0.2"
ROUTER_AS, NODE_AS, SINK_AS = 65000, 65001, 65002
METRIC = 20
"""Of every route that a contender writes: zebra's and routerd's default."""
PREFIXES = "20.0.0.0/8"
"""Where the generator's host routes lie."""
MOST_NODES = 1010

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def node(number: int) -> str:
    """Return the address of a node, counted from 0."""
    return str(NETWORK[10 + number])


@dataclass(frozen=True, slots=True)
class Site:
    """The namespaces; the router's end of the nodes' cable is `eth0`, of the client's `eth1`.

    All nodes are one host, `nodes`, unless they were asked for one by one: then `each` has a namespace for every
    node, with a link-layer address of its own behind the same cable. Hosts take in packets to any VIP.
    """

    router: Namespace
    nodes: Namespace
    client: Namespace
    each: tuple[Namespace, ...] = ()

    def introduce(self, first: int, count: int) -> None:
        """Tell the router the nodes' link-layer address, as entries that the neighbour table's limit does not count.

        The limit, 1,024 by default, holds for all namespaces of the machine together, and only the machine's operator
        can raise it. An entry that was learned from outside is beyond it.
        """
        (link,) = json.loads(self.nodes.run("ip", "-j", "link", "show", "eth0"))
        state = f"lladdr {link['address']} dev eth0 nud reachable extern_learn"
        self.router.ip(*(f"neighbour replace {node(number)} {state}" for number in range(first, first + count)))


@contextmanager
def site(apart: int = 0) -> Iterator[Site]:
    """Make the namespaces, with `apart` of nodes of their own; at the end what runs inside is killed, and they go."""
    with ExitStack() as stack:
        router, nodes, client = (stack.enter_context(namespace(f"bench-{n}")) for n in ("router", "nodes", "client"))
        each = tuple(stack.enter_context(namespace(f"bench-node-{number}")) for number in range(apart))
        router.ip(
            f"link add eth0 type veth peer name eth0 netns {nodes.pid}",
            f"link add eth1 type veth peer name eth0 netns {client.pid}",
            f"address add {ROUTER}/{NETWORK.prefixlen} dev eth0",
            f"address add {CLIENT_NETWORK[1]}/{CLIENT_NETWORK.prefixlen} dev eth1",
            "link set eth0 up",
            "link set eth1 up",
        )
        router.sysctl("net.ipv4.ip_forward", "1")
        # Over veth a packet has its socket's hash, which changes when TCP sends anew: so the five-tuple, for all.
        router.sysctl("net.ipv4.fib_multipath_hash_policy", "3")
        router.sysctl("net.ipv4.fib_multipath_hash_fields", "0x37")
        client.ip(
            "link set eth0 up",
            f"address add {CLIENT}/{CLIENT_NETWORK.prefixlen} dev eth0",
            f"route add default via {CLIENT_NETWORK[1]}",
        )
        nodes.ip("link set eth0 up")
        for number, own in enumerate(each):
            nodes.ip(f"link add link eth0 name port{number} type macvlan mode bridge")
            nodes.ip(f"link set port{number} netns {own.pid} name eth0")
            own.ip("link set eth0 up")
            _host(own, node(number))
        if not each:
            # Secondary addresses of the same network, so that deleting none takes the others along.
            _host(nodes, *(node(number) for number in range(MOST_NODES)))
        yield Site(router, nodes, client, each)


def _host(place: Namespace, *addresses: str) -> None:
    """Give a host its addresses, the way back to clients, and packets to any VIP."""
    place.ip(
        *(f"address add {address}/{NETWORK.prefixlen} dev eth0" for address in addresses),
        f"route add default via {ROUTER}",
        f"route add local {PREFIXES} dev lo",
    )


@contextmanager
def inside(place: Namespace) -> Iterator[None]:
    """Move the calling thread into a namespace: sockets that it opens stay there."""
    with (
        Path("/proc/thread-self/ns/net").open("rb") as before,
        Path(f"/proc/{place.pid}/ns/net").open("rb") as wanted,
    ):
        _setns(wanted.fileno())
        try:
            yield
        finally:
            _setns(before.fileno())


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")
