"""The operator's orders about peers that are dialled: who is shut down is left alone, and a reset costs least."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from routerd.core.message import SessionDown, SessionUp
from tests.session.harness import Running, free_port, speaking
from tests.session.test_dialling import PEER, dialling, established
from tests.support import bgp

TOLD = b"\6\2\x04why?"


async def is_left_alone(running: Running, listener: bgp.Listener) -> None:
    with pytest.raises(TimeoutError):
        await listener.accept(1.2)
    assert running.speaker.state.dialled == {}


async def test_a_peer_that_is_shut_down_is_not_dialled() -> None:
    """Neither after its session, nor by another configuration or child; and at once when it is enabled."""
    port = free_port()
    config = dialling(port)
    with bgp.Listener(PEER, port) as listener:
        async with speaking(config) as running:
            client = await established(running, listener)
            running.speaker.shut(PEER, "why?")
            assert (await client.expect(bgp.NOTIFICATION))[1] == TOLD
            await running.expect(SessionDown)
            await client.close()
            group = config.peer_groups["nodes"].model_copy(update={"hold_time": 33})
            running.speaker.reconfigure(config.model_copy(update={"peer_groups": {"nodes": group}}))
            await is_left_alone(running, listener)
            pid = running.speaker.state.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await running.until(
                lambda: running.speaker.state.pid not in (pid, None) and running.speaker.state.listening
            )
            await is_left_alone(running, listener)
            running.speaker.enable(PEER)
            await (await established(running, listener)).close()


async def test_a_connection_under_way_ends_with_the_shutdown() -> None:
    port = free_port()
    with bgp.Listener(PEER, port) as listener:
        async with speaking(dialling(port)) as running:
            client = await listener.accept()
            await client.expect(bgp.OPEN)
            running.speaker.shut(PEER, "why?")
            assert (await client.expect(bgp.NOTIFICATION))[1] == TOLD
            await client.close()
            await (await bgp.connect("127.0.0.1", running.port, source=PEER)).close()  # no reason to dial, either
            await is_left_alone(running, listener)
            running.speaker.enable(PEER)
            await (await established(running, listener)).close()


@pytest.mark.alone
async def test_who_is_reset_is_dialled_at_once() -> None:
    """However often: the delays, here 11 s in all at least, are for sessions that end by themselves."""
    port, graceful = free_port(), bgp.Graceful(notification=True)
    with bgp.Listener(PEER, port, graceful=graceful) as listener:
        async with speaking(dialling(port, {"graceful_restart": True})) as running:
            client = await established(running, listener)
            begun = time.monotonic()
            for _ in range(4):
                up = await running.expect(SessionUp)
                running.speaker.reset(PEER, up.generation, dynamic=False)
                assert (await client.expect(bgp.NOTIFICATION))[1] == b"\6\4"  # not a hard one: RFC 8538
                await client.close()
                client = await established(running, listener)
            assert time.monotonic() - begun < 5
            await client.close()


async def test_clear_hurries_what_there_is_to_wait_for() -> None:
    """A refusal, which would be 10 s, and a peer that takes connections and says nothing, which would be 30 s."""
    port = free_port()
    with bgp.Listener(PEER, port, asn=64512) as listener:
        async with speaking(dialling(port)) as running:
            client = await listener.accept()
            client.introduce()
            assert (await client.expect(bgp.NOTIFICATION))[1][:2] == b"\2\2"
            await client.close()
            await running.until(lambda: running.speaker.state.dialled[PEER].again_at is not None)
            running.speaker.dial(PEER)
            client = await listener.accept(3)
            await client.expect(bgp.OPEN)
            running.speaker.dial(PEER)
            assert (await client.expect(bgp.NOTIFICATION))[1][:2] == b"\6\4"
            await client.close()
            client = await listener.accept(3)
            await client.expect(bgp.OPEN)
            running.speaker.shut(PEER, "why?")
            await client.expect(bgp.NOTIFICATION)
            await client.close()
            running.speaker.dial(PEER)
            await is_left_alone(running, listener)


@pytest.mark.parametrize("keys", [{"asn": 64513}, {"router_id": "10.0.0.101"}])
async def test_a_change_of_the_router_has_every_peer_dialled_anew(keys: dict[str, Any]) -> None:
    """That may have been why it was refused, for which it would wait 10 s and more (FRR#6986)."""
    port = free_port()
    config = dialling(port)
    with bgp.Listener(PEER, port) as listener:
        async with speaking(config) as running:
            client = await listener.accept()
            await client.expect(bgp.OPEN)
            client.send(bgp.notification(2, 2))
            await client.close()
            await running.until(lambda: running.speaker.state.dialled[PEER].again_at is not None)
            running.speaker.reconfigure(config.model_copy(update={"router": config.router.model_copy(update=keys)}))
            await (await listener.accept(3)).close()
