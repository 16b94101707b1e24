"""A topology with everything in it: the router's daemon, the nodes' speakers and web servers, the client."""

from __future__ import annotations

import ipaddress
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from routerd.lab.connections import Connections
from routerd.lab.daemon import Daemon
from routerd.lab.namespaces import Namespace
from routerd.lab.network import Fabric, built
from routerd.lab.process import Process
from routerd.lab.speakers import KINDS, Session, Speaker
from routerd.lab.topology import Node, Router, Topology
from routerd.lab.traffic import serve
from routerd.lab.waiting import until


@dataclass(frozen=True, slots=True)
class Laboratory:
    """A built lab. Nothing runs in it until it is started."""

    fabric: Fabric
    daemons: dict[str, Daemon]
    """By the router's name."""
    speakers: dict[str, Speaker]
    """By the node's name; each is set to announce its node's PodCIDRs and the VIPs."""
    webs: dict[str, Process]
    """The web servers that run, by the node's name."""
    clients: dict[str, Connections] = field(default_factory=dict)
    """The connections that stay open, by the VIP that they go to."""

    @property
    def daemon(self) -> Daemon:
        """The first router's."""
        return self.daemons[self.topology.routers[0].name]

    @property
    def topology(self) -> Topology:
        """What the lab looks like."""
        return self.fabric.topology

    def node(self, name: str) -> Node:
        """Return a node by its name; KeyError for an unknown one."""
        return {node.name: node for node in self.topology.nodes}[name]

    def boot(self, name: str) -> None:
        """Bring a node up: its cable, its web server, its speaker."""
        self.fabric.plug(self.node(name).attachment)
        directory = self.speakers[name].directory
        self.webs[name] = serve(self.fabric.nodes[name], directory / "web.log")
        self.speakers[name].start()

    def lose(self, name: str) -> None:
        """Let a node die: its cable first, so that no farewell gets out, then all that runs on it."""
        self.fabric.unplug(self.node(name).attachment)
        self.fabric.nodes[name].kill_all()
        self.speakers[name].kill()
        self.webs.pop(name).kill()

    def next_hops(self, address: str) -> set[str]:
        """Return the gateways of the first router's BGP route to a host address, as the kernel has them now."""
        return next_hops(self.fabric.router, address)

    def wait_for_next_hops(self, address: str, names: list[str], timeout: float, router: str = "") -> float:
        """Wait until exactly these nodes are the next hops for `address` on the first router, or on the one of this
        name; return the seconds that it took."""
        namespace = self.fabric.routers[router] if router else self.fabric.router
        nodes = [self.node(name) for name in names]
        wanted = {node.ipv4 if _version(address) == 4 else node.ipv6 for node in nodes}

        def missing() -> str:
            found = next_hops(namespace, address)
            return "" if found == wanted else f"the kernel has {', '.join(sorted(found)) or 'none'}"

        return until(missing, timeout, f"next hops {', '.join(sorted(wanted)) or 'none'} for {address}")

    def wait_for_balance(self, timeout: float) -> float:
        """Wait until every group, on all routers that run, has the weights of its members; return the seconds."""

        def missing() -> str:
            return ", ".join(filter(None, map(_unbalanced, self._running)))

        return until(missing, timeout, "fair shares")

    def wait_for_sessions(self, names: list[str], timeout: float) -> float:
        """Wait until these nodes' sessions with all routers that run are up; return the seconds that it took."""
        wanted = {self.speakers[name].session.local for name in names}

        def missing() -> str:
            down = ", ".join(sorted(set[str]().union(*(wanted - each.established() for each in self._running))))
            return down and f"none with {down}"

        return until(missing, timeout, "sessions established")

    @property
    def _running(self) -> list[Daemon]:
        return [daemon for daemon in self.daemons.values() if daemon.runs]


@contextmanager
def laboratory(topology: Topology, config: str | Callable[[Router, Path], str]) -> Iterator[Laboratory]:
    """Build a topology, with routerd and the speakers ready to be started; clear everything away at the end.

    `config` is the text of routerd's configuration, or what makes that of each router, with a directory that all of
    them can read; its `[api] socket` is moved to a private directory. LabError when a speaker's programs are not
    installed.
    """
    for kind in {node.speaker for node in topology.nodes}:
        KINDS[kind].require()
    with tempfile.TemporaryDirectory(prefix="routerd-lab-") as text, built(topology) as fabric:
        speakers = {node.name: _speaker(fabric, node, Path(text)) for node in topology.nodes}
        daemons = {}
        for router in topology.routers:
            directory = Path(text) / router.name if len(topology.routers) > 1 else Path(text)
            directory.mkdir(exist_ok=True)
            own = config if isinstance(config, str) else config(router, Path(text))
            daemons[router.name] = Daemon(fabric.routers[router.name], directory, own)
        lab = Laboratory(fabric, daemons, speakers, {})
        try:
            yield lab
        finally:
            for connections in lab.clients.values():
                connections.close()
            for speaker in speakers.values():
                speaker.close()
            for web in lab.webs.values():
                web.kill()
            for daemon in daemons.values():
                daemon.kill()


def _speaker(fabric: Fabric, node: Node, parent: Path) -> Speaker:
    directory = parent / node.name
    directory.mkdir()
    session = Session(
        asn=node.asn,
        router_id=node.ipv4,
        local=node.ipv4,
        next_hops=(node.ipv4, node.ipv6),
        routers=tuple(node.network.address4(router.host) for router in fabric.topology.routers),
        router_asn=fabric.topology.router_asn,
    )
    speaker = KINDS[node.speaker](fabric.nodes[node.name], directory, session)
    speaker.announce(*fabric.topology.vip_prefixes, *node.pod_cidrs)
    return speaker


def _unbalanced(daemon: Daemon) -> str:
    status = daemon.status()
    if not status or not status["groups"]:
        return "there is no group"
    return ", ".join(f"group {group['id']} is not balanced" for group in status["groups"] if not group["balanced"])


def next_hops(router: Namespace, address: str) -> set[str]:
    """Return the gateways of the BGP route to a host address in a namespace's kernel; empty without one."""
    route = bgp_route(router, address)
    legs: list[dict[str, Any]] = route.get("nexthops", [route])
    if "nhid" in route and "gateway" not in legs[0]:  # net.ipv4.nexthop_compat_mode is 0
        objects = {o["id"]: o for o in json.loads(router.run("ip", "-j", "nexthop", "show"))}
        members = objects.get(route["nhid"], {}).get("group", [{"id": route["nhid"]}])
        legs = [objects.get(member["id"], {}) for member in members]  # what has gone since has no gateway
    return {leg["gateway"] for leg in legs if "gateway" in leg}


def bgp_route(router: Namespace, address: str) -> dict[str, Any]:
    """Return the BGP route to a host address as `ip -json` tells it; empty without one."""
    show = ("ip", f"-{_version(address)}", "-json", "route", "show", address, "proto", "bgp")
    routes: list[dict[str, Any]] = json.loads(router.run(*show) or "[]")
    return routes[0] if routes else {}


def _version(address: str) -> int:
    return ipaddress.ip_address(address).version
