"""The objects for the nodes: golden files, read back by a YAML parser. UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from routerd.config.load import load, parse
from routerd.config.model import Config
from routerd.translate import command
from routerd.translate.nodes import calico, cilium, metallb
from routerd.translate.nodes.session import MissingError, sessions
from routerd.translate.nodes.yaml import documents
from routerd.translate.report import Report
from tests.daemon.harness import cli

PLACE = Path(__file__).parent / "nodes"
EXPORTS: dict[str, Any] = {"cilium": cilium.export, "metallb": metallb.export, "calico": calico.export}


def export(kind: str, config: Config, report: Report | None = None, **options: Any) -> dict[str, list[Any]]:
    """Return the specs of the objects, by their kinds."""
    text = EXPORTS[kind](config, report or Report(), **{"asn": 65001, **options})
    found: dict[str, list[Any]] = {}
    for each in yaml.safe_load_all(text):
        found.setdefault(each["kind"], []).append(each["spec"])
    return found


@pytest.mark.parametrize("kind", EXPORTS)
@pytest.mark.parametrize("name", ["lab", "two-groups"])
def test_objects_are_those_of_the_golden_file(kind: str, name: str) -> None:
    report = Report()
    made = EXPORTS[kind](load(PLACE / f"{name}.toml"), report, asn=65001)
    made += "".join(f"# left out: {each.what}: {each.why}; {each.remedy}\n" for each in report.left)
    golden = PLACE / f"{name}.{kind}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(made)
    assert made == golden.read_text()
    assert "not to be printed" not in made
    names = [(each["kind"], each["metadata"]["name"]) for each in yaml.safe_load_all(made)]
    assert len(set(names)) == len(names)


LAB = load(PLACE / "lab.toml")
TWO = load(PLACE / "two-groups.toml")


def test_cilium_speaks_as_the_configuration_says() -> None:
    (spec,) = export("cilium", LAB)["CiliumBGPPeerConfig"]
    assert spec["timers"] == {"connectRetryTimeSeconds": 5, "holdTimeSeconds": 9, "keepAliveTimeSeconds": 3}
    assert spec["gracefulRestart"] == {"enabled": True, "restartTimeSeconds": 15}
    assert spec["ebgpMultihop"] == 2
    assert [each["afi"] for each in spec["families"]] == ["ipv4", "ipv6"]
    (cluster,) = export("cilium", LAB)["CiliumBGPClusterConfig"]
    (instance,) = cluster["bgpInstances"]
    assert (instance["localASN"], instance["peers"][0]["peerASN"]) == (65001, 65000)
    assert "nodeSelector" not in cluster


def test_gtsm_is_sent_with_the_highest_ttl() -> None:
    report = Report()
    specs = export("cilium", TWO, report)["CiliumBGPPeerConfig"]
    assert [spec.get("ebgpMultihop") for spec in specs] == [255, None]
    assert [each.what for each in report.left] == ["peer_groups.RACK_1.ttl_security", "peer_groups.rack-1.hold_time"]
    assert export("calico", TWO)["BGPPeer"][0]["ttlSecurity"] == 3
    assert export("metallb", TWO)["BGPPeer"][0]["ebgpMultiHop"] is True


def test_a_password_is_a_secret_and_never_in_the_objects() -> None:
    assert export("cilium", TWO)["CiliumBGPPeerConfig"][0]["authSecretRef"] == "routerd-rack-1"
    assert export("metallb", TWO)["BGPPeer"][0]["passwordSecret"]["name"] == "routerd-rack-1"
    assert export("calico", TWO)["BGPPeer"][0]["password"]["secretKeyRef"]["name"] == "routerd-rack-1"
    assert "authSecretRef" not in export("cilium", TWO)["CiliumBGPPeerConfig"][1]


def test_nodes_of_several_groups_are_told_apart_by_a_label() -> None:
    clusters = export("cilium", TWO)["CiliumBGPClusterConfig"]
    labels = [each["nodeSelector"]["matchLabels"]["routerd/peer-group"] for each in clusters]
    assert labels == ["routerd-rack-1", "routerd-rack-1-2"]


UPSTREAM = """
[router]
asn = 65000
router_id = "192.168.10.201"

[peer_groups.nodes]
accept = ["172.16.0.0/16"]

[peer_groups.upstream]
accept = [{accept}]
advertise = ["learned"]

[[dynamic_peers]]
range = "192.168.10.0/24"
group = "nodes"

[[peers]]
name = "upstream"
address = "10.10.1.1"
group = "upstream"
connect = {connect}
"""


@pytest.mark.parametrize("accept", ["", '"0.0.0.0/0", "::/0"'])
def test_an_upstream_router_is_no_node(accept: str) -> None:
    (found,) = sessions(parse(UPSTREAM.format(accept=accept, connect="true")), 65001, ())
    assert (found.name, found.alone) == ("nodes", True)


@pytest.mark.parametrize(("accept", "connect"), [('"172.16.0.0/16"', "true"), ("", "false")])
def test_nodes_that_are_dialled_are_nodes(accept: str, connect: str) -> None:
    found = sessions(parse(UPSTREAM.format(accept=accept, connect=connect)), 65001, ())
    assert [each.name for each in found] == ["nodes", "upstream"]


def test_who_is_not_told_is_asked_for() -> None:
    with pytest.raises(MissingError, match="--asn"):
        sessions(LAB, None, ())
    with pytest.raises(MissingError, match="own AS"):
        sessions(LAB, 65000, ())
    with pytest.raises(MissingError, match="no node"):
        sessions(parse('[router]\nasn = 1\nrouter_id = "10.0.0.1"\n'), 2, ())


def test_nodes_dial_where_the_router_listens() -> None:
    assert [each.router for each in sessions(LAB, 65001, ())] == ["192.168.10.200"]
    assert [each.router for each in sessions(TWO, None, ())] == ["192.168.10.200", "192.168.20.200"]
    assert [each.router for each in sessions(LAB, 65001, ["fd00::1"])] == ["fd00::1"]


def test_calico_has_a_session_for_each_family() -> None:
    report = Report()
    peers = export("calico", TWO, report, routers=["fd00::1", "10.0.0.1"])["BGPPeer"]
    assert [peer["peerIP"] for peer in peers] == ["10.0.0.1:1790", "10.0.0.1:1790", "[fd00::1]:1790"]
    assert report.left == []
    export("calico", LAB, report)
    assert [each.what for each in report.left] == ["peer_groups.nodes.families"]


WORDS = ["yes", "null", "1e3", "0x10", "~", "a: b", "- a", "#", "No", "1_0", "a.b/c", "", " a", "'"]
TEXTS = st.sampled_from(WORDS) | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
"""Names and addresses are ASCII."""
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES, min_size=1))
def test_a_parser_reads_what_was_written(value: Any) -> None:
    assert list(yaml.safe_load_all(documents([(["one"], value), ([], value)]))) == [value, value]


def test_the_command_prints_the_objects() -> None:
    done = cli("export", "cilium", "--config", str(PLACE / "lab.toml"), "--asn", "65001")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (PLACE / "lab.cilium.yaml").read_text()


def test_what_cannot_be_had_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.export("metallb", str(PLACE / "two-groups.toml"), None, ()) == 3
    assert "two-groups.toml: peer_groups.RACK_1.ttl_security: " in capsys.readouterr().err
    assert command.export("calico", str(PLACE / "lab.toml"), None, ()) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "--asn" in shown.err


def test_a_configuration_with_an_error_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[router]\nasn = 1\n")
    assert command.export("calico", str(wrong), 1, ()) == 1
    assert "wrong.toml:1: router.router_id: is missing" in capsys.readouterr().err
