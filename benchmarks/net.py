"""Two network namespaces, the router's and the nodes', joined by a cable. They are gone when the process is."""

from __future__ import annotations

import ctypes
import ipaddress
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from routerd.lab.namespaces import Namespace, namespace

NETWORK = ipaddress.IPv4Network("10.99.0.0/22")
ROUTER = "10.99.0.1"
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
    """The namespaces; the router's end of the cable is `eth0`."""

    router: Namespace
    nodes: Namespace

    def introduce(self, first: int, count: int) -> None:
        """Tell the router the nodes' link-layer address, as entries that the neighbour table's limit does not count.

        The limit, 1,024 by default, holds for all namespaces of the machine together, and only the machine's operator
        can raise it. An entry that was learned from outside is beyond it.
        """
        (link,) = json.loads(self.nodes.run("ip", "-j", "link", "show", "eth0"))
        state = f"lladdr {link['address']} dev eth0 nud reachable extern_learn"
        self.router.ip(*(f"neighbour replace {node(number)} {state}" for number in range(first, first + count)))


@contextmanager
def site() -> Iterator[Site]:
    """Make both namespaces; at the end what runs inside is killed, and they go."""
    with namespace("bench-router") as router, namespace("bench-nodes") as nodes:
        router.ip(
            f"link add eth0 type veth peer name eth0 netns {nodes.pid}",
            f"address add {ROUTER}/{NETWORK.prefixlen} dev eth0",
            "link set eth0 up",
        )
        router.sysctl("net.ipv4.ip_forward", "1")
        # One address a node. Secondary ones of the same network, so that deleting none takes the others along.
        nodes.ip(
            "link set eth0 up",
            *(f"address add {node(number)}/{NETWORK.prefixlen} dev eth0" for number in range(MOST_NODES)),
        )
        yield Site(router, nodes)


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
