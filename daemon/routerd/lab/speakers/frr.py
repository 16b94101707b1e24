"""FRR's bgpd as a node's speaker, as MetalLB's FRR mode uses it."""

from __future__ import annotations

from routerd.lab.process import Process
from routerd.lab.speakers.speaker import Session, Speaker, version

BGPD = "/usr/lib/frr/bgpd"


def configuration(session: Session, prefixes: list[str]) -> str:
    """Return bgpd's configuration. Both families run over one session a router, IPv6 with the node's own next hop."""
    restart = f" bgp graceful-restart\n bgp graceful-restart restart-time {session.restart_time}\n"
    neighbors = "".join(_neighbor(session, router) for router in session.routers)
    families = ""
    for family in (4, 6):
        networks = "".join(f"  network {prefix}\n" for prefix in prefixes if version(prefix) == family)
        active = "".join(
            f"  neighbor {router} activate\n  neighbor {router} route-map NODE out\n" for router in session.routers
        )
        families += f" address-family ipv{family} unicast\n{active}{networks} exit-address-family\n"
    return f"""\
frr defaults datacenter
router bgp {session.asn}
 bgp router-id {session.router_id}
 no bgp default ipv4-unicast
 no bgp ebgp-requires-policy
 no bgp network import-check
{restart if session.restart_time else ""}{neighbors}{families}exit
route-map NODE permit 10
 set ip next-hop {session.next_hops[0]}
 set ipv6 next-hop global {session.next_hops[1]}
exit
"""


def _neighbor(session: Session, router: str) -> str:
    lines = [
        f"remote-as {session.router_asn}",
        f"update-source {session.local}",
        f"timers {session.keepalive} {session.hold_time}",
        f"timers connect {session.connect_retry}",
    ]
    if session.external:
        lines.append(f"ebgp-multihop {session.multihop}")
    if session.password is not None:
        lines.append(f"password {session.password}")
    return "".join(f" neighbor {router} {line}\n" for line in lines)


class Frr(Speaker):
    """bgpd alone, without zebra: a node's kernel routes are not its business here."""

    programs = (BGPD, "vtysh")
    package = "frr"

    def control(self, *lines: str) -> str:
        """Run lines in the node's vtysh and return its output; LabError if one fails."""
        return self.namespace.run(*self._vtysh(*lines))

    def _vtysh(self, *lines: str) -> list[str]:
        commands = [word for line in lines for word in ("-c", line)]
        return ["vtysh", "--vty_socket", str(self.directory), "-d", "bgpd", *commands]

    def _launch(self) -> Process:
        config = self.directory / "bgpd.conf"
        config.write_text(configuration(self.session, self.prefixes))
        private = ["--vty_socket", str(self.directory), "-i", str(self.directory / "bgpd.pid"), "-P", "0"]
        # -S: stay who we are; -Z -n: no zebra, so every next hop counts as reachable; -p 0: never listen.
        return Process(
            self.namespace,
            [BGPD, "-f", str(config), "-S", "-Z", "-n", "-p", "0", "--log", "stdout", *private],
            self.log,
        )

    def _probe(self) -> list[str]:
        return self._vtysh("show bgp summary")

    def _change(self, announced: list[str], withdrawn: list[str]) -> None:
        for prefixes, order in ((announced, "network"), (withdrawn, "no network")):
            for prefix in prefixes:
                family = f"address-family ipv{version(prefix)} unicast"
                self.control("configure", f"router bgp {self.session.asn}", family, f"{order} {prefix}")
