"""A configuration in several files: what they make together, and where an error is."""

from __future__ import annotations

from pathlib import Path

import pytest

from routerd.config.load import check, load, parse
from routerd.config.source import ConfigError

MAIN = """\
include = "conf.d"

[router]
asn = 65000
router_id = "192.168.10.200"

[peer_groups.nodes]
accept = ["172.16.0.0/16"]

[[peers]]
name = "k8s-ctr"
address = "192.168.10.100"
group = "nodes"
"""
WEST = """\
[peer_groups.west]
accept = "any"

[[peers]]
name = "k8s-w0"
address = "192.168.20.100"
group = "west"

[[peers]]
name = "k8s-w1"
address = "192.168.10.101"
group = "nodes"
"""


def write(directory: Path, main: str = MAIN, **included: str) -> Path:
    """Write a file and those of its directory conf.d; return the file's path."""
    (directory / "conf.d").mkdir()
    for name, text in included.items():
        (directory / "conf.d" / f"{name}.toml").write_text(text)
    (directory / "routerd.toml").write_text(main)
    return directory / "routerd.toml"


def problems(path: Path) -> list[str]:
    """Return what is wrong, with paths as seen from the file's directory."""
    with pytest.raises(ConfigError) as refused:
        load(path)
    return [line.replace(f"{path.parent}/", "") for line in refused.value.problems]


def test_files_make_one_configuration(tmp_path: Path) -> None:
    """Sections are merged, lists of sections joined in the order of the names; other files are not looked at."""
    path = write(tmp_path, b_west=WEST, a_times="[peer_groups.nodes]\nhold_time = 9\n")
    (tmp_path / "conf.d" / "note.txt").write_text("not TOML")
    (tmp_path / "conf.d" / ".west.toml.swp").write_text("not TOML")
    (tmp_path / "conf.d" / ".hidden.toml").write_text("not TOML")
    config = load(path)
    assert [peer.name for peer in config.peers] == ["k8s-ctr", "k8s-w0", "k8s-w1"]
    assert config.peer_groups["nodes"].hold_time == 9
    assert config.peer_groups["nodes"].accept == ("172.16.0.0/16",)
    assert config.peer_groups["west"].accept == "any"


def test_the_same_twice_is_no_contradiction(tmp_path: Path) -> None:
    assert load(write(tmp_path, same="[router]\nasn = 65000\n")).router.asn == 65000


def test_an_empty_directory(tmp_path: Path) -> None:
    assert len(load(write(tmp_path)).peers) == 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param(
            "[router]\n\nasn = 65001\n",
            "conf.d/x.toml:3: router.asn: is said differently in routerd.toml:4; remove one",
            id="key",
        ),
        pytest.param(
            "[router]\nnetworks = []\n[peer_groups.nodes]\naccept = []\n",
            "conf.d/x.toml:4: peer_groups.nodes.accept: is said differently in routerd.toml:8; remove one",
            id="list",
        ),
        pytest.param(
            "router = 1\n",
            "conf.d/x.toml:1: router: is said differently in routerd.toml:3; remove one",
            id="section",
        ),
        pytest.param("[router\n", "conf.d/x.toml:1: ", id="no TOML"),
        pytest.param(
            'include = "more"\n',
            "conf.d/x.toml:1: include: only routerd.toml may include others; remove it",
            id="nested",
        ),
        pytest.param("[router]\nport = 0\n", "conf.d/x.toml:2: router.port: ", id="value"),
        pytest.param("[router]\nport = 0\n[fib]\nmetrics = 3\n", "conf.d/x.toml:4: fib.metrics: ", id="unknown key"),
        pytest.param(
            "[peer_groups.east]\nhold_time = 1\n", "conf.d/x.toml:2: peer_groups.east.hold_time: ", id="group"
        ),
        pytest.param(
            WEST.replace('group = "nodes"', 'group = "east"'), "conf.d/x.toml:12: peers[1].group: ", id="second peer"
        ),
        pytest.param(
            WEST.replace("k8s-w0", "k8s-ctr"), "conf.d/x.toml:5: peers[0].name: ", id="a peer of another file"
        ),
        pytest.param("[[peers]]\nname = 5\n", "conf.d/x.toml:1: peers[0].address: is missing", id="missing"),
    ],
)
def test_an_error_names_its_file(tmp_path: Path, text: str, wanted: str) -> None:
    assert any(line.startswith(wanted) for line in problems(write(tmp_path, x=text))), problems


def test_each_contradiction_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, x="[router]\nasn = 1\n", y='[router]\nasn = 2\nrouter_id = "10.0.0.1"\n')
    assert [line.partition(": is")[0] for line in problems(path)] == [
        "conf.d/x.toml:2: router.asn",
        "conf.d/y.toml:2: router.asn",
        "conf.d/y.toml:3: router.router_id",
    ]


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    main = MAIN.replace("accept", 'password = "secret1"\naccept', 1)
    path = write(tmp_path, main, x='[peer_groups.nodes]\npassword = "secret2"\n')
    (line,) = problems(path)
    assert "secret" not in line


def test_a_doubt_names_its_file(tmp_path: Path) -> None:
    path = write(tmp_path, x="[peer_groups.lonely]\n")
    assert any(doubt.startswith(f"{tmp_path}/conf.d/x.toml:1: peer_groups.lonely: ") for doubt in check(path))


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "routerd.toml").write_text(MAIN)
    (line,) = problems(tmp_path / "routerd.toml")
    assert line.startswith("routerd.toml:1: include: conf.d cannot be read: No such file or directory; write")


def test_a_text_alone_includes_nothing(tmp_path: Path) -> None:
    """What is not a directory's name is an error like any other wrong type."""
    path = write(tmp_path, MAIN.replace('"conf.d"', "5"))
    assert [line.partition(" (")[0] for line in problems(path)] == ["routerd.toml:1: include: write a text in quotes"]


def test_a_last_line_that_is_nothing_has_its_number() -> None:
    with pytest.raises(ConfigError) as refused:
        parse("[router]\nasn = 1\nlisten\n\n", "c.toml")
    assert str(refused.value) == "c.toml:3: is neither a [section] nor key = value: listen"
