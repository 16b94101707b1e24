"""Metrics: what the page is made of, and the TCP listener, which follows the configuration and its files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from math import inf
from pathlib import Path
from typing import NamedTuple

import structlog

from routerd.api.models import ProblemView
from routerd.config.metrics import MetricsSection
from routerd.config.unreadable import unreadable
from routerd.detached import detached
from routerd.service.until import until

RETRY = 5.0
"""Seconds until a place that cannot be listened on, or files that cannot be used, are tried again."""
LOOK = 10.0
"""Seconds between two looks whether the files have changed."""
MOST = 4096
"""Octets of a token."""

log = structlog.get_logger()
Page = Callable[[], Awaitable[bytes]]


class Secrets(NamedTuple):
    """What the files hold, and what tells them from other ones."""

    token: str
    tls: ssl.SSLContext | None
    seen: tuple[object, ...]


class Exposing:
    """Serves the `page` where the configuration says, whatever comes of it: routing goes on.

    `problem` is why it does not; empty if it does, or if it is not to.
    """

    def __init__(self, section: MetricsSection, page: Page) -> None:
        self._section = section
        self._page = page
        self._changed = asyncio.Event()
        self.problem = ""
        self._until = inf
        """Seconds since 1970 until which the certificate is valid; 0 if it is not, infinity without one."""

    def configure(self, section: MetricsSection) -> None:
        """Go on with another configuration; connections end if it concerns them."""
        if section != self._section:
            self._section = section
            self._changed.set()

    async def run(self) -> None:
        """Serve until cancelled. Another configuration counts at once, also while a file does not answer."""
        while True:
            self._changed.clear()
            await until(self._changed, self._keep(self._section))

    async def _keep(self, section: MetricsSection) -> None:
        """Serve, if anything is to be, until cancelled."""
        self._told("")
        while section.listen:
            try:
                await self._serve(section, await detached(read, section))
            except (OSError, ValueError) as error:
                self._told(str(error))
                await asyncio.sleep(RETRY)
        await asyncio.Event().wait()

    async def _serve(self, section: MetricsSection, secrets: Secrets) -> None:
        """Serve until a file is another one. A file that cannot be used changes nothing."""
        from routerd.api import remote

        try:
            listener = remote.bind(*section.place)
        except OSError as error:
            raise OSError(f"nobody can scrape at {section.listen}: {error.strerror}") from error
        self._told("")
        log.info("metrics are served", listen=section.listen, tls=secrets.tls is not None, token=bool(secrets.token))
        serving = asyncio.ensure_future(remote.serve(self._page, listener, secrets.token, secrets.tls))
        try:
            while not serving.done():
                if secrets.tls is not None:
                    # Each time: the clock may have been set, as on a router without a battery after its start.
                    self._until = await detached(_valid_until, section.certificate, secrets.tls)
                await asyncio.wait({serving}, timeout=LOOK)
                if await detached(_seen, section) == secrets.seen:
                    self._told("")  # whatever was wrong meanwhile
                elif await self._usable(section):
                    return
            serving.result()
        finally:
            self._until = inf
            serving.cancel()
            await asyncio.wait([serving])
            listener.close()

    async def _usable(self, section: MetricsSection) -> bool:
        try:
            await detached(read, section)
        except (OSError, ValueError) as error:
            self._told(f"{error}; what was read before stays in use")
            return False
        return True

    def _told(self, problem: str) -> None:
        """Note a problem, or that there is none, and log each once."""
        if problem and problem != self.problem:
            log.error("metrics cannot be served", listen=self._section.listen, reason=problem)
        self.problem = problem

    def problems(self) -> Iterator[ProblemView]:
        """Yield what is wrong now."""
        if self.problem:
            yield ProblemView(
                where="metrics",
                what=self.problem,
                remedy="bring the address up, end what has the port, or put [metrics] right; it is tried again by "
                "itself; routerd's user must be able to read the files",
            )
        if self._until < time.time():
            yield ProblemView(
                where="metrics",
                what=f"the certificate {self._section.certificate} is not valid now: who verifies it cannot scrape",
                remedy="renew it, or set the clock right; routerd reads the files anew by itself",
            )


def try_out(before: MetricsSection, after: MetricsSection) -> None:
    """Make sure that metrics can be served where, and as, they were not before; OSError or ValueError, with a line
    for people, if not. Blocking."""
    if not after.listen or before == after:
        return
    read(after)
    if _overlap(before, after):
        return
    from routerd.api import remote

    try:
        remote.bind(*after.place).close()
    except OSError as error:
        raise OSError(f"metrics.listen: nobody could scrape at {after.listen}: {error.strerror}") from error


def _overlap(before: MetricsSection, after: MetricsSection) -> bool:
    """Tell whether one configuration may hold the place of the other: the same port, of the same address or all."""
    if not before.listen:
        return False
    (was, port), (now, wanted) = before.place, after.place
    return port == wanted and (was == now or bool({"0.0.0.0", "::"} & {was, now}))


def read(section: MetricsSection) -> Secrets:
    """Read the files of a configuration; OSError or ValueError, with a line for people, if they cannot be used."""
    seen = _seen(section)
    return Secrets(_token(section.token_file), _tls(section.certificate, section.key), seen)


def _token(path: str) -> str:
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            token = file.read(MOST + 1).strip()
    except OSError as error:
        raise OSError(f"metrics.token_file: {path}: {unreadable(error, path)}") from error
    if not token or len(token) > MOST or not token.isascii() or len(token.split()) != 1:
        raise ValueError(f"metrics.token_file: {path} is to hold one word of printable ASCII, the token")
    return token.decode()


def _tls(certificate: str, key: str) -> ssl.SSLContext | None:
    if not certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key or None, password=_no_password)
    except ssl.SSLError as error:
        why = error.reason or "no PEM that can be used"
        raise ValueError(f"metrics.certificate: {certificate} and its key are of no use: {why}") from error
    except OSError as error:
        why = unreadable(error, certificate, key)
        raise OSError(f"metrics.certificate: {certificate} or its key: {why}") from error
    return context


def _valid_until(certificate: str, tls: ssl.SSLContext) -> float:
    from routerd.service.validity import valid_until

    return valid_until(certificate, tls)


def _no_password() -> str:
    raise ValueError("metrics.key: the key is encrypted, and nobody is there to be asked for its password")


def _seen(section: MetricsSection) -> tuple[object, ...]:
    """Return what changes with the files: 0 for one that is not there."""
    found: list[object] = []
    for path in (section.token_file, section.certificate, section.key):
        with contextlib.suppress(OSError):
            status = os.stat(path) if path else None
            found.append(status and (status.st_mtime_ns, status.st_ino, status.st_size))
            continue
        found.append(0)
    return tuple(found)
