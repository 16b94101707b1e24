"""Fixtures of the kernel room's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from routerd.kernel.writer import KernelWriter
from tests.kernel.scenario import FIB
from tests.support.netns import Namespace, router

__all__ = ["router"]


@pytest.fixture
def writer(router: Namespace) -> Iterator[KernelWriter]:
    """A writer in the router's namespace, in which the test then runs."""
    with router.enter():
        made = KernelWriter(FIB)
        yield made
        made.close()
