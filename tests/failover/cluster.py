"""A router with the real daemon, and nodes whose BGP the test speaks itself: raw peers inside namespaces.

    with cluster(configuration(), 3) as site:
        site.start()
        for node in site.nodes:
            node.up(VIP4, VIP6)
        site.wait_for(VIP4, site.nodes)

Every node has the VIPs on its loopback, and a server there.
"""

from __future__ import annotations

import asyncio
import ctypes
import ipaddress
import json
import os
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, TypeVar

from routerd.api.models import PeerView, StatusView
from routerd.kernel import lookup, wire
from routerd.lab.daemon import Daemon
from routerd.lab.laboratory import bgp_route, next_hops
from routerd.lab.namespaces import Namespace
from routerd.lab.network import Fabric, built
from routerd.lab.process import Process
from routerd.lab.topology import ROUTER_HOST, Router, Topology, row
from routerd.lab.topology import Node as Place
from routerd.lab.waiting import until
from tests.failover import flows
from tests.support import bgp

VIP4, VIP6 = "172.16.1.1", "fd00:ac10::1"
ROUTER_AS, NODE_AS = 65000, 65001
GRACEFUL_SHUTDOWN = 0xFFFF0000

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


def configuration(
    *,
    fib: str = "",
    liveness: str = "",
    group: str = "",
    state_file: str = "",
    router_id: str = "192.168.10.200",
) -> str:
    """Return routerd's configuration; the arguments are lines for its sections.

    The hash policy takes the true addresses and ports: between veth interfaces the kernel may hash a flow by what
    its sender drew for it, which changes when the sender sends again.
    """
    return f"""
[router]
asn = {ROUTER_AS}
router_id = "{router_id}"

[fib]
hash_policy = "five-tuple"
{fib}

[liveness]
{liveness}

[drain]
state_file = "{state_file}"

[api]
socket = "/run/routerd/routerd.sock"
group = "root"

[peer_groups.nodes]
hold_time = 9
graceful_restart = true
restart_time = 15
accept = ["172.16.0.0/12", "fd00:ac10::/32", "10.128.0.0/9"]
{group}

[[dynamic_peers]]
range = "192.168.10.0/24"
group = "nodes"
"""


@contextmanager
def inside(namespace: Namespace) -> Iterator[None]:
    """Move the calling thread into a namespace of the lab's, and back at the end."""
    with Path("/proc/thread-self/ns/net").open("rb") as before:
        _enter(namespace)
        try:
            yield
        finally:
            _setns(before.fileno())


def _enter(namespace: Namespace) -> None:
    with Path(f"/proc/{namespace.pid}/ns/net").open("rb") as wanted:
        _setns(wanted.fileno())


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")


class Node:
    """A node: its server answers to the VIPs, and its BGP, to the router of this number, is what the test says.

    The speaker has a thread of its own, so that it says its keepalives whatever the test waits for.
    """

    def __init__(self, place: Place, namespace: Namespace, router: int = ROUTER_HOST) -> None:
        self.name, self.ipv4, self.ipv6 = place.name, place.ipv4, place.ipv6
        self.namespace = namespace
        self.port = place.attachment.port
        self._router = place.network.address4(router)
        self._client: bgp.Client | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return self.name

    def _run(self) -> None:
        _enter(self.namespace)  # the thread is this node's for good
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T], seconds: float = 30.0) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def dismiss(self) -> None:
        """End the speaker's thread."""
        self.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    # -------------------------------------------------------------------------------------------- the session

    def up(self, *vips: str, **options: Any) -> None:
        """Dial in, announce these addresses, and say End-of-RIB; `options` go to the OPEN."""
        self.dial(**options)
        self.announce(*vips)
        self.end_of_rib()

    def dial(self, *, hold: int = 9, keepalive: bool = True, **options: Any) -> None:
        """Open a session."""
        self.close()

        async def dial() -> bgp.Client:
            async with asyncio.timeout(20):
                while True:
                    made = await bgp.connect(
                        self._router, source=self.ipv4, asn=NODE_AS, hold=hold, router_id=self.ipv4, **options
                    )
                    try:
                        await made.establish(keepalive=keepalive)
                    except bgp.ClosedError:
                        # The router has not yet seen the end of the last connection, or lingers over it.
                        await made.close()
                        await asyncio.sleep(0.05)
                    else:
                        return made

        self._client = self._do(dial())

    @property
    def client(self) -> bgp.Client:
        """The open session."""
        assert self._client is not None, f"{self.name} has no session"
        return self._client

    @property
    def connected(self) -> bool:
        """Whether the router has left the connection open."""
        return self._client is not None and not self._client._ended

    def announce(
        self,
        *addresses: str,
        next_hop: tuple[str, str] | None = None,
        community: int | None = None,
        bandwidth: float | None = None,
        wait: bool = True,
    ) -> None:
        """Announce addresses or prefixes, the bandwidth in octets per second; wait until the node's kernel has taken
        it all, unless told not to."""
        hop4, hop6 = next_hop or (self.ipv4, self.ipv6)
        extra = b"" if community is None else bgp.attribute(8, struct.pack("!I", community), 0xC0)
        if bandwidth is not None:
            extra += bgp.attribute(16, struct.pack("!HHf", 0x4004, NODE_AS, bandwidth), 0xC0)
        v4, v6 = _by_family(addresses)
        head4, head6 = bgp.attributes(hop4, [NODE_AS]) + extra, bgp.attributes(None, [NODE_AS]) + extra
        said = [bgp.update(head4, some) for some in _portions(v4)]
        said += [bgp.update(head6 + bgp.mp_reach(hop6, some)) for some in _portions(v6)]
        self.send(b"".join(said), wait=wait)

    def withdraw(self, *addresses: str) -> None:
        """Withdraw addresses or prefixes."""
        v4, v6 = _by_family(addresses)
        said = [bgp.update(withdrawn=some) for some in _portions(v4)]
        self.send(b"".join([*said, *(bgp.update(bgp.mp_unreach(some)) for some in _portions(v6))]))

    def end_of_rib(self) -> None:
        """Say that all is announced, in both families."""
        self.send(bgp.end_of_rib(bgp.IPV4) + bgp.end_of_rib(bgp.IPV6))

    def send(self, data: bytes, *, wait: bool = True) -> None:
        """Send bytes, and wait until the node's kernel has them, unless told not to."""

        async def send() -> None:
            self.client.send(data)
            if wait:
                await self.client.flushed()

        self._do(send())

    def hear(self, kind: int, seconds: float) -> tuple[int, bytes]:
        """Wait for the router's next message of a type and return it."""
        return self._do(self.client.expect(kind, seconds))

    def notify(self, code: int, subcode: int) -> None:
        """End the session with a NOTIFICATION."""
        self.send(bgp.notification(code, subcode))
        self.close()

    def forsake(self) -> bgp.Client:
        """Leave the session open and dial anew with the next `dial`; the caller closes what is returned."""
        client, self._client = self.client, None
        return client

    def close(self) -> float:
        """Close the connection, as the kernel does when the speaker dies; return the time just before."""
        if self._client is None:
            return time.monotonic()

        async def close() -> float:
            started = time.monotonic()
            self.client.sock.shutdown(2)
            await self.client.close()
            return started

        try:
            return self._do(close())
        except OSError:  # the router was first
            self._do(self._client.close())
            return time.monotonic()
        finally:
            self._client = None


class Site:
    """A router and what it sees: `fabric` is the wiring, `daemon` the router's, `nodes` the nodes in order."""

    def __init__(self, fabric: Fabric, router: Namespace, daemon: Daemon, nodes: list[Node], directory: Path) -> None:
        self.fabric = fabric
        self.router = router
        self.daemon = daemon
        self.nodes = nodes
        self.directory = directory
        self._names = {address: node.name for node in nodes for address in (node.ipv4, node.ipv6)}

    # ---------------------------------------------------------------------------------------------- the daemon

    def start(self, config: str | None = None) -> None:
        """Start the daemon on an empty kernel, with another configuration if given."""
        self.close_sessions()
        self.daemon.kill()
        until(self.empty, 10, "an empty kernel")
        if config is not None:
            self.daemon.configure(config)
        self.daemon.log.unlink(missing_ok=True)
        self.start_daemon()

    def empty(self) -> str:
        """Delete all nexthops; `ip` stops at the first that is gone already, with another that it deleted."""
        self.router.attempt("ip", "nexthop", "flush")
        return self.router.run("ip", "nexthop", "show")

    def start_daemon(self) -> None:
        """Start the daemon on the kernel as it is, and wait until nodes can dial in."""
        before = len(self.logged("ready"))
        self.daemon.start()
        until(lambda: "" if len(self.logged("ready")) > before else "not yet", 10, "routerd is ready")

    def close_sessions(self) -> None:
        """End all sessions and let every node be heard again."""
        for node in self.nodes:
            node.close()
            self.revive(node)

    def cli(self, *words: str, check: bool = True) -> str:
        """Run `routerd WORDS` and return what it prints."""
        command = (sys.executable, "-m", "routerd", *words, "--socket", str(self.daemon.socket))
        done = self.router.attempt(*command)
        assert not check or done.returncode == 0, f"{words}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def spawn(self, *words: str) -> Popen[str]:
        """Start `routerd WORDS` and return it running."""
        command = self.router.command(sys.executable, "-m", "routerd", *words, "--socket", str(self.daemon.socket))
        return Popen(command, stdout=PIPE, stderr=PIPE, text=True)

    def status(self) -> StatusView:
        """Return the daemon's status."""
        found = self.daemon.status()
        assert found is not None, "the daemon does not answer"
        return found

    def peer(self, node: Node) -> PeerView:
        """Return a node as the daemon sees it."""
        return next(peer for peer in self.status()["peers"] if peer["address"] == node.ipv4)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the log's entries of an event."""
        lines = self.daemon.log.read_text().splitlines() if self.daemon.log.exists() else []
        entries = [json.loads(line) for line in lines if line.startswith("{")]
        return [entry for entry in entries if entry["event"] == event]

    # ---------------------------------------------------------------------------------------------- the nodes

    def silence(self, node: Node) -> float:
        """Let a node's frames vanish in the switch, while all carriers stay; return the time just before."""
        started = time.monotonic()
        self.fabric.switch.run("bridge", "link", "set", "dev", node.port, "state", "0")
        return started

    def revive(self, node: Node) -> None:
        """Let a node's frames through again."""
        self.fabric.switch.run("bridge", "link", "set", "dev", node.port, "state", "3")

    # ---------------------------------------------------------------------------------------------- the kernel

    def next_hops(self, address: str) -> set[str]:
        """Return the names of the nodes that the kernel's route leads to."""
        return {self._names.get(gateway, gateway) for gateway in next_hops(self.router, address)}

    def wait_for(self, address: str, nodes: Iterable[Node], seconds: float = 10.0) -> float:
        """Wait until the kernel's route leads to exactly these nodes; return the seconds that it took."""
        wanted = {node.name for node in nodes}

        def missing() -> str:
            found = self.next_hops(address)
            return "" if found == wanted else f"the kernel has {sorted(found) or 'none'}"

        return until(missing, seconds, f"next hops {sorted(wanted) or 'none'} of {address}")

    def group(self, address: str) -> int:
        """Return the nexthop id of the route to an address, 0 without one."""
        return int(bgp_route(self.router, address).get("nhid", 0))

    def nexthop(self, node: Node, address: str = VIP4) -> int:
        """Return the id of the nexthop object that leads to a node, by the family of `address`."""
        wanted = node.ipv4 if ":" not in address else node.ipv6
        return next(int(o["id"]) for o in self.nexthops() if o.get("gateway") == wanted)

    def nexthops(self) -> list[dict[str, Any]]:
        """Return the kernel's nexthop objects and groups as `ip` tells them."""
        found: list[dict[str, Any]] = json.loads(self.router.run("ip", "-j", "nexthop", "show"))
        return found

    @contextmanager
    def watching_nexthops(self) -> Iterator[NexthopWatch]:
        """Note when nexthop objects change."""
        watch = NexthopWatch(self.router)
        try:
            yield watch
        finally:
            watch.close()

    def layout(self, address: str, idle: float | None = None) -> dict[int, str]:
        """Return the node of each bucket of the route's group, "" if that is changing right now; only of those in use
        within `idle` seconds, if given."""
        names = {o["id"]: self._names.get(o.get("gateway", ""), "") for o in self.nexthops()}
        with inside(self.router):
            found = lookup.buckets(self.group(address))
        return {n: names.get(owner, "") for n, owner, age in found if idle is None or age < idle}

    def buckets(self, address: str, idle: float | None = None) -> Counter[str]:
        """Count the buckets of the route's group by node; only those in use within `idle` seconds if given."""
        return Counter(self.layout(address, idle).values())

    def unread(self, address: str) -> str:
        """What the daemon has not read it cannot remember: empty if it has the counts that the kernel has."""
        id = self.group(address)
        (group,) = (group for group in self.status()["groups"] if group["id"] == id)
        read = sorted(member["buckets"] or 0 for member in group["members"])
        there = sorted(count for count in self.buckets(address).values() if count)
        return "" if [count for count in read if count] == there else f"{read}, not {there}"

    @contextmanager
    def route_messages(self) -> Iterator[Callable[[], list[str]]]:
        """Listen to `ip monitor route`; what is yielded returns the lines that came so far, without those of legs."""
        said = self.directory / "monitor.log"
        said.unlink(missing_ok=True)
        monitor = Process(self.router, ["ip", "monitor", "route"], said)
        marks = 0

        def lines() -> list[str]:
            nonlocal marks
            marks += 1
            mark = f"192.0.2.{marks}"

            def heard() -> str:
                self.router.ip(f"route replace blackhole {mark}", f"route delete blackhole {mark}")
                return "" if f"Deleted blackhole {mark}" in said.read_text() else "not yet"

            until(heard, 5, "ip monitor says what was done")
            return [line for line in said.read_text().splitlines() if " 192.0.2." not in line and line[0] != "\t"]

        try:
            lines()  # it listens
            yield lines
        finally:
            monitor.kill()


class NexthopWatch:
    """Notes when the kernel changes nexthop objects and groups of a namespace: (time, message type, id)."""

    def __init__(self, namespace: Namespace) -> None:
        with inside(namespace):
            self._socket = wire.open_socket(groups=1 << 31, receive_buffer=1 << 20)
        self._socket.settimeout(0.2)
        self.seen: list[tuple[float, int, int]] = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            now = time.monotonic()
            length, kind, _, _, _ = wire.HEADER.unpack_from(data)
            (id_,) = struct.unpack("=I", wire.attributes(data, wire.HEADER.size + 8, length)[1])
            self.seen.append((now, kind, id_))

    def deletion(self, id_: int, seconds: float = 10.0) -> float:
        """Return when this object was deleted, once it is."""

        def times() -> list[float]:
            return [at for at, kind, found in self.seen if (kind, found) == (wire.RTM_DELNEXTHOP, id_)]

        until(lambda: "" if times() else "it is there", seconds, f"nexthop {id_} is deleted")
        return times()[0]

    def close(self) -> None:
        """Stop watching."""
        self._closing = True
        self._thread.join()
        self._socket.close()


@contextmanager
def cluster(config: str, nodes: int | Topology) -> Iterator[Site]:
    """Build a router with this configuration and nodes with servers, so many on one link or as a topology has them;
    the daemon is not started."""
    topology = row(["embedded"] * nodes) if isinstance(nodes, int) else nodes
    with (
        tempfile.TemporaryDirectory(prefix="routerd-failover-") as text,
        built(topology) as fabric,
        serving(fabric, Path(text)),
        router_of(fabric, topology.routers[0], config, Path(text)) as site,
    ):
        yield site


@contextmanager
def serving(fabric: Fabric, directory: Path) -> Iterator[None]:
    """Run the servers of all nodes."""
    with ExitStack() as stack:
        for name, namespace in fabric.nodes.items():
            stack.callback(flows.serve(namespace, directory / f"{name}.log").kill)
        yield


@contextmanager
def router_of(fabric: Fabric, router: Router, config: str, directory: Path) -> Iterator[Site]:
    """Make a router's daemon, which is not started, and the nodes' speakers with it; `directory` is its own."""
    with ExitStack() as stack:
        made = []
        for place in fabric.topology.nodes:
            made.append(Node(place, fabric.nodes[place.name], router.host))
            stack.callback(made[-1].dismiss)
        daemon = Daemon(fabric.routers[router.name], directory, config)
        stack.callback(daemon.kill)
        yield Site(fabric, fabric.routers[router.name], daemon, made, directory)


def prefixes(count: int) -> list[str]:
    """Return so many addresses of 10.128.0.0/9."""
    first = int(ipaddress.IPv4Address("10.128.0.0"))
    return [str(ipaddress.IPv4Address(first + index)) for index in range(count)]


def _by_family(addresses: Iterable[str]) -> tuple[list[str], list[str]]:
    v4 = [address for address in addresses if ":" not in address]
    return v4, [address for address in addresses if ":" in address]


def _portions(addresses: list[str]) -> Iterator[list[str]]:
    """Cut a list into what fits into an UPDATE of 4096 bytes."""
    size = 200 if addresses and ":" in addresses[0] else 780
    for start in range(0, len(addresses), size):
        yield addresses[start : start + size]
