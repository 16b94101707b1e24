"""Routes that peers do not hear, because their attributes fit into no message."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from routerd.api.models import ProblemView
from routerd.core.route import format_prefix
from routerd.core.router import Router
from routerd.core.withheld import Withheld

_REMEDY = (
    "shorten what is announced with it (AS path, communities), or have the peer's speaker take extended messages "
    "(RFC 8654)"
)


def withheld(router: Router, found: Mapping[str, Withheld]) -> Iterator[ProblemView]:
    """Yield the peers that do not hear all that they should; `found` is by address."""
    for address, each in found.items():
        if not each.routes and not each.beyond:
            continue
        peer = router.rib.peers.get(address)
        what = f"{len(each.routes)}{' and more' if each.beyond else ''} routes are not advertised to it"
        if each.routes:
            prefix, cause = next(iter(each.routes.items()))
            size = f"takes {cause.octets} octets" if cause.octets else "has an attribute of more than 65535 octets"
            what += f": a message for {format_prefix(prefix)} {size}, and may have {cause.limit}"
        yield ProblemView(where=f"peer {address if peer is None else peer.name}", what=what, remedy=_REMEDY)
