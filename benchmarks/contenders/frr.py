"""FRR: bgpd and zebra, with the datacenter defaults (else an eBGP peer hears of changes every 30 s only)."""

from __future__ import annotations

import shutil
import subprocess
from typing import ClassVar

from benchmarks.contenders.contender import BenchError, Contender, Settings
from benchmarks.net import MOST_NODES, NETWORK, ROUTER, ROUTER_AS
from routerd.lab.waiting import until

BGPD, ZEBRA = "/usr/lib/frr/bgpd", "/usr/lib/frr/zebra"
_NETLINK_BUFFER = "90000000"
"""Bytes, from /etc/frr/daemons as Debian ships it."""
_RETAIN = 60
"""Seconds for which zebra keeps the routes that it finds, in a graceful restart."""


def configuration(settings: Settings) -> str:
    """Return bgpd's configuration: a peer group for whoever dials in."""
    policy = "next-hop-self" if settings.advertise else "route-map NOTHING out"
    graceful = "bgp graceful-restart\n bgp graceful-restart preserve-fw-state" if settings.graceful else ""
    return f"""\
frr defaults datacenter
route-map NOTHING deny 10
router bgp {ROUTER_AS}
 bgp router-id {ROUTER}
 no bgp default ipv4-unicast
 no bgp ebgp-requires-policy
 bgp bestpath as-path multipath-relax
 bgp listen limit {MOST_NODES}
 {graceful}
 neighbor NODES peer-group
 neighbor NODES remote-as external
 neighbor NODES timers {settings.hold // 3} {settings.hold}
 bgp listen range {NETWORK} peer-group NODES
 address-family ipv4 unicast
  neighbor NODES activate
  neighbor NODES {policy}
  maximum-paths 64
 exit-address-family
exit
"""


class Frr(Contender):
    """Two processes: zebra writes the routes, with nexthop groups."""

    name: ClassVar[str] = "frr"
    programs: ClassVar[tuple[str, ...]] = (BGPD, ZEBRA, "vtysh")

    @classmethod
    def version(cls) -> str:
        done = subprocess.run([BGPD, "--version"], capture_output=True, text=True, check=False)
        return done.stdout.splitlines()[0].replace("bgpd version", "FRR") if done.stdout else "FRR"

    def launch(self) -> None:
        # Both give up root for their own user, who makes the sockets here.
        shutil.chown(self.directory, "frr", "frr")
        (self.directory / "zebra.conf").write_text("frr defaults datacenter\n")
        (self.directory / "bgpd.conf").write_text(configuration(self.settings))
        socket = self.directory / "zserv.api"
        socket.unlink(missing_ok=True)  # of one that was killed
        retain = ["-K", str(_RETAIN)] if self.settings.graceful else []
        self.run(*self._command(ZEBRA), "-s", _NETLINK_BUFFER, *retain)
        until(lambda: "" if socket.exists() else "no socket", 20, "zebra listens for bgpd")
        self.run(*self._command(BGPD), "-l", ROUTER)

    def start(self) -> None:
        """bgpd accepts peers before it knows zebra: routes that came earlier would wait for it."""
        super().start()
        until(self._joined, 20, "bgpd is connected to zebra")

    def status_command(self) -> list[str]:
        return [*self._vtysh, "show bgp summary"]

    @property
    def _vtysh(self) -> list[str]:
        return ["vtysh", "--vty_socket", str(self.directory), "-c"]

    def _joined(self) -> str:
        done = self.router.attempt(*self._vtysh, "show zebra client summary")
        if done.returncode:
            raise BenchError(f"vtysh: {done.stderr or done.stdout}\n{self.logs()}")
        return "" if "bgp" in done.stdout else "not yet"

    def _command(self, program: str) -> list[str]:
        name = program.rpartition("/")[2]
        files = ["-f", f"{self.directory}/{name}.conf", "-i", f"{self.directory}/{name}.pid"]
        sockets = ["-z", f"{self.directory}/zserv.api", "--vty_socket", str(self.directory), "-P", "0"]
        return [program, *files, *sockets, "--log", "stdout", "--log-level", "warnings"]
