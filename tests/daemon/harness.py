"""The real routerd in a namespace of its own, and a namespace of raw peers beside it.

The router is 10.0.0.1 and fd00::1 on `eth0`; the nodes are all of 10.0.0.64/26 and fd00::100 to fd00::13f, on one
interface. A test that waits names what it waits for with `becomes`, never with a time.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from routerd.api.models import PeerView, StatusView
from routerd.cli.client import Client as ApiClient
from tests.support import bgp
from tests.support.netns import Namespace, namespace, veth

CLI = (sys.executable, "-m", "routerd")
ROUTER, ROUTER6 = "10.0.0.1", "fd00::1"
FIRST, LAST = 65, 126
"""The last octet of the first and the last node's address."""

CONFIG = """
[router]
asn = 65000
router_id = "10.0.0.1"
networks = ["10.10.1.0/24"]

[api]
socket = "{socket}"
group = "root"

[peer_groups.nodes]
multihop = 2
graceful_restart = true
accept = ["172.16.0.0/12", "fd00:ac10::/32"]
advertise = ["networks"]

[[dynamic_peers]]
range = "10.0.0.64/26"
group = "nodes"
"""

T = TypeVar("T")


TRUE: Any = type("True", (), {"__repr__": lambda self: "something true"})()
"""What `becomes` waits for unless told otherwise. None is an answer like any other: a `get` that found nothing."""


async def becomes(probe: Callable[[], T], wanted: object = TRUE, seconds: float = 20.0) -> T:
    """Wait until `probe` answers `wanted`, or with `TRUE` anything that is true, and return its answer."""
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found if wanted is TRUE else found == wanted:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: found {found!r}, wanted {wanted!r}")
        await asyncio.sleep(0.02)


def node(number: int) -> str:
    """Return the IPv4 address of a node, counted from 0."""
    return f"10.0.0.{FIRST + number}"


def node6(number: int) -> str:
    """Return the IPv6 address of a node, counted from 0."""
    return f"fd00::{0x100 + number:x}"


def announcement(number: int, *prefixes: str, as_path: Sequence[int] = (65001,), med: int | None = None) -> bytes:
    """Return the UPDATE with which a node announces prefixes of one family, itself as the next hop."""
    if ":" in prefixes[0]:
        return bgp.update(bgp.attributes(as_path=as_path, med=med) + bgp.mp_reach(node6(number), prefixes))
    return bgp.update(bgp.attributes(next_hop=node(number), as_path=as_path, med=med), prefixes)


class Network:
    """The router's namespace and the one of the nodes, joined by a cable."""

    def __init__(self, router: Namespace, nodes: Namespace) -> None:
        self.router = router
        self.nodes = nodes

    async def connect(self, number: int, **options: Any) -> bgp.Client:
        """Dial in as a node; `options` go to `bgp.connect`."""
        with self.nodes.enter():
            return await bgp.connect(ROUTER, source=node(number), router_id=node(number), **options)

    async def establish(self, number: int, *, asn: int = 65001, **options: Any) -> bgp.Client:
        """Dial in as a node and bring the session up."""
        client = await self.connect(number, asn=asn, **options)
        await client.establish()
        return client

    def route(self, prefix: str) -> str:
        """Return what `ip route show PREFIX` prints."""
        return self.router.ip("-6" if ":" in prefix else "-4", "route", "show", prefix)

    def legs(self, prefix: str) -> set[str]:
        """Return the gateways of routerd's route to a prefix in the kernel.

        While routerd writes a group nexthop_compat_mode is off, and `ip route` shows the id alone: look again.
        """
        deadline = time.monotonic() + 1.0
        while nhid(shown := self.route(prefix)) and not legs(shown) and time.monotonic() < deadline:
            time.sleep(0.005)
        return legs(shown)

    async def has(self, prefix: str, *numbers: int) -> None:
        """Wait until exactly these nodes are the gateways of routerd's route to a prefix."""
        gateways = {node6(number) if ":" in prefix else node(number) for number in numbers}
        await becomes(lambda: self.legs(prefix), gateways)

    def nhid(self, prefix: str) -> int:
        """Return the nexthop id of routerd's route to a prefix; 0 if there is none."""
        return nhid(self.route(prefix))

    def kernel(self) -> tuple[list[str], list[str]]:
        """Return all routes and nexthops as `ip` prints them, less the counters that go on by themselves."""
        routes = [line for v in ("-4", "-6") for line in self.router.ip(v, "route", "show").splitlines()]
        nexthops = re.sub(r"unbalanced_time \S+ ", "", self.router.ip("nexthop", "show"))
        return sorted(routes), sorted(nexthops.splitlines())


def legs(shown: str) -> set[str]:
    """Return the gateways of the route of protocol bgp and metric 20 in the output of `ip route show`."""
    return set(re.findall(r"via (\S+)", _own(shown)))


def nhid(shown: str) -> int:
    """Return the nexthop id of the route of protocol bgp and metric 20 in the output of `ip route show`, or 0."""
    found = re.search(r"nhid (\d+)", _own(shown))
    return int(found[1]) if found else 0


def _own(shown: str) -> str:
    entries = re.split(r"\n(?=\S)", shown)
    return next((entry for entry in entries if "proto bgp metric 20" in entry), "")


@contextmanager
def network() -> Iterator[Network]:
    """Make both namespaces, and remove them at the end."""
    with namespace("router") as router, namespace("nodes") as nodes:
        for member in (router, nodes):
            member.sysctl(net__ipv6__conf__all__accept_dad=0, net__ipv6__conf__default__accept_dad=0)
        veth(router, "eth0", nodes, "eth0")
        router.address("eth0", f"{ROUTER}/24", f"{ROUTER6}/64")
        batch = [f"address add 10.0.0.{host}/24 dev eth0" for host in range(FIRST, LAST + 1)]
        batch += [f"address add {node6(n)}/64 dev eth0 nodad" for n in range(LAST - FIRST + 1)]
        nodes.run("sh", "-c", f"printf '%s\\n' '{chr(10).join(batch)}' | ip -batch -")
        yield Network(router, nodes)


class Routerd:
    """A routerd of one configuration text, in which `{socket}` stands for its socket; it may run several times."""

    def __init__(self, inside: Namespace, directory: Path, config: str = CONFIG) -> None:
        self.inside = inside
        self.socket = directory / "routerd.sock"
        self.config = directory / "routerd.toml"
        self.log = directory / "routerd.log"
        if "[drain]" not in config:  # a test shall not find the drains of another one
            config += '\n[drain]\nstate_file = ""\n'
        self.config.write_text(config.replace("{socket}", str(self.socket)))
        self._notify = directory / "notify.sock"
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        assert self._process is not None, "routerd was not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the daemon's process lives."""
        return self._process is not None and self._process.poll() is None

    def spawn(self, *options: str, wrapper: Sequence[str] = (), **environment: str) -> None:
        """Start it and do not wait; `wrapper` is a command that runs the one behind it."""
        with self.log.open("a") as log:
            self._process = self.inside.spawn(
                *wrapper,
                *CLI,
                "run",
                "--config",
                str(self.config),
                *options,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | environment,
            )

    def start(self, *options: str, wrapper: Sequence[str] = ()) -> None:
        """Start it and wait until it tells its service manager that it is ready."""
        self._notify.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(self._notify))
            notify.settimeout(0.1)
            self.spawn(*options, wrapper=wrapper, NOTIFY_SOCKET=str(self._notify))
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and self.running:
                try:
                    if b"READY=1" in notify.recv(4096):
                        return
                except TimeoutError:
                    continue
        raise AssertionError(f"routerd is not ready:\n{self.log.read_text()[-4000:]}")

    def wait(self, seconds: float = 15.0) -> int:
        """Return its exit status once it has ended."""
        assert self._process is not None, "routerd was not started"
        return self._process.wait(seconds)

    def stop(self) -> int:
        """Stop it with SIGTERM and return its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it and its speaker at once, if it runs."""
        if self.running:
            speaker = subprocess.run(["pgrep", "-P", str(self.pid)], capture_output=True, text=True, check=False)
            for pid in (self.pid, *map(int, speaker.stdout.split())):
                _kill(pid)
        if self._process is not None:
            self._process.wait()

    def get(self, resource: str, **query: str | int | None) -> Any:
        """Return the API's answer; `cli.client.ApiError` if it says no."""
        return ApiClient(str(self.socket)).get(resource, **query)

    def status(self) -> StatusView:
        """Return `GET /v1/status`."""
        status: StatusView = self.get("/v1/status")
        return status

    def peer(self, number: int) -> PeerView:
        """Return what is known of a node; KeyError if it never dialled in."""
        found: dict[str, PeerView] = {peer["address"]: peer for peer in self.get("/v1/peers")}
        return found[node(number)]

    def count(self, number: int, kind: str) -> int:
        """Return how many prefixes of a node are `received`, `accepted` and so on; 0 before it dialled in."""
        peers: list[PeerView] = self.get("/v1/peers")
        counts = {peer["address"]: dict(peer["totals"]) for peer in peers}
        return cast("int", counts.get(node(number), {}).get(kind, 0))

    def problems(self) -> dict[str, str]:
        """Return the problems of the status, from where to what."""
        return {problem["where"]: problem["what"] for problem in self.status()["problems"]}

    def rss(self) -> int:
        """Return the daemon's resident memory in KiB."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert found is not None
        return int(found[1])

    def cli(self, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command that asks the daemon."""
        return cli(command, *words, "--socket", str(self.socket))


def cli(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `routerd WORDS` outside of the router's namespace."""
    return subprocess.run([*CLI, *words], capture_output=True, text=True, check=False, timeout=30)


def alive(pid: int) -> bool:
    """Tell whether a process lives."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it ended by itself in the meantime


@contextmanager
def running(
    inside: Namespace, directory: Path, config: str = CONFIG, options: Sequence[str] = ()
) -> Iterator[Routerd]:
    """Run a routerd until the block ends, however it ends."""
    daemon = Routerd(inside, directory, config)
    try:
        daemon.start(*options)
        yield daemon
    finally:
        daemon.kill()
