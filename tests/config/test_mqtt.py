"""`[mqtt]` read alone, by who has no router."""

from __future__ import annotations

from pathlib import Path

import pytest

from routerd.config.broker import Place, place
from routerd.config.fingerprint import fingerprint
from routerd.config.load import check, parse
from routerd.config.mqtt import of_file
from routerd.config.source import ConfigError

TEXT = """
[router]
asn = 65000
router_id = "10.0.0.1"

[peer_groups.nodes]
accept = ["172.16.0.0/16"]
password = "secret"

[[peers]]
name = "w1"
address = "10.0.0.65"
group = "nodes"
connect = true
local_address = "10.0.0.1"

[[peers]]
name = "w2"
address = "10.0.0.66"
group = "nodes"
"""


def test_a_file_with_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text('[mqtt]\nbroker = "mqtts://b"\nsite = "ams"\n')
    assert (of_file(path).broker, of_file(path).site) == ("mqtts://b", "ams")
    path.write_text('[mqtt]\nbroker = "b"\n')
    with pytest.raises(ConfigError, match=r"fleet.toml:2: mqtt.broker: 'b' is no URL of a broker; write one such as"):
        of_file(path)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("mqtt://b", Place("b", 1883, False)),
        ("mqtts://b", Place("b", 8883, True)),
        ("mqtts://b:99/", Place("b", 99, True)),
        ("mqtt://[fd00::1]:1", Place("fd00::1", 1, False)),
    ],
)
def test_where_a_broker_is(url: str, where: Place) -> None:
    assert place(url) == where
    assert str(where).rpartition(":")[2] == str(where.port)


@pytest.mark.parametrize(
    "url",
    ["", "b", "http://b", "mqtt://", "mqtt://b:0", "mqtt://b:99999", "mqtt://b/topic", "mqtt://u@b", "mqtt://["],
)
def test_what_is_no_broker(url: str) -> None:
    with pytest.raises(ValueError, match="write"):
        place(url)


def test_what_routers_of_a_site_have_in_common() -> None:
    """Neither their own addresses nor passwords count, nor an order; all else does."""
    one = fingerprint(parse(TEXT))
    head, first, second = TEXT.partition("[[peers]]")[0], *TEXT.split("[[peers]]")[1:]
    turned = f"{head}[[peers]]{second}[[peers]]{first}"
    own = turned.replace('10.0.0.1"', '10.0.0.2"').replace("secret", "other") + '[mqtt]\nsite = "ams"\n'
    assert fingerprint(parse(own)) == one
    collector = '[[bmp]]\nname = "c"\naddress = "10.0.0.9"\n'
    more = '[metrics]\nlisten = "10.0.0.1:9179"\n[looking_glass]\nlisten = ["10.0.0.1"]\n'
    assert fingerprint(parse(TEXT + more + '[mrt]\ndirectory = "/var/lib/routerd/mrt"\n')) == one
    assert fingerprint(parse(TEXT + collector)) == fingerprint(parse(TEXT + collector.replace("0.9", "0.8"))) != one
    assert fingerprint(parse(TEXT.replace("/16", "/15"))) != one
    assert fingerprint(parse(TEXT.replace("w2", "w3"))) != one


def test_files_that_are_not_of_use_are_doubtful(tmp_path: Path) -> None:
    key = tmp_path / "fleet.key"
    key.touch(0o644)
    key.write_text("0" * 32)
    path = tmp_path / "c.toml"
    lines = f'broker = "mqtts://b"\nuser = "gw1"\npassword_file = "/nowhere/password"\nfleet_key_file = "{key}"\n'
    path.write_text(f"{TEXT}[mqtt]\n{lines}")
    found = [line.partition("mqtt.")[2] for line in check(path) if " mqtt." in line]
    assert found == [
        "password_file: this host has no file /nowhere/password",
        f"fleet_key_file: {key} is open to everybody on this machine: chmod o= {key}",
    ]
