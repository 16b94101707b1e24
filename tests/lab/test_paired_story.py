"""`routerd lab --pair` as a user runs it: no connection breaks, and nothing is left behind."""

from __future__ import annotations

import os

import pytest

from tests.lab.test_story import lab

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="kernels of two routers need root")


@pytest.mark.long
def test_a_router_dies_and_no_connection_breaks() -> None:
    with lab("--pair") as run:
        assert run.finish() == 0, run.text
        assert run.text.count("0 broke") == 2
        assert "✘" not in run.text
