"""Where a flow would go if it came by the other router of the pair."""

from __future__ import annotations

from collections.abc import Iterator

from routerd.api.inspection import FlowPartnerView
from routerd.api.views.flow import Place
from routerd.api.views.pair import hashed_apart
from routerd.core.pair.accord import EQUAL, NOT_TOLD, ONLY_HERE, OTHER_SIZE
from routerd.core.pair.pair import Pair
from routerd.core.route import format_address
from routerd.core.router import Router

_UNKNOWN = {
    ONLY_HERE: "it has no such group: nothing leads to the VIP there",
    NOT_TOLD: "it has not said where the buckets of the group lead",
    OTHER_SIZE: "the group has another number of buckets there: the flow falls into another one",
}
"""By state of a group, why nobody can tell."""


def at_partner(router: Router, pair: Pair, partner: str, place: Place, now: float) -> FlowPartnerView:
    """Return where a flow would go that is in this place here."""
    group, bucket, node = place
    found = pair.agreement(group)
    state = NOT_TOLD if found is None else found.state
    owner, doubts = None, list(_doubts(pair, now))
    if state in _UNKNOWN:
        doubts.append(_UNKNOWN[state])
    elif bucket is not None:
        owner = pair.owner_at_partner(group, bucket)
        if owner is None:
            doubts.append("it leads to a node that this router does not know")
    elif state == EQUAL:
        owner = node  # whichever the bucket is
    else:
        doubts.append("which bucket it is cannot be told here, and not all lead to the same node there")
    return FlowPartnerView(
        router=partner,
        gateway="" if owner is None else format_address(owner.address),
        peers=[] if owner is None else [peer.name for peer in router.rib.leads.peers(owner)],
        same=None if doubts or node is None else owner == node,
        doubts=doubts,
    )


def _doubts(pair: Pair, now: float) -> Iterator[str]:
    if not pair.up:
        yield f"it is not heard, for {max(0.0, now - pair.since):.0f} s: what it said last may be old"
    if pair.partner is not None:
        yield from (what for what, _ in hashed_apart(pair.hello, pair.partner))
