"""The configuration: what is accepted as it stands, and what each mistake is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from routerd.config.load import ConfigError, load, parse

GIVEN = """
[router]
asn = 65000
router_id = "192.168.10.200"
listen = ["0.0.0.0", "::"]          # port = 179
networks = ["10.10.1.0/24"]         # originated by the router

[fib]
max_paths = 64
metric = 20
hash_policy = "l4"                  # l3 | l4 | five-tuple

[api]
socket = "/run/routerd/routerd.sock"

[peer_groups.nodes]
remote_as = "external"              # an ASN, "external" or "internal"
hold_time = 9
multihop = 2
graceful_restart = true
accept = ["172.16.0.0/16", "172.20.0.0/16"]   # these and more specifics
advertise = ["networks"]            # "networks", "default", "learned"; absent = nothing (RFC 8212)

[[peers]]
name = "k8s-w0"
address = "192.168.20.100"
group = "nodes"

[[dynamic_peers]]
range = "192.168.10.0/24"           # nodes that dial in from here become peers of the group
group = "nodes"
limit = 1000
"""


def test_the_documented_file_is_accepted() -> None:
    config = parse(GIVEN)
    assert config.router.port == 179
    assert config.peer_groups["nodes"].hold_time == 9
    assert config.group_of("192.168.20.100") == ("nodes", config.peer_groups["nodes"])
    assert config.group_of("192.168.10.77") == ("nodes", config.peer_groups["nodes"])
    assert config.group_of("192.168.11.1") is None
    assert config.name_of("192.168.20.100") == "k8s-w0"
    assert config.name_of("192.168.10.77") == "192.168.10.77"


def test_a_router_section_is_enough() -> None:
    config = parse('[router]\nasn = 1\nrouter_id = "1.1.1.1"\n')
    assert (config.fib.metric, config.fib.hash_policy, config.fib.groups) == (20, "l4", "resilient")
    assert config.api.socket == "/run/routerd/routerd.sock"


def test_the_range_of_nexthop_ids_keeps_off_those_of_frr() -> None:
    """zebra counts up to 250000000, and takes bits 28 and 29 for ids of layer 2 that it made: 1 << 28 and 2 << 28."""
    ids = parse('[router]\nasn = 1\nrouter_id = "1.1.1.1"\n').fib.ids
    assert {id >> 28 for id in (ids[0], ids[-1])} == {3}


def test_the_narrowest_range_wins() -> None:
    wide = '\n[[dynamic_peers]]\nrange = "192.168.0.0/16"\ngroup = "others"\n[peer_groups.others]\n'
    config = parse(GIVEN + wide)
    assert config.group_of("192.168.10.5") == ("nodes", config.peer_groups["nodes"])
    assert config.group_of("192.168.99.5") == ("others", config.peer_groups["others"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("max_paths = 64", "max_path = 64", "c.toml:9: fib.max_path: is not a known key; did you mean 'max_paths'?"),
        ("[fib]", "[fibs]", "c.toml:8: fibs: is not a known key; did you mean 'fib'?"),
        ("hold_time = 9", "hold_time = 2", "c.toml:18: peer_groups.nodes.hold_time: a hold time of 2 s is not"),
        (
            "metric = 20",
            "nexthop_id_base = 1000000000",
            "c.toml:8: fib: nexthop ids 1000000000 to 1099999999 go beyond",
        ),
        ("metric = 20", "nexthop_id_count = 1000", "c.toml:10: fib.nexthop_id_count: "),
        ("hold_time = 9", "hold_time = true", "c.toml:18: peer_groups.nodes.hold_time: "),
        ("asn = 65000", 'asn = "65000"', "c.toml:3: router.asn: Input should be a valid integer (found '65000')"),
        ("asn = 65000", "asn = 0", "c.toml:3: router.asn: Input should be greater than or equal to 1 (found 0)"),
        ("asn = 65000", "", "c.toml:2: router.asn: is missing; write asn = ..."),
        ('"l4" ', '"l5" ', "c.toml:11: fib.hash_policy: write 'l3', 'l4' or 'five-tuple' (found 'l5')"),
        ('"192.168.10.200"', '"192.168.10"', "c.toml:4: router.router_id: '192.168.10' is not an IPv4"),
        ('"192.168.10.200"', '"fd00::1"', "must be an IPv4 address other than 0.0.0.0"),
        ('"10.10.1.0/24"', '"10.10.1.1/24"', "c.toml:6: router.networks[0]: '10.10.1.1/24' has host bits set; write"),
        ('"external" ', '"ext" ', "c.toml:17: peer_groups.nodes.remote_as: 'ext' is not an AS number"),
        ('["networks"]', '["network"]', "peer_groups.nodes.advertise[0]: write 'networks', 'default' or 'learned'"),
        ('["networks"]', '["networks", "networks"]', "stands here twice"),
        ('accept = ["172.16.0.0/16"', 'accept = "all" # ["', 'peer_groups.nodes.accept: write "any", or a list'),
        (
            'group = "nodes"\nlimit',
            'group = "node"\nlimit',
            "c.toml:31: dynamic_peers[0].group: no [peer_groups.node]",
        ),
        ("limit = 1000", "limit = 0", "c.toml:32: dynamic_peers[0].limit: Input should be greater"),
        ('"192.168.20.100"', '"192.168.10.200"', "peers[0].address: 192.168.10.200 is the router's own router_id"),
        ('["0.0.0.0", "::"]', '["::"]', 'router.listen has no IPv4 address; add "0.0.0.0"'),
        ('["0.0.0.0", "::"]', "[]", "router.listen: "),
        ("max_paths = 64", "max_paths = 64\nbuckets = 32", "32 buckets cannot serve max_paths = 64"),
        ("multihop = 2", 'multihop = 2\npassword = ""', "peer_groups.nodes.password: "),
        ("max_paths = 64", "max_paths = [", "c.toml: not valid TOML: "),
    ],
)
def test_mistakes(old: str, new: str, message: str) -> None:
    assert old in GIVEN
    with pytest.raises(ConfigError) as refused:
        parse(GIVEN.replace(old, new, 1), "c.toml")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ('[[peers]]\nname = "k8s-w0"\naddress = "192.168.20.101"\ngroup = "nodes"', "already the name of peers[0]"),
        ('[[peers]]\nname = "other"\naddress = "192.168.20.100"\ngroup = "nodes"', "already the address of peers[0]"),
        (
            '[[dynamic_peers]]\nrange = "192.168.10.0/24"\ngroup = "nodes"',
            "192.168.10.0/24 is already dynamic_peers[0]",
        ),
        ('[peer_groups.core]\nremote_as = "internal"\nmultihop = 2', "multihop is for external peers; remove it"),
        ("[peer_groups.core]\nremote_as = 65000\nmultihop = 2", "65000 is the router's own AS"),
    ],
)
def test_contradictions(extra: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(f"{GIVEN}\n{extra}\n")
    assert message in str(refused.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        parse(GIVEN.replace("metric = 20", "metric = 0\nmetrics = 1").replace("limit = 1000", 'limit = "x"'))
    assert len(refused.value.problems) == 3


def test_a_password_is_never_shown() -> None:
    with pytest.raises(ConfigError) as refused:
        parse(GIVEN.replace("hold_time = 9", "password = 12345678"))
    assert "12345678" not in str(refused.value)
    config = parse(GIVEN.replace("hold_time = 9", 'password = "hunter2"'))
    assert "hunter2" not in repr(config)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "latin.toml")
