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
        ('["0.0.0.0", "::"]', '["0.0.0.0", "10.0.0.1"]', '10.0.0.1 is listened on already with "0.0.0.0"'),
        ('["0.0.0.0", "::"]', '["192.168.20.200", "fe80::1"]', "fe80::1 is none that nodes can dial"),
        ('["0.0.0.0", "::"]', '["192.168.20.100"]', "192.168.20.100 is the router's own listen address"),
        ('["0.0.0.0", "::"]', '["::"]', "192.168.10.0/24 cannot dial in: router.listen has no IPv4 address"),
        ("max_paths = 64", "max_paths = 64\nbuckets = 32", "32 buckets cannot serve max_paths = 64"),
        ("multihop = 2", 'multihop = 2\npassword = ""', "peer_groups.nodes.password: "),
        ("multihop = 2", f'multihop = 2\npassword = "{"ü" * 41}"', "it has 82 octets in UTF-8, and TCP MD5 takes 80"),
        ("max_paths = 64", "max_paths = [", "c.toml: not valid TOML: "),
    ],
)
def test_mistakes(old: str, new: str, message: str) -> None:
    assert old in GIVEN
    with pytest.raises(ConfigError) as refused:
        parse(GIVEN.replace(old, new, 1), "c.toml")
    assert message in str(refused.value)


def peer(address: str, *more: str) -> str:
    return f'[[peers]]\nname = "n"\naddress = "{address}"\naddresses = {list(more)}\ngroup = "nodes"'


def span(text: str, group: str = "nodes") -> str:
    return f'[[dynamic_peers]]\nrange = "{text}"\ngroup = "{group}"'


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ('[[peers]]\nname = "k8s-w0"\naddress = "192.168.20.101"\ngroup = "nodes"', "already the name of peers[0]"),
        ('[[peers]]\nname = "other"\naddress = "192.168.20.100"\ngroup = "nodes"', "already the address of peers[0]"),
        (
            '[[dynamic_peers]]\nrange = "192.168.10.0/24"\ngroup = "nodes"',
            "192.168.10.0/24 is already dynamic_peers[0]",
        ),
        ("[peer_groups.far]\nmultihop = 255\nttl_security = true", "multihop = 255 is everywhere"),
        ('[peer_groups.core]\nremote_as = "internal"\nmultihop = 2', "multihop is for external peers; remove it"),
        ("[peer_groups.core]\nremote_as = 65000\nmultihop = 2", "65000 is the router's own AS"),
        (peer("fe80::1"), "fe80::1 is link-local, which routerd has no sessions on; write the node's global"),
        (peer("fe80::1%eth0"), "fe80::1%eth0 is link-local"),
        (peer("::ffff:10.0.0.1"), "write '10.0.0.1'"),
        (peer("10.0.0.9", "192.168.10.200"), "192.168.10.200 is the router's own router_id"),
        (peer("10.0.0.9", "10.0.0.9"), "10.0.0.9 is already an address of peers[1]; remove it"),
        (peer("10.0.0.9", "192.168.20.100"), "192.168.20.100 is already an address of peers[0]; remove it"),
        (span("fe80::/64"), "fe80::/64 is link-local"),
        (span("fe80::/10"), "fe80::/10 is link-local"),
        (span("224.0.0.0/8"), "224.0.0.0/8 cannot be a node's address"),
        ('[peer_groups.s]\npassword = "p"\n' + span("192.168.0.0/16", "s"), "192.168.10.0/24 needs no password"),
        ('[peer_groups.s]\npassword = "p"\n' + span("192.168.20.0/24", "s"), "192.168.20.100 needs no password"),
        ('[peer_groups.s]\naccept = ["fe80::/64"]', "fe80::/64 cannot be routed"),
        ('[peer_groups.s]\nfamilies = ["ipv4"]\naccept = ["fd00::/64"]', "fd00::/64 is never announced"),
        ('[peer_groups.s]\nhold_time = 0\n[liveness]\nmethod = "off"', "nobody would notice that a node is dead"),
    ],
)
def test_contradictions(extra: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(f"{GIVEN}\n{extra}\n")
    assert message in str(refused.value)


def test_passwords_that_do_not_contradict() -> None:
    own = '[peer_groups.s]\npassword = "p"\n[peer_groups.t]\npassword = "q"\n'
    narrow = span("192.168.10.16/28", "s") + "\n" + span("192.168.10.16/29", "t")
    parse(f"{GIVEN}\n{own}{narrow}\n")


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
