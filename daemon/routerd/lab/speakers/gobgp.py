"""GoBGP as a node's speaker, set up as Cilium's BGP control plane sets it up."""

from __future__ import annotations

from routerd.lab.process import Process
from routerd.lab.speakers.speaker import Session, Speaker, version


def configuration(session: Session) -> str:
    """Return gobgpd's configuration. Routes are not part of it: they are added at run time."""
    graceful = "true" if session.restart_time else "false"
    password = "" if session.password is None else f'auth-password = "{session.password}"'
    families = "".join(
        f"""
[[neighbors.afi-safis]]
[neighbors.afi-safis.config]
afi-safi-name = "{family}-unicast"
[neighbors.afi-safis.mp-graceful-restart.config]
enabled = {graceful}
"""
        for family in ("ipv4", "ipv6")
    )
    multihop = f"[neighbors.ebgp-multihop.config]\nenabled = true\nmultihop-ttl = {session.multihop}"
    restart = (
        f"[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = {session.restart_time}\n"
        "notification-enabled = true"
    )
    neighbors = "".join(
        f"""
[[neighbors]]
[neighbors.config]
neighbor-address = "{router}"
peer-as = {session.router_asn}
{password}
[neighbors.transport.config]
local-address = "{session.local}"
[neighbors.timers.config]
connect-retry = {session.connect_retry}
hold-time = {session.hold_time}
keepalive-interval = {session.keepalive}
{multihop if session.external else ""}
{restart if session.restart_time else ""}
{families}"""
        for router in session.routers
    )
    return f"""\
[global.config]
as = {session.asn}
router-id = "{session.router_id}"
port = -1
{neighbors}"""


class GoBgp(Speaker):
    """gobgpd; its gRPC port is the default one, on the namespace's own loopback."""

    programs = ("gobgpd", "gobgp")
    package = "gobgpd"

    def control(self, *words: str) -> str:
        """Run `gobgp WORDS` on the node and return its output; LabError if it fails."""
        return self.namespace.run("gobgp", *words)

    def _launch(self) -> Process:
        config = self.directory / "gobgpd.toml"
        config.write_text(configuration(self.session))
        return Process(
            self.namespace,
            ["gobgpd", "-p", "-f", str(config), "--api-hosts", "127.0.0.1:50051", "--pprof-disable"],
            self.log,
        )

    def _probe(self) -> list[str]:
        return ["gobgp", "neighbor", self.session.routers[0]]

    def _started(self) -> None:
        self._change(self.prefixes, [])

    def _change(self, announced: list[str], withdrawn: list[str]) -> None:
        orders = [("add", prefix) for prefix in announced] + [("del", prefix) for prefix in withdrawn]
        for order, prefix in orders:
            family, next_hop = f"ipv{version(prefix)}", self.session.next_hop(prefix)
            self.control("global", "rib", order, "-a", family, prefix, "nexthop", next_hop, "origin", "igp")
