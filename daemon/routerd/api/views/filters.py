"""Routes that meet filters: all prefixes are looked at once, in slices, and each set of paths is judged once."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from routerd.api.choosing import Choice
from routerd.api.slices import Slices
from routerd.api.views import forwarding
from routerd.core.rib.foreign import network_of
from routerd.core.rib.loc_rib import PathSet
from routerd.core.rib.peer import Peer
from routerd.core.route import LOCAL, Address, Path, Prefix, covers
from routerd.core.router import Router

_AT_ONCE = 512
"""Prefixes that are looked at between two interruptions."""


Peers = list[Peer] | None
"""Whose paths count; everybody's if it is None."""


def chosen(
    router: Router, tables: Iterable[Collection[Prefix]], peers: Peers, choice: Choice
) -> Slices[list[Prefix]]:
    """Return those prefixes of the tables that are meant, each once."""
    judge = _Judge(router, peers, choice)
    found: dict[Prefix, None] = {}
    for table in _narrowed(router, tables, peers, choice):
        for number, prefix in enumerate(list(table)):
            if not number % _AT_ONCE:
                yield
            if judge.takes(prefix):
                found[prefix] = None
    return list(found)


def _narrowed(
    router: Router, tables: Iterable[Collection[Prefix]], peers: Peers, choice: Choice
) -> list[Collection[Prefix]]:
    """Return the tables that a choice looks at: smaller ones, where there are any that have all that it means."""
    everybody = list(router.rib.peers.values()) if peers is None else peers
    if choice.state == "rejected":
        return [peer.adj_rib_in.rejected.kept for peer in everybody]
    if choice.state == "stale":
        return [peer.adj_rib_in.stale for peer in everybody]
    if choice.state == "refused" and peers is None:
        return [router.fib.refused]
    every = list(tables)
    if choice.shorter is not None:
        bits, address = choice.shorter[0], Address(choice.shorter[1:])
        wider = [network_of(address, length) for length in range(bits + 1)]
        return [[prefix for prefix in wider if prefix in table] for table in every]
    return every


class _Judge:
    """Tells of prefixes whether they are meant."""

    def __init__(self, router: Router, peers: Peers, choice: Choice) -> None:
        self._router = router
        self._choice = choice
        self._peers = list(router.rib.peers.values()) if peers is None else peers
        self._addresses = None if peers is None else {peer.address for peer in peers} or {LOCAL}
        self._of_paths = choice.community is not None or choice.as_path is not None
        self._judged: dict[PathSet, bool] = {}

    def takes(self, prefix: Prefix) -> bool:
        choice = self._choice
        if choice.longer is not None and not covers(choice.longer, prefix):
            return False
        if choice.shorter is not None and not covers(prefix, choice.shorter):
            return False
        if choice.state == "rejected":
            return any(choice.takes(path.attributes) for path in self._rejected(prefix))
        paths = self._router.rib.loc_rib.paths_of(prefix)
        return (not self._of_paths or self._has(paths)) and self._is(prefix, paths)

    def _rejected(self, prefix: Prefix) -> Iterable[Path]:
        for peer in self._peers:
            if entry := peer.adj_rib_in.rejected.kept.get(prefix):
                yield entry[0]

    def _has(self, paths: PathSet) -> bool:
        known = self._judged.get(paths)
        if known is None:
            addresses = self._addresses
            known = self._judged[paths] = any(
                self._choice.takes(path.attributes)
                for path in paths.paths
                if addresses is None or path.peer in addresses
            )
        return known

    def _is(self, prefix: Prefix, paths: PathSet) -> bool:
        """Tell whether a route is in the state that is asked for."""
        state, router = self._choice.state, self._router
        if not state:
            return True
        if state == "refused":
            return prefix in router.fib.refused
        if state == "stale":
            return any(prefix in peer.adj_rib_in.stale for peer in self._peers)
        group = router.fib.routes.get(prefix)
        there = group is not None and bool(group.legs)
        if state == "in-fib":
            return there
        winners = forwarding.winners(router, router.rib.loc_rib.decision(paths))
        local = bool(winners) and winners[0].peer == LOCAL
        return local if state == "local" else not there and not local
