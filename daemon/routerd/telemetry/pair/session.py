"""A connection to the partner: the two introduce themselves, prove that they have the key, and talk until it ends."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from routerd.core.message import PartnerMessage
from routerd.telemetry.pair.channel import MOST_WAITING, Counts, Names
from routerd.telemetry.pair.codec import MessageError, OtherProtocolError, decode, encode
from routerd.telemetry.pair.frames import FrameError, Frames
from routerd.telemetry.pair.proof import Introduction, Proof, Side, introduce, introduced

if TYPE_CHECKING:
    from routerd.config.certificates import Certificates

PATIENCE = 3.0
"""Seconds that a connection may take until both have proved who they are."""
SIGNS = 4
"""How often a router says something in a hold time."""

REFUSALS = {
    b"name": "it knows this router, or itself, by another name: router and partner in [pair] of the one are partner "
    "and router of the other",
    b"key": "it has another key: put the same key_file on both",
    b"busy": "it has a channel to a router of this name already: give each a name of its own, unless that is the "
    "connection before, which it will miss soon",
    b"tls": "it talks over TLS, and this router does not: write certificate_file, private_key_file and ca_file in "
    "[pair] here, or remove them there",
    b"no tls": "it does not talk over TLS, and this router does: write certificate_file, private_key_file and "
    "ca_file in [pair] there, or remove them here",
    b"unready": "it has no key or certificate of use: routerd status says there what is wrong with which",
    b"protocol": "it speaks another version of the pair's protocol: upgrade the older one",
}
"""What a router that refuses another one sends, and what that makes of it: no words of a stranger are logged."""
_REFUSED = b"refused "
_OTHER_KEY = "it has another key: put the same key_file on both"


class RefusedError(Exception):
    """The connection is none of the partner's, or the partner refuses it: why. `code` is what the other side is told,
    if it is to know."""

    def __init__(self, what: str, code: bytes = b"") -> None:
        super().__init__(what)
        self.code = code


class Own(NamedTuple):
    """What a router brings to a connection. Its hold time is in seconds. Its certificates, if there is TLS, take some
    milliseconds: of who has been dialled they are read once the other side has named itself as the partner."""

    names: Names
    key: bytes
    hold_time: float
    counts: Counts
    certificates: Callable[[], Awaitable[Certificates]] | None = None


class Session:
    """A connection on which both have proved who they are. The lower hold time counts."""

    def __init__(self, writer: asyncio.StreamWriter, frames: Frames, hold_time: float, counts: Counts) -> None:
        self._counts = counts
        self._writer = writer
        self._frames = frames
        self._hold_time = hold_time
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(hold_time * 1000))

    def send(self, message: PartnerMessage) -> None:
        """Send a message, without waiting; ValueError if it is too large. Too much that waits ends the session."""
        payload = encode(message)
        self._counts.sent(payload)
        try:
            self._frames.write(payload)
        except OSError as error:  # TLS has come to an end, of which whoever reads is about to tell
            self._end(error)
        if self._frames.waiting > MOST_WAITING:
            self._end(FrameError(f"the partner takes too little: more than {MOST_WAITING} octets wait for it"))

    def _end(self, error: Exception) -> None:
        if not self._over.done():
            self._over.set_exception(error)

    async def talk(self, said: Callable[[PartnerMessage], None]) -> str:
        """Hand over what the partner says until the session ends; return why it has."""
        tasks = [asyncio.ensure_future(each) for each in (self._listen(said), self._keep_alive(), self._over)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
            raise AssertionError("nothing ends without a reason")
        except TimeoutError:
            return f"the partner has said nothing for {self._hold_time:g} s"
        except (FrameError, MessageError, OSError, EOFError) as error:
            return explained(error)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._writer.transport.abort()  # what is left of it would come too late

    async def _listen(self, said: Callable[[PartnerMessage], None]) -> None:
        while True:
            async with asyncio.timeout(self._hold_time):
                payload = await self._frames.read()
            if payload:
                self._counts.received(payload)
                if (message := decode(payload)) is not None:
                    said(message)
                await asyncio.sleep(0)  # however much has come: others have their turn

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._hold_time / SIGNS)
            self._frames.write(b"")


async def introduce_to(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    own: Own,
    side: Side,
    taken: Callable[[], bool] = lambda: False,
) -> Session:
    """Return the session of a connection that has been made; RefusedError, OSError or EOFError if there is none.

    `taken` tells whether there is a session with the partner already, which stays.
    """
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    frames = Frames(reader, writer)
    try:
        async with asyncio.timeout(PATIENCE):
            met = _dialled if side == "dialler" else _listened
            return Session(writer, frames, min(own.hold_time, await met(frames, own, taken)), own.counts)
    except RefusedError as error:
        if error.code:
            frames.write(_REFUSED + error.code)
        raise
    except TimeoutError:
        raise RefusedError(f"it has not introduced itself within {PATIENCE:g} s") from None
    except (FrameError, MessageError) as error:
        raise RefusedError(str(error)) from error


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, code: bytes) -> None:
    """Refuse to talk to who introduces itself."""
    frames = Frames(reader, writer)
    with suppress(TimeoutError, FrameError, OSError, EOFError):
        async with asyncio.timeout(PATIENCE):
            await frames.read()
        frames.write(_REFUSED + code)


async def _dialled(frames: Frames, own: Own, _: Callable[[], bool]) -> float:
    """Prove first; return the hold time of the other side."""
    read = None if own.certificates is None else await own.certificates()
    mine = _introduce(own)
    frames.write(mine)
    other, theirs = await _introduced(frames, own)
    certificates = () if read is None else (read.own, await frames.encrypt(read.dialler, listens=False))
    proof = Proof(own.key, mine, theirs, certificates)
    frames.write(proof.by("dialler"))
    if not proof.holds("listener", await _heard(frames)):
        raise RefusedError(_OTHER_KEY)
    frames.secure(proof.key_of("dialler"), proof.key_of("listener"))
    return other.hold_time


async def _listened(frames: Frames, own: Own, taken: Callable[[], bool]) -> float:
    """Prove after the other side has; return its hold time."""
    other, theirs = await _introduced(frames, own)
    read = None if own.certificates is None else await own.certificates()
    mine = _introduce(own)
    frames.write(mine)
    certificates = () if read is None else (await frames.encrypt(read.listener, listens=True), read.own)
    proof = Proof(own.key, theirs, mine, certificates)
    if not proof.holds("dialler", await _heard(frames)):
        raise RefusedError(_OTHER_KEY, b"key")
    if taken():
        raise RefusedError(
            f"there is a channel to {other.router} already: another router of this name, or one that has lost the "
            "connection before, which ends soon",
            b"busy",
        )
    frames.write(proof.by("listener"))
    frames.secure(proof.key_of("listener"), proof.key_of("dialler"))
    return other.hold_time


def _introduce(own: Own) -> bytes:
    return introduce(own.names, secrets.token_bytes(32), own.hold_time, tls=own.certificates is not None)


async def _introduced(frames: Frames, own: Own) -> tuple[Introduction, bytes]:
    """Return how the other side introduces itself, if it is who it should be."""
    names, payload = own.names, await _heard(frames)
    try:
        other = introduced(payload)
    except OtherProtocolError as error:
        raise RefusedError(str(error), b"protocol") from error
    if other.router == names.router:
        raise RefusedError(f"it calls itself {other.router}, as this router does: give each its own name", b"name")
    if other.router != names.partner:
        raise RefusedError(f"it calls itself {other.router}, and the partner is {names.partner}", b"name")
    if other.partner != names.router:
        raise RefusedError(f"its partner is {other.partner}, and this router is {names.router}", b"name")
    if other.tls and own.certificates is None:
        raise RefusedError(REFUSALS[b"tls"], b"no tls")
    if own.certificates is not None and not other.tls:
        raise RefusedError(REFUSALS[b"no tls"], b"tls")
    return other, payload


async def _heard(frames: Frames) -> bytes:
    """Return what the other side says; RefusedError if it refuses to talk."""
    payload = await frames.read()
    if payload.startswith(_REFUSED):
        why = REFUSALS.get(payload.removeprefix(_REFUSED), "it does not say why in words of this version")
        raise RefusedError(f"the partner refuses: {why}")
    return payload


def explained(error: BaseException) -> str:
    """Return in words how a connection has ended, or why there is none."""
    if isinstance(error, EOFError):
        return "the other side has closed the connection"
    if hasattr(error, "reason"):
        return _of_tls(error.reason or "unexpected end", getattr(error, "verify_message", ""))
    if isinstance(error, socket.gaierror):
        return "there is no such address, or no such interface"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error) or "the other side has closed the connection"


def _of_tls(reason: str, unverified: str) -> str:
    """Return in words why TLS ends: the `reason` is OpenSSL's name for it."""
    if unverified:
        return f"its certificate is not accepted here: {unverified}; both need one of the CA in ca_file, valid now"
    _, refused, why = reason.partition("_ALERT_")
    if refused:
        why = why.lower().replace("_", " ")
        return f"it does not accept this router's certificate: {why}; both need one of the CA in ca_file, valid now"
    return f"TLS ends: {reason.lower().replace('_', ' ')}"
