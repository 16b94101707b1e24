"""Fixtures of the tests with two routers; each module makes its own site, `built`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.failover import flows
from tests.pair.site import PairSite


@pytest.fixture
def client(built: PairSite) -> Iterator[flows.Flows]:
    with flows.client(built.fabric.client) as running:
        yield running
