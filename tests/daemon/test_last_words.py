"""What a node says just before its session ends, while the main process is busy with something else."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.daemon.harness import Network, Routerd, announcement, becomes, network, node, running
from tests.support import bgp
from tests.support.netns import needs_root

pytestmark = needs_root

VIP, LATER = "172.16.1.1/32", "172.16.1.2/32"
KEEPS = bgp.Graceful(time=60, families={bgp.IPV4: True})


async def says_and_ends(net: Network, routerd: Routerd, *said: bytes, graceful: bgp.Graceful | None) -> None:
    """The node is in the FIB. It says more and is gone, before the main process has read any of that."""
    client = await net.establish(0, graceful=graceful)
    client.send(announcement(0, VIP) + bgp.end_of_rib())
    await net.has(VIP, 0)
    routerd.signal(signal.SIGSTOP)
    try:
        for each in said:
            client.send(each)
        await client.flushed()
        await client.close()
        connections = ("ss", "-tnH", "state", "established", "state", "close-wait", "dst", node(0))
        await becomes(lambda: net.router.run(*connections).strip(), "")
    finally:
        routerd.signal(signal.SIGCONT)


async def test_it_counts_if_graceful_restart_keeps_its_paths(tmp_path: Path) -> None:
    with network() as net, running(net.router, tmp_path) as routerd:
        await says_and_ends(net, routerd, announcement(0, LATER), graceful=KEEPS)
        await becomes(lambda: routerd.peer(0)["state"], "stale")
        assert routerd.peer(0)["totals"]["accepted"] == 2
        await net.has(VIP, 0)
        await net.has(LATER, 0)


async def test_a_withdrawal_counts_too(tmp_path: Path) -> None:
    with network() as net, running(net.router, tmp_path) as routerd:
        await says_and_ends(net, routerd, bgp.update(withdrawn=[VIP]), graceful=KEEPS)
        await becomes(lambda: routerd.peer(0)["state"] != "established")
        await net.has(VIP)


@pytest.mark.parametrize("again", [b"", announcement(0, VIP, LATER), announcement(0, VIP, LATER) + bgp.end_of_rib()])
async def test_who_is_back_and_gone_again_has_what_it_said_last(tmp_path: Path, again: bytes) -> None:
    """A speaker that crashes again when it has just said all (RFC 4724 section 4.2: what was stale goes then)."""
    with network() as net, running(net.router, tmp_path) as routerd:
        await says_and_ends(net, routerd, graceful=KEEPS)
        await becomes(lambda: routerd.peer(0)["state"], "stale")
        client = await net.establish(0, graceful=KEEPS)
        routerd.signal(signal.SIGSTOP)
        try:
            client.send(again)
            await client.flushed()
            await client.close()
            connections = ("ss", "-tnH", "state", "established", "state", "close-wait", "dst", node(0))
            await becomes(lambda: net.router.run(*connections).strip(), "")
        finally:
            routerd.signal(signal.SIGCONT)
        await becomes(lambda: routerd.peer(0)["sessions"], 2)
        await becomes(lambda: routerd.peer(0)["state"] != "established")
        for prefix in (VIP, LATER):
            await net.has(prefix, *([0] if again else []))


async def test_it_does_not_count_if_the_session_was_all_that_kept_its_paths(tmp_path: Path) -> None:
    """It is out of the FIB ahead of all that is still in line."""
    with network() as net, running(net.router, tmp_path) as routerd:
        await says_and_ends(net, routerd, announcement(0, LATER), graceful=None)
        for prefix in (VIP, LATER):
            await net.has(prefix)
