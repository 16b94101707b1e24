"""The configurations of docs/pair.md are two halves of one pair."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from routerd.api.examples import EXAMPLES
from routerd.cli.pair import lines
from routerd.cli.screen import Screen
from routerd.config.model import FibSection
from routerd.config.pair import PairSection

PAGE = Path(__file__).parents[2] / "docs" / "pair.md"


def test_the_answer_is_as_the_command_prints_it() -> None:
    example = EXAMPLES["GET /v1/pair"]
    routers = [example["here"] | {"router": name, "version": "0.1.0"} for name in ("gw1", "gw2")]
    view = example | {
        "ok": True, "since_seconds": 760.0, "here": routers[0], "there": routers[1], "agreed_seconds": 0.0,
        "groups": {"equal": 42}, "differing": 0, "conflicts": 0, "total": 0, "first": [],
    }  # fmt: skip
    assert "$ routerd pair\n" + "\n".join(lines(Screen(80, colours=False), view)) + "\n```" in PAGE.read_text()


def test_the_two_files_fit_each_other() -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    files = [tomllib.loads(block) for block in blocks if "partner" in block]
    first, second = (PairSection(**each["pair"]) for each in files)
    assert (first.router, first.partner) == (second.partner, second.router)
    assert (first.address, first.listen) == (second.listen, second.address)
    assert (first.key_file, first.port, first.channel) == (second.key_file, second.port, second.channel)
    assert [FibSection(**each["fib"]).hash_policy for each in files] == ["five-tuple"] * 2
