"""What birdwatcher answers, as Alice-LG reads it. Times are UTC, `2006-01-02 15:04:05`."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from routerd import __version__
from routerd.api.lookingglass.rows import Row, administrator
from routerd.api.models import PeerView
from routerd.core.route import Origin, as_numbers, format_address, format_prefix
from routerd.core.router import Router

_ORIGINS = {Origin.IGP: "IGP", Origin.EGP: "EGP", Origin.INCOMPLETE: "Incomplete"}
_KINDS = {2: "rt", 3: "ro"}
"""Subtypes of extended communities that have a name (RFC 4360 sections 4 and 5)."""


def stamp(now: float) -> str:
    """Return a time in seconds since 1970 as birdwatcher writes it."""
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S}"


def head(now: float) -> dict[str, Any]:
    """Return what every answer begins with; nothing comes from a cache."""
    cached = {"date": "", "timezone_type": "UTC", "timezone": "UTC"}
    api = {
        "Version": f"routerd {__version__}",
        "result_from_cache": False,
        "cache_status": {"orig_ttl": 0, "cached_at": cached},
    }
    return {"api": api, "ttl": f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}"}


def status(router: Router, now: float, monotonic: float) -> dict[str, Any]:
    """Return who the router is."""
    began, configured = (stamp(now - (monotonic - each)) for each in (router.started, router.configured))
    return {
        "status": {
            "version": f"routerd {__version__}",
            "message": "routerd is up and running",
            "router_id": router.config.router.router_id,
            "current_server": stamp(now),
            "last_reboot": began,
            "last_reconfig": configured,
        }
    }


def protocol(peer: PeerView, now: float) -> dict[str, Any]:
    """Return a peer as a protocol of BIRD's; the routes are counted."""
    counts, up = peer["totals"], peer["state"] == "established"
    return {
        "protocol": peer["name"],
        "bird_protocol": "BGP",
        "table": "master",
        "state": "up" if up else "down",
        "state_changed": stamp(now - peer["since_seconds"]),
        "connection": "Established" if up else peer["state"].capitalize(),
        "bgp_state": "Established" if up else "Active",
        "description": peer["name"],
        "neighbor_address": peer["address"],
        "neighbor_as": peer["asn"] or 0,
        "neighbor_id": peer["router_id"] or "",
        "last_error": "" if up else peer["reason"],
        "routes": {
            "imported": counts["accepted"],
            "filtered": counts["rejected"],
            "exported": counts["advertised"],
            "preferred": counts["in_fib"],
        },
    }


def short(peer: PeerView, now: float) -> dict[str, Any]:
    """Return a peer as `birdc show protocols` does."""
    up = peer["state"] == "established"
    return {
        "proto": "BGP",
        "table": "master",
        "state": "up" if up else "down",
        "since": stamp(now - peer["since_seconds"]),
        "info": "Established" if up else peer["reason"],
    }


def route(now: float, monotonic: float) -> Callable[[Row], dict[str, Any]]:
    """Return what shows a row.

    The gateway is the peer's address, by which Alice-LG tells whose a filtered route is, and not the next hop, which
    `bgp` has.
    """

    def show(row: Row) -> dict[str, Any]:
        peer = "" if row.peer is None else row.peer.address
        return {
            "network": format_prefix(row.prefix),
            "from_protocol": "local" if row.peer is None else row.peer.name,
            "gateway": peer,
            "learnt_from": peer,
            "interface": "",
            "metric": 100,
            "primary": row.best,
            "age": stamp(now - (monotonic - row.since)),
            "type": ["BGP", "unicast", "univ"],
            "bgp": _bgp(row),
        }

    return show


def _bgp(row: Row) -> dict[str, Any]:
    said = row.attributes
    large = [*said.large_communities, *((row.mark,) if row.mark else ())]
    found = {
        "origin": _ORIGINS[said.origin],
        "as_path": [str(asn) for asn in as_numbers(said.as_path)],
        "next_hop": format_address(said.next_hop) if said.next_hop else "",
        "local_pref": str(100 if said.local_pref is None else said.local_pref),
        "communities": [[each >> 16, each & 0xFFFF] for each in said.communities],
        "large_communities": [list(each) for each in large],
        "ext_communities": [_extended(each) for each in said.extended_communities],
    }
    return found if said.med is None else found | {"med": str(said.med)}


def _extended(octets: bytes) -> list[str]:
    """Return an extended community in three parts, as BIRD writes it."""
    name, parts = _KINDS.get(octets[1], ""), administrator(octets)
    if name and parts and octets[0] < 3:
        return [name, *parts]
    return ["generic", f"0x{octets[:4].hex()}", f"0x{octets[4:].hex()}"]


def now() -> tuple[float, float]:
    """Return the time in seconds since 1970, and by the monotonic clock."""
    return time.time(), time.monotonic()
