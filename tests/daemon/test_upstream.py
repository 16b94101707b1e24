"""The recipes for equal paths, config/upstream, with the real FRR and BIRD: two routers share the traffic, and one of
them hands it over without a lost packet."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.daemon.gateways import CONFIG, ROUTERS, UPLINK, VIP, VIP6, addresses, announce, gateways
from tests.daemon.harness import Routerd, becomes, running
from tests.failover.stream import stream
from tests.support.bgp import Client
from tests.support.netns import Namespace, namespace, needs_root, veth

pytestmark = needs_root

FILES = Path(__file__).parents[2] / "config" / "upstream"
UPSTREAM = """
[fib]
idle_timer = 1

[peer_groups.upstream]
accept = []
advertise = ["learned"]

[[peers]]
name = "upstream"
address = "10.10.1.1"
group = "upstream"
connect = true
"""
RATE = 400
"""Packets a second, over 32 flows to each VIP."""


@contextmanager
def frr(inside: Namespace) -> Iterator[None]:
    """Run zebra and bgpd with the file as it is delivered, as the package's user."""
    with TemporaryDirectory(prefix="frr-", dir="/var/tmp") as name, ExitStack() as stack:
        directory = Path(name)
        shutil.chown(directory, "frr", "frr")
        place = ["--vty_socket", name, "-z", f"{name}/zserv.api"]
        for program in ("zebra", "bgpd"):
            (directory / f"{program}.conf").touch()
            files = ["-i", f"{name}/{program}.pid", "-f", f"{name}/{program}.conf", "--log", f"file:{name}/log"]
            process = inside.spawn(f"/usr/lib/frr/{program}", "-P", "0", *place, *files, stdin=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.kill)
        read = ("vtysh", "--vty_socket", name, "-f", str(FILES / "frr.conf"))
        for _ in range(100):
            told = inside.run("sh", "-c", f"{' '.join(read)} 2>&1", check=False)
            if "router bgp 64999" in inside.run(
                "vtysh", "--vty_socket", name, "-c", "show running-config", check=False
            ):
                break
        assert "%" not in told, told
        yield


@contextmanager
def bird(inside: Namespace) -> Iterator[None]:
    """Run BIRD with the file as it is delivered."""
    with TemporaryDirectory() as name:
        place = ("-s", f"{name}/bird.ctl", "-P", f"{name}/bird.pid")
        process = inside.spawn("bird", "-f", "-c", str(FILES / "bird.conf"), *place, stdin=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.kill()
            process.wait()


def forwarding(upstream: Namespace, client: Namespace) -> None:
    """Have the upstream router forward for a client, flow by flow. What it sends itself is no measure: connected IPv6
    sockets of a host with FRR lost packets when zebra took nexthop objects away, and forwarded ones did not."""
    upstream.sysctl(
        net__ipv4__ip_forward=1,
        net__ipv6__conf__all__forwarding=1,
        net__ipv4__fib_multipath_hash_policy=1,
        net__ipv6__fib_multipath_hash_policy=1,
    )
    veth(client, "eth0", upstream, "lan")
    client.address("eth0", "10.20.0.9/24", "fd00:20::9/64")
    upstream.address("lan", "10.20.0.1/24", "fd00:20::1/64")
    for via in ("10.20.0.1", "fd00:20::1"):
        client.ip("route", "add", "default", "via", via)


def ways(inside: Namespace, vip: str) -> set[str]:
    """Return the next hops of the upstream's route to a VIP."""
    return set(re.findall(r"via (\S+)", inside.ip("-6" if ":" in vip else "-4", "route", "show", vip)))


class Counted:
    """How many packets each router has taken in on its uplink since the last look."""

    def __init__(self, routers: dict[str, Namespace]) -> None:
        self._routers = routers
        self._before = self._read()

    def _read(self) -> dict[str, int]:
        shown = {name: inside.run("cat", "/proc/net/dev") for name, inside in self._routers.items()}
        return {name: int(re.findall(rf"{UPLINK}: *\d+ +(\d+)", text)[0]) for name, text in shown.items()}

    def since(self) -> dict[str, int]:
        before, self._before = self._before, self._read()
        return {name: count - before[name] for name, count in self._before.items()}


@pytest.mark.parametrize("speaker", [frr, bird])
async def test_a_router_that_is_drained_hands_all_traffic_over(
    speaker: Callable[[Namespace], AbstractContextManager[None]], tmp_path: Path, clients: list[Client]
) -> None:
    with ExitStack() as stack:
        made = stack.enter_context(gateways())
        client = stack.enter_context(namespace("client"))
        forwarding(made.upstream, client)
        stack.enter_context(speaker(made.upstream))
        daemons: dict[str, Routerd] = {}
        for name, host in ROUTERS.items():
            (tmp_path / name).mkdir()
            text = CONFIG.format(host=host) + UPSTREAM
            daemons[name] = stack.enter_context(running(made.routers[name], tmp_path / name, text))
            clients += [await announce(made.node, name, number) for number in (101, 102)]
        both = [{addresses(UPLINK, host)[family] for host in ROUTERS.values()} for family in (0, 1)]
        second = [{addresses(UPLINK, ROUTERS["gw2"])[family]} for family in (0, 1)]

        def found() -> list[set[str]]:
            return [ways(made.upstream, vip) for vip in (VIP, VIP6)]

        await becomes(found, both)
        finish = stack.enter_context(stream(client, made.node, (VIP, VIP6), RATE))
        counted = Counted(made.routers)
        share = await shared(counted)
        assert min(share.values()) > 0.1 * sum(share.values()), share

        done = await asyncio.to_thread(daemons["gw1"].cli, "drain", "--self", "--wait", "--timeout", "20")
        assert (done.returncode, done.stderr) == (0, "")
        assert found() == second
        counted.since()
        share = await shared(counted)
        assert share["gw1"] <= 0.05 * share["gw2"], share  # its BGP session goes on
        assert daemons["gw1"].cli("health").returncode == 1
        states = {peer["name"]: peer["state"] for peer in daemons["gw1"].status()["peers"]}
        assert states["upstream"] == "established"

        assert daemons["gw1"].cli("undrain", "--self").returncode == 0
        await becomes(found, both, 5)
        counted.since()
        share = await shared(counted)
        assert min(share.values()) > 0.1 * sum(share.values()), share
        report = await asyncio.to_thread(finish)
        assert (report.lost, report.unsent, report.duplicates) == (0, 0, 0), report
        assert report.sent > 1000


async def shared(counted: Counted) -> dict[str, int]:
    """Count until some hundred packets have come by."""
    share = dict.fromkeys(ROUTERS, 0)
    while sum(share.values()) < 200:
        await asyncio.sleep(0.05)
        share = {name: share[name] + count for name, count in counted.since().items()}
    return share
