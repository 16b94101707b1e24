"""ExaBGP as a node's speaker: needs nothing but what routerd itself needs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from routerd.lab.namespaces import Namespace
from routerd.lab.process import Process
from routerd.lab.speakers.speaker import Session, Speaker, version

_ENVIRONMENT = {
    "exabgp_api_ack": "false",
    "exabgp_api_cli": "false",
    "exabgp_daemon_drop": "false",
    "exabgp_daemon_user": "root",
    "exabgp_log_level": "INFO",
    "exabgp_log_statistics": "false",
    "exabgp_log_destination": "stdout",
}


def configuration(session: Session, prefixes: list[str], commands: Path) -> str:
    """Return ExaBGP's configuration: a neighbor a router, and `commands`, a FIFO that it reads its orders from."""
    options = []
    if session.external:
        options.append(f"outgoing-ttl {session.multihop};")
    if session.password is not None:
        options.append(f'md5-password "{session.password}";')
    if session.restart_time:
        options.append(f"capability {{ graceful-restart {session.restart_time}; }}")
    routes = {4: "", 6: ""}
    for prefix in prefixes:
        routes[version(prefix)] += f" unicast {prefix} next-hop {session.next_hop(prefix)};"
    neighbors = "".join(
        f"""\
neighbor {router} {{
    router-id {session.router_id};
    local-address {session.local};
    local-as {session.asn};
    peer-as {session.router_asn};
    hold-time {session.hold_time};
    {" ".join(options)}
    family {{ ipv4 unicast; ipv6 unicast; }}
    api {{ processes [ control ]; }}
    announce {{ ipv4 {{{routes[4]} }} ipv6 {{{routes[6]} }} }}
}}
"""
        for router in session.routers
    )
    return f"process control {{ run /bin/cat {commands}; encoder text; }}\n{neighbors}"


class Embedded(Speaker):
    """An ExaBGP of the node's own, told what to announce through a FIFO."""

    def __init__(self, namespace: Namespace, directory: Path, session: Session) -> None:
        super().__init__(namespace, directory, session)
        self._commands = directory / "commands"
        os.mkfifo(self._commands)
        # Open for reading too: so it opens without a reader, and ExaBGP's reader never sees the end.
        self._writer = os.open(self._commands, os.O_RDWR)

    def close(self) -> None:
        super().close()
        os.close(self._writer)

    def _launch(self) -> Process:
        config = self.directory / "exabgp.conf"
        config.write_text(configuration(self.session, self.prefixes, self._commands))
        return Process(self.namespace, [sys.executable, "-m", "exabgp", str(config)], self.log, env=_ENVIRONMENT)

    def _change(self, announced: list[str], withdrawn: list[str]) -> None:
        orders = [("announce", prefix) for prefix in announced] + [("withdraw", prefix) for prefix in withdrawn]
        for order, prefix in orders:
            line = f"{order} route {prefix} next-hop {self.session.next_hop(prefix)}\n"
            os.write(self._writer, line.encode())
