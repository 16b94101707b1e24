"""Examples of answers, for the API's description: what a small cluster gives. By method and path."""

from __future__ import annotations

from typing import Any

from routerd import __version__
from routerd.api.examples_of_changes import CHANGES

_NODE = {
    "nexthop_id": 900000001,
    "gateway": "192.168.10.101",
    "interface": "nodes10",
    "weight": 1,
    "buckets": 512,
    "peers": ["k8s-w1"],
}
_OTHER = _NODE | {"nexthop_id": 900000003, "gateway": "192.168.10.102", "peers": ["k8s-w2"]}
_COUNTS = {"received": 5, "accepted": 4, "rejected": 1, "in_fib": 4, "stale": 0, "advertised": 2}
_PEER = {
    "name": "k8s-w1",
    "address": "192.168.10.101",
    "group": "nodes",
    "asn": 65001,
    "router_id": "192.168.10.101",
    "dynamic": False,
    "state": "established",
    "reason": "",
    "since_seconds": 86400.5,
    "sessions": 2,
    "hold_time": 9,
    "families": ["ipv4"],
    "totals": _COUNTS,
    "by_family": {"ipv4": _COUNTS},
    "rejected_by_reason": {"6 not in accept": 1},
    "faults": 0,
    "silent": False,
    "drain": "",
    "leaving": 0,
    "buckets": 2048,
    "shutdown": None,
}
_OPEN = {
    "asn": 65001,
    "router_id": "192.168.10.101",
    "hold_time": 9,
    "families": ["ipv4"],
    "four_octet_as": True,
    "route_refresh": True,
    "extended_message": False,
    "graceful_restart": {"restarting": False, "notification": True, "time_seconds": 120, "families": {"ipv4": True}},
    "others": [73],
}
_OWN_DRAIN = {
    "drain": {"by": "root (uid 0, pid 4711)", "time": 1795795288.3},
    "peers": 2,
    "telling": False,
    "changed": False,
    "unstored": "",
}
_DRAIN = {
    "name": "k8s-w1",
    "drain": "operator",
    "buckets": 12,
    "groups": 4,
    "sole": 0,
    "empty": False,
    "changed": False,
    "unstored": "",
}
_GROUP = {
    "id": 900000000,
    "type": "resilient",
    "buckets": 1024,
    "prefixes": 1,
    "first": ["172.16.1.1/32"],
    "balanced": True,
    "balanced_in_seconds": None,
    "unbalanced": "",
    "members": [_NODE, _OTHER],
}
_PATH = {
    "peer": "192.168.10.101",
    "name": "k8s-w1",
    "next_hop": "192.168.10.101",
    "interface": "nodes10",
    "as_path": "65001",
    "origin": "IGP",
    "med": None,
    "local_pref": None,
    "communities": ["65001:7"],
    "stale": False,
    "best": True,
    "multipath": True,
    "link_bandwidth": None,
    "lost_at": "",
}

_ROUTER = {
    "router": "gw1",
    "version": __version__,
    "kernel": "6.12.43",
    "hash_policy": "five-tuple",
    "hash_seed": "5f0c",
    "age_seconds": 86402.3,
}

EXAMPLES: dict[str, Any] = CHANGES | {
    "GET /v1/pair": {
        "ok": False,
        "partner": "gw2",
        "up": True,
        "since_seconds": 86400.2,
        "reason": "",
        "complete": True,
        "leads": "gw1",
        "here": _ROUTER,
        "there": _ROUTER | {"router": "gw2", "age_seconds": 3600.0},
        "differences": [],
        "agreed_seconds": 4.1,
        "groups": {"equal": 41, "differs": 1},
        "differing": 3,
        "conflicts": 1,
        "off": 12,
        "total": 1,
        "first": [
            {
                "key": "172.16.1.1/32",
                "state": "differs",
                "nexthop_id": 900000000,
                "prefix": "172.16.1.1/32",
                "prefixes": 1,
                "buckets": 1024,
                "differing": 3,
                "conflicts": 1,
                "off": 12,
            }
        ],
    },
    "POST /v1/pair/seed": {"changed": True, "before": "random", "after": "5f0c"},
    "GET /v1/status": {
        "version": __version__,
        "router_id": "192.168.10.200",
        "asn": 65000,
        "uptime_seconds": 86402.3,
        "ok": False,
        "speaker": {"running": True, "pid": 8753, "restarts": 0, "reason": ""},
        "peers": [_PEER],
        "drained": None,
        "shutdowns": [],
        "prefixes": 10,
        "paths": 14,
        "fib": {
            "synchronised": True,
            "routes": 8,
            "nexthops": 6,
            "groups": 1,
            "buckets": 1024,
            "bucket_budget": 4194304,
            "small_groups": 0,
            "unwritten": 0,
            "refused": 0,
            "drift_mended": 0,
            "foreign_bgp": {"routes": 0, "nexthops": 0, "first": []},
        },
        "groups": [_GROUP],
        "sysctls": [
            {
                "name": "net.ipv4.ip_forward",
                "wanted": "1",
                "found": "0",
                "current": "1",
                "ok": True,
                "remedy": "",
            }
        ],
        "problems": [
            {
                "where": "peer k8s-w2",
                "what": "hold timer expired",
                "remedy": "see whether the node runs, and what its speaker says",
            }
        ],
        "refusals": [
            {
                "address": "192.168.10.9",
                "reason": "no peer has this address",
                "notification": "6/5 sent",
                "count": 3,
                "first_seconds": 61.2,
                "last_seconds": 1.1,
            }
        ],
        "drops": [{"counter": "TCPMD5NotFound", "count": 4, "last_seconds": 12.5}],
        "event_loop": {"bounds": [0.005, 0.01, 0.02], "counts": [81234, 12, 3, 0], "longest_seconds": 0.0191},
        "pair": {
            "partner": "gw2",
            "up": True,
            "since_seconds": 86400.2,
            "reason": "",
            "leads": True,
            "agrees": True,
            "groups": {"equal": 1},
        },
    },
    "GET /v1/routes/{prefix}": {
        "prefix": "172.16.1.1/32",
        "paths": [
            _PATH,
            _PATH
            | {"peer": "192.168.10.102", "name": "k8s-w2", "next_hop": "192.168.10.102"}
            | {"best": False, "lost_at": "8 oldest"},
        ],
        "group_id": 900000000,
        "members": [_NODE, _OTHER],
        "balanced_in_seconds": None,
        "unbalanced": "",
        "in_fib": True,
        "refused": "",
        "kernel": {
            "present": True,
            "protocol": "bgp",
            "metric": 20,
            "nexthop_id": 900000000,
            "members": [_NODE, _OTHER],
        },
    },
    "GET /v1/version": {"routerd": __version__, "exabgp": "5.0.15", "python": "3.11.7", "kernel": "6.18.44"},
    "GET /v1/peers": [_PEER],
    "GET /v1/groups": [_GROUP],
    "GET /v1/routes": {
        "total": 1,
        "routes": [
            {
                "prefix": "172.16.1.1/32",
                "local": False,
                "group_id": 900000000,
                "in_fib": True,
                "paths": 2,
                "next_hops": ["192.168.10.101", "192.168.10.102"],
                "best_peer": "k8s-w1",
            }
        ],
    },
    "GET /v1/health": {"ok": True, "reason": "", "nodes": 3, "at_least": 1, "drained": False},
    "GET /v1/drain": _OWN_DRAIN,
    "PUT /v1/drain": _OWN_DRAIN | {"telling": True, "changed": True},
    "DELETE /v1/drain": _OWN_DRAIN | {"drain": None, "changed": True},
    "GET /v1/peers/{peer}/drain": _DRAIN,
    "PUT /v1/peers/{peer}/drain": _DRAIN | {"changed": True},
    "DELETE /v1/peers/{peer}/drain": _DRAIN | {"drain": "", "buckets": 0, "changed": True},
    "GET /v1/peers/{peer}": {
        "peer": _PEER,
        "local": "192.168.10.200",
        "external": True,
        "sent": _OPEN | {"asn": 65000, "router_id": "192.168.10.200", "extended_message": True, "others": []},
        "received": _OPEN,
        "awaiting_end_of_rib": [],
        "timers": {"hold_seconds": 9, "keepalive_seconds": 3.0, "update_seconds": 86399.2, "stale_seconds": None},
        "last_error": {"reason": "Cease, administrative reset", "notification": "6/4 received", "seconds": 86401.0},
        "refusals": [],
        "messages": {
            "updates_received": 6,
            "updates_sent": 2,
            "refreshes_received": 0,
            "refreshes_sent": 0,
            "octets_received": 312,
            "octets_sent": 108,
        },
        "rejected_total": 1,
        "rejected": [
            {
                "prefix": "10.99.0.0/16",
                "reason": "6 not in accept",
                "next_hop": "192.168.10.101",
                "as_path": "65001",
                "communities": ["65001:7"],
            }
        ],
    },
    "GET /v1/flow": {
        "flow": {
            "source": "203.0.113.9",
            "source_port": 40000,
            "destination": "172.16.1.1",
            "destination_port": 443,
            "protocol": "tcp",
            "interface": "uplink",
        },
        "found": "node",
        "certain": True,
        "doubts": [],
        "node": _NODE,
        "hash_policy": "five-tuple",
        "route": {
            "prefix": "172.16.1.1/32",
            "table": 254,
            "protocol": "bgp",
            "metric": 20,
            "nexthop_id": 900000000,
            "own": True,
        },
        "group_type": "resilient",
        "bucket": {"index": 432, "candidates": 1, "of": 1024, "idle_seconds": 2.1},
        "members": [{"member": _NODE, "share": 0.5}, {"member": _OTHER, "share": 0.5}],
        "paths": [
            {
                "peer": "192.168.10.101",
                "name": "k8s-w1",
                "next_hop": "192.168.10.101",
                "as_path": "65001",
                "since_seconds": 86400.1,
                "stale": False,
            }
        ],
        "changed": {
            "seconds": 60.2,
            "members": [{"gateway": "192.168.10.103", "peers": ["k8s-w3"], "what": "left"}],
            "cause": {"time": "2026-11-27T14:54:38.790+00:00", "event": "peer down", "peer": "k8s-w3"},
        },
        "partner": {
            "router": "gw2",
            "gateway": "192.168.10.101",
            "peers": ["k8s-w1"],
            "same": True,
            "doubts": [],
        },
    },
    "GET /v1/fib": {
        "same": False,
        "routes": 8,
        "nexthops": 6,
        "groups": 8,
        "unwritten": 0,
        "total": 1,
        "differences": [
            {
                "kind": "route",
                "name": "172.16.1.1/32",
                "wanted": "group 900000000",
                "kernel": "a route of protocol static, metric 20",
                "why": "refused: File exists",
            }
        ],
    },
    "GET /v1/traffic": {
        "seconds": 1.0,
        "packets_per_second": 1200.0,
        "nodes": [{"name": "k8s-w1", "gateways": ["192.168.10.101", "fd00:10::101"], "packets_per_second": 1200.0}],
        "nodes_total": 1,
        "groups": [
            {
                "id": 900000000,
                "prefixes": ["172.16.1.1/32"],
                "prefixes_total": 1,
                "packets_per_second": 1200.0,
                "counted": True,
                "members": [{"name": "k8s-w1", "gateway": "192.168.10.101", "packets_per_second": 1200.0}],
            }
        ],
        "groups_total": 1,
        "uncounted": 0,
    },
}
