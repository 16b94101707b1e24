"""How an frr.conf is read: what real ones had in them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from routerd.config.load import parse
from routerd.config.model import Config
from routerd.translate.frr.render import translate
from routerd.translate.report import Report

HEAD = "router bgp 65000\n bgp router-id 10.0.0.1\n"
OPEN = HEAD + " no bgp ebgp-requires-policy\n"
PEER = OPEN + " neighbor 10.0.0.2 remote-as 65001\n"


def imported(text: str) -> tuple[Config, list[int]]:
    """Return the configuration, and the lines that are left out."""
    report = Report()
    config = parse(translate(text, report))
    return config, [each.number for each in report.left]


def group(text: str, key: str) -> Any:
    (found,) = imported(text)[0].peer_groups.values()
    return getattr(found, key)


def test_lines_without_indentation_that_other_blocks_follow() -> None:
    config, left = imported(
        "ip prefix-list A permit 172.16.0.0/16 le 32\nrouter bgp 65000\nbgp router-id 10.0.0.1\n"
        "neighbor G peer-group\nneighbor G remote-as 65001\nbgp listen range 10.0.0.0/24 peer-group G\n"
        "address-family ipv4 unicast\nneighbor G prefix-list A in\nneighbor 10.0.0.2 remote-as 65002\n"
        "line vty\n exec-timeout 0 0\nrouter bgp 65000\nneighbor 10.0.0.3 peer-group G\n"
    )
    assert left == []
    assert [peer.address for peer in config.peers] == ["10.0.0.2", "10.0.0.3"]
    assert config.group_of("10.0.0.3") == config.group_of("10.0.0.9") == ("G", config.peer_groups["G"])
    assert config.peer_groups["G"].accept == ("172.16.0.0/16",)


def test_the_description_of_a_group_is_nobodys_name() -> None:
    config, _ = imported(
        OPEN + "neighbor G peer-group\nneighbor G remote-as 65001\nneighbor G description all nodes\n"
        "neighbor 10.0.0.2 peer-group G\nneighbor 10.0.0.3 peer-group G\nneighbor 10.0.0.3 description 10.0.0.2\n"
        "neighbor 10.0.0.4 peer-group G\nneighbor 10.0.0.4 description -- rack 1 / unit 2\n"
    )
    assert [peer.name for peer in config.peers] == ["10.0.0.2", "10.0.0.3", "rack-1-unit-2"]


@pytest.mark.parametrize(
    ("lines", "key", "value"),
    [
        ("", "hold_time", 180),
        ("timers bgp 3 9", "hold_time", 9),
        ("timers bgp 3 9\nneighbor 10.0.0.2 timers 10 30", "hold_time", 30),
        ("neighbor 10.0.0.2 timers 10 30\nno neighbor 10.0.0.2 timers", "hold_time", 180),
        ("", "graceful_restart", True),
        ("bgp graceful-restart-disable", "graceful_restart", False),
        ("neighbor 10.0.0.2 graceful-restart-disable", "graceful_restart", False),
        ("bgp graceful-restart-disable\nneighbor 10.0.0.2 graceful-restart-helper", "graceful_restart", True),
        ("neighbor 10.0.0.2 ebgp-multihop", "multihop", 255),
        ("neighbor 10.0.0.2 ttl-security hops 2", "ttl_security", True),
        ("neighbor 10.0.0.2 remote-as 65000\nneighbor 10.0.0.2 ebgp-multihop 5", "multihop", 1),
        ("neighbor 10.0.0.2 remote-as 1.1", "remote_as", 65537),
        ("bgp default ipv6-unicast", "families", ("ipv4", "ipv6")),
        ("address-family ipv6\nneighbor 10.0.0.2 activate", "families", ("ipv4", "ipv6")),
        ("no bgp default ipv4-unicast\naddress-family ipv6\nneighbor 10.0.0.2 activate", "families", ("ipv6",)),
        ("", "accept", "any"),
        ("bgp ebgp-requires-policy", "accept", None),
        ("", "advertise", ("learned",)),
        ("bgp ebgp-requires-policy", "advertise", ()),
        ("network 10.1.0.0/16", "advertise", ("networks", "learned")),
        ("bgp ebgp-requires-policy\nneighbor 10.0.0.2 default-originate", "advertise", ("default",)),
        ("neighbor 10.0.0.2 prefix-list A in\nip prefix-list A permit any", "accept", ("0.0.0.0/0",)),
        (
            "neighbor 10.0.0.2 prefix-list A in\nip prefix-list A deny 0.0.0.0/0\nip prefix-list A permit any",
            "accept",
            ("0.0.0.0/1", "128.0.0.0/1"),
        ),
        (
            "neighbor 10.0.0.2 prefix-list A in\nneighbor 10.0.0.2 route-map M in\nroute-map M permit 10\n"
            "match ip address prefix-list B\nip prefix-list A permit 10.0.0.0/8 le 32\n"
            "ip prefix-list B permit 10.1.0.0/16 le 32\nip prefix-list B permit 11.0.0.0/8 le 32",
            "accept",
            ("10.1.0.0/16",),
        ),
        (
            "network 10.1.0.0/16\nneighbor 10.0.0.2 prefix-list A out\nneighbor 10.0.0.2 prefix-list B in\n"
            "ip prefix-list A permit 10.1.0.0/16\nip prefix-list B permit 172.16.0.0/12 le 32",
            "advertise",
            ("networks",),
        ),
    ],
)
def test_what_a_neighbor_becomes(lines: str, key: str, value: object) -> None:
    assert group(PEER + lines, key) == value
    assert imported(PEER + lines)[1] == []


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ("", "all"),
        ("bgp bestpath bandwidth skip-missing", "skip-missing"),
        ("bgp bestpath bandwidth default-weight-for-missing", "default-weight-for-missing"),
        ("bgp bestpath bandwidth ignore", "ignore"),
        ("bgp bestpath bandwidth ignore\nno bgp bestpath bandwidth", "all"),
    ],
)
def test_what_becomes_of_link_bandwidth(lines: str, value: str) -> None:
    config, left = imported(PEER + lines)
    assert (config.fib.link_bandwidth, left) == (value, [])


@pytest.mark.parametrize(
    "line",
    [
        "neighbor 10.0.0.2 maximum-prefix 5", "neighbor 10.0.0.2 password", "neighbor 10.0.0.2 timers",
        "neighbor 10.0.0.2 bfd", "neighbor 10.0.0.2 allowas-in",
        "bgp bestpath bandwidth 5",
        "neighbor 10.0.0.2 filter-list A in", "neighbor 10.0.0.2 prefix-list A in", "neighbor 10.0.0.2 local-as 5",
        "neighbor 10.0.0.2 timers 1 2", "neighbor 10.0.0.2 shutdown", "neighbor 10.0.0.2 ttl-security hops 255",
        "neighbor 10.0.0.2 default-originate route-map A", "no neighbor 10.0.0.2 enforce-first-as",
        "neighbor eth0 interface remote-as external", "neighbor 10.0.0.1 remote-as 5", "neighbor G peer-group",
        "neighbor fe80::1 remote-as 5", "bgp listen range 10.0.0.0/24 peer-group G", "bgp confederation identifier 5",
        "bgp graceful-restart stalepath-time 100", "maximum-paths 0", "network 10.0.0.0/33", "no bgp frobnicate",
        "redistribute connected", "router bgp 65000 vrf red", "router bgp 65001", "router ospf",
        "ip route 10.0.0.0/8 Null0", "no ip forwarding", "frobnicate", "neighbor 10.0.0.2 remote-as auto",
    ],
)  # fmt: skip
def test_what_is_left_out(line: str) -> None:
    text = PEER + line
    number = 4 if line in ("neighbor 10.0.0.2 shutdown",) else 5
    assert imported(text)[1] == [number]


@pytest.mark.parametrize(
    "line",
    [
        "no neighbor 10.0.0.2 bfd", "neighbor 10.0.0.2 soft-reconfiguration inbound", "bgp log-neighbor-changes",
        "neighbor 10.0.0.2 update-source lo", "neighbor 10.0.0.2 passive", "neighbor 10.0.0.2 timers connect 5",
        "hostname x", "log syslog", "password x", "no neighbor 10.0.0.2 shutdown", "ip forwarding", "# c", "! c",
        "router1# show running-config", "bgp reject-as-sets", "bgp graceful-restart preserve-fw-state",
        "neighbor 10.0.0.2 interface eth2", "neighbor 10.0.0.2 send-community both",
    ],
)  # fmt: skip
def test_what_needs_nothing(line: str) -> None:
    assert imported(PEER + line)[1] == []
    assert group(PEER + line, "accept") == "any"


def test_a_peer_without_a_password_in_a_range_with_one_is_left_out() -> None:
    config, left = imported(
        OPEN + "neighbor G peer-group\nneighbor G remote-as external\nneighbor G password x\n"
        "bgp listen range 10.0.0.0/24 peer-group G\nneighbor 10.0.0.2 remote-as 65001\n"
    )
    assert (config.peers, left) == ((), [8])


@pytest.mark.parametrize("name", ["swp1", "10.0.0.1", "10.0.0.7"])
def test_a_range_of_what_is_no_peer_group_is_left_out(name: str) -> None:
    text = f"neighbor {name} remote-as external\nbgp listen range 10.0.0.0/24 peer-group {name}\n"
    config, left = imported(OPEN + text)
    assert config.dynamic_peers == ()
    assert 5 in left


def test_a_shut_down_peer_in_a_range_could_dial_in() -> None:
    report = Report()
    translate(
        OPEN + "neighbor G peer-group\nneighbor G remote-as external\nbgp listen range 10.0.0.0/24 peer-group G\n"
        "neighbor 10.0.0.2 peer-group G\nneighbor 10.0.0.2 shutdown\n",
        report,
    )
    assert "from which it can dial in" in report.left[0].remedy


@pytest.mark.parametrize(
    ("head", "accept"),
    [("frr defaults datacenter\n", "any"), ("frr version 7.3\n", "any"), ("frr version 8.4.4_git\n", None)],
)
def test_profiles_and_old_versions_need_no_policy(head: str, accept: str | None) -> None:
    assert group(head + HEAD + " neighbor 10.0.0.2 remote-as 65001\n", "accept") == accept


def test_no_password_is_ever_shown() -> None:
    report = Report()
    text = translate(
        PEER + "neighbor 10.0.0.2 password s3cret\nneighbor eth0 password s3cret\ninterface eth0\n"
        "ip ospf message-digest-key 1 md5 s3cret\nkey chain a\nkey-string s3cret\n",
        report,
    )
    assert text.count("s3cret") == 1
    assert "s3cret" not in str(report.left)


def test_a_long_list_is_read_soon() -> None:
    """As programs write them, from a registry of routes."""
    count = 4000
    lines = "".join(
        f"ip prefix-list P seq {n} permit 172.{16 + (n >> 14)}.{n >> 6 & 255}.{n << 2 & 255}/30\n"
        for n in range(count)
    )
    begun = time.thread_time()
    accept = group(PEER + " address-family ipv4\n  neighbor 10.0.0.2 prefix-list P in\n" + lines, "accept")
    assert time.thread_time() - begun < 10
    assert len(accept) == count


@pytest.mark.parametrize("line", ["router bgp {}", "neighbor 10.0.0.9 remote-as {}", "timers bgp 3 {}"])
def test_a_number_without_end_is_none(line: str) -> None:
    text = PEER + " " + line.format("9" * 10_000) + "\n"
    assert imported(text)[1]
