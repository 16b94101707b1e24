"""Fixtures of the tests with connections through the router; each module makes its own cluster, `built`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.failover import flows
from tests.failover.cluster import Site


@pytest.fixture
def client(built: Site) -> Iterator[flows.Flows]:
    with flows.client(built.fabric.client) as running:
        yield running
