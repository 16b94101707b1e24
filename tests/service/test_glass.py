"""The looking glass listens, or says why it does not and tries again."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from routerd.config.monitoring import LookingGlassSection
from routerd.service import glass
from tests.daemon.harness import becomes
from tests.support.core import Simulation


async def test_a_place_that_is_taken_is_a_problem_until_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glass, "AGAIN", 0.02)
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    part = glass.LookingGlass(LookingGlassSection(listen=("127.0.0.1",), port=port), Simulation().router)
    running = asyncio.create_task(part.run())
    what = f"nobody can ask it: 127.0.0.1 port {port}: Address already in use"
    await becomes(lambda: [each["what"] for each in part.problems], [what])
    taken.close()
    await becomes(lambda: list(part.problems), [])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await reader.read()  # the connection is over, and nobody listens any more
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
