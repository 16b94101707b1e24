"""Files that somebody, or some program, has got badly wrong: one clear line, soon, and no crash."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from routerd.config.lines import Location, Outline
from routerd.config.load import load, parse
from routerd.config.source import LARGEST, MOST, ConfigError

BASE = '[router]\nasn = 65000\nrouter_id = "10.0.0.1"\n'
PEER = '[peer_groups.a]\n[[peers]]\nname = "p"\ngroup = "a"\n'
DEEP = "lists and tables in each other deeper than any configuration"


def problems(text: str) -> list[str]:
    """Return what is wrong with a text."""
    with pytest.raises(ConfigError) as refused:
        parse(text)
    return refused.value.problems


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"{BASE}x = {'[' * 5000}{']' * 5000}\n", f"config: has {DEEP}"),
        (f"{BASE}x = {'{a=' * 3000}1{'}' * 3000}\n", f"config: has {DEEP}"),
        (f"{BASE}[{'.'.join('a' * 3000)}]\nb = 1\n", DEEP),
        (f"{BASE}{'.'.join('a' * 2000)} = 1\n", DEEP),
        (f"{BASE}port = {'9' * 5000}\n", "config: has a number with more than 64 bits"),
        (f"{BASE}port = 0x{'f' * 50000}\n", "config:4: router.port: has a number with more than 64 bits"),
        (f'include = "a\\u0000b"\n{BASE}', "config:1: include: has a NUL character in it; remove that"),
        (f'{BASE}[api]\ngroup = "ro\\u0000ot"\n', "config:5: api.group: has a NUL character in it; remove that"),
        (f'{BASE}[drain]\nstate_file = "/a\\u0000"\n', "drain.state_file: has a NUL character in it"),
        (f"{BASE}[fib]\nidle_timer = nan\n", "config:5: fib.idle_timer: write a number of seconds"),
        (f'{BASE}{PEER}address = "fd00::1%eth0"\n', 'a zone, which link-local addresses have alone; write "fd00::1"'),
        (f'{BASE}{PEER}address = "fe80::1%eth0"\nconnect = true\n', "peers[0].address: fe80::1%eth0 is link-local"),
        (f'{BASE}{PEER}address = "fd00::1"\nconnect = true\nlocal_address = "fd00::2%eth0"\n', "has a zone"),
        (f'{BASE}networks = ["fd00::%eth0/64"]\n', "has a zone, and no prefix has one; write it without"),
    ],
)  # fmt: skip
def test_a_value_that_nothing_is_prepared_for(text: str, wanted: str) -> None:
    (line,) = problems(text)
    assert wanted in line


@pytest.mark.parametrize("key", ["a\\u001b[31mb", "a\\nb"])
def test_a_terminal_is_told_nothing_by_a_file(key: str) -> None:
    (line,) = problems(f'{BASE}"{key}" = 1\n')
    assert line.isprintable()


MANY = 20_000


@pytest.mark.parametrize(
    ("text", "most"),
    [
        (BASE + "".join(f"k{i} = 1\n" for i in range(MANY)), MOST + 1),
        (BASE + "[peer_groups.a]\n" + "[[peers]]\naddres = 1\n" * MANY, MOST + 1),
        (BASE + '[[peers]]\nname = "a"\naddress = "10.0.0.9"\ngroup = "b"\n' * MANY, MOST + 1),
        (BASE + "[[peers]]\naddresses = []\n" * MANY, MOST + 1),
        (f"{BASE}x = a{' ' * 300_000}b\n", 1),
        (f"{BASE}x = {'=[' * 300_000}]\n", 1),
        (f"{BASE}x = {'y' * 3_000_000}\n", 1),
        (f'{BASE}[fib]\nmax_paths = 0\n[x]\nx = """\n[{" " * 300_000}\n"""\n', 2),
    ],
    ids=["keys", "sections", "contradictions", "empty lists", "spaces", "brackets", "a long word", "a long header"],
)
def test_much_that_is_wrong_is_told_soon(text: str, most: int) -> None:
    """The daemon reads files while it routes: what takes minutes must not."""
    begun = time.thread_time()
    found = problems(text)
    assert time.thread_time() - begun < 4
    assert len(found) <= most
    assert max(map(len, found)) < 600
    assert (most == 1) or "more problems" in found[-1] or len(found) == most


def test_all_files_together_have_a_size(tmp_path: Path) -> None:
    main = tmp_path / "routerd.toml"
    main.write_text(f'include = "parts"\n{BASE}')
    (tmp_path / "parts").mkdir()
    for number in range(3):
        (tmp_path / "parts" / f"{number}.toml").write_bytes(b"#" * (LARGEST // 2 - 100))
    with pytest.raises(ConfigError) as refused:
        load(main)
    assert refused.value.problems == [
        f"{tmp_path}/parts/2.toml: is beyond 16 MiB of files, which no configuration takes"
    ]


def test_drains_take_no_place_of_a_configuration(tmp_path: Path) -> None:
    main, link = tmp_path / "routerd.toml", tmp_path / "link.json"
    link.symlink_to(main)
    for path in (main, link):
        main.write_text(f'{BASE}[drain]\nstate_file = "{path}"\n')
        with pytest.raises(ConfigError) as refused:
            load(main)
        (line,) = refused.value.problems
        assert line.startswith(f"{main}:5: drain.state_file: {path} is a file of this configuration")


def test_a_name_that_no_file_can_have() -> None:
    with pytest.raises(ConfigError) as refused:
        load(Path("a\0b"))
    assert refused.value.problems == ["a\\x00b: cannot be read: embedded null byte"]


TEXT = """\
include = "x"
["router"]  # a comment
asn = 1
[[ peers ]]
name = "a"
[peer_groups.a]
accept = []
[[peers]]
  "name" = "b"
[peer_groups.b.c]
"""


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ((), None),
        (("include",), 1),
        (("router",), 2),
        (("router", "asn"), 3),
        (("router", "port"), 2),
        (("peers", 0, "name"), 5),
        (("peers", 1, "name"), 9),
        (("peers", 1, "group"), 8),
        (("peers", 2, "name"), None),
        (("peer_groups", "a", "accept", 0), 7),
        (("peer_groups", "b"), None),
        (("peer_groups",), 6),
        (("fib", "metric"), None),
    ],
)
def test_where_a_key_stands(where: Location, line: int | None) -> None:
    assert Outline(TEXT).line_of(where) == line
