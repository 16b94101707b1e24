"""The life of a peer's session: it comes, introduces its node, ends; what the node announced is kept or goes.

The rules of graceful restart are in `graceful_restart.py`; here are the clocks that run by them, and the router's own
restarts, for which no node is to blame.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from routerd.core.deadlines import Deadlines
from routerd.core.message import CloseSession, Effect, Event, Gateway, KeepPlace, SessionDown, SessionUp
from routerd.core.rib.advertising import Advertising
from routerd.core.rib.graceful_restart import reset_here, retains, unretained
from routerd.core.rib.hosts import Hosts
from routerd.core.rib.introductions import Introductions
from routerd.core.rib.leads import Leads
from routerd.core.rib.peer import Peer
from routerd.core.rib.peers import Peers
from routerd.core.rib.purges import Purges
from routerd.core.route import Family


class Lifecycle:
    """The sessions of all peers. `listening` tells that nodes can dial in: no clock runs before.

    `introductions` are the peers that have not said all, `purges` what is stale and goes.
    """

    def __init__(
        self, peers: Peers, leads: Leads, hosts: Hosts, advertising: Advertising, effects: list[Effect]
    ) -> None:
        self._peers = peers
        self._leads = leads
        self._hosts = hosts
        self._advertising = advertising
        self._effects = effects
        self.listening = False
        self.introductions = Introductions()
        self.purges = Purges()
        self._deadlines = Deadlines[str]()
        self._blameless: set[str] = set()
        """The peers whose session ended by no fault of theirs, and that are not back yet."""

    # ------------------------------------------------------------------------------------------ sessions

    def up(self, up: SessionUp, now: float) -> None:
        """A session is established: judge what is left of the last one, and tell the peer what it shall hear."""
        peer = self._peers.find(up.peer, now)
        if peer is None:
            self._effects.append(CloseSession(up.peer, 6, 3, "no peer or range holds this address"))
            return
        if up.peer in self._peers.shut:
            return  # it was on its way: the speaker ends it
        if peer.session is not None:
            self.down(SessionDown(up.peer, peer.session.generation, "replaced"), now)
        self.speaker_up(now)
        peer.begin(up, now)
        self.introductions.begin(peer)
        graceful = up.received.graceful_restart
        self._stand(peer, None)
        blameless = peer.address in self._blameless
        self._blameless.discard(peer.address)
        if blameless or graceful is not None:
            # The Restart Time was for the way back; how long End-of-RIB may take is the router's to say.
            self._hold(peer, peer.group.stale_time, now)
        gone = frozenset(Family) - peer.pending_eor  # what the session does not carry, the peer cannot announce anew
        if not blameless:
            gone |= unretained(peer.pending_eor, graceful)
        for family in gone:
            self.purges.ask(peer, family)
        self._effects.append(
            Event(
                "peer up",
                {"peer": peer.name, "address": up.peer, "asn": up.received.asn, "group": peer.group_name},
            )
        )
        # The place that was kept for it stays so: what is said of a session may come when it has just ended.
        self._advertising.start(peer, up)

    def down(self, down: SessionDown, now: float) -> None:
        """A session ended: keep its paths as stale ones where graceful restart says so, else let them go."""
        peer = self._peers.get(down.peer)
        if peer is None:
            return
        if peer.session is None or down.generation != peer.session.generation:
            if peer.session is None:
                peer.reason = down.reason
            return
        up, graceful = peer.session, peer.session.received.graceful_restart
        peer.last_end = down, now
        # That is no fault of its node: what it announced stays until it has returned, if it still belongs here.
        reset = reset_here(down) and self._peers.returns(peer)
        self._end(peer, down.reason, now, again=not reset)
        self._stand(peer, None)
        if reset:
            self._blameless.add(peer.address)
            self._hold(peer, peer.group.stale_time, now)
        elif retains(down, up) and graceful is not None and self._peers.returns(peer):
            self._hold(peer, min(graceful.time, peer.group.stale_time), now)
            for family in set(Family) - graceful.families.keys():
                self.purges.ask(peer, family)
        else:
            self._let_go(peer)
        self._keep_place(peer, on=peer.deadline is not None)
        self._effects.append(
            Event(
                "peer down",
                {"peer": peer.name, "reason": down.reason, "stale": peer.deadline is not None},
                level="warning",
            )
        )

    def _end(self, peer: Peer, reason: str, now: float, *, again: bool) -> None:
        """The session of a peer is over. See `AdjRibIn.mark_stale` for `again`."""
        peer.end(reason, now, again=again)
        self.purges.add(peer)  # what was stale already
        self.introductions.end(peer)
        self._advertising.stop(peer)
        self._leads.touch(peer)

    def _let_go(self, peer: Peer) -> None:
        self.purges.ask(peer)
        self._forget(peer)

    def _forget(self, peer: Peer) -> None:
        """Forget what was only remembered of a session that is over."""
        peer.forget_paths()
        self._hosts.forget(peer.address)

    def _keep_place(self, peer: Peer, *, on: bool) -> None:
        """A range has room for a peer of it that may return, and for no other one in its place."""
        if peer.last is not None and peer.last.dynamic:
            self._effects.append(KeepPlace(peer.address, on))

    def said_all(self, peer: Peer, family: Family | None = None) -> None:
        """A peer has announced all that it will, of one family or all: what is stale still goes."""
        self.introductions.heard(peer, peer.pending_eor if family is None else frozenset({family}))
        self.purges.ask(peer, family)

    # ------------------------------------------------------------------------------------------ the router's restarts

    def speaker_up(self, now: float) -> None:
        """Nodes can dial in: the clocks of those that are awaited run."""
        if self.listening:
            return
        self.listening = True
        for peer in self._peers.values():
            if peer.deadline is not None:
                self._hold(peer, peer.patience, now)

    def speaker_down(self, reason: str, now: float) -> None:
        """The ExaBGP child died: the router's own restart, for which no node is to blame. All paths wait as stale
        ones until their nodes, which will dial in again, have announced them anew; no clock runs until they can."""
        up = sum(peer.session is not None for peer in self._peers.values())
        self._effects.append(Event("speaker down", {"reason": reason, "sessions": up}, level="error"))
        self.listening = False
        for peer in self._peers.values():
            if peer.session is not None:
                self._end(peer, reason, now, again=False)
                if not self._peers.returns(peer):
                    self._let_go(peer)
                    continue
                self._blameless.add(peer.address)
                self._advertising.deferring = True
                self._hold(peer, peer.group.stale_time, now)
                self._keep_place(peer, on=True)
            elif peer.deadline is not None:
                self._hold(peer, peer.patience, now)

    def await_peer(self, address: str, now: float) -> None:
        """A node that was there before the router's restart has not returned yet: show it, and keep its place. The
        End-of-RIB to other peers waits for it."""
        self._advertising.deferring = True
        peer = self._peers.find(address, now)
        if peer is not None and not peer.sessions:
            peer.place = now
            peer.reason = "has not returned since routerd started"

    @property
    def introduced(self) -> bool:
        """Whether the router's End-of-RIB need not wait for any peer (RFC 4724 section 4.1): all are back, and each
        has said all, or restarts itself and waits for ours."""
        return not self._blameless and self.introductions.over

    # ------------------------------------------------------------------------------------------ what is stale

    def _hold(self, peer: Peer, seconds: float, now: float) -> None:
        """Keep what is stale of a peer so long from now on, or from when nodes can dial in."""
        peer.patience = seconds
        self._stand(peer, now + seconds if self.listening else math.inf)

    def _stand(self, peer: Peer, deadline: float | None) -> None:
        """Have what is stale of a peer go at this time."""
        peer.deadline = deadline
        self._deadlines.set(peer.address, deadline)
        self._leads.touch(peer)

    @property
    def timer(self) -> float | None:
        """When a peer expires or has fallen silent, in monotonic seconds."""
        times = (self._deadlines.next, self.introductions.next)
        return min((time for time in times if time is not None), default=None)

    def expired(self, now: float) -> list[Peer]:
        """Return the peers whose stale paths have waited long enough; `expire` is to follow."""
        return [self._peers[address] for address in self._deadlines.due(now)]

    def expire(self, peer: Peer) -> None:
        """Graceful restart took too long: what is still stale goes."""
        self._stand(peer, None)
        self._blameless.discard(peer.address)
        self.introductions.heard(peer, peer.pending_eor)
        if peer.session is None:
            self._forget(peer)
            self._keep_place(peer, on=False)
        if not peer.adj_rib_in.stale:
            return
        self._effects.append(
            Event(
                "stale paths expired",
                {"peer": peer.name, "paths": len(peer.adj_rib_in.stale)},
                level="warning",
            )
        )
        self.purges.ask(peer)

    def remove(self, peer: Peer) -> None:
        """The peer is no more."""
        self._hosts.forget(peer.address)
        self._deadlines.set(peer.address, None)
        self._blameless.discard(peer.address)

    def restarting(self, gateways: Iterable[Gateway]) -> set[Gateway]:
        """Return those of the gateways whose nodes are within graceful restart, by their own doing, and to which no
        session leads either."""
        silent = set(gateways).difference(self._leads.speaking(gateways))
        return {
            gateway
            for gateway in silent
            if any(p.deadline is not None and p.address not in self._blameless for p in self._leads.peers(gateway))
        }
