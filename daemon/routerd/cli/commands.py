"""The commands that ask the daemon, or tell it something, and print a table or JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from routerd.cli.client import DEFAULT_SOCKET, ApiError, Client

if TYPE_CHECKING:
    from rich.console import RenderableType

Socket = Annotated[
    str, typer.Option("--socket", "-s", envvar="ROUTERD_SOCKET", help="The daemon's Unix socket.", metavar="PATH")
]
Json = Annotated[bool, typer.Option("--json", help="Print what the API answers, for programs.")]
_POLL = 0.5
"""Seconds between looks at a drain."""

Render = Callable[[Any], "RenderableType"]

_NARROWEST = 120
"""Columns that the widest table needs."""


def _fail(error: ApiError) -> typer.Exit:
    typer.echo(f"routerd: {error}", err=True)
    return typer.Exit(1)


def _print(answer: Any, as_json: bool, name: str) -> None:
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    # Imported late: a command that prints JSON should not wait for what draws tables.
    from rich.console import Console

    from routerd.cli import render

    # A pipe has no width, and a terminal may be too narrow: a wrapped line is better than half an address.
    console = Console(width=None if sys.stdout.isatty() else 240)
    console.width = max(console.width, _NARROWEST)
    draw: Render = getattr(render, name)
    console.print(draw(answer))


def _ask(socket: str, as_json: bool, name: str, resource: str, **query: str | int | None) -> Any:
    try:
        answer = Client(socket).get(resource, **query)
    except ApiError as error:
        raise _fail(error) from error
    _print(answer, as_json, name)
    return answer


def status(
    socket: Socket = DEFAULT_SOCKET,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Draw the screen anew every second.")] = False,
) -> None:
    """Is all well? Exit code 0 if so, 1 if not or if the daemon is not running."""
    if watch:
        _watch(socket)
    if not _ask(socket, as_json, "status", "/v1/status")["ok"]:
        raise typer.Exit(1)


def _watch(socket: str) -> None:
    from rich.live import Live
    from rich.text import Text

    from routerd.cli import render

    with Live(screen=sys.stdout.isatty(), auto_refresh=False) as live:
        try:
            while True:
                try:
                    live.update(render.status(Client(socket).get("/v1/status")), refresh=True)
                except ApiError as error:
                    live.update(Text(f"routerd: {error}"), refresh=True)
                time.sleep(1)
        except KeyboardInterrupt as interrupt:
            raise typer.Exit(0) from interrupt


def peers(socket: Socket = DEFAULT_SOCKET, as_json: Json = False) -> None:
    """All peers: state, reason, and how many prefixes were received, accepted, rejected and are in the FIB."""
    _ask(socket, as_json, "peers", "/v1/peers")


def groups(socket: Socket = DEFAULT_SOCKET, as_json: Json = False) -> None:
    """The nexthop groups in the kernel, with their members."""
    _ask(socket, as_json, "groups", "/v1/groups")


def routes(
    socket: Socket = DEFAULT_SOCKET,
    as_json: Json = False,
    peer: Annotated[str | None, typer.Option(help="Only what this peer announces (name or address).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10000, help="How many to show.")] = 100,
    offset: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="How many to pass over.")] = 0,
) -> None:
    """The Loc-RIB, a row a prefix."""
    _ask(socket, as_json, "routes", "/v1/routes", offset=offset, limit=limit, peer=peer)


def route(prefix: str, socket: Socket = DEFAULT_SOCKET, as_json: Json = False) -> None:
    """One prefix: all its paths, which won, why each other lost, and what the kernel really has."""
    if "/" not in prefix:
        prefix += "/128" if ":" in prefix else "/32"
    _ask(socket, as_json, "route", f"/v1/routes/{prefix}")


def drain(
    node: str,
    socket: Socket = DEFAULT_SOCKET,
    as_json: Json = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when no flow is left on the node.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that --wait waits at most; 0 for ever.")] = 0.0,
) -> None:
    """Give a node (name or address) no new flows; established ones live on. Exit code 1 if --wait ends in vain."""
    answer = _drain("PUT", node, socket)
    deadline = time.monotonic() + timeout if timeout else None
    while wait and not answer["empty"]:
        if not answer["drain"]:
            raise _fail(ApiError(f"the drain of {node} was ended by somebody else"))
        if answer["sole"] and not answer["buckets"]:
            _print(answer, as_json, "drain")
            raise _fail(ApiError(f"{answer['sole']} prefixes have no other next hop: their flows have nowhere to go"))
        if deadline is not None and time.monotonic() >= deadline:
            _print(answer, as_json, "drain")
            raise _fail(ApiError(f"{node} still carries flows after {timeout:g} s"))
        time.sleep(_POLL)
        answer = _drain("GET", node, socket)
    _print(answer, as_json, "drain")


def undrain(node: str, socket: Socket = DEFAULT_SOCKET, as_json: Json = False) -> None:
    """End the drain of a node: it gets its share again, as flows end and buckets fall idle."""
    _print(_drain("DELETE", node, socket), as_json, "drain")


def _drain(method: str, node: str, socket: str) -> Any:
    try:
        return Client(socket).request(method, f"/v1/peers/{node}/drain")
    except ApiError as error:
        raise _fail(error) from error


def version(
    socket: Socket = DEFAULT_SOCKET,
    as_json: Json = False,
) -> None:
    """The version of this program and of the daemon that runs."""
    from routerd import __version__

    answer: dict[str, Any] = {"client": __version__, "daemon": None}
    try:
        answer["daemon"] = Client(socket).get("/v1/version")
    except ApiError as error:
        answer["error"] = str(error)
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    typer.echo(f"routerd {__version__}")
    running = answer["daemon"]
    if running is None:
        typer.echo(answer["error"], err=True)
        return
    parts = f"ExaBGP {running['exabgp']}, Python {running['python']}, Linux {running['kernel']}"
    typer.echo(f"daemon  {running['routerd']} ({parts})")
