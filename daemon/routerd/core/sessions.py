"""Sessions, as far as forwarding depends on them: failover when one ends, and who is waited for after a restart."""

from __future__ import annotations

from dataclasses import replace

from routerd.core.fib.fib import Fib
from routerd.core.gateway_health import Reason
from routerd.core.gateways import Gateways
from routerd.core.message import Effect, Gateway, Notification, SessionDown, SessionUp, Shutdown
from routerd.core.planning import Planning
from routerd.core.rib.rib import Rib
from routerd.core.route import parse_address


class Sessions:
    """Tells the RIB about sessions, and the FIB what follows from their end. Times are monotonic seconds."""

    def __init__(self, rib: Rib, fib: Fib, planning: Planning, gateways: Gateways) -> None:
        self._rib = rib
        self._fib = fib
        self._planning = planning
        self._gateways = gateways
        self._adoption_ends: float | None = None
        """Until when adopted groups wait for their nodes; None while no node can dial in, or none is waited for."""
        self._heard_at = -1
        """The version of where peers lead when it was last seen who has said all."""

    def up(self, up: SessionUp, now: float) -> None:
        """A session is established."""
        self._planning.changed(self._rib.guard_peer(up.peer, now))
        self._rib.lifecycle.up(up, now)
        self.await_adopted(now)
        self.heard_all(up.peer)

    def down(self, down: SessionDown, now: float) -> list[Effect]:
        """Failover first: the dead node's gateways leave the kernel before any prefix is looked at."""
        peer = self._rib.peers.get(down.peer)
        current = peer is not None and peer.session is not None and peer.session.generation == down.generation
        gateways = self._rib.gateways_of(peer) if peer is not None and current else frozenset[Gateway]()
        if (seconds := self._gateways.silence(gateways, now)) is not None:
            down = replace(down, reason=f"{down.reason}; its link layer had not answered for {seconds:.1f} s")
        elif current and peer is not None and peer.lost_with:
            down = replace(down, reason=f"{down.reason}; interface {peer.lost_with} had gone down")
        self._rib.lifecycle.down(down, now)
        if peer is None or not current or peer.deadline is not None:
            return []
        return self._lose(gateways)

    def shut(self, order: Shutdown, now: float) -> list[Effect]:
        """The operator shuts a peer down: it gets no session from now on."""
        self._planning.changed(self._rib.guard_peer(order.peer, now))  # it is shown, even if it is not there
        self._rib.peers.shut[order.peer] = order
        return self._shut_out(order.peer, now)

    def enable(self, address: str) -> None:
        """The operator lets a peer have a session again."""
        self._rib.peers.shut.pop(address, None)

    def _shut_out(self, address: str, now: float) -> list[Effect]:
        """A peer that the operator has shut down is gone at once, and nothing of it stays, be it there, be it away
        within graceful restart, or be it awaited after a restart of the router."""
        peer = self._rib.peers.get(address)
        if peer is None:
            return []
        if peer.session is not None:
            said = Notification(True, 6, 2)
            return self.down(
                SessionDown(address, peer.session.generation, "the operator has shut it down", said), now
            )
        self._rib.lifecycle.expire(peer)
        return self._lose(self._rib.gateways_of(peer))

    def _lose(self, gateways: frozenset[Gateway]) -> list[Effect]:
        """A peer that led to these gateways is gone for good: those that no other one leads to fail, and nobody waits
        for them after a restart."""
        lost = gateways.difference(self._rib.leads.present(gateways))
        effects = self._gateways.fail(Reason.NO_SESSION, lost)  # none is known before the kernel was read
        self._fib.awaiting.end(lost)
        return effects

    def speaker_up(self, now: float) -> None:
        """Nodes can dial in."""
        self._rib.lifecycle.speaker_up(now)
        self.await_adopted(now)

    def speaker_down(self, reason: str, now: float) -> None:
        """The ExaBGP child died: no node can dial in."""
        self._rib.lifecycle.speaker_down(reason, now)
        self._adoption_ends = None

    # ------------------------------------------------------------------------------------------ who is waited for

    def heard_all(self, address: str) -> None:
        """A peer may have said all that it announces: then nothing waits for it any more."""
        peer = self._rib.peers.get(address)
        if peer is not None and self._rib.has_said_all(peer):
            self._fib.awaiting.end(self._rib.gateways_of(peer))

    def heard_while_unreachable(self) -> None:
        """A peer may have said all while nothing led to it: once it is known where it leads nothing waits for it."""
        version = self._rib.leads.version
        if self._adoption_ends is None or version == self._heard_at or self._rib.reconsideration:
            return
        said_all, peers = self._rib.has_said_all, self._rib.leads.peers
        self._fib.awaiting.end(each for each in self._fib.awaiting.gateways if any(map(said_all, peers(each))))
        self._heard_at = version

    def adopted(self, now: float) -> list[Effect]:
        """The groups of an earlier run were adopted: their nodes are waited for, but for those that are shut down."""
        self.await_adopted(now)
        return [effect for address in self._rib.peers.shut for effect in self._shut_out(address, now)]

    def await_adopted(self, now: float) -> None:
        """Once nodes can dial in those of adopted groups have so much time to return."""
        if self._adoption_ends is None and self._rib.lifecycle.listening and self._fib.awaiting.gateways:
            groups = self._rib.config.peer_groups.values()
            self._adoption_ends = now + max((group.stale_time for group in groups), default=0)

    def end_deferral(self) -> None:
        """After a restart the peers hear End-of-RIB once all nodes are back (RFC 4724 section 4.1). How long that may
        take is bounded by the time that each node has to return, and to say all."""
        if not self._rib.lifecycle.introduced:
            return
        awaited = self._fib.awaiting.gateways
        if awaited <= {*self._rib.leads.speaking(awaited)}:
            self._rib.advertising.end_deferral()

    def forget_absent(self, now: float, kept: set[str]) -> None:
        """Forget peers of ranges that have been away for long, but for these, those that are shut down, and those
        that adopted groups wait for."""
        awaited = {gateway.address for gateway in self._fib.awaiting.gateways}
        self._rib.forget_dynamic_peers(now, awaited.union(map(parse_address, kept | self._rib.peers.shut.keys())))

    @property
    def timer(self) -> float | None:
        """When adopted groups have waited long enough; the RIB has the other deadlines of sessions."""
        return self._adoption_ends

    def expire(self, now: float) -> list[Effect]:
        """End what has waited long enough: stale paths, introductions without End-of-RIB, adopted groups."""
        effects: list[Effect] = []
        for peer in self._rib.lifecycle.expired(now):
            self._rib.lifecycle.expire(peer)
            if peer.session is not None:
                self.heard_all(peer.address)
            else:
                effects += self._lose(self._rib.gateways_of(peer))
        for peer in self._rib.lifecycle.introductions.silent(now):
            self._rib.lifecycle.said_all(peer)
            self.heard_all(peer.address)
        if self._adoption_ends is not None and now >= self._adoption_ends:
            self._adoption_ends = None
            self._fib.awaiting.end(self._fib.awaiting.gateways)
        return effects
