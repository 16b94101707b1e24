"""The view of a single peer: what both OPENs said, its timers, how its last session ended, and what was rejected."""

from __future__ import annotations

from routerd.api.inspection import (
    GracefulRestartView,
    LastErrorView,
    MessagesView,
    OpenView,
    PeerDetailView,
    RejectedView,
    TimersView,
)
from routerd.api.models import PeerView, RefusalView
from routerd.api.slices import Slices
from routerd.api.views.order import in_order
from routerd.core.message import Notification, Open
from routerd.core.rib.peer import Peer
from routerd.core.route import Path, Prefix, format_address, format_as_path, format_prefix


def detail(
    peer: Peer,
    row: PeerView,
    now: float,
    limit: int,
    *,
    refusals: list[RefusalView],
    messages: MessagesView | None,
) -> Slices[PeerDetailView]:
    """Return all that is known of a peer whose row in the table is `row`, and up to `limit` rejected paths."""
    last = peer.last
    kept = peer.adj_rib_in.rejected.kept
    rejected: list[RejectedView] = []
    for prefix in (yield from in_order(kept, 0, limit)):
        if prefix in kept:  # it may have gone meanwhile
            path, reason = kept[prefix]
            rejected.append(_rejected(prefix, path, reason.text))
    return PeerDetailView(
        peer=row,
        local="" if last is None else last.local,
        external=None if last is None else peer.external,
        sent=None if last is None else _open(last.sent),
        received=None if last is None else _open(last.received),
        awaiting_end_of_rib=sorted(family.label for family in peer.pending_eor),
        timers=_timers(peer, row["hold_time"], now),
        last_error=_last_error(peer, now),
        refusals=refusals,
        messages=messages,
        rejected_total=peer.adj_rib_in.rejected.counts().total(),
        rejected=rejected,
    )


def _open(said: Open) -> OpenView:
    graceful = said.graceful_restart
    return OpenView(
        asn=said.asn,
        router_id=format_address(said.router_id),
        hold_time=said.hold_time,
        families=sorted(family.label for family in said.families),
        four_octet_as=said.four_octet_as,
        route_refresh=said.route_refresh,
        extended_message=said.extended_message,
        graceful_restart=None
        if graceful is None
        else GracefulRestartView(
            restarting=graceful.restarting,
            notification=graceful.notification,
            time_seconds=graceful.time,
            families={family.label: forwarding for family, forwarding in graceful.families.items()},
        ),
        others=list(said.others),
    )


def _timers(peer: Peer, hold_time: int | None, now: float) -> TimersView:
    heard = None if peer.session is None or peer.heard is None else max(0.0, now - peer.heard)
    waits = peer.session is None or peer.pending_eor or peer.adj_rib_in.stale
    end = peer.deadline if waits and peer.deadline != float("inf") else None
    return TimersView(
        hold_seconds=hold_time,
        keepalive_seconds=None if hold_time is None else hold_time / 3,
        update_seconds=heard,
        stale_seconds=None if end is None else max(0.0, end - now),
    )


def _last_error(peer: Peer, now: float) -> LastErrorView | None:
    if peer.last_end is None:
        return None
    down, when = peer.last_end
    return LastErrorView(reason=down.reason, notification=_said(down.notification), seconds=now - when)


def _said(notification: Notification | None) -> str:
    if notification is None:
        return ""
    return f"{notification.code}/{notification.subcode} {'sent' if notification.sent else 'received'}"


def _rejected(prefix: Prefix, path: Path, reason: str) -> RejectedView:
    attributes = path.attributes
    return RejectedView(
        prefix=format_prefix(prefix),
        reason=reason,
        next_hop=format_address(attributes.next_hop) if attributes.next_hop else "",
        as_path=format_as_path(attributes.as_path),
        communities=[f"{community >> 16}:{community & 0xFFFF}" for community in attributes.communities],
    )
