"""The commands that ask the daemon, or tell it something, and print a table or JSON. Each returns the exit code."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

from routerd.cli import render
from routerd.cli.arguments import UsageError
from routerd.cli.client import OTHER_VERSION, ApiError, Client
from routerd.cli.output import fail, write
from routerd.cli.screen import Screen

_POLL = 0.5
"""Seconds between looks at a drain."""

INTERVAL = 1.0
"""Seconds between two looks of --watch."""

# xterm's control sequences, which all terminals of today know.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"

Render = Callable[[Screen, Any], list[str]]


def lines_of(draw: Render, answer: Any) -> list[str]:
    """Draw an answer; ApiError when it is none that this version knows."""
    try:
        return draw(Screen.of_stdout(), answer)
    except (KeyError, TypeError) as error:
        raise ApiError(OTHER_VERSION) from error


def _print(answer: Any, as_json: bool, draw: Render) -> None:
    write(json.dumps(answer, indent=2) if as_json else "\n".join(lines_of(draw, answer)))


def ask(socket: str, as_json: bool, draw: Render, resource: str, **query: str | int | None) -> Any:
    """Print the answer to a question, and return it; end with an error where there is none."""
    try:
        answer = Client(socket).get(resource, **query)
        _print(answer, as_json, draw)
    except ApiError as error:
        raise fail(error, as_json) from error
    return answer


def status(socket: str, as_json: bool, watch: bool) -> int:
    """Is all well?

    Exit code 0 if so, 1 if not or if the daemon is not running.
    """
    if watch:
        draw = partial(render.status, first=sys.stdout.isatty() and not as_json)
        return watched(lambda: Client(socket).get("/v1/status"), draw, as_json, INTERVAL)
    return 0 if ask(socket, as_json, render.status, "/v1/status")["ok"] else 1


def watched(look: Callable[[], Any], draw: Render, as_json: bool, pause: float = 0.0) -> int:
    """Look and show what is found, again and again, with a pause of so many seconds."""

    def show(alternate: bool) -> None:
        answered = _show(look, draw, as_json, alternate)
        time.sleep(pause if answered else max(pause, INTERVAL))

    return repeat(as_json, show)


def repeat(as_json: bool, show: Callable[[bool], None]) -> int:
    """Show, which pauses as well, again and again: on a terminal on a screen of its own, into a pipe one answer after
    the other."""
    alternate = sys.stdout.isatty() and not as_json
    try:
        if alternate:
            # Whoever sees it wants to end it, even if it was started with SIGINT ignored, as scripts start jobs.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for number in (signal.SIGTSTP, signal.SIGTERM):
                signal.signal(number, _leave)
            sys.stdout.write(_ENTER)
        while True:
            show(alternate)
    except KeyboardInterrupt:
        return 0
    finally:
        if alternate:
            sys.stdout.write(_LEAVE)
            sys.stdout.flush()


def _leave(number: int, _: FrameType | None) -> None:
    """Give the terminal back to the shell before a signal stops or ends the process; after a stop, take it again."""
    os.write(1, _LEAVE.encode())
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    signal.signal(number, _leave)
    os.write(1, _ENTER.encode())


def _show(look: Callable[[], Any], draw: Render, as_json: bool, alternate: bool) -> bool:
    """Look once; tell whether there was an answer."""
    answered = True
    try:
        answer = look()
        lines = [json.dumps(answer)] if as_json else [*lines_of(draw, answer), ""]
    except ApiError as error:
        answered = False
        lines = [json.dumps({"ok": False, "error": str(error)})] if as_json else [f"routerd: {error}"]
    redraw(lines, alternate)
    return answered


def redraw(lines: list[str], alternate: bool) -> None:
    """Write lines, in place of those before if on a screen of their own."""
    if alternate:
        height = os.get_terminal_size(1).lines
        lines = [line + _CLEAR_LINE for line in lines[: height - 1]]
        sys.stdout.write(_HOME)
    write("\n".join(lines), _CLEAR_REST if alternate else "\n")


def peers(socket: str, as_json: bool) -> int:
    """All peers: their state, and counts of their prefixes.

    How many were received, accepted, rejected, are in the FIB, are stale, and were sent to the peer.
    """
    ask(socket, as_json, render.peers, "/v1/peers")
    return 0


def groups(socket: str, as_json: bool) -> int:
    """The nexthop groups in the kernel: of which VIP, with the buckets of each member.

    The most used first. Where a member has fewer buckets than its share: until when, and why.
    """
    ask(socket, as_json, render.groups, "/v1/groups")
    return 0


def routes(socket: str, as_json: bool, **query: str | int | None) -> int:
    """The Loc-RIB, a row a prefix.

    IPv4 first, then by address and length. Of several filters all must be met, those of a path by one path.
    """
    ask(socket, as_json, render.routes, "/v1/routes", **query)
    return 0


def route(prefix: str, socket: str, as_json: bool) -> int:
    """One prefix: all its paths, and what the kernel has.

    Which paths won, and why each other one lost; how many buckets each member of its group has.
    """
    ask(socket, as_json, render.route, f"/v1/routes/{prefix}")
    return 0


def drain(node: str | None, socket: str, as_json: bool, *, itself: bool, wait: bool, timeout: float) -> int:
    """Give a node (name or address), or this router, no new flows.

    Established ones live on. With --self peers are told to prefer other routers (GRACEFUL_SHUTDOWN, RFC 8326), and
    routerd health fails; what still comes is forwarded as before. Exit code 1 if --wait ends in vain; the drain stays
    then.
    """
    if timeout and not wait:
        raise UsageError("--timeout bounds --wait, which is missing")
    if _is_own(node, "drain", itself=itself):
        from routerd.cli import own_drain

        return own_drain.drain(socket, as_json, wait, timeout)
    assert node is not None
    answer = _drain("PUT", node, socket, as_json)
    deadline = time.monotonic() + timeout if timeout else None
    while wait and not answer["empty"]:
        if in_vain := _in_vain(answer, node, timeout, late=deadline is not None and time.monotonic() >= deadline):
            if answer["drain"] and not as_json:
                _print(answer, as_json, render.drain)
            raise fail(ApiError(in_vain), as_json, answer)
        time.sleep(_POLL)
        answer = _drain("GET", node, socket, as_json)
    _print(answer, as_json, render.drain)
    return 0


def _in_vain(answer: Any, node: str, timeout: float, *, late: bool) -> str:
    """Return why it is in vain to wait on until a drain is empty; empty if it is not."""
    stays = f"it stays drained: routerd undrain {node} ends that"
    if not answer["drain"]:
        return f"the drain of {node} was ended by somebody else"
    if answer["sole"] and not answer["buckets"]:
        return f"{render.alone(answer)}: flows to them have nowhere to go; {stays}"
    return f"{node} still carries flows after {timeout:g} s; {stays}" if late else ""


def _is_own(node: str | None, command: str, *, itself: bool) -> bool:
    """Tell whether this router is meant, and not a node."""
    if (node is None) != itself:
        raise UsageError(f"write {command} NODE, or {command} --self")
    return itself


def undrain(node: str | None, socket: str, as_json: bool, *, itself: bool) -> int:
    """End the drain of a node, or of this router.

    A node gets its share again, as flows end and buckets fall idle.
    """
    if _is_own(node, "undrain", itself=itself):
        from routerd.cli import own_drain

        return own_drain.undrain(socket, as_json)
    assert node is not None
    _print(_drain("DELETE", node, socket, as_json), as_json, render.drain)
    return 0


def _drain(method: str, node: str, socket: str, as_json: bool) -> Any:
    try:
        answer = Client(socket).request(method, f"/v1/peers/{node}/drain")
    except ApiError as error:
        raise fail(error, as_json) from error
    if answer["unstored"] and method != "GET" and not as_json:
        print(f"routerd: not stored, a restart of routerd forgets it: {answer['unstored']}", file=sys.stderr)
    return answer


def version(socket: str, as_json: bool) -> int:
    """The version of this program and of the daemon that runs."""
    from routerd import __version__

    answer: dict[str, Any] = {"client": __version__, "daemon": None}
    try:
        answer["daemon"] = Client(socket).get("/v1/version")
    except ApiError as error:
        answer["error"] = str(error)
    if as_json:
        write(json.dumps(answer, indent=2))
        return 0
    write(f"routerd {__version__}")
    running = answer["daemon"]
    if running is None:
        print(answer["error"], file=sys.stderr)
        return 0
    parts = f"ExaBGP {running['exabgp']}, Python {running['python']}, Linux {running['kernel']}"
    write(f"daemon  {running['routerd']} ({parts})")
    return 0
