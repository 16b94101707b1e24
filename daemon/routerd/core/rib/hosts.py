"""Whose a next hop is that cannot be compared with the session's address: of the other family, or link-local.

It is the peer's own if packets to it go where packets to the peer go: the gateways of both have the same link-layer
address on the same link. The kernel tells those addresses; until it has, nothing is known, and nothing is used.
"""

from __future__ import annotations

from collections.abc import Mapping

from routerd.core.message import Gateway
from routerd.core.rib.policy import Reject
from routerd.core.route import Address, format_address

LIMIT = 16
"""Gateways that the kernel is asked about on behalf of one peer: each takes a place in its table of neighbours."""


class Hosts:
    """The link-layer addresses that the kernel was asked for, by peer; None where it has not found one yet."""

    def __init__(self) -> None:
        self._of: dict[str, dict[Gateway, bytes | None]] = {}
        self._links: dict[str, Gateway] = {}
        """Where the peers' own addresses were last reached."""
        self.asked: list[Gateway] = []
        """What the kernel is to be asked for."""

    @property
    def wanted(self) -> set[Gateway]:
        """All gateways whose link-layer addresses matter."""
        return set().union(*self._of.values())

    def judge(self, peer: str, mine: Gateway | None, theirs: Gateway | None) -> Reject:
        """Judge a next hop by its gateway and the one of the peer's own address, None where nothing leads there; have
        the kernel asked for what is not known.

        A way to the peer's address that is gone, as while the router's own address is exchanged, is no news of whose
        the next hop is: the last one counts.
        """
        known = self._of.setdefault(peer, {})
        if mine is None:
            mine = self._links.get(peer)
        room = theirs in known or len(known) <= LIMIT
        if theirs is not None and mine is not None and mine.ifindex == theirs.ifindex and room:
            for gateway in (mine, theirs):
                if gateway not in known:
                    known[gateway] = None
                    self.asked.append(gateway)
            self._links[peer] = mine
        return self.look(peer, mine, theirs)

    def look(self, peer: str, mine: Gateway | None, theirs: Gateway | None) -> Reject:
        """Judge as `judge` does by what is known now; ask for nothing."""
        if theirs is None:
            return Reject.NONE  # cannot be used as it is; to be judged again once a way leads there
        if mine is None:
            mine = self._links.get(peer)
        if mine is None or mine.ifindex != theirs.ifindex:
            return Reject.OTHER_HOST
        known = self._of.get(peer, {})
        one, other = known.get(mine), known.get(theirs)
        if one is None or other is None:
            return Reject.UNKNOWN_HOST
        return Reject.NONE if one and one == other else Reject.OTHER_HOST

    def take(self, found: Mapping[Gateway, bytes]) -> list[str]:
        """Take over what the kernel found, empty for a link without such addresses; return the peers that it
        concerns."""
        concerned = []
        for peer, known in self._of.items():
            news = {gateway: found[gateway] for gateway in known.keys() & found.keys()}
            if any(known[gateway] != address for gateway, address in news.items()):
                known.update(news)
                concerned.append(peer)
        return concerned

    def addresses(self, peer: Address) -> set[Address]:
        """Return the addresses of the peer at an address that were found to be its own."""
        known = self._of.get(format_address(peer), {})
        own = {known[gateway] for gateway in known if gateway.address == peer} - {None, b""}
        return {gateway.address for gateway, address in known.items() if address in own}

    @property
    def announcing(self) -> list[str]:
        """The peers that have announced such next hops."""
        return [*self._of]

    def waits(self, peer: str) -> bool:
        """Tell whether the kernel has not answered yet for one of the peer's."""
        return None in self._of.get(peer, {}).values()

    def forget(self, peer: str) -> None:
        """The peer's announcements are gone."""
        self._of.pop(peer, None)
        self._links.pop(peer, None)
