"""Examples of answers, for the API's description: orders about peers, changes of the configuration, and texts."""

from __future__ import annotations

from typing import Any

_WHO = "alice (uid 1000, pid 4711)"
_SHUTDOWN = {
    "name": "k8s-w1",
    "address": "192.168.10.101",
    "by": _WHO,
    "time": 1795795288.3,
    "text": "disk swap, back at 15:00",
}
_ORDER = {
    "name": "k8s-w1",
    "address": "192.168.10.101",
    "changed": True,
    "ended": True,
    "shutdown": _SHUTDOWN,
    "unstored": "",
}
_CHANGES = [
    {
        "key": "peer_groups.nodes.accept",
        "before": "172.16.0.0/16",
        "after": "172.16.0.0/16, 172.20.0.0/16",
        "impact": "live",
        "why": "",
    },
    {"key": "peer_groups.nodes.hold_time", "before": "9", "after": "30", "impact": "session reset", "why": ""},
]
_DIFF = {
    "files": ["/etc/routerd/routerd.toml"],
    "applied": False,
    "changes": _CHANGES,
    "resets": [{"peer": "k8s-w1", "keys": ["peer_groups.nodes.hold_time"]}],
    "forecast": {
        "paths": [
            {
                "before": "6 not in accept",
                "after": "accepted",
                "count": 1,
                "first": [{"prefix": "172.20.1.0/24", "peer": "192.168.10.101"}],
            }
        ],
        "unnamed": 0,
        "unasked": 0,
        "routes": [
            {
                "fate": "comes",
                "count": 1,
                "first": [{"prefix": "172.20.1.0/24", "before": [], "after": ["192.168.10.101"]}],
            }
        ],
        "routes_now": 8,
        "told": [
            {"peer_group": "nodes", "peers": 1, "what": "withdrawn", "count": 1, "first": ["10.10.1.0/24"]},
        ],
        "groups": {
            "changed": 1,
            "anew": 0,
            "emptied": 0,
            "first": [
                {
                    "id": 900000000,
                    "prefixes": 1,
                    "before": {"192.168.10.101": 1},
                    "after": {"192.168.10.101": 1, "192.168.10.102": 1},
                    "anew": False,
                }
            ],
        },
        "buckets": {"moving": 0, "busy": 12, "groups": 1, "unread": 0, "unseen": []},
    },
    "unforeseen": "",
    "confirm_seconds": None,
}
_TAKEN = _DIFF | {"applied": True, "confirm_seconds": 60.0}
_STAYS = _DIFF | {"files": [], "applied": True, "changes": [], "resets": [], "forecast": None}
_BACK = _STAYS | {
    "changes": [each | {"before": each["after"], "after": each["before"]} for each in _CHANGES],
    "resets": _DIFF["resets"],
}

CHANGES: dict[str, Any] = {
    "POST /v1/peers/{peer}/clear": {
        "name": "k8s-w1",
        "address": "192.168.10.101",
        "soft": "in",
        "session": True,
        "dialled": False,
        "refreshed": True,
        "stale_seconds": 0.0,
    },
    "POST /v1/peers/{peer}/shutdown": _ORDER,
    "POST /v1/peers/{peer}/enable": _ORDER | {"ended": False, "shutdown": None},
    "GET /v1/config/check": {
        "warnings": ["/etc/routerd/routerd.toml:31: peers[1].address: fd00::1 is this router's own address"],
    },
    "GET /v1/config/diff": _DIFF,
    "POST /v1/config/reload": _TAKEN,
    "POST /v1/config/confirm": _STAYS,
    "POST /v1/config/rollback": _BACK,
    "GET /v1/config/history": [
        {
            "number": 2,
            "time": 1795795288.3,
            "by": _WHO,
            "confirmed": True,
            "changes": _CHANGES,
        },
        {"number": 1, "time": 1795708888.1, "by": "the start", "confirmed": True, "changes": []},
    ],
    "GET /v1/log": {"level": "info", "changed": False},
    "PUT /v1/log/{level}": {"level": "debug", "changed": True},
    "GET /v1/events": {
        "boot": "1f461129ac0f9dfb",
        "sequence": 42,
        "time": "2026-11-27T14:54:38.790+00:00",
        "level": "warning",
        "event": "peer down",
        "peer": "k8s-w3",
        "reason": "hold timer expired",
        "stale": False,
    },
    "GET /metrics": (
        "# HELP routerd_rib_prefixes Prefixes of the Loc-RIB\n"
        "# TYPE routerd_rib_prefixes gauge\n"
        "routerd_rib_prefixes 10.0\n"
    ),
}
