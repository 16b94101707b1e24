"""What there is to say of each peer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from routerd.api.slices import Slices
from routerd.api.views.peers import Counts, complete, count, state_of
from routerd.core.gateway_health import Reason
from routerd.core.message import Gateway
from routerd.core.rib.peer import Peer
from routerd.core.route import Family
from routerd.core.router import Router
from routerd.telemetry.metrics.catalogue import METRICS, PEER
from routerd.telemetry.metrics.rows import Rows, escaped, labels
from routerd.telemetry.metrics.tally import PeerCounts, Tally

_NOTHING = PeerCounts()
_STATES = ("received", "accepted", "rejected", "in_fib", "stale", "advertised")
_LABELS = [
    (family, family.label, [(f',family="{family.label}",state="{state}"}} ', state) for state in _STATES])
    for family in Family
]
"""Families, and how lines about their prefixes go on behind the labels of the peer."""


class PeerRows:
    """The samples of all peers. `counts` has what was counted of each, by address."""

    def __init__(self, router: Router, tally: Tally, now: float) -> None:
        self._router = router
        self._tally = tally
        self._now = now
        self.counts: Mapping[str, Counts] = {}
        self._rows = {
            name: Rows(METRICS[f"routerd_peer_{name}"])
            for name in (
                "up", "state", "uptime_seconds", "sessions_total", "resets_total", "messages_total",
                "malformed_updates_total", "prefixes", "rejected_prefixes", "silent", "draining", "leaving_prefixes",
                "buckets",
            )
        }  # fmt: skip
        self._silent = frozenset(router.health.having(Reason.SILENT))

    def make(self, buckets: Counter[Gateway]) -> Slices[list[Rows]]:
        """Return the samples, given the buckets that lead to each gateway: one peer is of one moment."""
        counts, leaving = yield from count(self._router)
        self.counts = counts
        for peer in list(self._router.rib.peers.values()):
            rows = counts[peer.address]
            yield from complete(self._router, peer, rows)
            gateways = self._router.rib.gateways_of(peer)
            base = labels(PEER, peer.address, peer.name, peer.group_name)
            self._session(peer, base)
            self._prefixes(peer, base, rows)
            self._rows["leaving_prefixes"].add(base, leaving[peer.address])
            self._rows["buckets"].add(base, sum([buckets[gateway] for gateway in gateways]))
            self._rows["silent"].add(base, int(not self._silent.isdisjoint(gateways)))
        return list(self._rows.values())

    def _session(self, peer: Peer, base: str) -> None:
        rows, up = self._rows, peer.session is not None
        shut = peer.address in self._router.rib.peers.shut
        counted = self._tally.peers.get(peer.address, _NOTHING)
        rows["up"].add(base, int(up))
        rows["state"].add(f'{base},state="{"shutdown" if shut else state_of(peer)}"', 1)
        rows["uptime_seconds"].add(base, round(self._now - peer.since, 3) if up else 0)
        rows["sessions_total"].add(base, peer.sessions)
        rows["malformed_updates_total"].add(base, peer.faults)
        rows["draining"].add(base, int(peer.address in self._router.drains.peers))
        for (cause, by), number in counted.resets.items():
            rows["resets_total"].add(f'{base},cause="{cause}",by="{by}"', number)
        for (direction, kind), number in counted.messages.items():
            rows["messages_total"].add(f'{base},direction="{direction}",type="{kind}"', number)

    def _prefixes(self, peer: Peer, base: str, counts: Counts) -> None:
        families = peer.group.families
        head, lines = f"routerd_peer_prefixes{{{base}", self._rows["prefixes"].lines
        for family, label, tails in _LABELS:
            row = counts[family]
            if label in families or any(row.values()):
                lines += [f"{head}{tail}{row[state]}\n" for tail, state in tails]
        if peer.adj_rib_in.rejected:
            for reason, number in peer.adj_rib_in.rejections().items():
                self._rows["rejected_prefixes"].add(f'{base},reason="{escaped(reason.text)}"', number)
