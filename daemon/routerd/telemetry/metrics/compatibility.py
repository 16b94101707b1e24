"""The names of other programs, for dashboards and alarms that are there: frr_exporter's, and GoBGP's own.

Labels and values are theirs, too. Some are gauges whose names end as a counter's should: they are off unless the
configuration asks for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from routerd.api.slices import Slices
from routerd.api.views.peers import Counts
from routerd.core.rib.loc_rib import PathSet
from routerd.core.route import LOCAL, Address, Family, family_of, format_address
from routerd.core.router import Router
from routerd.telemetry.metrics.catalogue import Metric
from routerd.telemetry.metrics.rows import Rows, labels
from routerd.telemetry.metrics.tally import PeerCounts, Tally

_NOTHING = PeerCounts()
_FRR = ("vrf", "afi", "safi", "local_as")
_FRR_PEER = (*_FRR, "peer", "peer_as")
_GOBGP_TYPES = {"update": "update", "notification": "notification", "open": "open", "refresh": "route_refresh"}


def _metrics(prefix: str, *rows: tuple[str, str, tuple[str, ...], str]) -> dict[str, Metric]:
    return {name: Metric(f"{prefix}{name}", kind, names, meaning, "") for name, kind, names, meaning in rows}


FRR_EXPORTER = _metrics(
    "frr_bgp_",
    ("peers_count_total", "gauge", _FRR, "Peers"),
    ("peer_groups_count_total", "gauge", _FRR, "Peer groups"),
    ("rib_count_total", "gauge", _FRR, "Prefixes in the Loc-RIB"),
    ("peer_state", "gauge", _FRR_PEER, "2 shut down by the operator, 1 established, 0 neither"),
    ("peer_uptime_seconds", "gauge", _FRR_PEER, "How long the session has been established"),
    ("peer_message_received_total", "counter", _FRR_PEER, "Messages received, but for KEEPALIVEs"),
    ("peer_message_sent_total", "counter", _FRR_PEER, "Messages sent, but for KEEPALIVEs"),
    ("peer_prefixes_received_count_total", "gauge", _FRR_PEER, "Prefixes received"),
    ("peer_prefixes_advertised_count_total", "gauge", _FRR_PEER, "Prefixes advertised"),
)

GOBGP = _metrics(
    "bgp_",
    ("peer_state", "gauge", ("peer", "session_state", "admin_state"), "1 for the state of the session"),
    ("peer_asn", "gauge", ("peer", "router_id"), "AS number of the peer"),
    ("peer_local_asn", "gauge", ("peer", "router_id"), "AS number of this router"),
    ("peer_flop_count", "gauge", ("peer",), "Established sessions that ended"),
    *(
        (f"{way}_{name}_total", "counter", ("peer",), f"Messages {way}: {name}")
        for way in ("received", "sent")
        for name in _GOBGP_TYPES
    ),
    *(
        (f"{way}_message_total", "counter", ("peer",), f"Messages {way}, but for KEEPALIVEs")
        for way in ("received", "sent")
    ),
    *(
        (f"routes_{what}", "gauge", ("peer", "route_family"), f"Prefixes {what}")
        for what in ("received", "accepted", "advertised")
    ),
)


def frr_exporter(router: Router, tally: Tally, counts: Mapping[str, Counts], now: float) -> Slices[list[Rows]]:
    """Return what dashboards of frr_exporter show of BGP: peers by the families that they speak, or are to speak."""
    rows = {name: Rows(metric) for name, metric in FRR_EXPORTER.items()}
    local = str(router.config.router.asn)
    peers = router.rib.peers
    prefixes = yield from _prefixes(router)
    for family in Family:
        base = labels(_FRR, "default", family.label, "unicast", local)
        rows["peers_count_total"].add(base, sum(family.label in peer.group.families for peer in peers.values()))
        rows["peer_groups_count_total"].add(base, len(router.config.peer_groups))
        rows["rib_count_total"].add(base, prefixes[family])
    for peer in list(peers.values()):
        yield
        counted, up = tally.peers.get(peer.address, _NOTHING).messages, peer.session is not None
        configured = peer.group.remote_as if isinstance(peer.group.remote_as, int) else 0
        asn = str(configured if peer.last is None else peer.last.received.asn)
        for family in Family:
            if family.label not in peer.group.families:
                continue
            base = labels(_FRR_PEER, "default", family.label, "unicast", local, peer.address, asn)
            row = counts[peer.address][family] if peer.address in counts else {}
            for name, value in (
                ("peer_state", 2 if peer.address in peers.shut else int(up)),
                ("peer_uptime_seconds", round(now - peer.since, 3) if up else 0),
                ("peer_message_received_total", _sum(counted, "received")),
                ("peer_message_sent_total", _sum(counted, "sent")),
                ("peer_prefixes_received_count_total", row.get("received", 0)),
                ("peer_prefixes_advertised_count_total", row.get("advertised", 0)),
            ):
                rows[name].add(base, value)
    return list(rows.values())


def _prefixes(router: Router) -> Slices[Counter[Family]]:
    """Count the prefixes of the Loc-RIB over its path sets; the router's own networks are of either family in one."""
    loc_rib = router.rib.loc_rib
    own = [prefix for prefix in router.rib.networks.prefixes if not _hops(loc_rib.paths_of(prefix))]
    found = Counter(map(family_of, own))
    for paths in list(loc_rib.sets()):
        yield
        if hops := _hops(paths):
            found[Family.IPV4 if len(hops[0]) == 4 else Family.IPV6] += paths.users
    return found


def _hops(paths: PathSet) -> list[Address]:
    """Return the next hops of the paths that others have announced: those of a set are of one family."""
    return [path.attributes.next_hop for path in paths.paths if path.peer != LOCAL]


def gobgp(router: Router, tally: Tally, counts: Mapping[str, Counts], _now: float) -> Slices[list[Rows]]:
    """Return what GoBGP says of its peers."""
    rows = {name: Rows(metric) for name, metric in GOBGP.items()}
    for peer in list(router.rib.peers.values()):
        yield
        counted = tally.peers.get(peer.address, _NOTHING)
        base = labels(("peer",), peer.address)
        session = "ESTABLISHED" if peer.session is not None else "ACTIVE"
        admin = "DOWN" if peer.address in router.rib.peers.shut else "UP"
        rows["peer_state"].add(f'{base},session_state="{session}",admin_state="{admin}"', 1)
        rows["peer_flop_count"].add(base, counted.resets.total())
        if peer.last is not None:
            identified = f'{base},router_id="{format_address(peer.last.received.router_id)}"'
            rows["peer_asn"].add(identified, peer.last.received.asn)
            rows["peer_local_asn"].add(identified, router.config.router.asn)
        for way in ("received", "sent"):
            rows[f"{way}_message_total"].add(base, _sum(counted.messages, way))
            for name, kind in _GOBGP_TYPES.items():
                rows[f"{way}_{name}_total"].add(base, counted.messages[way, kind])
        for family, row in counts.get(peer.address, {}).items():
            if family.label in peer.group.families:
                for what in ("received", "accepted", "advertised"):
                    rows[f"routes_{what}"].add(f'{base},route_family="{family.label}-unicast"', row[what])
    return list(rows.values())


def _sum(messages: Mapping[tuple[str, str], int], way: str) -> int:
    return sum(count for (direction, _), count in messages.items() if direction == way)
