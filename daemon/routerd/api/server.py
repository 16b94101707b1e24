"""The HTTP API: JSON over a Unix socket, with its OpenAPI description at /openapi.json."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Never

import structlog

from routerd.accepting import accepting
from routerd.api import inspecting, pairing
from routerd.api.application import Application, Message, Receive, Send
from routerd.api.connection import HEAD, IDLE_TIME, Bounded, Connection
from routerd.api.endpoints import Source, endpoints
from routerd.bare import bare

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


def bind(path: str, group: str) -> tuple[socket.socket, str]:
    """Bind the socket, replacing one that a dead process left; return it and what could not be had, if anything.

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
    listener = socket.socket(socket.AF_UNIX)
    previous = os.umask(0o777 & ~MODE)
    try:
        listener.bind(path)
    finally:
        os.umask(previous)
    # From now on it answers, if late: nobody else takes it for the socket of a dead process.
    listener.listen()
    return listener, _hand_to_group(path, group)


def _hand_to_group(path: str, group: str) -> str:
    try:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
    except KeyError:
        return f"the group {group!r} does not exist, so that only root may use {path}"
    except PermissionError:
        return f"{path} could not be given to the group {group!r}"
    return ""


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


async def serve(source: Source, listener: socket.socket, *, read_only: bool = False) -> None:
    """Serve until cancelled; `read_only`: nothing can be changed there, whoever asks."""
    writers = None if read_only else os.stat(listener.getsockname()).st_gid
    table = endpoints(source, writers) + inspecting.endpoints(lambda: source.inspection, writers)
    table += pairing.endpoints(lambda: source.paired, writers)
    await run(Application(table, read_only=read_only), [listener], Connection)


async def keep(
    source: Source, listener: socket.socket, anew: Callable[[], socket.socket], *, read_only: bool = False
) -> Never:
    """Serve as `serve` does, until cancelled, whoever removes the socket's file: then `anew` binds one like it."""
    while True:
        path = str(listener.getsockname())
        serving = asyncio.ensure_future(serve(source, listener, read_only=read_only))
        watching = asyncio.ensure_future(_until_gone(path))
        try:
            done, _ = await asyncio.wait([serving, watching], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (serving, watching):
                task.cancel()
            await asyncio.gather(serving, watching, return_exceptions=True)
        log.warning("the socket of the API is gone", path=path, remedy="it is made anew; see who removes it")
        listener = await _bound(anew)


async def _until_gone(path: str) -> None:
    own = _identity(path)
    while True:
        await asyncio.sleep(LOOK)
        if _identity(path) != own:
            return


def _identity(path: str) -> tuple[int, int]:
    """Return what tells a file from another one; of one that is not there nothing that another has."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


async def _bound(anew: Callable[[], socket.socket]) -> socket.socket:
    reason = ""
    while True:
        try:
            return anew()
        except (OSError, SocketInUseError) as error:
            if str(error) != reason:
                log.error("there is no socket of the API", reason=str(error), again_in=LOOK)
            reason = str(error)
        await asyncio.sleep(LOOK)
