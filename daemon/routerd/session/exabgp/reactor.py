"""The reactor: ExaBGP's main loop with our peers, our listener and the uplink in it.

It has the configuration, and lets connections in. What else the parent wants is in `orders`, whose turn it is in
`turns`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

from exabgp.bgp.message import Notify
from exabgp.configuration.configuration import Configuration
from exabgp.protocol.ip import IP
from exabgp.reactor import loop
from exabgp.reactor.interrupt import Signal

from routerd.core.message import Notification, Open
from routerd.session.configuration import SpeakerConfig
from routerd.session.exabgp import timers, ttl
from routerd.session.exabgp.connection import Connection
from routerd.session.exabgp.dialler import Dialler
from routerd.session.exabgp.listener import Listener
from routerd.session.exabgp.orders import Orders
from routerd.session.exabgp.peer import Peer
from routerd.session.exabgp.pending import Pending
from routerd.session.exabgp.ranges import Ranges
from routerd.session.exabgp.turns import SWEEP, Turns
from routerd.session.exabgp.uplink import Uplink
from routerd.session.frames import Down
from routerd.session.notification import SHUTDOWN, words
from routerd.session.open import decode_open, judge_open
from routerd.session.text import external, neighbor_text, speaker_text


class Reactor(loop.Reactor):  # type: ignore[misc]
    """Runs the sessions. `uplink` carries what happens to the parent, and the parent's wishes here."""

    _peers: dict[str, Peer]

    def __init__(self, uplink: Uplink, generation: int) -> None:
        timers.install()
        loop.Peer = Peer
        loop.Processes = lambda: uplink
        super().__init__(Configuration([""], text=True))
        self.uplink = uplink
        uplink.handle = Orders(self).handle
        uplink.lost = self.stop
        self.listener = Listener(self)
        self._sleep_time = SWEEP
        # A signal to the whole process group is for the parent to answer: were the sessions closed under it, it
        # would take their routes out of the FIB.
        for name in ("sigterm", "sighup", "sigalrm", "sigusr1", "sigusr2"):
            setattr(self.signal, name, signal.SIG_IGN)
        self.signal.rearm()
        self._generation = generation
        self.turns = Turns(self)
        self.config: SpeakerConfig | None = None
        self._deaf: OSError | None = None
        """Why it does not listen everywhere."""
        self.notify = False
        self.ranges = Ranges()
        self.shut: dict[str, bytes] = {}  # address -> data of the Cease/2 that it gets, whenever it dials in
        self.met: set[str] = set()
        self.sessions: dict[int, Peer] = {}
        self._at: dict[str, Peer] = {}  # address -> peer
        self.pending = Pending(self)
        self.dialler = Dialler(self)

    def next_generation(self) -> int:
        """Return a number that no session had."""
        self._generation += 1
        return self._generation

    # ------------------------------------------------------------------------------------------ configuration

    def configure(self, config: SpeakerConfig) -> None:
        """Make listeners and peers what the configuration says; sessions of unchanged peers stay.

        ValueError when ExaBGP refuses its text, OSError when a listening socket cannot be bound. If it is not the
        first configuration, all else is in force then, and the socket is tried again.
        """
        self._ips = [IP.create(address) for address in config.router.listen]
        self._port = config.router.port
        deaf = self._deaf
        try:
            self.listener.apply(config)
            self._deaf = None
        except OSError as error:
            if self.config is None:
                raise
            self._deaf = error
        self.config = config
        self.ranges.reconfigure(config, [peer.address for peer in self._peers.values() if peer.proto is not None])
        before = set(self.ranges.taken)
        # a peer on its way out would otherwise be taken for the new one of the same name
        self._peers = {name: peer for name, peer in self._peers.items() if not peer.stopping()}
        self.configuration._configurations = [speaker_text(config, self.ranges.taken)]
        if not super().reload():
            raise ValueError(f"ExaBGP refuses its configuration: {self.configuration.error}")
        # Who has lost the session by that is a dynamic peer no more, and not to be waited for like a static one.
        gone = before - self.ranges.taken.keys()
        self._peers = {n: peer for n, peer in self._peers.items() if peer.stopping() or peer.address not in gone}
        self._at = {peer.address: peer for peer in self._peers.values() if not peer.stopping()}
        self.dialler.configure(config, time.monotonic())
        self.uplink.listening(self.listener.places)
        if self._deaf is not None and str(self._deaf) != str(deaf):
            raise self._deaf

    def listen_again(self) -> None:
        """Listen where that was not possible, if it is now."""
        if self._deaf is None or self.config is None:
            return
        try:
            self.listener.apply(self.config)
        except OSError as error:
            self._deaf = error
        else:
            self._deaf = None
            self.uplink.listening(self.listener.places)

    # -------------------------------------------------------------------------------------------- connections

    def meet(self, connection: Connection) -> None:
        """Have a new connection wait for its OPEN, if it comes from where a peer may be."""
        config = self.config
        assert config is not None  # the listener has no sockets before
        assert connection.io is not None
        if (found := config.group_of(connection.peer)) is None:
            self.refuse(connection, Notify(6, 3, b""), "no peer and no range has this address")
        elif connection.peer in self.shut:
            self.refuse(connection, self.shutdown_of(connection.peer), "")
        elif why := ttl.enforce(connection.io, found[1], external=external(config, found[1])):
            self.refuse(connection, Notify(6, 5, b""), why)
        else:
            self.pending.add(connection, time.monotonic())

    def judge(self, address: str, body: bytes) -> Open:
        """Return the OPEN of a connection from an address; OpenError when it is not valid for the peer there."""
        assert self.config is not None
        opened = decode_open(body)
        group = self.config.group_of(address)
        if group is None:
            raise Notify(6, 3, b"")  # the configuration has changed meanwhile
        judge_open(opened, self.config, group[1])
        return opened

    def peer_at(self, address: str) -> Peer | None:
        """Return the peer of an address: a static one, or a dynamic one that has a session."""
        return self._at.get(address)

    def admit(self, connection: Connection, opened: Open) -> None:
        """Give a connection with a valid OPEN to its peer: a static one first, else one of the narrowest range."""
        peer = self._at.get(connection.peer) or self._new_dynamic(connection)
        if peer is not None:
            peer.handle_connection(connection, opened)

    def _new_dynamic(self, connection: Connection) -> Peer | None:
        """Make a peer of the narrowest range that holds the address; None, and a refusal, where there is no room."""
        address, config = connection.peer, self.config
        assert config is not None  # the listener has no sockets before
        found = config.range_of(address)
        if found is None:
            self.refuse(connection, Notify(6, 3, b""), "the peer is on its way out of the configuration")
            return None
        if full := self.ranges.full(found, address):
            self.refuse(connection, Notify(6, 5, b""), full)
            return None
        parsed = Configuration([neighbor_text(config, address, config.peer_groups[found.group])], text=True)
        if not parsed.reload():
            raise ValueError(f"ExaBGP refuses the peer {address}: {parsed.error}")
        ((name, neighbor),) = parsed.neighbors.items()
        peer = Peer(neighbor, self)
        self.ranges.take(address, found)
        self._at[address] = peer
        self.register_peer(name, peer)
        return peer

    def keep_place(self, address: str, *, on: bool) -> None:
        """Keep a place in its range for a peer that may return, or do not any more."""
        if self.config is not None:
            self.ranges.keep(self.config, address, on=on)

    def shutdown_of(self, address: str) -> Notify:
        """Return the NOTIFICATION for a peer that is shut down."""
        return Notify(*SHUTDOWN, self.shut[address])

    def refuse(self, connection: Connection, notify: Notify, why: str) -> None:
        """End a connection that is not let in, and tell why."""
        connection.queue(notify.message())
        connection.close()
        said = Notification(True, notify.code, notify.subcode, notify.data)
        self.uplink.down(self.next_generation(), Down(connection.peer, words(said, why), said))

    def forget(self, peer: Peer) -> None:
        """Drop a dynamic peer whose session is gone; the loop lets go of it in its next turn."""
        self.ranges.leave(peer.address)
        if self._at.get(peer.address) is peer:
            del self._at[peer.address]
        self.turns.watch(peer)

    # --------------------------------------------------------------------------------------------------- loop

    def reload(self) -> bool:
        """Do nothing: the configuration comes from the parent, not with a signal."""
        return True

    def stop(self) -> None:
        """End the loop after this turn."""
        self.signal.received = Signal.SHUTDOWN

    def active_peers(self) -> set[str]:
        """Return the peers to run now."""
        return self.turns.take(self._peers, time.monotonic())

    def _wait_for_io(self, sleeptime: int) -> Iterator[int]:
        """Wait until a socket has something, or `sleeptime` is 0. `active_peers` tells whose it is."""
        if not self.signal.received:
            self.turns.wait(self._peers, sleep=bool(sleeptime))
        yield from ()
