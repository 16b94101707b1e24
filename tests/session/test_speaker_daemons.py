"""Sessions with the speakers that run on nodes: GoBGP, FRR and BIRD, in network namespaces."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from routerd.config.model import Config
from routerd.core.message import SessionDown, SessionUp
from routerd.core.rib.graceful_restart import retains
from routerd.core.route import Family
from routerd.session.frames import RawUpdate
from tests.session.harness import ROUTER_AS, configuration, speaking
from tests.support import bgp
from tests.support.netns import Namespace, needs_root, veth
from tests.support.nobody import open_way

pytestmark = needs_root

GOBGP = f"""
[global.config]
  as = 65001
  router-id = "10.9.0.2"
  port = -1
[[neighbors]]
  [neighbors.config]
    neighbor-address = "10.9.0.1"
    peer-as = {ROUTER_AS}
  [neighbors.timers.config]
    connect-retry = 1
    hold-time = 9
    keepalive-interval = 3
  [neighbors.graceful-restart.config]
    enabled = true
    restart-time = 60
    notification-enabled = true
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
    [neighbors.afi-safis.mp-graceful-restart.config]
      enabled = true
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv6-unicast"
    [neighbors.afi-safis.mp-graceful-restart.config]
      enabled = true
"""

FRR = f"""
router bgp 65001
 bgp router-id 10.9.0.2
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor 10.9.0.1 remote-as {ROUTER_AS}
 neighbor 10.9.0.1 timers 3 9
 neighbor 10.9.0.1 timers connect 1
 address-family ipv4 unicast
  network 172.16.0.1/32
 exit-address-family
"""

BIRD = f"""
router id 10.9.0.2;
protocol device {{ }}
protocol static {{ ipv4; route 172.16.0.1/32 blackhole; }}
protocol bgp upstream {{
  local 10.9.0.2 as 65001;
  neighbor 10.9.0.1 as {ROUTER_AS};
  connect delay time 1;
  graceful restart on;
  ipv4 {{ export all; import all; }};
}}
"""


@contextmanager
def namespaces() -> Iterator[tuple[Namespace, Namespace]]:
    """Make the router's and a node's namespace, joined; 10.9.0.1 and 10.9.0.2."""
    pair = tuple(Namespace(f"sess-{os.getpid()}-{role}") for role in ("router", "node"))
    with ExitStack() as stack:
        for each in pair:
            subprocess.run(["ip", "netns", "add", each.name], check=True)
            stack.callback(subprocess.run, ["ip", "netns", "delete", each.name], check=True)
            each.ip("link", "set", "lo", "up")
        veth(pair[0], "eth0", pair[1], "eth0")
        for number, each in enumerate(pair, 1):
            each.address("eth0", f"10.9.0.{number}/24", f"fd00:9::{number}/64")
        yield pair[0], pair[1]


CONFIGS = {"gobgpd": GOBGP, "bgpd": FRR, "bird": BIRD}


def installed(name: str) -> bool:
    """Tell whether a speaker is there."""
    return shutil.which(name) is not None or Path("/usr/lib/frr", name).exists()


def daemon(name: str, directory: Path, text: str) -> list[str]:
    """Write a daemon's configuration and return its command, in the foreground."""
    conf = directory / f"{name}.conf"
    conf.write_text(text)
    open_way(conf)
    if name == "gobgpd":
        return ["gobgpd", "-f", str(conf), "-t", "toml"]
    if name == "bird":
        return ["bird", "-f", "-c", str(conf), "-s", str(directory / "bird.ctl"), "-P", str(directory / "bird.pid")]
    for path in (directory, conf):
        shutil.chown(path, "frr")
    here = ["-i", str(directory / "pid"), "--vty_socket", str(directory), "-z", str(directory / "none")]
    return ["/usr/lib/frr/bgpd", "-f", str(conf), *here, "-n", "-Z", "-p", "0"]


@pytest.mark.parametrize("name", ["gobgpd", "bgpd", "bird"])
async def test_session_with_a_real_speaker(name: str, tmp_path: Path) -> None:
    if not installed(name):
        pytest.skip(f"{name} is not installed")
    config = listening_everywhere({"graceful_restart": True})
    with namespaces() as (router, node), router.enter(), ExitStack() as stack:
        async with speaking(config) as running:
            with (tmp_path / "output").open("w") as output:
                process = node.spawn(*daemon(name, tmp_path, CONFIGS[name]), stdout=output, stderr=output)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            up = await running.expect(SessionUp, 20)
            assert (up.peer, up.local, up.received.asn, up.dynamic) == ("10.9.0.2", "10.9.0.1", 65001, True)
            assert Family.IPV4 in up.received.families
            route = bgp.update(bgp.attributes("10.9.0.1", [ROUTER_AS]), ["10.77.0.0/16"])
            running.speaker.send(up.peer, up.generation, route + bgp.end_of_rib() + bgp.end_of_rib(bgp.IPV6))
            if name == "gobgpd":
                assert up.received.graceful_restart is not None
                assert up.received.graceful_restart.notification
                node.run("gobgp", "global", "rib", "add", "172.16.0.1/32")
                await running.until(lambda: "10.77.0.0/16" in node.run("gobgp", "global", "rib"))
            elif name == "bird":
                show = ("birdc", "-s", str(tmp_path / "bird.ctl"), "show", "route")
                await running.until(lambda: "10.77.0.0/16" in node.run(*show))
            else:
                show = ("vtysh", "--vty_socket", str(tmp_path), "-c", "show ip bgp")
                await running.until(lambda: "10.77.0.0/16" in node.run(*show))
            await running.until(lambda: any(b"\x20\xac\x10\0\1" in each.body for each in running.all(RawUpdate)))


def listening_everywhere(group: dict[str, Any]) -> Config:
    """Return a configuration that listens on both wildcards and takes in the node."""
    config = configuration(179, group, peers=[], dynamic_peers=_RANGES)
    return config.model_copy(update={"router": config.router.model_copy(update={"listen": ("0.0.0.0", "::")})})


_RANGES = [{"range": "10.9.0.0/24", "group": "nodes"}, {"range": "fd00:9::/64", "group": "nodes"}]


@pytest.mark.parametrize(
    ("name", "text", "notification", "kept"),
    [
        ("gobgpd", GOBGP.replace("notification-enabled = true", "notification-enabled = false"), (6, 2), False),
        ("gobgpd", GOBGP, (6, 2), True),  # GoBGP has no Hard Reset: with the N bit on both sides a 6/2 keeps
        ("bgpd", FRR, (6, 9), False),
        ("bird", BIRD, (6, 2), False),
    ],
    ids=["gobgpd", "gobgpd with N", "bgpd", "bird"],
)
async def test_a_speaker_that_is_shut_down_says_whether_its_routes_stay(
    name: str, text: str, notification: tuple[int, int], kept: bool, tmp_path: Path
) -> None:
    if not installed(name):
        pytest.skip(f"{name} is not installed")
    with namespaces() as (router, node), router.enter(), ExitStack() as stack:
        async with speaking(listening_everywhere({"graceful_restart": True})) as running:
            with (tmp_path / "output").open("w") as output:
                process = node.spawn(*daemon(name, tmp_path, text), stdout=output, stderr=output)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            up = await running.expect(SessionUp, 20)
            if name == "gobgpd":
                node.run("gobgp", "neighbor", "10.9.0.1", "disable")
            elif name == "bird":
                node.run("birdc", "-s", str(tmp_path / "bird.ctl"), "disable", "upstream")
            else:
                commands = ("configure terminal", "router bgp 65001", "neighbor 10.9.0.1 shutdown message gone")
                node.run("vtysh", "--vty_socket", str(tmp_path), *(f"-c{each}" for each in commands))
            down = await running.expect(SessionDown)
            assert down.notification is not None
            assert (down.notification.code, down.notification.subcode) == notification, down.reason
            assert retains(down, up) is kept, (up, down)


def over(text: str, address: str, *options: str) -> str:
    """Return a configuration with the router at another address, and more options for it."""
    text = text.replace("10.9.0.1", address)
    if "protocol bgp" in text:
        if ":" in address:
            text = text.replace("local 10.9.0.2", "local fd00:9::2").replace("ipv4 { export", "ipv6 { export")
        return text.replace("connect delay", f"{' '.join(options)}\n  connect delay")
    added = "".join(f" neighbor {address} {option}\n" for option in options)
    return text.replace(" address-family", added + " address-family", 1)


@pytest.mark.parametrize("address", ["10.9.0.1", "fd00:9::1"])
@pytest.mark.parametrize(("name", "option"), [("bgpd", "ttl-security hops 1"), ("bird", "ttl security on;")])
async def test_ttl_security_with_a_real_speaker(name: str, option: str, address: str, tmp_path: Path) -> None:
    if not installed(name):
        pytest.skip(f"{name} is not installed")
    with namespaces() as (router, node), router.enter(), ExitStack() as stack:
        async with speaking(listening_everywhere({"ttl_security": True})) as running:
            with (tmp_path / "output").open("w") as output:
                text = over(CONFIGS[name], address, option)
                process = node.spawn(*daemon(name, tmp_path, text), stdout=output, stderr=output)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            up = await running.expect(SessionUp, 20)
            assert up.local == address
            assert not running.speaker.state.refusals
