"""The reactor: ExaBGP's main loop with our peers, our listener and the uplink in it."""

from __future__ import annotations

import math
import select
import signal
import time
from collections.abc import Iterator

from exabgp.bgp.message import Notify
from exabgp.configuration.configuration import Configuration
from exabgp.protocol.ip import IP
from exabgp.reactor import loop
from exabgp.reactor.interrupt import Signal

from routerd.core.deadlines import Deadlines
from routerd.core.message import Notification, Open
from routerd.session.configuration import SpeakerConfig, unpack_config
from routerd.session.exabgp import timers, ttl
from routerd.session.exabgp.connection import Connection
from routerd.session.exabgp.dialler import Dialler
from routerd.session.exabgp.listener import Listener
from routerd.session.exabgp.peer import Peer
from routerd.session.exabgp.pending import Pending
from routerd.session.exabgp.ranges import Ranges
from routerd.session.exabgp.uplink import Uplink
from routerd.session.frames import Down, Frame, Kind, unpack
from routerd.session.notification import RESET, SHUTDOWN, SHUTDOWN_COMMUNICATION, communication, words
from routerd.session.open import decode_open, judge_open
from routerd.session.text import external, neighbor_text, speaker_text

SWEEP = 0.25
"""Seconds between two looks at what is silent and has to be looked at: newcomers, and peers that take nothing."""
_REST = 5.0
"""Seconds that the reactor sleeps at most. Sockets wake it, and the timers of peers, which it knows."""

_BUSY = 0.01
"""Seconds that the reactor sleeps at most while a peer is between two steps."""

_INPUT = select.POLLIN | select.POLLPRI | select.POLLHUP | select.POLLERR


class Reactor(loop.Reactor):  # type: ignore[misc]
    """Runs the sessions. `uplink` carries what happens to the parent, and the parent's wishes here."""

    _peers: dict[str, Peer]

    def __init__(self, uplink: Uplink, generation: int) -> None:
        timers.install()
        loop.Peer = Peer
        loop.Processes = lambda: uplink
        super().__init__(Configuration([""], text=True))
        self.uplink = uplink
        uplink.handle = self._handle
        uplink.lost = self.stop
        self.listener = Listener(self)
        self._sleep_time = SWEEP
        # A signal to the whole process group is for the parent to answer: were the sessions closed under it, it
        # would take their routes out of the FIB.
        for name in ("sigterm", "sighup", "sigalrm", "sigusr1", "sigusr2"):
            setattr(self.signal, name, signal.SIG_IGN)
        self.signal.rearm()
        self._generation = generation
        self._next_sweep = 0.0
        self._dues = Deadlines[str]()  # of peers that are not busy, by name
        self._had_turn: set[str] = set()
        self._ready: set[str] = set()
        self._arrived: set[int] = set()  # file descriptors of newcomers that have said something
        self._watched: dict[str, Peer] = {}
        self._owners: dict[int, str] = {}  # file descriptor -> peer's name
        self._full: set[int] = set()  # file descriptors of which we hear when they take more
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

    def _hear_again(self) -> None:
        """Listen where it could not be listened, if it can be now."""
        if self._deaf is None or self.config is None:
            return
        try:
            self.listener.apply(self.config)
        except OSError as error:
            self._deaf = error
        else:
            self._deaf = None
            self.uplink.listening(self.listener.places)

    def reload(self) -> bool:
        """Do nothing: the configuration comes from the parent, not with a signal."""
        return True

    def stop(self) -> None:
        """End the loop after this turn."""
        self.signal.received = Signal.SHUTDOWN

    def _handle(self, received: Frame) -> None:
        kind, generation, payload = received
        if kind == Kind.STOP:
            self.notify = payload == b"\1"
            self.stop()
        elif kind == Kind.CONFIGURE:
            try:
                self.configure(unpack_config(payload))
            except (OSError, ValueError) as error:
                self.uplink.log("error", f"the new configuration is not fully in force: {error}")
        elif kind == Kind.KEEP_PLACE:
            address, on = unpack(payload)
            self.keep_place(address.decode(), on=on == b"\1")
        elif kind == Kind.SHUTDOWN:
            address, on, text = unpack(payload)
            self._shut(address.decode(), text, on=on == b"\1")
        elif kind == Kind.DIAL:
            self.dialler.dial_at_once(unpack(payload)[0].decode(), time.monotonic())
        elif (peer := self.sessions.get(generation)) is None:
            return  # that session has ended meanwhile
        elif kind == Kind.SEND:
            peer.send(payload)
        elif kind == Kind.CLOSE:
            codes, text = unpack(payload)
            peer.cease(Notify(codes[0], codes[1], _data(codes, text)), text.decode())
            if tuple(codes) == RESET:
                self.dialler.dial_at_once(peer.address, time.monotonic())

    def _shut(self, address: str, text: bytes, *, on: bool) -> None:
        """Give a peer no session, not even one that is about to be; or let it have one again."""
        if not on:
            self.shut.pop(address, None)
            self.dialler.dial_at_once(address, time.monotonic())
            return
        self.shut[address] = _data(bytes(SHUTDOWN), text)
        self.pending.turn_away(address, self._shutdown(address))
        if (peer := self._at.get(address)) is not None:
            peer.cease(self._shutdown(address))
        self.dialler.halt(address, self._shutdown(address))

    def _shutdown(self, address: str) -> Notify:
        return Notify(*SHUTDOWN, self.shut[address])

    # -------------------------------------------------------------------------------------------- connections

    def meet(self, connection: Connection) -> None:
        """Have a new connection wait for its OPEN, if it comes from where a peer may be."""
        config = self.config
        assert config is not None  # the listener has no sockets before
        assert connection.io is not None
        if (found := config.group_of(connection.peer)) is None:
            self.refuse(connection, Notify(6, 3, b""), "no peer and no range has this address")
        elif connection.peer in self.shut:
            self.refuse(connection, self._shutdown(connection.peer), "")
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
        self.watch(peer)

    # --------------------------------------------------------------------------------------------------- loop

    def watch(self, peer: Peer) -> None:
        """Run a peer in every turn for as long as it is busy."""
        self._watched[peer.neighbor.name()] = peer

    def stir(self, peer: Peer) -> None:
        """A peer without a turn waits for another thing now."""
        self._had_turn.add(peer.neighbor.name())

    def adopt(self, peer: Peer) -> None:
        """Listen to a peer's new connection."""
        self._owners[peer.socket()] = peer.neighbor.name()
        self.poll(peer.socket())
        self.watch(peer)

    def poll(self, fd: int, *, output: bool = False) -> None:
        """Listen to a connection, or hear when it takes something at all."""
        self._poller.register(fd, select.POLLOUT if output else _INPUT)

    def unpoll(self, fd: int) -> None:
        """Listen to a connection no more."""
        self._poller.unregister(fd)

    def await_output(self, fd: int, *, wanted: bool) -> None:
        """Hear when a connection takes more, or do not any more."""
        if wanted:
            self._full.add(fd)
        elif fd in self._full:
            self._full.discard(fd)
            self.poll(fd)

    def release(self, fd: int) -> None:
        """Forget a connection that is about to be closed: poll would report its number for ever."""
        self._full.discard(fd)
        if self._owners.pop(fd, None) is not None:
            self.unpoll(fd)

    def active_peers(self) -> set[str]:
        """Return the peers to run now: those whose socket has something, busy ones, and those with a timer due."""
        now = time.monotonic()
        arrived, self._arrived = self._arrived, set()
        self.pending.turn(arrived, now)
        self.dialler.turn(arrived, now)
        peers = self._peers
        self._watched = {name: peer for name, peer in self._watched.items() if peers.get(name) is peer and peer.busy}
        ready, self._ready = self._ready, set()
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP
            Connection.expire(now)
            self.pending.sweep(now)
            self._hear_again()
        ready.update(self._dues.due(now))
        ready.update(self._watched)
        ready &= peers.keys()
        self._had_turn |= ready
        return ready

    def _rest(self) -> float:
        """Return for how many seconds nothing is to be done unless a socket has something."""
        now = time.monotonic()
        for name in self._had_turn:
            peer = self._peers.get(name)
            self._dues.set(name, None if peer is None else max(peer.due, now + SWEEP))
        self._had_turn.clear()
        if self._watched or self.pending.colliding:
            return _BUSY
        rest = SWEEP if self.pending.waiting or Connection.lingers() else _REST
        dues = (due for due in (self._dues.next, self.dialler.next) if due is not None)
        return max(0.0, min((rest, *(due - now for due in dues))))

    def _wait_for_io(self, sleeptime: int) -> Iterator[int]:
        """Wait until a socket has something, `sleeptime` milliseconds at most. `active_peers` tells whose it is."""
        if self.signal.received:
            return
        if sleeptime:
            sleeptime = math.ceil(1000 * self._rest())
        uplink = self.uplink.fds[0]
        interest = select.POLLIN | (select.POLLOUT if self.uplink.waiting else 0)
        if self.uplink.full:
            # the peers have to wait: only the parent can help, and their timers are served by the sweep
            poller = select.poll()
            poller.register(uplink, interest)
            poller.poll(sleeptime)
            self.listener.dialled = True
            return
        self._poller.register(uplink, interest)
        listening = self.listener.fds
        for fd in listening:
            self._poller.register(fd, select.POLLIN)
        for fd in self._full:  # every time: ExaBGP registers its peers for input alone after each of their turns
            self._poller.register(fd, _INPUT | select.POLLOUT)
        for fd, event in self._poller.poll(sleeptime):
            if event & select.POLLNVAL:
                self._poller.unregister(fd)  # a listening socket that was closed
            elif fd in self._owners:
                self._ready.add(self._owners[fd])
            elif fd in self.pending or fd in self.dialler:
                self._arrived.add(fd)
            elif fd in listening:
                self.listener.dialled = True
        yield from ()


def _data(codes: bytes, text: bytes) -> bytes:
    """Return the data of a NOTIFICATION: what may be said to the peer's operator, where it may stand."""
    return communication(text.decode()) if tuple(codes) in SHUTDOWN_COMMUNICATION else b""
