"""The HTTP API: JSON over a Unix socket, with its OpenAPI description at /openapi.json."""

from __future__ import annotations

import contextlib
import grp
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Protocol

import uvicorn
from fastapi import FastAPI, HTTPException, Query

from routerd.api.models import (
    DrainView,
    GroupView,
    PeerView,
    RouteDetailView,
    RoutesView,
    StatusView,
    VersionView,
)
from routerd.core.route import Prefix, parse_prefix

MODE = 0o660
MAX_OFFSET = 2**31 - 1


class Source(Protocol):
    """Where the answers come from. Synchronous: each is a consistent view of one moment."""

    def status(self) -> StatusView: ...
    def peers(self) -> list[PeerView]: ...
    def groups(self) -> list[GroupView]: ...
    def routes(self, offset: int, limit: int, peer: str | None) -> RoutesView: ...
    def route(self, prefix: Prefix) -> RouteDetailView | None: ...
    def drain(self, peer: str, on: bool | None) -> DrainView | None: ...
    def version(self) -> VersionView: ...


class SocketInUseError(Exception):
    """Another routerd answers on the socket."""


def application(source: Source) -> FastAPI:
    """Return the ASGI application that answers from `source`.

    The handlers are coroutines that never wait, so that no thread sees the core's state in the middle of a change.
    """
    app = FastAPI(title="routerd", version="1", docs_url=None, redoc_url=None)

    @app.get("/v1/status")
    async def status() -> StatusView:
        """Is all well? The router, its peers, groups, sysctls and the problems found."""
        return source.status()

    @app.get("/v1/peers")
    async def peers() -> list[PeerView]:
        """All peers with their state and counts."""
        return source.peers()

    @app.get("/v1/groups")
    async def groups() -> list[GroupView]:
        """The nexthop groups in the kernel."""
        return source.groups()

    @app.get("/v1/routes")
    async def routes(
        offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
        limit: Annotated[int, Query(ge=1, le=10000)] = 100,
        peer: str | None = None,
    ) -> RoutesView:
        """A page of the Loc-RIB."""
        return source.routes(offset, limit, peer)

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

    def draining(peer: str, on: bool | None) -> DrainView:
        found = source.drain(peer, on)
        if found is None:
            raise HTTPException(404, f"no peer has the name or address {peer}")
        return found

    @app.get("/v1/peers/{peer}/drain")
    async def drain(peer: str) -> DrainView:
        """How far a drain has come: the buckets that still carry flows to the node."""
        return draining(peer, None)

    @app.put("/v1/peers/{peer}/drain")
    async def start_drain(peer: str) -> DrainView:
        """Drain a node: no new flows, established ones live on."""
        return draining(peer, True)

    @app.delete("/v1/peers/{peer}/drain")
    async def end_drain(peer: str) -> DrainView:
        """End a drain: the node gets its share again, as buckets fall idle."""
        return draining(peer, False)

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
    """A server that leaves signals to the composition root."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(source: Source, listener: socket.socket) -> None:
    """Serve until cancelled."""
    config = uvicorn.Config(
        application(source), lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    await _Server(config).serve(sockets=[listener])
