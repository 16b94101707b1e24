"""Standard streams that whoever starts routerd has closed, or that cannot have what is to be written."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.daemon.harness import CLI, CONFIG, Network, Routerd, announcement, becomes, node, running
from tests.support import bgp
from tests.support.bgp import Client
from tests.support.netns import needs_root

pytestmark = needs_root


async def test_standard_streams_that_are_closed(network: Network, tmp_path: Path, clients: list[Client]) -> None:
    """No socket takes their place and is written the log; that it goes nowhere is a problem. Commands have
    their exit codes: `health` is asked by scripts."""
    daemon = Routerd(network.router, tmp_path)
    try:
        daemon.start(wrapper=("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"))
        fds = Path(f"/proc/{daemon.pid}/fd")
        assert [os.readlink(fds / str(number)) for number in range(3)] == ["/dev/null"] * 3
        clients.append(await network.establish(0))
        clients[0].send(announcement(0, "172.16.1.1/32"))
        await network.has("172.16.1.1/32", 0)
        assert "Bad file descriptor" in daemon.problems()["log"]
        for command, wanted in ((("health",), 0), (("peers",), 0), (("drain", "nobody"), 1)):
            closed = ("sh", "-c", 'exec "$@" >&-', "sh", *CLI, *command, "--socket", str(daemon.socket))
            done = subprocess.run(closed, stderr=subprocess.PIPE, text=True, check=False, timeout=20)
            assert (done.returncode, "Traceback" in done.stderr) == (wanted, False)
        assert daemon.stop() == 0
    finally:
        daemon.kill()


async def test_texts_of_others_on_a_terminal_that_has_not_their_letters(
    network: Network, tmp_path: Path, clients: list[Client]
) -> None:
    """Whatever a peer says when it ends its session (RFC 9003), `status` shows the rest."""
    static = f'\n[[peers]]\nname = "w0"\naddress = "{node(0)}"\ngroup = "nodes"\n'
    with running(network.router, tmp_path, CONFIG + static) as daemon:
        clients.append(await network.establish(0))
        text = "größer \u2713".encode()
        clients[0].send(bgp.notification(6, 2, bytes((len(text),)) + text))
        await becomes(lambda: "größer" in daemon.peer(0)["reason"])
        ascii_alone = os.environ | {"PYTHONIOENCODING": "ascii"}
        for command in ("status", "peers", "peer"):
            words = (*CLI, command, *([node(0)] if command == "peer" else []), "--socket", str(daemon.socket))
            done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=20, env=ascii_alone)
            assert "gr\\xf6\\xdfer \\u2713" in done.stdout
            assert "Traceback" not in done.stderr
