"""What bgplgd answers, OpenBGPD's looking glass, as Alice-LG reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from routerd.api.lookingglass.rows import REJECTED, Row, administrator
from routerd.api.models import PeerView
from routerd.core.route import Origin, format_address, format_as_path, format_prefix

_ORIGINS = {Origin.IGP: "IGP", Origin.EGP: "EGP", Origin.INCOMPLETE: "incomplete"}
_KINDS = {2: "rt", 3: "soo"}
"""Subtypes of extended communities that have a name (RFC 4360 sections 4 and 5)."""


def timeframe(seconds: float) -> str:
    """Return a time as bgpctl writes it: `10:11:12`, `5d20h05m`, `05w3d19h`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    weeks, day = divmod(days, 7)
    if weeks:
        return f"{weeks:02}w{day}d{hour:02}h"
    return f"{day}d{hour:02}h{minute:02}m" if days else f"{hour:02}:{minute:02}:{second:02}"


def neighbor(peer: PeerView) -> dict[str, Any]:
    """Return a peer with its counts."""
    counts = peer["totals"]
    prefixes = {"sent": counts["advertised"], "received": counts["received"], "rejected": counts["rejected"]}
    return summary(peer) | {
        "description": peer["name"],
        "last_error": "" if peer["state"] == "established" else peer["reason"],
        "stats": {"prefixes": prefixes},
    }


def summary(peer: PeerView) -> dict[str, Any]:
    """Return a peer as `bgpctl show summary` does."""
    return {
        "remote_as": str(peer["asn"] or 0),
        "group": peer["group"],
        "remote_addr": peer["address"],
        "bgpid": peer["router_id"] or "",
        "state": "Established" if peer["state"] == "established" else "Active",
        "last_updown": timeframe(peer["since_seconds"]),
    }


def route(monotonic: float) -> Callable[[Row], dict[str, Any]]:
    """Return what shows a row."""

    def show(row: Row) -> dict[str, Any]:
        said, peer = row.attributes, row.peer
        hop = format_address(said.next_hop) if said.next_hop else ""
        large = [*said.large_communities, *((row.mark,) if row.mark else ())]
        router_id = "" if peer is None or peer.last is None else format_address(peer.last.received.router_id)
        return {
            "prefix": format_prefix(row.prefix),
            "aspath": format_as_path(said.as_path),
            "exit_nexthop": hop,
            "true_nexthop": hop,
            "neighbor": {"remote_addr": "" if peer is None else peer.address, "bgp_id": router_id},
            "valid": row.mark is None or row.mark[1] != REJECTED,
            "best": row.best,
            "source": "external" if peer is None or peer.external else "internal",
            "origin": _ORIGINS[said.origin],
            "metric": said.med or 0,
            "localpref": 100 if said.local_pref is None else said.local_pref,
            "weight": 0,
            "last_update": timeframe(max(0.0, monotonic - row.since)),
            "communities": [f"{each >> 16}:{each & 0xFFFF}" for each in said.communities],
            "large_communities": [":".join(map(str, each)) for each in large],
            "extended_communities": [_extended(each) for each in said.extended_communities],
        }

    return show


def _extended(octets: bytes) -> str:
    """Return an extended community as bgpctl writes it."""
    parts = administrator(octets)
    return f"{_KINDS.get(octets[1], f'[{octets[1]}]')} {':'.join(parts)}" if parts else f"0x{octets.hex()}"
