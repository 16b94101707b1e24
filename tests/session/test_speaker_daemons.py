"""Sessions with the speakers that run on nodes: GoBGP, FRR and BIRD, in network namespaces."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from routerd.core.message import SessionUp
from routerd.core.route import Family
from routerd.session.frames import RawUpdate
from tests.session.harness import ROUTER_AS, configuration, speaking
from tests.support import bgp
from tests.support.netns import Namespace, needs_root, veth

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
            each.address("eth0", f"10.9.0.{number}/24")
        yield pair[0], pair[1]


def daemon(name: str, directory: Path) -> list[str]:
    """Write a daemon's configuration and return its command, in the foreground."""
    conf = directory / f"{name}.conf"
    conf.write_text({"gobgpd": GOBGP, "bgpd": FRR, "bird": BIRD}[name])
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
    if shutil.which(name) is None and not Path("/usr/lib/frr", name).exists():
        pytest.skip(f"{name} is not installed")
    config = configuration(179, {"graceful_restart": True}, peers=[], dynamic_peers=[_RANGE]).model_copy()
    config = config.model_copy(update={"router": config.router.model_copy(update={"listen": ("0.0.0.0", "::")})})
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    with namespaces() as (router, node), router.enter(), ExitStack() as stack:
        async with speaking(config) as running:
            with (tmp_path / "output").open("w") as output:
                process = node.spawn(*daemon(name, tmp_path), stdout=output, stderr=output)
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


_RANGE = {"range": "10.9.0.0/24", "group": "nodes"}
