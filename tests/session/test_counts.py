"""Messages of a session, counted."""

from __future__ import annotations

from routerd.session.counts import Counts
from tests.support import bgp


def test_messages_are_told_apart_by_their_headers() -> None:
    counts = Counts()
    update = bgp.update(bgp.attributes("10.0.0.1", [65001]), ["172.16.1.0/24"])
    counts.sent(update + bgp.message(bgp.KEEPALIVE) + update + bgp.message(bgp.ROUTE_REFRESH, bytes(4)))
    assert (counts.updates_sent, counts.refreshes_sent, counts.octets_sent) == (2, 1, 2 * len(update))


def test_what_is_cut_short_ends_the_count() -> None:
    counts = Counts()
    counts.sent(bgp.MARKER + b"\0\0\2" + bytes(30))
    assert counts.updates_sent == 1
