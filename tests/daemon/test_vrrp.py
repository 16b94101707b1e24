"""The recipe for keepalived, config/keepalived, with the real one: two routers with the same addresses before a node.

The client and the node lead to the virtual addresses alone, so a packet comes back only where both sides have moved,
and neighbours have heard of it.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.daemon.harness import Routerd, becomes, running
from tests.support import bgp
from tests.support.netns import Namespace, namespace, needs_root, veth

pytestmark = [
    needs_root,
    pytest.mark.skipif(shutil.which("keepalived", path="/usr/sbin:/sbin") is None, reason="needs keepalived"),
]

FILES = Path(__file__).parents[2] / "config" / "keepalived"
ROUTERS = {"gw1": 201, "gw2": 202}
SIDES = {"uplink": ("10.10.1", "fd00:c:"), "nodes10": ("192.168.10", "fd00:10:")}
VIRTUAL = {f"{four}.200" for four, _ in SIDES.values()} | {f"{six}:200" for _, six in SIDES.values()}
VIP, VIP6, PORT = "172.16.1.1", "fd00:ac10::1", 7000
ADVERT = 0.3
BACKUP = "(nodes) Entering BACKUP STATE"
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


def configuration(name: str, daemon: Routerd) -> str:
    """Return the file as it is delivered, but for the daemon's place, who asks it, and how long all takes."""
    text = (FILES / f"{name}.conf").read_text()
    for delivered, here in {
        "/usr/local/bin/routerd health": f"{Path(sys.executable).parent}/routerd health --socket {daemon.socket}",
        "user routerd\n": "user root\n",
        "interval 2\n": "interval 1\n",
        "fall 3\n": "fall 2\n",
        "rise 2\n": "rise 1\n",
        "advert_int 0.5": f"advert_int {ADVERT}",
    }.items():
        assert delivered in text
        text = text.replace(delivered, here)
    return text


class Router:
    """One of the two: its namespace, its routerd, and keepalived."""

    def __init__(self, name: str, inside: Namespace, daemon: Routerd, directory: Path) -> None:
        self.name, self.inside, self.daemon = name, inside, daemon
        self.log = directory / "keepalived.log"
        file = directory / "keepalived.conf"
        file.write_text(configuration(name, daemon))
        pids = [f"--{each}={directory}/{each}" for each in ("pid", "vrrp_pid")]
        with self.log.open("w") as log:
            self._process = inside.spawn(
                "/usr/sbin/keepalived", "--dont-fork", "--log-console", "--vrrp", f"--use-file={file}", *pids,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def kill(self) -> None:
        """End keepalived as it is; what it has started ends with the namespace."""
        self._process.kill()
        self._process.wait()

    def holds(self) -> set[str]:
        """Return the virtual addresses that it has."""
        shown = self.inside.ip("-o", "address", "show")
        return VIRTUAL & set(re.findall(r"inet6? ([^/ ]+)/", shown))


class Site:
    """Two routers between a client and a node; `cables` has the bridges that they are plugged into."""

    def __init__(self, routers: dict[str, Router], client: Namespace, node: Namespace, cables: Namespace) -> None:
        self.routers, self.client, self.node, self.cables = routers, client, node, cables

    def active(self) -> str:
        """Return who has the addresses: all of them, and nobody else any."""
        holding = {name: router.holds() for name, router in self.routers.items()}
        having = [name for name, held in holding.items() if held]
        return having[0] if len(having) == 1 and holding[having[0]] == VIRTUAL else ""

    def answers(self) -> bool:
        """Tell whether the client reaches the node and is answered, by both families."""
        return all(_answered(self.client, vip) for vip in (VIP, VIP6))

    async def moved_to(self, name: str) -> None:
        await becomes(self.active, name, 10)
        await becomes(self.answers, True, 3)

    async def returns(self, router: Router, back: Callable[[], object]) -> None:
        """Have a router come back, wait until it could take over, and see that it does not."""
        active, before = self.active(), router.log.read_text().count(BACKUP)
        back()
        await becomes(lambda: router.log.read_text().count(BACKUP) > before, True, 10)
        for _ in range(4):  # it would take over within four adverts
            assert self.active() == active != router.name
            await asyncio.sleep(ADVERT)


def _family(vip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in vip else socket.AF_INET


def _answered(client: Namespace, vip: str) -> bool:
    with client.enter(), socket.socket(_family(vip), socket.SOCK_DGRAM) as made:
        made.settimeout(0.3)
        made.connect((vip, PORT))
        try:
            made.send(b"?")
            return made.recv(9) == b"?"
        except OSError:
            return False


@contextmanager
def echo(node: Namespace) -> Iterator[None]:
    """Send back whatever comes to the VIPs."""
    sockets: list[socket.socket] = []
    with node.enter():
        for vip in (VIP, VIP6):
            sockets.append(made := socket.socket(_family(vip), socket.SOCK_DGRAM))
            made.bind((vip, PORT))

    def serve(made: socket.socket) -> None:
        while octets := (heard := made.recvfrom(9))[0]:
            made.sendto(octets, heard[1])

    threads = [threading.Thread(target=serve, args=(made,)) for made in sockets]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        with node.enter(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as last:
            for made in sockets:
                host = made.getsockname()[0]
                last.sendto(b"", (host if ":" in host else f"::ffff:{host}", PORT))
        for thread, made in zip(threads, sockets, strict=True):
            thread.join()
            made.close()


@contextmanager
def site(directory: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        cables, client, node = (stack.enter_context(namespace(role)) for role in ("cables", "client", "node"))
        for side in SIDES:
            cables.bridge(side)
        routers: dict[str, Router] = {}
        insides = {name: stack.enter_context(namespace(name)) for name in ROUTERS}
        for inside in insides.values():
            inside.sysctl(net__ipv6__conf__all__accept_dad=0, net__ipv6__conf__default__accept_dad=0)
        plugs = [(inside, side, ROUTERS[name]) for name, inside in insides.items() for side in SIDES]
        for member, side, host in [*plugs, (client, "uplink", 10), (node, "nodes10", 101)]:
            veth(cables, f"{side}-{host}", member, side)
            cables.ip("link", "set", f"{side}-{host}", "master", side)
            member.address(side, f"{SIDES[side][0]}.{host}/24", f"{SIDES[side][1]}:{host}/64")
        for member, side in ((client, "uplink"), (node, "nodes10")):
            for via in (f"{SIDES[side][0]}.200", f"{SIDES[side][1]}:200"):
                member.ip("route", "add", "default", "via", via)
        node.ip("address", "add", f"{VIP}/32", "dev", "lo")
        node.ip("address", "add", f"{VIP6}/128", "dev", "lo", "nodad")
        stack.enter_context(echo(node))
        for name, inside in insides.items():
            (directory / name).mkdir()
            text = CONFIG.format(host=ROUTERS[name])
            daemon = stack.enter_context(running(inside, directory / name, text))
            routers[name] = Router(name, inside, daemon, directory / name)
            stack.callback(routers[name].kill)
        yield Site(routers, client, node, cables)


async def announce(inside: Namespace, host: int) -> bgp.Client:
    """Come up as the node, and announce both addresses."""
    with inside.enter():
        client = await bgp.connect(f"192.168.10.{host}", source="192.168.10.101", router_id="192.168.10.101")
    await client.establish()
    four, six = bgp.attributes(next_hop="192.168.10.101", as_path=(65001,)), bgp.attributes(as_path=(65001,))
    client.send(bgp.update(four, [f"{VIP}/32"]) + bgp.update(six + bgp.mp_reach("fd00:10::101", [f"{VIP6}/128"])))
    client.send(bgp.end_of_rib() + bgp.end_of_rib(bgp.IPV6))
    return client


async def test_addresses_of_both_sides_move_together_and_are_not_taken_back(
    tmp_path: Path, clients: list[bgp.Client]
) -> None:
    with site(tmp_path) as made:
        first, second = made.routers["gw1"], made.routers["gw2"]
        for name, host in ROUTERS.items():
            clients.append(await announce(made.node, host))
            await becomes(lambda name=name: made.routers[name].daemon.cli("health").returncode, 0)
            await becomes(made.active, "gw1", 10)  # who can carry traffic first
        await made.moved_to("gw1")

        assert first.daemon.cli("drain", "--self").returncode == 0
        await made.moved_to("gw2")
        await made.returns(first, lambda: first.daemon.cli("undrain", "--self"))  # of the higher priority

        second.daemon.kill()
        await made.moved_to("gw1")
        await made.returns(second, second.daemon.start)

        port = f"nodes10-{ROUTERS['gw1']}"
        made.cables.ip("link", "set", port, "down")
        await made.moved_to("gw2")
        await made.returns(first, lambda: made.cables.ip("link", "set", port, "up"))


def test_the_two_files_are_the_same_but_for_names_and_addresses() -> None:
    texts = [(FILES / f"{name}.conf").read_text().splitlines()[3:] for name in ROUTERS]
    differing = [(a.strip(" #"), b.strip(" #")) for a, b in zip(*texts, strict=True) if a != b]
    assert [a.split()[0] for a, _ in differing] == [
        "router_id", "priority", "unicast_src_ip", "10.10.1.202", "priority", "unicast_src_ip", "192.168.10.202",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ROUTERS)
def test_keepalived_takes_the_file_with_unicast_too(name: str, tmp_path: Path) -> None:
    text = (FILES / f"{name}.conf").read_text().replace("user routerd", "user root")
    text = text.replace("/usr/local/bin/routerd health", "/bin/true")
    unicast = re.sub(r"# (?=unicast_|    \d|\}$)", "", text, flags=re.MULTILINE)
    assert unicast.count("unicast_peer {") == 2
    assert not re.search(r"^ +# (unicast|\}|    )", unicast, re.MULTILINE)
    for number, each in enumerate((text, unicast)):
        file = tmp_path / f"{number}.conf"
        file.write_text(each)
        with namespace("vrrp") as inside:
            for side in SIDES:
                veth(inside, side, inside, f"far-{side}")
            told = inside.run("sh", "-c", f"/usr/sbin/keepalived -t -l -f {file} 2>&1; echo exit $?")
        assert told.endswith("exit 0\n"), told
