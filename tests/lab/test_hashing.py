"""The lab's configuration with another hash policy, whatever the file of the user says."""

from __future__ import annotations

import pytest

from routerd.config.load import parse
from routerd.lab.daemon import LAB_CONFIG
from routerd.lab.story import _hashing

ROUTER = '[router]\nasn = 65000\nrouter_id = "192.168.10.200"\n'


@pytest.mark.parametrize(
    "config",
    [
        LAB_CONFIG.read_text(),
        ROUTER,
        f"{ROUTER}[fib]\nmetric = 30\n",
        f'{ROUTER}[fib]  # of routes\nhash_policy="l4"  # the default\n',
        f"[fib]\n{ROUTER}",
    ],
)
def test_only_the_policy_is_another_one(config: str) -> None:
    before, after = parse(config), parse(_hashing(config, "l3"))
    assert after.fib.hash_policy == "l3"
    assert after.model_copy(update={"fib": before.fib}) == before
    assert after.fib.model_copy(update={"hash_policy": "l4"}) == before.fib
