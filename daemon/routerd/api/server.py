"""The HTTP API: JSON over a Unix socket, with its OpenAPI description at /openapi.json."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import structlog
import uvicorn
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse

from routerd.api.caller import Caller
from routerd.api.connection import HEAD, IDLE_TIME, Bounded, Connection
from routerd.api.models import (
    DrainView,
    GroupView,
    PeerView,
    RouteDetailView,
    RoutesView,
    StatusView,
    VersionView,
)
from routerd.api.slices import Slices, encoded, in_slices
from routerd.core.route import Prefix, parse_prefix

MODE = 0o660
MAX_OFFSET = 2**31 - 1


Answer = TypeVar("Answer")
log = structlog.get_logger()


class Source(Protocol):
    """Where the answers come from. Those that are synchronous are consistent views of one moment; of `Slices`, each
    row is.

    `routes` and the drains return None when there is no such peer.
    """

    def status(self) -> Slices[StatusView]: ...
    def peers(self) -> Slices[list[PeerView]]: ...
    def groups(self) -> Slices[list[GroupView]]: ...
    def routes(self, offset: int, limit: int, peer: str | None) -> Slices[RoutesView | None]: ...
    def route(self, prefix: Prefix) -> RouteDetailView | None: ...
    def drain(self, peer: str) -> DrainView | None: ...
    async def set_drain(self, peer: str, *, on: bool, by: str) -> DrainView | None: ...
    def version(self) -> VersionView: ...


class SocketInUseError(Exception):
    """Another routerd answers on the socket."""


def known(answer: Answer | None, peer: str | None) -> Answer:
    """Return the answer; the request fails when there is no such peer."""
    if answer is None:
        raise HTTPException(404, f"no peer has the name or address {peer}")
    return answer


async def written(view: object) -> Response:
    """Return the response that carries a view which may be long."""
    parts = [part async for part in encoded(view)]
    length = {"content-length": str(sum(map(len, parts)))}
    return StreamingResponse(_turns(parts), headers=length, media_type="application/json")


async def _turns(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def application(source: Source, writers: int = 0) -> FastAPI:
    """Return the ASGI application that answers from `source`; members of the group `writers` may change something.

    The handlers are coroutines that do not wait while they look at the core, but for between two rows of what they
    show, so that nobody sees its state in the middle of a change.
    """
    app = FastAPI(title="routerd", version="1", docs_url=None, redoc_url=None)

    @app.get("/v1/status", response_model=StatusView)
    async def status() -> Response:
        """Is all well? The router, its peers, groups, sysctls and the problems found."""
        return await written(await in_slices(source.status()))

    @app.get("/v1/peers", response_model=list[PeerView])
    async def peers() -> Response:
        """All peers with their state and counts."""
        return await written(await in_slices(source.peers()))

    @app.get("/v1/groups", response_model=list[GroupView])
    async def groups() -> Response:
        """The nexthop groups in the kernel."""
        return await written(await in_slices(source.groups()))

    @app.get("/v1/routes", response_model=RoutesView)
    async def routes(
        offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
        limit: Annotated[int, Query(ge=1, le=10000)] = 100,
        peer: str | None = None,
    ) -> Response:
        """A page of the Loc-RIB."""
        return await written(known(await in_slices(source.routes(offset, limit, peer)), peer))

    @app.get("/v1/routes/{prefix:path}")
    async def route(prefix: str) -> RouteDetailView:
        """One prefix: its paths, why each won or lost, its group, and what the kernel has."""
        try:
            parsed = parse_prefix(prefix)
        except ValueError as error:
            raise HTTPException(422, f"{error}; write a prefix such as 172.16.1.1/32") from error
        found = source.route(parsed)
        if found is None:
            raise HTTPException(404, f"nobody announces {prefix}, and the kernel has no route to it")
        return found

    @app.get("/v1/peers/{peer}/drain")
    async def drain(peer: str) -> DrainView:
        """How far a drain has come: the buckets that still carry flows to the node."""
        return known(source.drain(peer), peer)

    async def change_drain(peer: str, request: Request, *, on: bool) -> DrainView:
        caller: Caller = request.state.caller
        # Finding the name may take as long as a directory server does.
        by = await asyncio.to_thread(caller.describe)
        if not caller.may_write(writers):
            log.warning("refused", request=f"{request.method} {request.url.path}", by=by)
            raise HTTPException(
                403, f"{by} may look only; be root or a member of the socket's group to change anything"
            )
        return known(await source.set_drain(peer, on=on, by=by), peer)

    @app.put("/v1/peers/{peer}/drain")
    async def start_drain(peer: str, request: Request) -> DrainView:
        """Drain a node: no new flows, established ones live on."""
        return await change_drain(peer, request, on=True)

    @app.delete("/v1/peers/{peer}/drain")
    async def end_drain(peer: str, request: Request) -> DrainView:
        """End a drain: the node gets its share again, as buckets fall idle."""
        return await change_drain(peer, request, on=False)

    @app.get("/v1/version")
    async def version() -> VersionView:
        """Versions of routerd and of what it stands on."""
        return source.version()

    return app


def bind(path: str, group: str) -> tuple[socket.socket, str]:
    """Bind the socket, replacing one that a dead process left; return it and what could not be had, if anything.

    Raises SocketInUseError when a live process answers there, OSError when the place cannot be written.
    """
    if Path(path).exists() and not Path(path).is_socket():
        raise SocketInUseError(f"{path} exists and is not a socket; remove it, or set another [api] socket")
    with contextlib.suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as probe:
        try:
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


class _Server(uvicorn.Server):
    """A server that leaves signals to the composition root, and sleeps while nobody asks."""

    async def main_loop(self) -> None:
        """Do nothing: uvicorn would look ten times a second whether it is to stop, and renew the Date field."""
        await asyncio.Event().wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(source: Source, listener: socket.socket) -> None:
    """Serve until cancelled."""
    # What a client does wrong is told the client; the log is for what the daemon does wrong.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    writers = os.stat(listener.getsockname()).st_gid
    config = uvicorn.Config(
        Bounded(application(source, writers)),
        http=Connection,
        h11_max_incomplete_event_size=HEAD,
        timeout_keep_alive=int(IDLE_TIME),
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    await _Server(config).serve(sockets=[listener])
