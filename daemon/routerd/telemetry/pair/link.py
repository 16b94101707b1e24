"""The direct link to the partner: TCP, or TLS. Both listen, and the one whose name is lower dials: there is one.

Whoever else connects has a few seconds to prove that it has the key, and is refused with a line in the log; that
disturbs no session. There are few such connections at a time, and the partner's address has a share of its own.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections import Counter
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from routerd.accepting import accepting
from routerd.config import keyfile
from routerd.config.pair import Files
from routerd.core.message import PartnerMessage
from routerd.detached import detached
from routerd.shared import Shared
from routerd.telemetry.pair.channel import Home, Names
from routerd.telemetry.pair.session import Own, RefusedError, Session, explained, introduce_to, refuse
from routerd.telemetry.ratelimit import RateLimiter

if TYPE_CHECKING:
    from routerd.config.certificates import Certificates

FIRST, LAST = 0.25, 3.0
"""Seconds until the partner is dialled again; doubled each time, until a session has lasted longer than that."""
CONNECT_TIME = 3.0
"""Seconds that the partner's kernel may take for an answer."""
SEGMENT = 1220
"""Octets of a TCP segment in both directions, at most: with them a packet gets through wherever IPv6 may go, whatever
frames the two interfaces would take. Where a switch in between takes smaller ones, nobody is told."""
AT_ONCE = 4
"""Connections that have yet to prove who they are: of the partner's address, and of all others."""
QUIET = 10.0
"""Seconds between two lines in the log about connections that are refused."""
STUCK = 60.0
"""Seconds after which files that are still being read are read anew: they may be others by now, on another disk."""
SAID = 600.0
"""Seconds between two lines about one reason for which there is no session: where both dial, they alternate."""


class Ends(NamedTuple):
    """Where the two are: the partner's address, this router's (empty: all of them), and the port of both. With
    `files` they talk over TLS."""

    address: str
    listen: str
    port: int
    files: Files | None = None


class Link:
    """A Channel. The key and the certificates are read anew for each connection. Times are seconds."""

    def __init__(self, ends: Ends, names: Names, key_file: str, hold_time: float, home: Home) -> None:
        self._ends = ends
        self._names = names
        self._key_file = key_file
        self._hold_time = hold_time
        self._home = home
        self._session: Session | None = None
        self._reason = ""
        """Why there is no session, as it was last told."""
        self._said = RateLimiter[str](1, SAID, 16)
        self._strangers: Counter[bool] = Counter()
        """Connections that have yet to prove who they are, by whether they come from the partner's address."""
        self._refused = RateLimiter[tuple[bool, str]](1, QUIET, 16)
        self._tasks: set[asyncio.Task[Any]] = set()
        # Read once for all who dial meanwhile: nobody knows yet who they are, and files may not answer.
        read = None if ends.files is None else partial(_certificates, ends.files)
        self._certificates = None if read is None else Shared(read, STUCK)

    def send(self, message: PartnerMessage) -> None:
        """Hand a message over."""
        if self._session is None:
            return
        try:
            self._session.send(message)
        except ValueError as error:
            self._home.say("warning", "the partner is not told something", reason=str(error))

    async def run(self) -> None:
        """Listen, and dial if that is this router's part, until cancelled."""
        parts = [self._listen()]
        if self._names.router < self._names.partner:
            parts.append(self._dial())
        try:
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    group.create_task(part)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---------------------------------------------------------------------------------------------- being dialled

    async def _listen(self) -> None:
        """Listen as long as that is possible: an address may come later."""
        delay, told = FIRST, ""
        while True:
            try:
                listener = _listener(self._ends)
            except OSError as error:
                where = f"{self._ends.listen or 'any address'} port {self._ends.port}"
                why = f"nobody can dial {where}: {explained(error)}"
                if why != told:
                    self._home.say("warning", "the partner cannot dial", reason=why)
                    told = why
                if self._names.router > self._names.partner:
                    self._down(why)
                await asyncio.sleep(delay)
                delay = min(2 * delay, LAST)
                continue
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
            if self._names.router > self._names.partner:
                self._down(f"{self._names.partner} has not dialled yet")
            delay, told = FIRST, ""
            with listener, accepting(listener, self._take):
                while True:
                    await asyncio.sleep(LAST)
                    if not _is_there(listener, self._ends.listen):
                        break

    def _take(self, connection: socket.socket, _: object) -> None:
        self._keep(self._connected(connection))

    async def _connected(self, connection: socket.socket) -> None:
        """Make streams of a connection, those of who was dialled, and go on with `_accept`."""
        loop = asyncio.get_running_loop()
        protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader(), self._accept)
        try:
            await loop.connect_accepted_socket(lambda: protocol, connection)
        except OSError:  # it is gone already
            connection.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._keep(self._meet(reader, writer))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Find out who has dialled, and talk if it is the partner."""
        address = str((writer.get_extra_info("peername") or ("an unknown address",))[0]).removeprefix("::ffff:")
        known = address == self._ends.address
        if self._strangers[known] >= AT_ONCE:
            writer.transport.abort()
            self._refuse(address, "too many connections have yet to say who they are", known=known)
            return
        self._strangers[known] += 1
        session = None
        try:
            session = await introduce_to(
                reader, writer, await self._own_for(reader, writer), "listener", lambda: bool(self._session)
            )
        except (RefusedError, OSError, EOFError) as error:
            self._refuse(address, explained(error), known=known)
            return
        finally:
            self._strangers[known] -= 1
            if session is None:
                writer.close()
        await self._talk(session, address)

    def _refuse(self, address: str, why: str, *, known: bool) -> None:
        """Tell of a connection that comes to nothing: of each kind once in a while."""
        now = time.monotonic()
        held = sum(count for _, count in self._refused.over(now))
        if self._refused.passes((known, why), now):
            more = {"more": held} if held else {}
            self._home.say(
                "warning", "a connection to the pair's port is refused", address=address, reason=why, **more
            )
        if known and self._session is None:
            self._down(f"{self._names.partner} at {address}: {why}")

    # ------------------------------------------------------------------------------------------------- dialling

    async def _dial(self) -> None:
        """Dial the partner, later and later, until a session has lasted."""
        delay = FIRST
        while True:
            began = time.monotonic()
            where = f"{self._names.partner} at {self._ends.address} port {self._ends.port}"
            try:
                await self._call()
            except TimeoutError:
                self._down(f"{where}: no answer")
            except (RefusedError, OSError, EOFError) as error:
                self._down(f"{where}: {explained(error)}")
            if time.monotonic() - began > LAST:
                delay = FIRST
            await asyncio.sleep(delay * random.uniform(0.75, 1.0))
            delay = min(2 * delay, LAST)

    async def _call(self) -> None:
        """One connection, from start to end."""
        own = await self._own()
        source = (self._ends.listen, 0) if self._ends.listen else None
        async with asyncio.timeout(CONNECT_TIME):
            reader, writer = await asyncio.open_connection(self._ends.address, self._ends.port, local_addr=source)
        try:
            session = await introduce_to(reader, writer, own, "dialler")
        except BaseException:
            writer.close()
            raise
        await self._talk(session, self._ends.address)

    # -------------------------------------------------------------------------------------------------- talking

    async def _own(self) -> Own:
        try:
            key = await detached(keyfile.read, self._key_file)
        except ValueError as error:
            raise RefusedError(f"this router has no key: key_file {error}", b"unready") from error
        reading = None if self._certificates is None else self._certificates.get
        return Own(self._names, key, self._hold_time, self._home.counts, reading)

    async def _own_for(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Own:
        """Return it, or tell who has dialled that there is none."""
        try:
            return await self._own()
        except RefusedError as error:
            await refuse(reader, writer, error.code)
            raise

    async def _talk(self, session: Session, address: str) -> None:
        self._session, self._reason = session, ""
        self._said = RateLimiter(1, SAID, 16)
        self._home.say("info", "channel to the partner", partner=self._names.partner, address=address)
        reason = "this router ends it"
        try:
            self._home.up()
            reason = await session.talk(self._home.said)
        finally:
            self._session = None
            self._down(reason)

    def _down(self, reason: str) -> None:
        """Tell why there is no session, once."""
        if self._session is None and reason != self._reason:
            self._reason = reason
            now = time.monotonic()
            held = sum(count for _, count in self._said.over(now))
            if self._said.passes(reason, now):
                more = {"more": held} if held else {}
                self._home.say(
                    "warning", "no channel to the partner", partner=self._names.partner, reason=reason, **more
                )
            self._home.down(reason)


async def _certificates(files: Files) -> Certificates:
    from routerd.config import certificates

    try:
        return await detached(certificates.read, files)
    except ValueError as error:
        raise RefusedError(f"this router has no certificate: {error}", b"unready") from error


def _is_there(listener: socket.socket, listen: str) -> bool:
    """Tell whether the interface of a link-local address is the one on which a socket listens: one that was made anew
    has another index, under the same name, and the socket hears nothing of it."""
    name = listen.partition("%")[2]
    try:
        return not name or name.isdigit() or socket.if_nametoindex(name) == listener.getsockname()[3]
    except OSError:
        return False


def _listener(ends: Ends) -> socket.socket:
    """Return a socket that listens where the partner dials; OSError if it cannot be had."""
    if not ends.listen and socket.has_dualstack_ipv6():
        return socket.create_server(("", ends.port), family=socket.AF_INET6, dualstack_ipv6=True)
    family, _, _, _, address = socket.getaddrinfo(ends.listen, ends.port, type=socket.SOCK_STREAM)[0]
    return socket.create_server(address, family=family)  # with the interface of a link-local one
