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

from tests.daemon.gateways import (
    CONFIG,
    NODES,
    ROUTERS,
    SIDES,
    UPLINK,
    VIP,
    VIP6,
    Gateways,
    addresses,
    announce,
    gateways,
)
from tests.daemon.harness import Routerd, becomes, running
from tests.support import bgp
from tests.support.netns import Namespace, namespace, needs_root, veth

pytestmark = [
    needs_root,
    pytest.mark.skipif(shutil.which("keepalived", path="/usr/sbin:/sbin") is None, reason="needs keepalived"),
]

FILES = Path(__file__).parents[2] / "config" / "keepalived"
VIRTUAL = {address for side in SIDES for address in addresses(side, 200)}
PORT = 7000
ADVERT = 0.3
BACKUP = "(nodes) Entering BACKUP STATE"


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
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start keepalived."""
        file = self._directory / "keepalived.conf"
        file.write_text(configuration(self.name, self.daemon))
        pids = [f"--{each}={self._directory}/{each}" for each in ("pid", "vrrp_pid")]
        with self.log.open("w") as log:
            self._process = self.inside.spawn(
                "/usr/sbin/keepalived", "--dont-fork", "--log-console", "--vrrp", f"--use-file={file}", *pids,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def kill(self) -> None:
        """End keepalived as it is; what it has started ends with the namespace."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def holds(self) -> set[str]:
        """Return the virtual addresses that it has."""
        shown = self.inside.ip("-o", "address", "show")
        return VIRTUAL & set(re.findall(r"inet6? ([^/ ]+)/", shown))


class Site:
    """Two routers with keepalived between a client and a node."""

    def __init__(self, routers: dict[str, Router], cabling: Gateways) -> None:
        self.routers, self.cabling = routers, cabling

    def active(self) -> str:
        """Return who has the addresses: all of them, and nobody else any."""
        holding = {name: router.holds() for name, router in self.routers.items()}
        having = [name for name, held in holding.items() if held]
        return having[0] if len(having) == 1 and holding[having[0]] == VIRTUAL else ""

    def answers(self) -> bool:
        """Tell whether the client reaches the node and is answered, by both families."""
        return all(_answered(self.cabling.upstream, vip) for vip in (VIP, VIP6))

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
        cabling = stack.enter_context(gateways())
        for member, side in ((cabling.upstream, UPLINK), (cabling.node, NODES)):
            for via in addresses(side, 200):
                member.ip("route", "add", "default", "via", via)
        stack.enter_context(echo(cabling.node))
        routers: dict[str, Router] = {}
        for name, inside in cabling.routers.items():
            (directory / name).mkdir()
            text = CONFIG.format(host=ROUTERS[name])
            daemon = stack.enter_context(running(inside, directory / name, text))
            routers[name] = Router(name, inside, daemon, directory / name)
            stack.callback(routers[name].kill)
        yield Site(routers, cabling)


async def test_addresses_of_both_sides_move_together_and_are_not_taken_back(
    tmp_path: Path, clients: list[bgp.Client]
) -> None:
    with site(tmp_path) as made:
        first, second = made.routers["gw1"], made.routers["gw2"]
        first.start()
        await becomes(made.active, "gw1", 10)  # before any node: their way out leads by it
        second.start()
        for name in ROUTERS:
            clients.append(await announce(made.cabling.node, name))
        await made.moved_to("gw1")
        await becomes(lambda: BACKUP in second.log.read_text())

        assert first.daemon.cli("drain", "--self").returncode == 0
        await made.moved_to("gw2")
        await made.returns(first, lambda: first.daemon.cli("undrain", "--self"))  # of the higher priority

        second.daemon.kill()
        await made.moved_to("gw1")
        await made.returns(second, second.daemon.start)

        made.cabling.switch(NODES, "gw1", on=False)
        await made.moved_to("gw2")
        await made.returns(first, lambda: made.cabling.switch(NODES, "gw1", on=True))


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
