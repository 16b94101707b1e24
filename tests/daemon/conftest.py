"""Fixtures of the end-to-end tests: namespaces, and raw peers that are closed at the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.daemon.harness import Network, network
from tests.support.bgp import Client


@pytest.fixture(name="network")
def _network() -> Iterator[Network]:
    """The router's namespace and the nodes', for one test."""
    with network() as made:
        yield made


@pytest.fixture
async def clients() -> AsyncIterator[list[Client]]:
    """What is put in here is closed at the end of the test."""
    opened: list[Client] = []
    yield opened
    for client in opened:
        await client.close()
