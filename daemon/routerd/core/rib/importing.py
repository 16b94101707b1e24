"""The way in: what a peer announces is judged, kept in its Adj-RIB-In, and if accepted, used in the Loc-RIB."""

from __future__ import annotations

from routerd.core.message import Effect, Event, Update
from routerd.core.rib.judge import Judge
from routerd.core.rib.loc_rib import Change, LocRib
from routerd.core.rib.peer import Peer
from routerd.core.rib.policy import Reject
from routerd.core.route import Path, Prefix, format_prefix


class Importer:
    """Changes the Adj-RIBs-In and the Loc-RIB; returns what changed of the latter."""

    def __init__(self, judge: Judge, loc_rib: LocRib, effects: list[Effect]) -> None:
        self._judge = judge
        self._loc_rib = loc_rib
        self._effects = effects

    def update(self, peer: Peer, update: Update, now: float) -> list[Change]:
        """Take over an UPDATE: withdrawals first."""
        peer.heard = now
        if update.faults:
            self._note_faults(peer, update)
        changes: list[Change] = []
        if update.withdrawn:
            peer.adj_rib_in.withdraw(update.withdrawn)
            changes += self._loc_rib.withdraw(peer.address, update.withdrawn)
        for attributes, prefixes in update.announced:
            known = peer.known.get(attributes)
            path, verdict = known or peer.remember(attributes, self._judge.attributes(peer, attributes), now)
            changes += self._announce(peer, path, verdict, prefixes, now)
        return changes

    def judge_again(self, peer: Peer, prefixes: list[Prefix]) -> list[Change]:
        """Judge anew what the peer announced of these prefixes."""
        rib, heard, stale = peer.adj_rib_in, dict[Path, list[Prefix]](), dict[Path, list[Prefix]]()
        for prefix in prefixes:
            if (path := rib.stale.get(prefix)) is not None:
                stale.setdefault(path, []).append(prefix)
                continue
            path = rib.accepted.get(prefix)
            if path is None and prefix in rib.rejected.kept:
                path, _ = rib.rejected.kept[prefix]
            if path is not None:
                heard.setdefault(path, []).append(prefix)
        changes: list[Change] = []
        for path, some in heard.items():
            known = peer.known.get(path.attributes)
            verdict = self._judge.attributes(peer, path.attributes) if known is None else known[1]
            if known is None:
                peer.rejudge(path, verdict)
            # Until the kernel has told whose a next hop is, what is used stays.
            held = rib.accepted if verdict is Reject.UNKNOWN_HOST else ()
            changes += self._announce(peer, path, verdict, [each for each in some if each not in held], path.since)
        for path, some in stale.items():
            gone = self._judge.rejected(peer, path, some)
            rib.withdraw(gone)
            changes += self._loc_rib.withdraw(peer.address, gone)
        return changes

    def _announce(self, peer: Peer, path: Path, verdict: Reject, prefixes: list[Prefix], now: float) -> list[Change]:
        accepted: list[Prefix] = []
        if verdict:
            rejected = [(prefix, verdict) for prefix in prefixes]
        else:
            accepted, rejected = self._judge.policy.split(peer.group_name, peer.group, prefixes)
        changes: list[Change] = []
        if rejected:
            full = bool(peer.adj_rib_in.rejected.beyond)
            self._tell_rejected(peer, rejected)
            changes += self._loc_rib.withdraw(peer.address, peer.adj_rib_in.reject(path, rejected))
            if peer.adj_rib_in.rejected.beyond and not full:
                self._effects.append(Event("more is rejected than is kept", {"peer": peer.name}, level="warning"))
        if accepted:
            returns = peer.place is not None and peer.returns
            since = peer.place if peer.place is not None and returns else now
            if path not in self._loc_rib.users and path.since != since:
                path, _ = peer.remember(path.attributes, verdict, since)  # if it was gone: now it is a new one
            peer.adj_rib_in.accept(path, accepted)
            changes += self._loc_rib.announce(path, accepted, claims=returns)
        return changes

    def _tell_rejected(self, peer: Peer, rejected: list[tuple[Prefix, Reject]]) -> None:
        """Tell of the first prefix that is rejected for a reason, when nothing else of the peer is: of a table that
        is rejected, one event. A host that is not known yet is asked for: that is no verdict."""
        for reason, prefixes in peer.adj_rib_in.rejected.news(rejected).items():
            if reason is Reject.UNKNOWN_HOST:
                continue
            self._effects.append(
                Event(
                    "path rejected",
                    {
                        "peer": peer.name,
                        "prefix": format_prefix(prefixes[0]),
                        "prefixes": len(prefixes),
                        "reason": reason.text,
                    },
                )
            )

    def _note_faults(self, peer: Peer, update: Update) -> None:
        peer.faults += 1
        peer.last_fault = "; ".join(f"{fault.outcome}: {fault.text}" for fault in update.faults)
        worst = max(update.faults, key=lambda fault: fault.outcome)  # the outcomes' order is that of the alphabet
        self._effects.append(
            Event(
                "malformed update",
                {
                    "peer": peer.name,
                    "outcome": worst.outcome,
                    "attribute": worst.attribute,
                    "faults": peer.last_fault,
                },
                level="warning",
            )
        )
