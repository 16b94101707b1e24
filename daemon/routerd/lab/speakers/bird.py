"""BIRD as a node's speaker, as Calico uses it."""

from __future__ import annotations

from pathlib import Path

from routerd.lab.process import Process
from routerd.lab.speakers.speaker import Session, Speaker, version
from routerd.lab.waiting import LabError


def configuration(session: Session, prefixes: list[str]) -> str:
    """Return BIRD's configuration: a static protocol a family with the prefixes, and a session a router."""
    statics, channels = "", ""
    for family in (4, 6):
        routes = "".join(f" route {prefix} blackhole;" for prefix in prefixes if version(prefix) == family)
        statics += f"protocol static own{family} {{ ipv{family};{routes} }}\n"
        channels += (
            f"    ipv{family} {{ import all; export where source = RTS_STATIC;"
            f" next hop address {session.next_hops[0 if family == 4 else 1]}; }};\n"
        )
    options = [f"multihop {session.multihop};"] if session.external else []
    if session.password is not None:
        options.append(f'password "{session.password}";')
    if session.restart_time:
        options.append(f"graceful restart yes; graceful restart time {session.restart_time};")
    sessions = "".join(
        f"""\
protocol bgp upstream{number or ""} {{
    local {session.local} as {session.asn};
    neighbor {router} as {session.router_asn};
    hold time {session.hold_time};
    keepalive time {session.keepalive};
    connect delay time 1;
    connect retry time {session.connect_retry};
    error wait time 1, {session.connect_retry};
    {" ".join(options)}
{channels}}}
"""
        for number, router in enumerate(session.routers)
    )
    return f"""\
log stderr all;
router id {session.router_id};
protocol device {{ }}
{statics}{sessions}"""


class Bird(Speaker):
    """bird in the foreground; what it announces changes by reconfiguration."""

    programs = ("bird", "birdc")
    package = "bird2"

    @property
    def _socket(self) -> Path:
        return self.directory / "bird.ctl"

    @property
    def _config(self) -> Path:
        return self.directory / "bird.conf"

    def control(self, *words: str) -> str:
        """Run `birdc WORDS` on the node and return its output; LabError if it fails."""
        return self.namespace.run("birdc", "-s", str(self._socket), *words)

    def _launch(self) -> Process:
        self._write()
        pid = self.directory / "bird.pid"
        return Process(
            self.namespace,
            ["bird", "-f", "-c", str(self._config), "-s", str(self._socket), "-P", str(pid)],
            self.log,
        )

    def _probe(self) -> list[str]:
        return ["birdc", "-s", str(self._socket), "show", "status"]

    def _change(self, announced: list[str], withdrawn: list[str]) -> None:
        self._write()
        answer = self.control("configure")
        if "Reconfigured" not in answer and "in progress" not in answer:
            raise LabError(f"{self.namespace.name}: birdc configure: {answer.strip()}")

    def _write(self) -> None:
        self._config.write_text(configuration(self.session, self.prefixes))
