"""The HTTP API: JSON over a Unix socket, with its OpenAPI description at /openapi.json."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Never

import structlog

from routerd.accepting import accepting
from routerd.api import inspecting, pairing
from routerd.api.application import Application, Message, Receive, Send
from routerd.api.caller import PATIENCE
from routerd.api.connection import HEAD, IDLE_TIME, Bounded, Connection
from routerd.api.endpoints import Source, endpoints
from routerd.bare import bare
from routerd.detached import Threads
from routerd.ticks import next_tick

with bare("uvicorn") as package:  # whose command line takes 2 MB
    from uvicorn.config import Config

    package.Config = Config  # type: ignore[attr-defined]
    # Takes it from there; the configuration looks for it by name.
    from uvicorn.lifespan import off  # noqa: F401
    from uvicorn.server import ServerState

MODE = 0o660
LOOK = 5.0
"""Seconds between two looks whether the file of a socket is there."""

log = structlog.get_logger()


class SocketInUseError(Exception):
    """Another routerd answers on the socket."""


class Listener(NamedTuple):
    """A socket that listens, and its file: what tells that from other files, and the id of its group."""

    bound: socket.socket
    path: str
    file: tuple[int, int]
    group: int

    def is_there(self) -> bool:
        """Tell whether the file is. For as long as the socket is open no other file has the same number."""
        try:
            found = os.stat(self.path)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self.file


class Lack(NamedTuple):
    """What a socket's group lacks, what helps, and whether that is but a user database that does not answer."""

    what: str
    remedy: str
    unanswered: bool = False


def bind(path: str, group: str) -> tuple[Listener, Lack | None]:
    """Bind the socket, replacing one that a dead process left; return it and what its group lacks, if anything.

    Raises SocketInUseError when a live process answers there, OSError when the place cannot be written.
    """
    if Path(path).exists() and not Path(path).is_socket():
        raise SocketInUseError(f"{path} exists and is not a socket; remove it, or set another [api] socket")
    with contextlib.suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            with contextlib.suppress(BlockingIOError):  # it is late
                probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
        else:
            raise SocketInUseError(f"another routerd answers on {path}; stop it, or set another [api] socket")
    Path(path).parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    number, lack = _sought(group, path)  # before: until it listens it looks like the socket of a dead process
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(path)
    except OSError:
        bound.close()
        raise
    try:
        # Nobody gets through before it listens. By umask, which all threads share, it would be theirs, too.
        os.chmod(path, MODE)
        lack = _hand_over(path, group, number) or lack
        found = os.stat(path)
    except OSError:
        bound.close()
        Path(path).unlink(missing_ok=True)
        raise
    # From now on it answers, if late: nobody else takes it for the socket of a dead process.
    bound.listen()
    return Listener(bound, path, (found.st_dev, found.st_ino), found.st_gid), lack


def _sought(group: str, path: str) -> tuple[int, Lack | None]:
    """Return the id of a socket's group; -1, and why, if it is not known."""
    try:
        return _group_id(group), None
    except KeyError:
        what = f"the group {group!r} does not exist: nobody can be a member who may use {path}"
        return -1, Lack(what, _remedy(group))
    except TimeoutError:
        what = f"the user database did not say in time who the group {group!r} is, whose members may not use {path}"
        return -1, Lack(what, "restart routerd when it answers: getent group says so", unanswered=True)


def _hand_over(path: str, group: str, number: int) -> Lack | None:
    try:
        os.chown(path, -1, number)
    except PermissionError:
        return Lack(f"{path} could not be given to the group {group!r}", _remedy(group))
    return None


def _remedy(group: str) -> str:
    return f"groupadd --system {group}; usermod -aG {group} routerd; then restart routerd"


@cache
def _group_id(name: str) -> int:
    """Return the id of a group; KeyError if there is none, TimeoutError if the user database does not tell it in
    time: the router may be the way to it. It is looked up once: a socket that is made anew is for the same group."""
    return int(Threads().submit(grp.getgrnam, name).result(PATIENCE).gr_gid)


def configured(application: Callable[[Message, Receive, Send], Awaitable[None]], http: type[Connection]) -> Config:
    """Return how uvicorn serves an application on connections of a kind."""
    # What a client does wrong is told the client; the log is for what the daemon does wrong.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    return Config(
        Bounded(application),
        http=http,
        h11_max_incomplete_event_size=HEAD,
        timeout_keep_alive=int(IDLE_TIME),
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )


async def run(
    application: Callable[[Message, Receive, Send], Awaitable[None]],
    listeners: list[socket.socket],
    http: type[Connection],
) -> None:
    """Serve an application until cancelled; then nobody listens any more, and all connections are over."""
    config, state, loop = configured(application, http), ServerState(), asyncio.get_running_loop()
    config.load()
    tasks = set[asyncio.Task[Any]]()

    def take(connection: socket.socket, _: object) -> None:
        task = loop.create_task(connect(connection))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def connect(connection: socket.socket) -> None:
        try:
            await loop.connect_accepted_socket(lambda: http(config, state, {}), connection)
        except OSError:  # it is gone already
            connection.close()

    try:
        with contextlib.ExitStack() as all_of_them:
            for each in listeners:
                all_of_them.enter_context(accepting(each, take))
            await asyncio.Event().wait()
    finally:
        for each in listeners:
            each.close()
        for connected in list(state.connections):
            connected.transport.abort()


async def serve(source: Source, listener: Listener, *, read_only: bool = False) -> None:
    """Serve until cancelled; `read_only`: nothing can be changed there, whoever asks."""
    writers = None if read_only else listener.group
    table = endpoints(source, writers) + inspecting.endpoints(lambda: source.inspection, writers)
    table += pairing.endpoints(lambda: source.paired, writers)
    await run(Application(table, read_only=read_only), [listener.bound], Connection)


async def keep(source: Source, listener: Listener, anew: Callable[[], Listener], *, read_only: bool = False) -> Never:
    """Serve as `serve` does, until cancelled, whoever removes the socket's file: then `anew` binds one like it.

    At the end the file goes: else the next start finds it, perhaps as another user.
    """
    while True:
        serving = asyncio.ensure_future(serve(source, listener, read_only=read_only))
        try:
            while listener.is_there():
                now = asyncio.get_running_loop().time()
                done, _ = await asyncio.wait([serving], timeout=next_tick(LOOK, now) - now)
                for task in done:
                    task.result()
        finally:
            if listener.is_there():
                with contextlib.suppress(OSError):
                    Path(listener.path).unlink()
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            listener.bound.close()
        log.warning("the socket of the API is gone", path=listener.path, remedy="it is made anew; see who removes it")
        listener = await _bound(anew)


async def _bound(anew: Callable[[], Listener]) -> Listener:
    reason = ""
    while True:
        try:
            return anew()
        except (OSError, SocketInUseError) as error:
            if str(error) != reason:
                log.error("there is no socket of the API", reason=str(error), again_in=LOOK)
            reason = str(error)
        await asyncio.sleep(LOOK)
