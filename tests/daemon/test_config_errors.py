"""`routerd run`, `check` and `flush` with files that cannot be used: exit codes, and where and what is wrong."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, Network, Routerd, becomes, cli
from tests.support.netns import needs_root

GOOD = """\
[router]
asn = 65000
router_id = "10.0.0.1"

[api]
group = "root"

[peer_groups.nodes]
accept = ["172.16.0.0/16"]

[[peers]]
name = "k8s-w0"
address = "10.0.0.65"
group = "nodes"
"""

BROKEN = {
    "syntax": (("asn = 65000", "asn = "), ["{file}:2: asn has no value; write asn = ..., or remove it"]),
    "AS": (("65000", "0"), ["{file}:2: router.asn: write a whole number from 1 to 4294967295 (found 0)"]),
    "AS as text": (
        ("65000", '"65000"'),
        ["{file}:2: router.asn: write a whole number from 1 to 4294967295, without quotes (found '65000')"],
    ),
    "missing key": (
        ('router_id = "10.0.0.1"\n', ""),
        ["{file}:1: router.router_id: is missing; write router_id = ..."],
    ),
    "unknown key": (
        ("router_id", "routerid"),
        [
            "{file}:1: router.router_id: is missing; write router_id = ...",
            "{file}:3: router.routerid: is not a known key; did you mean 'router_id'?",
        ],
    ),
    "unknown table": (
        ("[peer_groups.nodes]", "[peer_group.nodes]"),
        ["{file}:8: peer_group: is not a known key; did you mean 'peer_groups'?"],
    ),
    "address": (
        ("10.0.0.65", "10.0.0.256"),
        [
            "{file}:13: peers[0].address: '10.0.0.256' is not an IPv4 or IPv6 address; "
            'write one such as "192.168.10.100"'
        ],
    ),
    "host bits": (
        ("172.16.0.0/16", "172.16.1.0/16"),
        ["{file}:9: peer_groups.nodes.accept[0]: '172.16.1.0/16' has host bits set; write \"172.16.0.0/16\""],
    ),
    "unknown group": (
        ('group = "nodes"', 'group = "node"'),
        ["{file}:14: peers[0].group: no [peer_groups.node] in this file (there is: nodes)"],
    ),
    "two things": (
        ('address = "10.0.0.65"', 'address = "10.0.0.1"\nname2 = 1'),
        ["{file}:14: peers[0].name2: is not a known key; did you mean 'name'?"],
    ),
}


@pytest.mark.parametrize(("change", "told"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_told_with_its_line(tmp_path: Path, change: tuple[str, str], told: list[str]) -> None:
    file = tmp_path / "routerd.toml"
    file.write_text(GOOD.replace(*change))
    lines = [line.replace("{file}", str(file)) for line in told]
    checked = cli("check", str(file))
    assert (checked.returncode, checked.stdout, checked.stderr.splitlines()) == (1, "", lines)


def test_every_command_says_all_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "routerd.toml"
    change, told = BROKEN["unknown key"]
    file.write_text(GOOD.replace(*change))
    lines = [line.replace("{file}", str(file)) for line in told]
    answer = cli("check", "--json", str(file))
    assert (answer.returncode, json.loads(answer.stdout)) == (1, {"ok": False, "problems": lines, "warnings": []})
    for command in ("run", "flush"):
        refused = cli(command, "--config", str(file))
        assert refused.returncode == 2
        assert refused.stderr.splitlines() == [f"routerd: {line}" for line in lines]


@pytest.mark.parametrize("kind", ["absent", "a directory", "not text"])
def test_a_file_that_cannot_be_read(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "routerd.toml"
    if kind == "a directory":
        file.mkdir()
    elif kind == "not text":
        file.write_bytes(b"[router]\n\xff\xfe")
    told = {
        "absent": f"{file}: cannot be read: No such file or directory",
        "a directory": f"{file}: cannot be read: Is a directory",
        "not text": f"{file}:2: is not UTF-8 text; let the editor save it as UTF-8",
    }[kind]
    checked, refused = cli("check", str(file)), cli("run", "--config", str(file))
    assert (checked.returncode, checked.stderr) == (1, f"{told}\n")
    assert (refused.returncode, refused.stderr) == (2, f"routerd: {told}\n")


def test_a_good_file(tmp_path: Path) -> None:
    file = tmp_path / "routerd.toml"
    file.write_text(GOOD)
    checked = cli("check", str(file))
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, f"{file}: ok\n", "")
    answer = cli("check", "--json", str(file))
    assert (answer.returncode, json.loads(answer.stdout)) == (0, {"ok": True, "problems": [], "warnings": []})


def test_a_good_file_with_doubts(tmp_path: Path) -> None:
    """They are told, and routerd would start nevertheless."""
    file = tmp_path / "routerd.toml"
    file.write_text(GOOD.replace('accept = ["172.16.0.0/16"]\n', ""))
    told = f"{file}:8: peer_groups.nodes: without accept nothing that these peers announce is accepted (RFC 8212)"
    checked = cli("check", str(file))
    assert (checked.returncode, checked.stdout) == (0, f"{file}: ok\n")
    assert checked.stderr.startswith(f"warning: {told}")
    answer = json.loads(cli("check", "--json", str(file)).stdout)
    assert (answer["ok"], answer["problems"]) == (True, [])
    assert answer["warnings"][0].startswith(told)


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "routerd.toml"
    file.write_text(GOOD.replace("accept =", f'password = "{"secret" * 20}"\naccept ='))
    checked = cli("check", str(file))
    assert checked.returncode == 1
    assert "peer_groups.nodes.password" in checked.stderr
    assert "secret" not in checked.stderr


@pytest.mark.parametrize("option", ["--log-level=loud", "--log-format=xml"])
def test_wrong_options_of_run(tmp_path: Path, option: str) -> None:
    file = tmp_path / "routerd.toml"
    file.write_text(GOOD)
    refused = cli("run", "--config", str(file), option)
    assert refused.returncode == 2
    assert refused.stderr.startswith("routerd: --log-level is one of debug, info, warning, error")


@needs_root
def test_a_recording_that_cannot_be_written(network: Network, tmp_path: Path) -> None:
    daemon = Routerd(network.router, tmp_path)
    daemon.spawn("--record", str(tmp_path / "absent" / "record"))
    assert daemon.wait() == 1
    (line,) = daemon.log.read_text().splitlines()
    assert line.startswith("routerd: ")
    assert "No such file or directory" in line


@needs_root
async def test_an_address_that_is_not_the_routers(network: Network, tmp_path: Path) -> None:
    """The address may come later: the daemon runs, says what is wrong, and gets over it."""
    config = CONFIG.replace('router_id = "10.0.0.1"', 'router_id = "10.0.0.1"\nlisten = ["10.0.0.9"]')
    daemon = Routerd(network.router, tmp_path, config)
    daemon.spawn()
    try:
        told = "cannot listen on 10.0.0.9 port 179: Cannot assign requested address"
        await becomes(lambda: daemon.socket.exists() and told in daemon.problems().get("speaker", ""), True)
        assert daemon.cli("status").returncode == 1
        network.router.address("eth0", "10.0.0.9/24")
        await becomes(daemon.problems, {}, 20)
    finally:
        daemon.kill()


@needs_root
async def test_a_port_that_is_taken(network: Network, tmp_path: Path) -> None:
    with network.router.enter():
        other = socket.create_server(("0.0.0.0", 179))
    with other:
        routerd = Routerd(network.router, tmp_path)
        routerd.spawn()
        try:
            told = "cannot listen on 0.0.0.0 port 179: Address already in use"
            await becomes(lambda: routerd.socket.exists() and told in routerd.problems().get("speaker", ""), True)
        finally:
            routerd.kill()
