"""The configuration: what is accepted as it stands, and what each mistake is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from routerd.config.load import check, load, parse
from routerd.config.source import ConfigError

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


HERE = GIVEN.replace('routerd.sock"\n', 'routerd.sock"\ngroup = "root"\n')
"""The same, with a group that every host has."""


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
            "c.toml:10: fib.nexthop_id_base: nexthop ids 1000000000 to 1099999999 go beyond",
        ),
        ("metric = 20", "nexthop_id_count = 1000", "c.toml:10: fib.nexthop_id_count: "),
        ("hold_time = 9", "hold_time = true", "c.toml:18: peer_groups.nodes.hold_time: "),
        (
            "asn = 65000",
            'asn = "65000"',
            "c.toml:3: router.asn: write a whole number from 1 to 4294967295, without quotes (found '65000')",
        ),
        ("asn = 65000", "asn = 0", "c.toml:3: router.asn: write a whole number from 1 to 4294967295 (found 0)"),
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
        (
            "limit = 1000",
            "limit = 0",
            "c.toml:32: dynamic_peers[0].limit: write a whole number from 1 to 100000 (found 0)",
        ),
        ('"192.168.20.100"', '"192.168.10.200"', "peers[0].address: 192.168.10.200 is the router's own router_id"),
        ('["0.0.0.0", "::"]', '["::"]', 'router.listen has no IPv4 address; add "0.0.0.0"'),
        ('["0.0.0.0", "::"]', "[]", "router.listen: "),
        ('["0.0.0.0", "::"]', '["0.0.0.0", "10.0.0.1"]', '10.0.0.1 is listened on already with "0.0.0.0"'),
        ('["0.0.0.0", "::"]', '["192.168.20.200", "fe80::1"]', "fe80::1 is none that nodes can dial"),
        ('["0.0.0.0", "::"]', '["192.168.20.100"]', "192.168.20.100 is the router's own listen address"),
        ('["0.0.0.0", "::"]', '["::"]', "192.168.10.0/24 cannot dial in: router.listen has no IPv4 address"),
        *(
            (
                'address = "192.168.20.100"',
                f'address = "192.168.20.100"\nconnect = true\n{key}',
                message,
            )
            for key, message in (
                (
                    'local_address = "fd00::1"',
                    "nobody can dial 192.168.20.100 from fd00::1; write an IPv4 address of",
                ),
                (
                    'local_address = "0.0.0.0"',
                    "peers[0].local_address: nobody can dial from 0.0.0.0; write an address",
                ),
                ('local_address = "192.168.20.100"', "nobody can dial from 192.168.20.100; write an address of this"),
                ("port = 0", "peers[0].port: write a whole number from 1 to 65535 (found 0)"),
                ('connect = "yes"', "c.toml:"),
            )
        ),
        ("max_paths = 64", "max_paths = 64\nbuckets = 32", "32 buckets cannot serve max_paths = 64"),
        ("max_paths = 64", "max_paths = 4001\nbuckets = 8192", "fib.max_paths: write a whole number from 1 to 4000"),
        (
            "max_paths = 64",
            "max_paths = 1001\nnexthop_compat_mode = true",
            "fib.nexthop_compat_mode: with it the kernel cannot dump routes of more than 1000 next hops; write false",
        ),
        ("multihop = 2", 'multihop = 2\npassword = ""', "peer_groups.nodes.password: "),
        ("multihop = 2", f'multihop = 2\npassword = "{"ü" * 41}"', "it has 82 octets in UTF-8, and TCP MD5 takes 80"),
        ("max_paths = 64", "max_paths = [", "c.toml:9: the list is not closed; write ] at its end"),
        ("max_paths = 64", "max_paths =", "c.toml:9: max_paths has no value; write max_paths = ..., or remove it"),
        ("max_paths = 64", "max_paths", "c.toml:9: is neither a [section] nor key = value: max_paths"),
        (
            "[fib]",
            "[fib",
            "c.toml:8: a section is written [name], or [[name]] for peers and dynamic_peers; found [fib",
        ),
        ("[fib]", "[router]", "c.toml:8: [router] stands in this file twice; remove one"),
        ("metric = 20", "max_paths = 20", "c.toml:10: max_paths stands in this section twice; remove one"),
        ("metric = 20", "metric = 20 30", "c.toml:10: not valid TOML: Expected newline or end of document after a"),
        ('"l4" ', "l4 ", 'c.toml:11: hash_policy: write it in quotes: hash_policy = "l4"'),
        ('"l4" ', '"l4 ', 'c.toml:11: hash_policy: a quote is missing; write hash_policy = "l4"'),
        ('"192.168.20.100"', "192.168.20.100", 'c.toml:26: address: write it in quotes: address = "192.168.20.100"'),
        ('"172.20.0.0/16"]', '"172.20.0.0/16]', "c.toml:21: accept: a quote is missing in "),
        (
            "graceful_restart = true",
            "graceful_restart = yes",
            "c.toml:20: graceful_restart: write true or false: graceful_restart = true (found yes)",
        ),
        (
            "graceful_restart = true",
            'graceful_restart = "yes"',
            "c.toml:20: peer_groups.nodes.graceful_restart: write true or false, without quotes (found 'yes')",
        ),
        ("graceful_restart = true", "graceful_restart = 1", "nodes.graceful_restart: write true or false (found 1)"),
        (
            "metric = 20",
            'idle_timer = "120"',
            "fib.idle_timer: write a number of seconds, above 0 up to 42949672, without quotes",
        ),
        (
            "metric = 20",
            "audit_interval = 0",
            "fib.audit_interval: write a number of seconds, from 1 to 86400 (found 0)",
        ),
        ("hold_time = 9", "hold_time = 70000", "write a whole number from 0 to 65535 (found 70000)"),
        ("hold_time = 9", "hold_time = 9.5", "write a whole number from 0 to 65535 (found 9.5)"),
        ("[[peers]]", "[peers]", "c.toml:24: peers: write [[peers]], in double brackets: there may be several"),
        ("[[dynamic_peers]]", "[dynamic_peers]", "c.toml:29: dynamic_peers: write [[dynamic_peers]], in double"),
        ("[fib]", "[[fib]]", "c.toml:8: fib: write [fib], in single brackets: there is one"),
        ("[peer_groups.nodes]", "[[peer_groups.nodes]]", "peer_groups.nodes: write [peer_groups.nodes], in single"),
        (
            "[peer_groups.nodes]",
            "[peer_groups]",
            "peer_groups.hold_time: is no section; peer groups have names: write [peer_groups.NAME], and hold_time =",
        ),
        (
            '["172.16.0.0/16", "172.20.0.0/16"]',
            '["172.16.0.0"]',
            "accept[0]: '172.16.0.0' has no length; write \"172.16.0.0/32\" for it alone",
        ),
        ('["10.10.1.0/24"]', '["fd00::"]', "networks[0]: 'fd00::' has no length; write \"fd00::/128\" for it alone"),
        ('["10.10.1.0/24"]', '"10.10.1.0/24"', 'router.networks: write a list: ["10.10.1.0/24"]'),
        ('"k8s-w0"', '"k8s w0"', "peers[0].name: write a name of letters, digits, dots, underscores and dashes"),
        ('"k8s-w0"', "5", "peers[0].name: write a text in quotes (found 5)"),
        (
            '"/run/routerd/routerd.sock"',
            '"routerd.sock"',
            "api.socket: write an absolute path of 101 characters at most",
        ),
    ],
)
def test_mistakes(old: str, new: str, message: str) -> None:
    assert old in GIVEN
    with pytest.raises(ConfigError) as refused:
        parse(GIVEN.replace(old, new, 1), "c.toml")
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[router]",
            "asn = 65000\n[router]",
            "c.toml:2: asn: is not a key before all sections; write it below [router]",
        ),
        (
            "hold_time = 9",
            "max_paths = 9",
            "c.toml:18: peer_groups.nodes.max_paths: is not a key of this section; write it below [fib]",
        ),
        (
            'name = "k8s-w0"',
            'name = "k8s-w0"\nremote_as = 1',
            "c.toml:26: peers[0].remote_as: is not a key of this section; write it below [peer_groups.NAME]",
        ),
        (
            "[[peers]]\n",
            "",
            "c.toml:24: peer_groups.nodes.name: is not a key of this section; write it below [[peers]]",
        ),
        (
            "[peer_groups.nodes]",
            "[peer_group.nodes]",
            "c.toml:16: peer_group: is not a known key; did you mean 'peer_groups'?",
        ),
        (
            "[peer_groups.nodes]",
            "[peer_groups.'my nodes']",
            "c.toml:16: peer_groups.my nodes: is no name; write one of letters,",
        ),
        ("hold_time = 9", "hold_time", "c.toml:18: is neither a [section] nor key = value: hold_time"),
        ("asn = 65000", "asn = 65000;", "c.toml:3: asn: remove the ; at the end of the line"),
        ("asn = 65000", "asn = AS65000", "c.toml:3: asn: write the number alone: asn = 65000"),
        ("asn = 65000", 'asn = "AS65000"', "c.toml:3: router.asn: write the number alone: asn = 65000 (found 'AS65"),
        ('"external" ', '"65001" ', '"external" or "internal"; write 65001, without quotes'),
        ('"external" ', '"AS65001" ', '"external" or "internal"; write 65001, without quotes'),
        (
            '"192.168.10.200"',
            "\u201c192.168.10.200\u201d",
            'c.toml:4: router_id: write straight quotes, ", in place of the curved ones',
        ),
        ('"192.168.10.200"', '"192.168.10.200/24"', 'has a length; write "192.168.10.200" alone'),
        ('"192.168.10.200"', '"fd00::1"', "c.toml:4: router.router_id: 'fd00::1' must be an IPv4 address"),
        ('"192.168.20.100"', '"192.168.20.100:179"', 'has a port; write "192.168.20.100" alone'),
        (
            '"192.168.10.0/24"',
            '"192.168.10.1-9"',
            "c.toml:30: dynamic_peers[0].range: '192.168.10.1-9' is not a prefix; write one such as",
        ),
        (
            '["172.16.0.0/16", "172.20.0.0/16"]',
            '["any"]',
            'c.toml:21: peer_groups.nodes.accept: write accept = "any", without brackets',
        ),
        ('"172.16.0.0/16", ', '"172.16.0.0/16" ', "c.toml:21: a comma is missing between two items of the list"),
        (
            '"172.16.0.0/16", ',
            "'172.16.0.0/16, ",
            "c.toml:21: a single quote has no counterpart on its line; write one at both ends of a text",
        ),
        (
            "hold_time = 9",
            'password = "a\\d"',
            "c.toml:18: password: in double quotes a backslash is special: write two, or the text in single quotes",
        ),
        ("hold_time = 9", 'password = ""', "peer_groups.nodes.password: write something between the quotes, or"),
        ('"/run/routerd/routerd.sock"', '"/run/a.sock"\ngroup = ""', "api.group: write something between the quotes"),
        ("[api]", '[drain]\nstate_file = "/var/lib/routerd/"\n[api]', "drain.state_file: write an absolute path"),
        ("[api]", '[mqtt]\nbroker = "broker"\n[api]', 'is no URL of a broker; write one such as "mqtts://broker'),
        ("[api]", '[mqtt]\nbroker = "mqtt://a:b@c"\n[api]', 'has no user and no password here; write user = "..."'),
        ("[api]", '[mqtt]\nsite = "a/b"\n[api]', "mqtt.site: write a name of letters, digits"),
        ("[api]", '[mqtt]\nca_file = "ca.pem"\n[api]', "mqtt.ca_file: write an absolute path"),
        (
            "[api]",
            '[mqtt]\nbroker = "mqtt://c"\npassword_file = "/p"\n[api]',
            'mqtt.password_file: a password takes a user; write user = "..." as well',
        ),
        (
            "[api]",
            '[mqtt]\nbroker = "mqtts://c"\nkey_file = "/k"\n[api]',
            "mqtt.key_file: a client certificate takes two files; write certificate_file as well",
        ),
        (
            "[api]",
            '[mqtt]\nbroker = "mqtt://c"\nca_file = "/ca"\n[api]',
            "mqtt.ca_file: is of no use without TLS; write broker = ",
        ),
        (
            "limit = 1000",
            "limit = 10\nexpected = 11",
            "c.toml:33: dynamic_peers[0].expected: 11 is more than limit = 10; raise limit",
        ),
        ('["0.0.0.0", "::"]', '["::", "::"]', "c.toml:5: router.listen: '::' stands here twice; remove one"),
        (
            '"k8s-w0"',
            '"192.168.20.101"',
            "c.toml:25: peers[0].name: 192.168.20.101 is an address, and not this peer's: commands take names and",
        ),
    ],
)
def test_mistakes_of_who_comes_from_another_daemon(old: str, new: str, message: str) -> None:
    assert old in GIVEN
    with pytest.raises(ConfigError) as refused:
        parse(GIVEN.replace(old, new, 1), "c.toml")
    assert message in refused.value.problems[0]


def test_an_empty_file() -> None:
    with pytest.raises(ConfigError, match=r"c.toml: router: is missing; write \[router\]$"):
        parse("", "c.toml")


@pytest.mark.parametrize("mistake", ['["ipv4-unicast"]', '["IPv4", "ipv6"]'])
def test_a_wrong_item_is_told_once(mistake: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(GIVEN.replace("hold_time = 9", f"families = {mistake}"), "c.toml")
    (told,) = refused.value.problems
    assert "families[0]: write 'ipv4' or 'ipv6'" in told


def test_a_peer_may_be_named_as_its_own_address() -> None:
    assert parse(GIVEN.replace('"k8s-w0"', '"192.168.20.100"')).peers[0].name == "192.168.20.100"


def peer(address: str, *more: str) -> str:
    return f'[[peers]]\nname = "n"\naddress = "{address}"\naddresses = {list(more)}\ngroup = "nodes"'


def span(text: str, group: str = "nodes") -> str:
    return f'[[dynamic_peers]]\nrange = "{text}"\ngroup = "{group}"'


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            '[[peers]]\nname = "k8s-w0"\naddress = "192.168.20.101"\ngroup = "nodes"',
            "already the name of 192.168.20.100",
        ),
        ('[[peers]]\nname = "other"\naddress = "192.168.20.100"\ngroup = "nodes"', "already the address of k8s-w0"),
        (
            '[[dynamic_peers]]\nrange = "192.168.10.0/24"\ngroup = "nodes"',
            "192.168.10.0/24 is there already, with group nodes; remove one",
        ),
        ("[peer_groups.far]\nmultihop = 255\nttl_security = true", "multihop = 255 is everywhere"),
        ('[peer_groups.core]\nremote_as = "internal"\nmultihop = 2', "multihop is for external peers; remove it"),
        ("[peer_groups.core]\nremote_as = 65000\nmultihop = 2", "65000 is the router's own AS"),
        (peer("fe80::1"), "fe80::1 is link-local, which routerd has no sessions on; write the node's global"),
        (peer("fe80::1%eth0"), "fe80::1%eth0 is link-local"),
        (peer("::ffff:10.0.0.1"), "write '10.0.0.1'"),
        (peer("10.0.0.9", "192.168.10.200"), "192.168.10.200 is the router's own router_id"),
        (peer("10.0.0.9", "10.0.0.9"), "10.0.0.9 is already an address of n; remove it"),
        (peer("10.0.0.9", "192.168.20.100"), "192.168.20.100 is already an address of k8s-w0; remove it"),
        (span("fe80::/64"), "fe80::/64 is link-local"),
        (span("fe80::/10"), "fe80::/10 is link-local"),
        (span("224.0.0.0/8"), "224.0.0.0/8 cannot be a node's address"),
        ('[peer_groups.s]\npassword = "p"\n' + span("192.168.0.0/16", "s"), "192.168.10.0/24 needs no password"),
        ('[peer_groups.s]\npassword = "p"\n' + span("192.168.20.0/24", "s"), "192.168.20.100 needs no password"),
        ('[peer_groups.s]\naccept = ["fe80::/64"]', "fe80::/64 cannot be routed"),
        ('[peer_groups.s]\nfamilies = ["ipv4"]\naccept = ["fd00::/64"]', "fd00::/64 is never announced"),
        ('[peer_groups.s]\nhold_time = 0\n[liveness]\nmethod = "off"', "nobody would notice that a node is dead"),
        (2 * '[[bmp]]\nname = "lab"\naddress = "10.0.0.9"\n', "'lab' is already the name of 10.0.0.9"),
        (
            '[[bmp]]\nname = "lab"\naddress = "10.0.0.9"\nmax_retry = 1.0',
            "1 s is less than min_retry = 30; write more",
        ),
        (
            '[mrt]\ndirectory = "/var/lib/routerd/mrt"\ninterval = 0',
            "nothing is dumped; write an interval, or updates",
        ),
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
    for wrong in ('= "hunter2', "= hunter2", '= ["hunter2"', '= hunter2"', '"hunter2"'):
        with pytest.raises(ConfigError) as refused:
            parse(GIVEN.replace("hold_time = 9", f"password {wrong}"))
        assert "hunter2" not in str(refused.value)
    config = parse(GIVEN.replace("hold_time = 9", 'password = "hunter2"'))
    assert "hunter2" not in repr(config)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b"#\n# \xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.toml:2: is not UTF-8"):
        load(tmp_path / "latin.toml")


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_bytes(b"\xef\xbb\xbf" + GIVEN.encode())
    assert load(tmp_path / "c.toml") == parse(GIVEN)


# ------------------------------------------------------------------------------------------------------ warnings


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (
            ("accept =", "#"),
            "c.toml:17: peer_groups.nodes: without accept nothing that these peers announce is accepted",
        ),
        (
            ("[[peers]]", "[peer_groups.more]\naccept = []\n[[peers]]"),
            "c.toml:25: peer_groups.more: no peer and no range",
        ),
        (('group = "root"', 'group = "nobodys"'), "c.toml:15: api.group: this host has no group nobodys: root alone"),
        (('networks = ["10.10.1.0/24"]', "#"), 'c.toml:23: peer_groups.nodes.advertise: "networks" are those of'),
        (
            ('"192.168.10.0/24"', '"0.0.0.0/0"'),
            "c.toml:31: dynamic_peers[0].range: 0.0.0.0/0 without a password lets",
        ),
        (('["0.0.0.0", "::"]', '["192.0.2.77", "::"]'), "c.toml:5: router.listen[0]: this host has no address"),
        (
            ("[[peers]]", "[[peers]]\nport = 1790"),
            "c.toml:26: peers[0].port: nobody dials k8s-w0; write connect = true",
        ),
        (
            ("[[peers]]", '[[peers]]\nconnect = true\nlocal_address = "192.0.2.77"'),
            "c.toml:27: peers[0].local_address: this host has no address 192.0.2.77, from which k8s-w0 is to be",
        ),
    ],
)
def test_doubts(tmp_path: Path, change: tuple[str, str], warning: str) -> None:
    (tmp_path / "c.toml").write_text(HERE.replace(*change))
    (line,) = check(tmp_path / "c.toml")
    assert line.removeprefix(f"{tmp_path}/").startswith(warning)


def test_no_doubts(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(HERE.replace('["0.0.0.0", "::"]', '["127.0.0.1", "::"]'))
    assert check(tmp_path / "c.toml") == []


def test_nobody_to_speak_to(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[router]\nasn = 1\nrouter_id = "1.1.1.1"\n[api]\ngroup = "root"\n')
    assert check(tmp_path / "c.toml") == [
        f"{tmp_path}/c.toml: there are no [[peers]] and no [[dynamic_peers]]: every node is refused"
    ]
