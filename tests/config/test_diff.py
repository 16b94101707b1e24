"""The difference of two configurations: what it is, and what it costs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.config.agreement import for_partner
from routerd.config.diff import HIDDEN, changes, resets, session_parameters
from routerd.config.impact import Cost, Impact, costs
from routerd.config.metrics import MetricsSection
from routerd.config.model import (
    ApiSection,
    BmpCollector,
    Config,
    DrainSection,
    DynamicPeers,
    FibSection,
    LivenessSection,
    LookingGlassSection,
    MrtSection,
    Peer,
    PeerGroup,
    RouterSection,
)
from routerd.config.mqtt import MqttSection
from routerd.config.pair import PairSection

BASE: dict[str, Any] = {
    "router": {"asn": 65000, "router_id": "192.168.10.200"},
    "peer_groups": {"nodes": {"accept": ["172.16.0.0/16"]}, "others": {"hold_time": 9}},
    "peers": [{"name": "k8s-ctr", "address": "192.168.10.100", "group": "nodes"}],
    "bmp": [{"name": "lab", "address": "192.168.10.9"}],
    "dynamic_peers": [{"range": "192.168.20.0/24", "group": "nodes"}],
}
STATIC, DYNAMIC = "192.168.10.100", "192.168.20.7"

OTHER: dict[str, dict[str, Any]] = {
    "router": {
        "asn": 65009, "router_id": "10.0.0.1", "listen": ("0.0.0.0",), "port": 1790, "networks": ("10.1.0.0/16",),
    },
    "fib": {
        "max_paths": 8, "metric": 30, "nexthop_id_base": 800_000_000, "nexthop_id_count": 1 << 21,
        "hash_policy": "l3", "groups": "hash-threshold", "buckets": 512, "bucket_budget": 4096,
        "idle_timer": 1.0, "unbalanced_timer": 9.0, "multipath_relax": False, "ignore_origin": True,
        "always_compare_med": True, "link_bandwidth": "ignore",
        "nexthop_compat_mode": False, "manage_sysctls": False, "audit_interval": 5.0,
    },
    "api": {"socket": "/run/other.sock", "group": "netops", "readers": "a", "readers_socket": "/run/b"},
    "liveness": {"method": "off", "interval": 1.0, "retransmit": 0.2, "retries": 3},
    "drain": {"state_file": "/var/lib/routerd/other.json"},
    "metrics": {
        "listen": "127.0.0.1:9179", "token_file": "/etc/routerd/token", "certificate": "/etc/routerd/metrics.pem",
        "key": "/etc/routerd/metrics.key", "compatibility": ("gobgp",),
    },
    "mqtt": {
        "broker": "mqtts://broker.example.net", "site": "ams", "router": "gw1", "user": "routerd",
        "password_file": "/etc/routerd/mqtt.password", "ca_file": "/etc/routerd/ca.pem",
        "certificate_file": "/etc/routerd/mqtt.pem", "key_file": "/etc/routerd/mqtt.key",
        "fleet_key_file": "/etc/routerd/fleet.key", "vip_limit": 5, "event_expiry": 60, "metrics_interval": 10,
    },
    "pair": {
        "partner": "gw2", "router": "gw1", "channel": "mqtt", "address": "10.255.0.2", "listen": "10.255.0.1",
        "port": 7180, "key_file": "/etc/routerd/pair.key",
        "certificate_file": "/etc/routerd/gw1.pem", "private_key_file": "/etc/routerd/gw1.key",
        "ca_file": "/etc/routerd/pair-ca.pem", "hash_seed": 7, "hold_time": 1.0,
    },
    "mrt": {"directory": "/var/lib/routerd/mrt", "interval": 60, "updates": True, "rotate": 60, "keep": 3},
    "looking_glass": {"listen": ("127.0.0.1",), "port": 8080, "rate": 1, "connections": 2},
    "bmp.lab": {
        "address": "192.168.10.8", "port": 5000, "views": ("loc-rib",), "statistics": 5, "buffer": 1 << 21,
        "min_retry": 1.0, "max_retry": 60.0,
    },
    "peer_groups.nodes": {
        "remote_as": 65001, "hold_time": 9, "multihop": 2, "ttl_security": True, "graceful_restart": True,
        "restart_time": 15, "stale_time": 300, "families": ("ipv4",), "password": "secret", "accept": "any",
        "advertise": ("default",), "next_hop": "any",
    },
    "dynamic_peers.192.168.20.0/24": {"limit": 5, "expected": 3, "group": "others"},
    "peers.192.168.10.100": {
        "name": "k8s-cp", "group": "others", "addresses": ("192.168.10.101",),
        "connect": True, "port": 1790, "local_address": "192.168.10.1",
    },
}  # fmt: skip
"""Another valid value of each key."""
SECTIONS: dict[str, Any] = {
    "router": RouterSection,
    "fib": FibSection,
    "api": ApiSection,
    "liveness": LivenessSection,
    "drain": DrainSection,
    "metrics": MetricsSection,
    "mqtt": MqttSection,
    "pair": PairSection,
    "mrt": MrtSection,
    "looking_glass": LookingGlassSection,
    "peer_groups.nodes": PeerGroup,
}
KEYS = [(section, key) for section, keys in OTHER.items() for key in keys]


def config(data: dict[str, Any] = BASE) -> Config:
    """Return a configuration."""
    return Config.model_validate(data)


def altered(section: str, key: str, value: Any) -> Config:
    """Return the base with one key changed."""
    name, _, which = section.partition(".")
    data = config().model_dump(exclude_none=True)
    target = data[name]
    if which:
        target = target[0] if isinstance(target, tuple | list) else target[which]
    target[key] = value
    return config(data)


def test_every_key_has_another_value() -> None:
    for section, model in SECTIONS.items():
        assert OTHER[section].keys() == model.model_fields.keys(), section
    assert {*OTHER["dynamic_peers.192.168.20.0/24"], "range"} == set(DynamicPeers.model_fields)
    assert {*OTHER["peers.192.168.10.100"], "address"} == set(Peer.model_fields)
    assert {*OTHER["bmp.lab"], "name"} == set(BmpCollector.model_fields)


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_one_key_is_one_change(section: str, key: str) -> None:
    value = OTHER[section][key]
    after = altered(section, key, value)
    (change,) = changes(config(), after)
    assert change.key == f"{section}.{key}"
    assert change.before == (HIDDEN if key == "hash_seed" else getattr_path(config(), section, key))
    assert change.after == (HIDDEN if key in ("password", "hash_seed") else value)
    back = changes(after, config())
    assert [each.key for each in back] == [change.key]


def getattr_path(of: Config, section: str, key: str) -> Any:
    """Return the value of a key."""
    name, _, which = section.partition(".")
    target = getattr(of, name)
    if which:
        target = target[0] if isinstance(target, tuple) else target[which]
    return getattr(target, key)


@pytest.mark.parametrize(("section", "key"), [each for each in KEYS if each[0] in SECTIONS])
def test_what_resets_is_what_is_marked(section: str, key: str) -> None:
    """Both peers depend on each key of [router] and of their group that is marked, and on no other."""
    marked = dict(costs(SECTIONS[section]))[key].impact is Impact.SESSION
    found = resets(config(), altered(section, key, OTHER[section][key]), [STATIC, DYNAMIC])
    if (section, key) == ("peer_groups.nodes", "restart_time"):
        assert found == {}, "without graceful restart nobody is told"
        return
    named = f"{section.partition('.')[0]}.{key}"
    assert found == ({STATIC: [named], DYNAMIC: [named]} if marked else {})


def test_a_password_is_never_shown() -> None:
    before = altered("peer_groups.nodes", "password", "secret1")
    after = altered("peer_groups.nodes", "password", "secret2")
    (change,) = changes(before, after)
    assert (change.before, change.after) == (HIDDEN, HIDDEN)
    without = config(BASE | {"peer_groups": {"others": {}}, "peers": [], "dynamic_peers": []})
    assert "secret" not in repr([*changes(before, without), *changes(without, before)])


def test_a_default_that_is_written_out_is_no_change() -> None:
    assert changes(config(), config(config().model_dump(exclude_none=True))) == []


def test_the_order_of_peers_is_no_change() -> None:
    two = [*BASE["peers"], {"name": "k8s-w1", "address": "192.168.10.101", "group": "others"}]
    assert changes(config(BASE | {"peers": two}), config(BASE | {"peers": two[::-1]})) == []


def test_peers_come_and_go() -> None:
    """A peer is its address: with another one it is another peer. One that goes takes its session along."""
    moved = config(BASE | {"peers": [BASE["peers"][0] | {"address": "192.168.10.9"}]})
    gone, come = changes(config(), moved)
    assert (gone.key, gone.after, come.key, come.before) == ("peers.192.168.10.100", None, "peers.192.168.10.9", None)
    assert come.after == {"name": "k8s-ctr", "address": "192.168.10.9", "group": "nodes"}
    assert [gone.cost.impact, come.cost.impact] == [Impact.LIVE, Impact.LIVE]
    assert resets(config(), moved, [STATIC, DYNAMIC]) == {STATIC: ["peers"]}


def test_another_group_resets_only_where_it_differs() -> None:
    """A group of another name and the same session parameters costs nothing."""
    data = BASE | {"peer_groups": BASE["peer_groups"] | {"same": {"accept": "any"}}}
    same = config(data | {"peers": [BASE["peers"][0] | {"group": "same"}]})
    assert resets(config(), same, [STATIC]) == {}
    other = config(data | {"peers": [BASE["peers"][0] | {"group": "others"}]})
    assert resets(config(), other, [STATIC]) == {STATIC: ["peer_groups.hold_time"]}


def test_a_narrower_range_takes_its_peers_over() -> None:
    """Who is in a range of another group has that group's parameters."""
    ranges = [*BASE["dynamic_peers"], {"range": "192.168.20.0/28", "group": "others"}]
    after = config(BASE | {"dynamic_peers": ranges})
    assert resets(config(), after, [DYNAMIC, "192.168.20.99"]) == {DYNAMIC: ["peer_groups.hold_time"]}
    assert session_parameters(config(), "192.168.30.1") == {}


def test_few_keys_want_a_restart_and_each_says_why() -> None:
    marked = [(name, each) for model in SECTIONS.values() for name, each in costs(model)]
    assert [name for name, each in marked if each.impact is Impact.RESTART] == [
        "metric",
        "nexthop_id_base",
        "nexthop_id_count",
        "socket",
        "group",
        "readers",
        "readers_socket",
        "partner",
    ]
    assert all(each.why for _, each in marked if each.impact is not Impact.LIVE)
    assert Cost(Impact.RESTART, "").impact.words == "restart"


@given(st.lists(st.sampled_from(KEYS), unique=True, max_size=6))
def test_changes_add_up(picked: list[tuple[str, str]]) -> None:
    """Several keys together are the changes of each alone."""
    picked = [each for each in picked if each[0] in SECTIONS]
    data = config().model_dump(exclude_none=True)
    for section, key in picked:
        name, _, which = section.partition(".")
        (data[name][which] if which else data[name])[key] = OTHER[section][key]
    assert {each.key for each in changes(config(), config(data))} == {f"{s}.{k}" for s, k in picked}


PAIR = {"partner": "gw2", "router": "gw1", "address": "10.255.0.2", "key_file": "/etc/routerd/pair.key"}
PAIRED = BASE | {"pair": PAIR, "fib": {"hash_policy": "five-tuple"}}
UNHEARD = "until then there is no channel"


def means(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    """Return what each changed key means for the partner."""
    old, new = config(before), config(after)
    return {each.key: for_partner(each.key, old, new) for each in changes(old, new)}


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("fib", "hash_policy", "l3", ("the same", "flows go to other nodes when traffic moves")),
        ("fib", "buckets", 512, ("the same", "new groups", "all of their flows move with the traffic")),
        ("fib", "bucket_budget", 4096, ("the same", "new groups", "all of their flows move with the traffic")),
        ("fib", "link_bandwidth", "ignore", ("the same", "the router that leads", "shared groups")),
        ("fib", "idle_timer", 1.0, ("the same", "the shorter one counts")),
        ("pair", "key_file", "/etc/routerd/other.key", ("the same key", UNHEARD, "another seed of the hash")),
        ("pair", "hash_seed", 7, ("the same", "flows go to other nodes when traffic moves")),
        ("pair", "port", 7180, ("the same", UNHEARD)),
        ("pair", "router", "gw3", ('partner = "gw3"', UNHEARD)),
        ("pair", "partner", "gw4", ("the same key, and gw1 for its partner", "with gw2 nothing is agreed")),
    ],
)
def test_what_the_partner_has_to_get(section: str, key: str, value: Any, words: tuple[str, ...]) -> None:
    after = PAIRED | {section: PAIRED[section] | {key: value}}
    (said,) = means(PAIRED, after).values()
    assert all(word in said for word in words), said
    assert said.startswith("gw4" if key == "partner" else "gw2")
    (change,) = changes(config(PAIRED), config(after))
    assert change.cost.why.endswith(said)
    assert all(means(after, PAIRED).values()), "nor is it nothing to go back"


def test_what_the_partner_need_not_know() -> None:
    after = PAIRED | {
        "fib": PAIRED["fib"] | {"audit_interval": 5.0},
        "pair": PAIR | {"hold_time": 1.0, "address": "10.255.0.3"},
        "mqtt": {"broker": "mqtts://broker.example.net", "site": "ams", "router": "gw9"},
        "router": BASE["router"] | {"router_id": "10.0.0.1"},
    }
    found = means(PAIRED, after)
    assert len(found) == 7
    assert not any(found.values()), found


def test_a_pair_that_comes_or_goes() -> None:
    come, gone = means(BASE, BASE | {"pair": PAIR}), means(BASE | {"pair": PAIR}, BASE)
    assert come["pair.partner"].startswith("gw2 has to have the same key, and gw1 for its partner: until both agree")
    assert [key for key, said in come.items() if said] == ["pair.partner"]
    assert gone["pair.partner"].startswith("with gw2 nothing is agreed on any more")
    assert [key for key, said in gone.items() if said] == ["pair.partner"]
    assert not any(means(BASE, BASE | {"fib": {"buckets": 512, "hash_policy": "l3"}}).values())


def test_a_pair_that_talks_otherwise() -> None:
    """Another key makes no other seed where that is given; over a broker the site and the name count."""
    fixed = PAIRED | {"pair": PAIR | {"hash_seed": 7}}
    said = means(fixed, fixed | {"pair": fixed["pair"] | {"key_file": "/etc/routerd/other.key"}})["pair.key_file"]
    assert "the same key" in said
    assert "seed" not in said
    files = {key: f"/etc/routerd/{key}" for key in ("certificate_file", "private_key_file", "ca_file")}
    found = means(PAIRED, PAIRED | {"pair": PAIR | files})
    assert [(key, said[:32]) for key, said in found.items() if said] == [
        ("pair.ca_file", "gw2 has to talk over TLS as well")
    ]
    broker = {"broker": "mqtts://broker.example.net", "site": "ams", "router": "gw1"}
    met = BASE | {"mqtt": broker, "pair": {"partner": "gw2", "channel": "mqtt", "key_file": "/etc/routerd/pair.key"}}
    assert UNHEARD in means(PAIRED, met)["pair.channel"]
    assert UNHEARD in means(met, met | {"mqtt": broker | {"site": "fra"}})["mqtt.site"]
    assert 'partner = "gw5"' in means(met, met | {"mqtt": broker | {"router": "gw5"}})["mqtt.router"]
