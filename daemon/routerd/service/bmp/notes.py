"""What has happened and is to be told to a collector: an observer that only takes notes, within a bound of octets.

Notes of what was said hold the message; notes of what was decided hold prefixes, and what is decided of them is
looked up when it is their turn. So routing is kept no longer than it takes to append to a list, and a collector that
is behind is told the newest state.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from routerd.config.monitoring import View
from routerd.core.message import Advertise, Input, SessionDown, SessionUp, SpeakerDown, Update
from routerd.core.rib.loc_rib import Change
from routerd.core.route import Attributes, Prefix, weight
from routerd.core.router import Router
from routerd.session.attribute_rules import WITHDRAW
from routerd.session.frames import RawUpdate
from routerd.session.frames import Up as Opened
from routerd.session.translation import Translation

_NOTE, _PREFIX = 300, 24
"""Octets that a note takes in memory, and each of its prefixes, which the RIB mostly has anyway."""


class Up(NamedTuple):
    """A session is up, and how it began."""

    message: SessionUp
    opened: Opened


class Judged(NamedTuple):
    """What a peer announces of these prefixes was judged."""

    peer: str
    prefixes: Iterable[Prefix]


class Decided(NamedTuple):
    """The best paths of these prefixes may be others."""

    prefixes: list[Prefix]


Announced = Iterable[tuple[Attributes, Sequence[Prefix]]]
Note = Up | SessionDown | SpeakerDown | Update | Judged | Decided | Advertise


class Notes:
    """Notes for a collector that wants these views. `woken` is set when there are some; `full` when there were too
    many: then there are none any more. `treated` counts UPDATEs that were treated as withdrawals, by peer."""

    def __init__(self, views: Collection[View], limit: int, router: Router, translation: Translation) -> None:
        self._views = frozenset(views)
        self._limit = limit
        self._router = router
        self._translation = translation
        self._notes: deque[tuple[Note, int, float]] = deque()
        self._octets = 0
        self._announcing = ""  # whose UPDATE the core is about to take in
        self.full = asyncio.Event()
        self.woken = asyncio.Event()
        self.treated: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self._notes)

    @property
    def octets(self) -> int:
        """What the notes take in memory."""
        return self._octets

    def take(self) -> tuple[Note, float]:
        """Return the oldest note, and when it was taken, in seconds since 1970."""
        note, octets, when = self._notes.popleft()
        self._octets -= octets
        return note, when

    def begin(self) -> Iterable[Up]:
        """Return the sessions that are up."""
        for peer in list(self._router.rib.peers.values()):
            if peer.session is not None and (opened := self._translation.ups.get(peer.session.generation)):
                yield Up(peer.session, opened)

    # ------------------------------------------------------------------------------------------ what happens

    def heard(self, raw: RawUpdate) -> None:
        """See `Observer`, as for the others."""
        self._announcing = raw.peer

    def handled(self, message: Input) -> None:
        match message:
            case Update(peer=peer):
                self._announcing = ""
                self._announced(peer, message)
            case SessionUp(peer=peer):
                known = self._router.rib.peers.get(peer)
                opened = self._translation.ups.get(message.generation)
                if known is not None and known.session is message and opened is not None:
                    self.treated.pop(peer, None)
                    self._note(Up(message, opened))
            case SessionDown() | SpeakerDown():
                self._note(message)

    def changed(self, changes: list[Change]) -> None:
        loc_rib, judged, decided = self._router.rib.loc_rib, dict[str, list[Prefix]](), list[Prefix]()
        for old, new, prefixes in changes:
            again = old is new or old in loc_rib.untold  # what was told of it is not known any more
            if "loc-rib" in self._views and (again or loc_rib.decision(old).best is not loc_rib.decision(new).best):
                decided += prefixes
            if "post-policy" in self._views and not self._announcing:
                for peer in {path.peer for path in {*old.paths} ^ {*new.paths}}:
                    judged.setdefault(peer, []).extend(prefixes)
        for peer, found in judged.items():
            self._note(Judged(peer, found), len(found))
        if decided:
            self._note(Decided(decided), len(decided))

    def advertised(self, advertise: Advertise) -> None:
        if "adj-rib-out" in self._views:
            self._note(advertise, len(advertise.withdrawn), advertise.announced)

    def _announced(self, peer: str, update: Update) -> None:
        if update.faults and any(fault.outcome == WITHDRAW for fault in update.faults):
            self.treated[peer] += 1
        size = len(update.withdrawn) + sum(len(each) for _, each in update.announced)
        if "pre-policy" in self._views or update.end_of_rib is not None:
            self._note(update, len(update.withdrawn), update.announced)
        if "post-policy" in self._views and size:
            found = [*update.withdrawn, *(prefix for _, prefixes in update.announced for prefix in prefixes)]
            self._note(Judged(peer, found), size)

    def _note(self, note: Note, prefixes: int = 0, announced: Announced = ()) -> None:
        octets = _NOTE + _PREFIX * prefixes
        octets += sum(weight(attributes) + _PREFIX * len(some) for attributes, some in announced)
        if self.full.is_set() or self._octets + octets > self._limit:
            self.full.set()
            self._notes.clear()
            self._octets = 0
            return
        self._notes.append((note, octets, time.time()))
        self._octets += octets
        self.woken.set()
