"""What another configuration would do to the routes: a dry run on the paths that are stored, which changes nothing.

It judges by an `ImportPolicy`, steps from one path set to the next, and decides, as the RIB itself would, in the same
order. What is beside that is what follows from the sessions: peers that are removed, families that a session does not
carry any more, and AS numbers that a peer is not allowed to have.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from enum import Enum
from itertools import chain, islice
from typing import TypeVar

from routerd.config.model import Config, PeerGroup
from routerd.core.memo import Memo
from routerd.core.rib.decision import Decision, Options, decide, joined
from routerd.core.rib.guard import Guard
from routerd.core.rib.import_policy import ImportPolicy, own_addresses
from routerd.core.rib.loc_rib import Cause, LocRib, PathSet
from routerd.core.rib.peer import Peer
from routerd.core.rib.policy import Reject
from routerd.core.rib.rib import Rib
from routerd.core.rib.ways import Resolution
from routerd.core.route import LOCAL, Family, Path, Prefix, family_of, parse_address, parse_prefix
from routerd.core.wanted import Wanted

FIRST = 5
"""Examples that are kept of each kind."""
SLICE = 256
"""Prefixes that are looked at before somebody else may have a turn: a fraction of a millisecond."""
_MEMO_LIMIT = 4 << 20
"""Octets of each of the three memos: path sets and their decisions, steps between them, and what they lead to."""

T = TypeVar("T")
E = TypeVar("E")
Slices = Generator[None, None, T]


class Loss(Enum):
    """Why paths go that no policy rejects; the value is a line for people."""

    PEER = "the peer is removed"
    FAMILY = "the session does not carry the family any more"
    AS = "the peer's AS is not remote_as: it cannot come back"

    @property
    def text(self) -> str:
        """A line for people, as `Reject.text`."""
        return self.value


Verdict = Reject | Loss


class Fate(Enum):
    """What becomes of a route; the value is its name in the API."""

    COMES = "comes"
    GOES = "goes"
    MOVES = "moves"


class Sample(list[E]):
    """The first few of a kind, and how many there are."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def note(self, each: E) -> None:
        """Count one more."""
        self.total += 1
        if len(self) < FIRST:
            self.append(each)


class Forecast:
    """The dry run of a configuration. What is public is complete once `run` is through.

    `verdicts` are the paths that are judged otherwise, by the verdicts before and after; `routes` what becomes of
    routes, each with where it led and would lead; `wants` what the prefixes want that would lead elsewhere. `unnamed`
    counts rejected paths that are not known by name, whose peers are asked again; `unasked` those of peers that
    cannot be asked.
    """

    def __init__(self, rib: Rib, config: Config) -> None:
        self.verdicts: dict[tuple[Verdict, Verdict], Sample[tuple[Prefix, Peer]]] = {}
        self.routes: dict[Fate, Sample[tuple[Prefix, Wanted, Wanted]]] = {fate: Sample() for fate in Fate}
        self.wants: dict[Prefix, Wanted] = {}
        self.unnamed = self.unasked = 0
        self._rib = rib
        self._config = config
        self._options = Options.of(config.fib)
        self._guard = Guard(rib.nexthops.look_leads)
        self._policy = ImportPolicy(config, rib.nexthops, self._guard, rib.nexthops.look, rib.judge.hosts.look)
        self._sets = LocRib(self._decide, self._join)
        self._twins: Memo[PathSet, PathSet] = Memo(_MEMO_LIMIT)
        self.moved: dict[Prefix, PathSet] = {}
        """The prefixes that have another path set by now."""
        self._steps: Memo[tuple[PathSet, Cause], PathSet] = Memo(_MEMO_LIMIT)

    def run(self) -> Slices[None]:
        """Do the dry run, slice by slice."""
        peers = list(self._rib.peers.values())
        yield from self._protect(peers)
        self._originate()
        lost: dict[Prefix, tuple[str, ...]] = {}
        for peer in peers:
            yield
            if peer.last is not None:
                yield from self._judge(peer, self._config.group_of(peer.address), lost)
        for some in sliced(lost):
            yield
            for prefix in some:
                self._move([prefix], lost[prefix], lost[prefix], None)
        yield from self._compare()

    # ------------------------------------------------------------------------------------------ paths

    def _protect(self, peers: list[Peer]) -> Slices[None]:
        self._guard.add(self._rib.nexthops.addresses)
        for peer in peers:
            yield
            self._guard.add(own_addresses(self._config, peer.address) | self._rib.judge.hosts.addresses(peer.packed))
        for each in self._config.peers:
            yield
            self._guard.add(own_addresses(self._config, each.address))

    def _originate(self) -> None:
        networks, local = dict.fromkeys(map(parse_prefix, self._config.router.networks)), self._rib.networks.path
        self._move([each for each in self._rib.networks.prefixes if each not in networks], (LOCAL,), (LOCAL,), None)
        self._move(networks, local, (LOCAL,), local)

    def _judge(
        self, peer: Peer, found: tuple[str, PeerGroup] | None, lost: dict[Prefix, tuple[str, ...]]
    ) -> Slices[None]:
        """Judge what a peer has announced by its group in the new configuration; enter in `lost` what it would not
        announce again."""
        heard = peer.adj_rib_in
        losses = self.losses(peer, found)
        group_name, group = found or (peer.group_name, peer.group)
        source = peer.source._replace(
            addresses=own_addresses(self._config, peer.address), group_name=group_name, group=group
        )
        if (session := peer.session) is not None:
            beyond = heard.rejected.beyond.total()
            asked = session.received.route_refresh and session.sent.route_refresh
            self.unnamed, self.unasked = self.unnamed + asked * beyond, self.unasked + (not asked) * beyond
        verdicts: dict[tuple[Path, bool], Reject] = {}
        for some in sliced([*heard.accepted, *heard.rejected.kept, *heard.stale]):
            yield
            known: dict[tuple[Path, Reject, bool], list[Prefix]] = {}
            for prefix in some:
                stale = prefix in heard.stale
                path, before = heard.stale.get(prefix) or heard.accepted.get(prefix), Reject.NONE
                if path is None and prefix in heard.rejected.kept:
                    path, before = heard.rejected.kept[prefix]
                if path is not None:
                    known.setdefault((path, before, stale), []).append(prefix)
            for (path, before, stale), prefixes in known.items():
                if (verdict := verdicts.get((path, stale))) is None:
                    judge = self._policy.check if stale else self._policy.judge
                    verdict = verdicts[path, stale] = judge(source, path.attributes)
                accepted, rejected = list[Prefix](), [(prefix, verdict) for prefix in prefixes]
                if not verdict:
                    accepted, rejected = self._policy.split(group_name, group, prefixes)
                for prefix in accepted if losses else ():
                    if not before and (loss := losses.get(family_of(prefix))) is not None:
                        self._note(peer, prefix, before, loss)
                        lost[prefix] = (*lost.get(prefix, ()), peer.address)
                self._take(peer, path, before, [p for p in accepted if family_of(p) not in losses], rejected)

    def _take(
        self, peer: Peer, path: Path, before: Reject, accepted: list[Prefix], rejected: list[tuple[Prefix, Reject]]
    ) -> None:
        for prefix, verdict in rejected:
            if verdict is not before:
                self._note(peer, prefix, before, verdict)
        if not before:
            # Until the kernel has told whose a next hop is, what is used stays.
            gone = [prefix for prefix, verdict in rejected if verdict is not Reject.UNKNOWN_HOST]
            self._move(gone, (peer.address,), (peer.address,), None)
            return
        for prefix in accepted:
            self._note(peer, prefix, before, Reject.NONE)
        self._move(accepted, path, (peer.address,), path, claims=peer.returns)

    def losses(self, peer: Peer, found: tuple[str, PeerGroup] | None) -> dict[Family, Loss]:
        """Return in which families a peer's new session, if it gets one, would not bring its paths back."""
        if found is None:
            return dict.fromkeys(Family, Loss.PEER)
        group = found[1]
        if peer.last is not None and not _allows(group, self._config.router.asn, peer.last.received.asn):
            return dict.fromkeys(Family, Loss.AS)
        return {family: Loss.FAMILY for family in Family if family.name.lower() not in group.families}

    def _note(self, peer: Peer, prefix: Prefix, before: Verdict, after: Verdict) -> None:
        self.verdicts.setdefault((before, after), Sample()).note((prefix, peer))

    # ------------------------------------------------------------------------------------------ path sets

    def _decide(self, paths: PathSet) -> Decision:
        return decide(paths.paths, self._options, self._resolve, paths.incumbent, paths.seated)

    def _join(self, before: Decision, path: Path) -> Decision | None:
        return joined(before, path, self._options, self._resolve)

    def _decided_now(self, paths: PathSet) -> Decision:
        """Return what the RIB will decide for a set that it has yet to decide anew."""
        options = Options.of(self._rib.config.fib)
        return decide(paths.paths, options, self._resolve, paths.incumbent, paths.seated)

    def _resolve(self, path: Path) -> Resolution | None:
        attributes = path.attributes
        return self._rib.nexthops.look(attributes.next_hop, attributes.link_local, parse_address(path.peer))

    def paths(self, prefix: Prefix) -> PathSet:
        """Return the path set that a prefix has by now."""
        return self.moved.get(prefix) or self._twin(self._rib.loc_rib.paths_of(prefix))

    def decision(self, paths: PathSet) -> Decision:
        """Return the decision for one of `paths`."""
        return self._sets.decision(paths)

    def _twin(self, paths: PathSet) -> PathSet:
        """Return an equal path set, whose decision is by the new configuration."""
        if not paths.paths:
            return self._sets.empty
        twin = self._twins.get(paths)
        return twin or self._twins.remember(paths, PathSet(paths.paths, paths.identity), _weight(paths))

    def _move(
        self,
        prefixes: Iterable[Prefix],
        cause: Cause,
        peers: tuple[str, ...],
        path: Path | None,
        *,
        claims: bool = False,
    ) -> None:
        for prefix in prefixes:
            before = self.paths(prefix)
            after = self._steps.get((before, cause))
            if after is None:
                after, _ = self._sets.step(before, peers, path, claims=claims)
                self._steps.remember((before, cause), after, _weight(after))
            if after is not before:
                self.moved[prefix] = after

    def _compare(self) -> Slices[None]:
        """Find out which prefixes would lead elsewhere."""
        loc_rib = self._rib.loc_rib
        ways: Memo[tuple[PathSet, PathSet], tuple[Fate | None, Wanted, Wanted]] = Memo(_MEMO_LIMIT)
        known = loc_rib.table.keys()
        came = (prefix for prefix in list(self.moved) if prefix not in known)
        for some in chain(sliced(list(known)), sliced(came)):
            yield
            for prefix in some:
                pair = loc_rib.paths_of(prefix), self.paths(prefix)
                found = ways.get(pair)
                if found is None:
                    now = loc_rib.decided(pair[0]) or self._decided_now(pair[0])
                    before, after = now.wanted, self._sets.decision(pair[1]).wanted
                    found = ways.remember(pair, (_fate(before, after), before, after), 400)
                fate, before, after = found
                if fate is not None:
                    self.routes[fate].note((prefix, before, after))
                    self.wants[prefix] = after


def _allows(group: PeerGroup, own: int, asn: int) -> bool:
    """Tell whether a peer of a group may have an AS number."""
    wanted = group.remote_as
    return asn != own if wanted == "external" else asn == (own if wanted == "internal" else wanted)


def _weight(paths: PathSet) -> int:
    """Return about how many octets a path set and its decision take."""
    return 600 + 200 * len(paths.paths)


def _fate(before: Wanted, after: Wanted) -> Fate | None:
    if before == after:
        return None
    return Fate.COMES if not before.members else Fate.GOES if not after.members else Fate.MOVES


def sliced(prefixes: Iterable[Prefix]) -> Iterator[list[Prefix]]:
    """Yield prefixes by slices."""
    rest = iter(prefixes)
    while some := list(islice(rest, SLICE)):
        yield some
