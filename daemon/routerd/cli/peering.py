"""The commands about single peers: to reset a session, to shut a peer down, and to let it in again. Each returns the
exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from routerd.cli.client import ApiError, Client
from routerd.cli.output import fail, write
from routerd.cli.render import shutdown as told
from routerd.cli.screen import Screen

if TYPE_CHECKING:
    from routerd.api.models import ClearView, OrderView


def clear(peer: str, soft: str | None, socket: str, as_json: bool) -> int:
    """Reset the session of a peer (name or address). Without one it is dialled at once, if it is one that is dialled.

    What its node announced stays until it is back, so that no flow breaks. With --soft the session goes on: the peer
    announces all again (in), or hears all again (out).
    """
    return _order(peer, "clear", _cleared, socket, as_json, soft=soft)


def shutdown(peer: str, text: list[str], socket: str, as_json: bool) -> int:
    """Shut a peer down (name or address), there or not.

    Its session ends, its routes go at once, and it gets no other session, over restarts of routerd too, until
    `routerd enable`. It is told the text, of 255 octets at most (RFC 9003).
    """
    return _order(peer, "shutdown", _shut, socket, as_json, text=" ".join(text) or None)


def enable(peer: str, socket: str, as_json: bool) -> int:
    """Let a peer have a session again that was shut down."""
    return _order(peer, "enable", _enabled, socket, as_json)


def _order(peer: str, order: str, say: Callable[[Any], str], socket: str, as_json: bool, **query: str | None) -> int:
    try:
        answer = Client(socket).request("POST", f"/v1/peers/{peer}/{order}", **query)
    except ApiError as error:
        raise fail(error, as_json) from error
    if as_json:
        write(json.dumps(answer, indent=2))
        return 0
    if answer.get("unstored"):
        print(f"routerd: not stored, a restart of routerd forgets it: {answer['unstored']}", file=sys.stderr)
    write("\n".join(Screen.of_stdout().paragraph(say(answer))))
    return 0


def _cleared(view: ClearView) -> str:
    who = _who(view)
    if view["dialled"]:
        return f"{who} has no session: it is dialled at once"
    if not view["session"]:
        return f"{who} has no session: there is nothing to clear"
    if view["soft"] == "in" and view["refreshed"]:
        return f"{who} is asked to announce all again (ROUTE-REFRESH), and what it has announced is judged anew"
    if view["soft"] == "in":
        return f"what {who} has announced is judged anew; it cannot announce it again, for it has no ROUTE-REFRESH"
    if view["soft"] == "out":
        return f"{who} hears all again"
    return (
        f"the session of {who} is reset; what it has announced stays until it is back, for "
        f"{view['stale_seconds']:g} s at most"
    )


def _shut(view: OrderView) -> str:
    assert view["shutdown"] is not None, "that is what was asked for"
    if not view["changed"]:
        return f"{_who(view)} is shut down already, {told(view['shutdown'])}"
    what = "its session ends and its routes go" if view["ended"] else "it gets no session"
    return f"{_who(view)} is shut down: {what}, until routerd enable {view['name']}"


def _enabled(view: OrderView) -> str:
    return f"{_who(view)} may have a session again" if view["changed"] else f"{_who(view)} is not shut down"


def _who(view: ClearView | OrderView) -> str:
    same = view["name"] == view["address"]
    return view["name"] if same else f"{view['name']} {view['address']}"
