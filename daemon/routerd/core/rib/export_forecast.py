"""What another configuration would have peers told: a dry run of the export, after that of the routes.

What a peer has heard is compared with what it would hear, by its update group and by an exporter of the new
configuration. A session that is reset makes no difference: its peer hears all again. One that ends for good is told
nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice

from routerd.config.model import Config, PeerGroup
from routerd.core.rib.advertising import next_hops_of
from routerd.core.rib.decision import Options
from routerd.core.rib.export import Exporter, Told
from routerd.core.rib.forecast import Forecast, Loss, Sample, Slices, sliced
from routerd.core.rib.loc_rib import PathSet
from routerd.core.rib.peer import Peer
from routerd.core.rib.rib import Rib
from routerd.core.rib.update_group import UpdateGroup
from routerd.core.route import Address, Family, Prefix, family_of, parse_prefix


class Telling(Enum):
    """What peers are told of a prefix; the value is its name in the API."""

    ANNOUNCED = "announced"
    WITHDRAWN = "withdrawn"
    CHANGED = "changed"


@dataclass(frozen=True)
class Audience:
    """Peers that have heard the same and would hear the same. `group` is the peer group that they will be in."""

    heard: UpdateGroup
    group_name: str
    group: PeerGroup
    external: bool
    next_hops: tuple[tuple[Family, Address], ...]


@dataclass
class Said:
    """What `peers` peers of a group would be told."""

    group: str
    peers: int
    prefixes: dict[Telling, Sample[Prefix]] = field(default_factory=lambda: {each: Sample() for each in Telling})


class ExportForecast:
    """The dry run. `said` is complete once `run` is through, and names nobody who is told nothing."""

    def __init__(self, rib: Rib, config: Config, routes: Forecast) -> None:
        self.said: list[Said] = []
        self._rib = rib
        self._config = config
        self._routes = routes
        options = Options.of(rib.config.fib), rib.config.router.asn
        self._decides_alike = not routes.moved and options == (Options.of(config.fib), config.router.asn)
        """Whether it can only make a difference by which peers hear the same."""

    def run(self) -> Slices[None]:
        """Do the dry run, slice by slice; `routes` is through."""
        audiences: dict[Audience, dict[str, None]] = {}
        for peer in list(self._rib.peers.values()):
            yield
            if (found := self._audience(peer)) is not None:
                audiences.setdefault(found, {})[peer.address] = None
        for audience, peers in audiences.items():
            said = Said(audience.group_name, len(peers))
            yield from self._compare(audience, peers, said)
            if any(sample.total for sample in said.prefixes.values()):
                self._enter(said)

    def _enter(self, said: Said) -> None:
        """Peers on several links, of which each hears of another router's address, are told of together."""
        for each in self.said:
            if each.group == said.group and _counts(each) == _counts(said):
                each.peers += said.peers
                return
        self.said.append(said)

    def _audience(self, peer: Peer) -> Audience | None:
        """Return with whom a peer hears the same; None without a session, now or then, or without news."""
        found, session = self._config.group_of(peer.address), peer.session
        place = self._rib.advertising.adj_ribs_out.place_of(peer.address)
        losses = self._routes.losses(peer, found)
        if found is None or session is None or place is None or Loss.AS in losses.values():
            return None
        carried = {family for family in session.received.families if family not in losses}
        next_hops = next_hops_of(self._rib.nexthops, session.local, carried)
        external = session.received.asn != self._config.router.asn
        audience = Audience(place[1], *found, external, tuple(sorted(next_hops.items())))
        as_before = place[0][:4] == (found[0], found[1].advertise, external, audience.next_hops)
        return None if self._decides_alike and as_before else audience

    def _compare(self, audience: Audience, peers: Collection[str], said: Said) -> Slices[None]:
        asn = self._config.router.asn
        exporter = Exporter(
            audience.group,
            asn,
            external=audience.external,
            next_hops=dict(audience.next_hops),
            draining=self._rib.advertising.adj_ribs_out.draining,
        )
        heard = audience.heard
        for some in self._prefixes(heard, exporter):
            yield
            by_set: dict[PathSet, list[Prefix]] = {}
            for prefix in some:
                by_set.setdefault(self._routes.paths(prefix), []).append(prefix)
            for paths, prefixes in by_set.items():
                best = self._routes.decision(paths).best
                told = {family: exporter.told(best, family) for family in Family}
                for prefix in prefixes:
                    after = exporter.defaults.get(prefix, told[family_of(prefix)])
                    if (telling := _telling(heard.told_of(prefix), after, peers)) is not None:
                        said.prefixes[telling].note(prefix)

    def _prefixes(self, heard: UpdateGroup, exporter: Exporter) -> Iterator[list[Prefix]]:
        """Yield, by slices, what the peers have heard, and what else they may hear."""
        yield from sliced(heard.prefixes())
        table = self._rib.loc_rib.table if exporter.learned else {}
        moved = self._routes.moved if exporter.learned else {}
        own = dict.fromkeys((*map(parse_prefix, self._config.router.networks), *exporter.defaults))
        for some in sliced(list(table)):
            yield [each for each in some if heard.told_of(each) is None]
        for others, known in ((list(moved), [table]), (list(own), [table, moved])):
            for some in sliced(others):
                yield [each for each in some if heard.told_of(each) is None and not any(each in of for of in known)]


def _counts(said: Said) -> list[tuple[int, list[Prefix]]]:
    return [(sample.total, sorted(sample)) for sample in said.prefixes.values()]


def _telling(before: Told | None, after: Told | None, peers: Collection[str]) -> Telling | None:
    """Return what the first peer hears of a prefix that hears anything new: none is told what it announces itself."""
    if before == after:
        return None
    sources = {told[1] for told in (before, after) if told is not None}
    others = (peer for peer in peers if peer not in sources)  # to which the same is told
    for peer in (*islice(others, 1), *(peer for peer in sources if peer in peers)):
        old, new = (None if told is None or told[1] == peer else told[0] for told in (before, after))
        if old != new:
            return Telling.ANNOUNCED if old is None else Telling.WITHDRAWN if new is None else Telling.CHANGED
    return None
