"""BIRD."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import ClassVar

from benchmarks.contenders.contender import Contender, Settings
from benchmarks.net import METRIC, NETWORK, ROUTER, ROUTER_AS
from routerd.lab.namespaces import PATH


def configuration(settings: Settings) -> str:
    """Return bird.conf: one dynamic protocol for whoever dials in, and merged paths for the kernel."""
    export = "export all; next hop self" if settings.advertise else "export none"
    wait = "graceful restart wait 10;" if settings.graceful else ""
    graceful = "graceful restart on;" if settings.graceful else ""
    return f"""\
log stderr {{ warning, error, fatal, bug }};
router id {ROUTER};
{wait}
protocol device {{ }}
protocol kernel {{
    metric {METRIC};
    merge paths yes limit 64;
    {graceful}
    ipv4 {{ import none; export all; }};
}}
protocol bgp nodes {{
    local {ROUTER} as {ROUTER_AS};
    neighbor range {NETWORK} external;
    dynamic name "node";
    hold time {settings.hold};
    error wait time 1, 1;
    {graceful}
    ipv4 {{ import all; {export}; }};
}}
"""


class Bird(Contender):
    """One process."""

    name: ClassVar[str] = "bird"
    programs: ClassVar[tuple[str, ...]] = ("bird", "birdc")

    @classmethod
    def version(cls) -> str:
        done = subprocess.run(["bird", "--version"], capture_output=True, text=True, check=False, env={"PATH": PATH})
        return (done.stdout or done.stderr).strip().replace(" version", "")

    def launch(self) -> None:
        config = self.directory / "bird.conf"
        config.write_text(configuration(self.settings))
        # Only a second start recovers: at the first it would wait for nodes that it has not met.
        recover = ["-R"] if self.settings.graceful and Path(self._socket).exists() else []
        self.run("bird", "-f", "-c", str(config), "-s", self._socket, "-P", f"{self.directory}/bird.pid", *recover)

    def status_command(self) -> list[str]:
        return ["birdc", "-s", self._socket, "show", "protocols"]

    def pause_kernel(self) -> None:
        """Else it writes a route with each path that comes: five million times for 50 peers and 100,000 prefixes."""
        self.router.run("birdc", "-s", self._socket, "disable", "kernel1")

    def resume_kernel(self) -> None:
        self.router.run("birdc", "-s", self._socket, "enable", "kernel1")

    @property
    def _socket(self) -> str:
        return str(self.directory / "bird.ctl")
