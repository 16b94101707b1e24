"""The lab's topology: names, addresses, and that the shipped configuration serves it."""

from pathlib import Path

import pytest

from routerd.config.load import load
from routerd.lab.daemon import LAB_CONFIG
from routerd.lab.topology import CLIENT_HOST, ROUTER_HOST, row, standard


def test_addresses_of_the_standard_lab() -> None:
    nodes = {node.name: node for node in standard().nodes}
    assert {name: node.ipv4 for name, node in nodes.items()} == {
        "k8s-ctr": "192.168.10.100",
        "k8s-w1": "192.168.10.101",
        "k8s-w0": "192.168.20.100",
    }
    assert nodes["k8s-w0"].ipv6 == "fd00:20::100"
    assert nodes["k8s-w0"].pod_cidrs == ("172.20.2.0/24", "fd00:ac14:2::/64")


def test_the_router_stands_in_every_network() -> None:
    topology = standard()
    assert [network.address4(ROUTER_HOST) for network in topology.networks] == [
        "10.10.1.200",
        "192.168.10.200",
        "192.168.20.200",
    ]
    assert topology.client.attachment("client", CLIENT_HOST).addresses == ("10.10.1.10/24", "fd00:c::10/64")


def test_port_names_are_unique_and_fit_the_kernel() -> None:
    topology = row(["embedded"] * 100)
    ports = [node.attachment.port for node in topology.nodes]
    ports += [network.attachment("router", ROUTER_HOST).port for network in topology.networks]
    assert len(set(ports)) == len(ports)
    assert max(map(len, ports)) <= 15


def test_a_row_ends_below_the_router() -> None:
    assert row(["frr", "bird"]).nodes[1].speaker == "bird"
    with pytest.raises(ValueError, match="101 nodes do not fit"):
        row(["embedded"] * 101)


def test_the_shipped_configuration_covers_every_node() -> None:
    config = load(LAB_CONFIG)
    assert config.drain.state_file == ""  # that of the machine's own routerd is not the lab's
    assert all(config.group_of(node.ipv4) is not None for node in standard().nodes)
    assert config.name_of("192.168.20.100") == "k8s-w0"


def test_the_configuration_has_one_source() -> None:
    shown = Path(__file__).parents[2] / "config" / "lab.toml"
    assert shown.resolve() == LAB_CONFIG.resolve()
