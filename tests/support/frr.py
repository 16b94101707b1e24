"""FRR on the router itself, zebra and bgpd, beside routerd: another daemon that writes routes of protocol bgp.

bgpd listens on a port of its own, where a raw peer of AS 64999 dials in and announces what FRR is to install. zebra
writes that as it always does: protocol bgp, metric 20, nexthop objects of protocol zebra.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support import bgp
from tests.support.netns import Namespace

DIRECTORY = Path("/usr/lib/frr")
PORT = 1790
ASN = 64999

needs_frr = pytest.mark.skipif(not (DIRECTORY / "zebra").exists(), reason="needs FRR's zebra and bgpd")

CONFIG = """\
frr defaults datacenter
router bgp 64998
 bgp router-id {router}
 no bgp default ipv4-unicast
 no bgp ebgp-requires-policy
 neighbor {upstream} remote-as {asn}
 neighbor {upstream} passive
 neighbor {upstream} timers 30 90
 address-family ipv4 unicast
  neighbor {upstream} activate
 exit-address-family
 address-family ipv6 unicast
  neighbor {upstream} activate
 exit-address-family
exit
"""


class Frr:
    """zebra and bgpd in the router's namespace; their peer has the address `upstream`."""

    def __init__(self, inside: Namespace, directory: Path, router: str, upstream: str) -> None:
        self._inside = inside
        self._directory = directory
        self.log = directory / "frr.log"
        self._running: list[subprocess.Popen[str]] = []
        (directory / "zebra.conf").write_text("")
        (directory / "bgpd.conf").write_text(CONFIG.format(router=router, upstream=upstream, asn=ASN))

    def start(self) -> None:
        """Start both. They are ready when bgpd accepts the peer."""
        self._spawn("zebra")
        self._spawn("bgpd", "-p", str(PORT))

    def _spawn(self, name: str, *options: str) -> None:
        at = self._directory
        private = ["-P", "0", "--vty_socket", str(at), "-z", str(at / "zserv.api")]
        files = ["-i", str(at / f"{name}.pid"), "-f", str(at / f"{name}.conf"), "--log", "stdout"]
        command = [str(DIRECTORY / name), *private, *files, *options]
        with self.log.open("a") as log:
            self._running.append(
                self._inside.spawn(*command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
            )

    def show(self, command: str) -> str:
        """Return what vtysh answers, an empty string while FRR does not."""
        return self._inside.run("vtysh", "--vty_socket", str(self._directory), "-c", command, check=False)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End both: bgpd first, so that a SIGTERM takes the routes out of the kernel."""
        for process in reversed(self._running):
            process.send_signal(number)
            process.wait(20)
        self._running.clear()


@contextmanager
def frr(inside: Namespace, router: str, upstream: str) -> Iterator[Frr]:
    """A FRR that does not run yet; killed at the end. It runs as its package's user, in a directory of its own."""
    with TemporaryDirectory(prefix="frr-", dir="/var/tmp") as directory:
        made = Frr(inside, Path(directory), router, upstream)
        shutil.chown(directory, "frr", "frr")
        try:
            yield made
        finally:
            made.stop(signal.SIGKILL)


async def peer(inside: Namespace, router: str, upstream: str) -> bgp.Client:
    """Come up as bgpd's peer, which may just have been started."""
    for _ in range(200):
        if (client := await _dial(inside, router, upstream)) is not None:
            return client
        await asyncio.sleep(0.1)
    raise AssertionError("bgpd does not come up")


async def _dial(inside: Namespace, router: str, upstream: str) -> bgp.Client | None:
    try:
        with inside.enter():
            client = await bgp.connect(router, PORT, source=upstream, router_id=upstream, asn=ASN)
    except ConnectionError:
        return None
    try:
        await client.establish()
    except (ConnectionError, bgp.ClosedError):
        await client.close()
        return None
    return client
