"""What a node says just before its session ends, while the main process is busy with something else."""

from __future__ import annotations

import array
import fcntl
import signal
from pathlib import Path
from termios import TIOCOUTQ

import pytest

from tests.daemon.harness import Network, Routerd, announcement, becomes, network, node, running
from tests.support import bgp
from tests.support.netns import needs_root

pytestmark = needs_root

VIP, LATER = "172.16.1.1/32", "172.16.1.2/32"
KEEPS = bgp.Graceful(time=60, families={bgp.IPV4: True})


async def last_words(net: Network, routerd: Routerd, client: bgp.Client, said: bytes) -> None:
    """A node says this and is gone, before the main process has read any of it."""
    routerd.signal(signal.SIGSTOP)
    try:
        client.send(said)
        await client.flushed()
        await becomes(lambda: unacknowledged(client), 0)  # its kernel would drop that with the connection
        await client.close()
        connections = ("ss", "-tnH", "state", "connected", "dst", node(0))
        await becomes(lambda: net.router.run(*connections).strip(), "")
    finally:
        routerd.signal(signal.SIGCONT)


def unacknowledged(client: bgp.Client) -> int:
    """Return how many octets of what was sent the router's kernel has not acknowledged."""
    octets = array.array("i", [0])
    fcntl.ioctl(client.sock, TIOCOUTQ, octets)
    return octets[0]


async def announces(net: Network, graceful: bgp.Graceful | None) -> bgp.Client:
    """Return the session of a node whose address is in the FIB."""
    client = await net.establish(0, graceful=graceful)
    client.send(announcement(0, VIP) + bgp.end_of_rib())
    await net.has(VIP, 0)
    return client


async def test_it_counts_if_graceful_restart_keeps_its_paths(tmp_path: Path) -> None:
    with network() as net, running(net.router, tmp_path) as routerd:
        await last_words(net, routerd, await announces(net, KEEPS), announcement(0, LATER))
        await becomes(lambda: routerd.peer(0)["state"], "stale")
        assert routerd.peer(0)["totals"]["accepted"] == 2
        await net.has(VIP, 0)
        await net.has(LATER, 0)


async def test_a_withdrawal_counts_too(tmp_path: Path) -> None:
    with network() as net, running(net.router, tmp_path) as routerd:
        await last_words(net, routerd, await announces(net, KEEPS), bgp.update(withdrawn=[VIP]))
        await becomes(lambda: routerd.peer(0)["state"] != "established")
        await net.has(VIP)


@pytest.mark.parametrize("end", [b"", bgp.end_of_rib()], ids=["some", "all"])
async def test_who_is_back_and_gone_again_has_what_it_said_last(tmp_path: Path, end: bytes) -> None:
    """A speaker that crashes again when it has just said all; what was stale goes then (RFC 4724 section 4.2)."""
    with network() as net, running(net.router, tmp_path) as routerd:
        await (await announces(net, KEEPS)).close()
        await becomes(lambda: routerd.peer(0)["state"], "stale")
        await last_words(net, routerd, await net.establish(0, graceful=KEEPS), announcement(0, LATER) + end)
        await becomes(lambda: (routerd.peer(0)["sessions"], routerd.peer(0)["state"]), (2, "stale"))
        await net.has(LATER, 0)
        await net.has(VIP)


async def test_it_does_not_count_if_the_session_was_all_that_kept_its_paths(tmp_path: Path) -> None:
    """It is out of the FIB ahead of all that is still in line."""
    with network() as net, running(net.router, tmp_path) as routerd:
        await last_words(net, routerd, await announces(net, None), announcement(0, LATER))
        for prefix in (VIP, LATER):
            await net.has(prefix)


async def test_who_was_back_and_left_for_good_keeps_nothing(tmp_path: Path) -> None:
    """Its second session has come and gone before the main process has read the end of the first, which is kept."""
    with network() as net, running(net.router, tmp_path) as routerd:
        client = await announces(net, KEEPS)
        routerd.signal(signal.SIGSTOP)
        try:
            await client.close()
            client = await net.establish(0, graceful=KEEPS)
            client.send(bgp.notification(6, 2))
            await client.closed()
            await client.close()
        finally:
            routerd.signal(signal.SIGCONT)
        await net.has(VIP)
        assert "6/2" in routerd.peer(0)["reason"]
