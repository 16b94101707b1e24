"""`routerd drain --self` and `routerd undrain --self`."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from routerd.cli.client import ApiError, Client
from routerd.cli.commands import lines_of
from routerd.cli.output import fail, write
from routerd.cli.render import count, moment
from routerd.cli.top import rate

if TYPE_CHECKING:
    from routerd.api.inspection import TrafficView
    from routerd.api.models import RouterDrainView
    from routerd.cli.screen import Screen

_STAYS = "it stays drained: routerd undrain --self ends that"
_QUIET = 2
"""Counts in a row without a packet after which nothing flows any more."""
_COUNTED = 1000
"""Milliseconds of a count."""
_NAMED = 3
"""Groups that are told of those that carry packets."""
_POLL = 0.2
"""Seconds between two looks at whether all peers are told."""
UNSURE = 3


def drain(socket: str, as_json: bool, wait: bool, timeout: float) -> int:
    """Drain this router; wait, if wanted, until nothing flows through its groups."""
    client = Client(socket)
    deadline = time.monotonic() + timeout if timeout else None
    try:
        answer = _ask(client, "PUT", as_json)
        unsure = _wait(client, answer, as_json, timeout, deadline) if wait else ""
        answer = client.get("/v1/drain") | {"changed": answer["changed"]}
    except ApiError as error:
        raise fail(error, as_json) from error
    _print(answer, as_json)
    if unsure:
        print(f"routerd: {unsure}", file=sys.stderr)
    return UNSURE if unsure else 0


def undrain(socket: str, as_json: bool) -> int:
    """End the drain of this router."""
    try:
        _print(_ask(Client(socket), "DELETE", as_json), as_json)
    except ApiError as error:
        raise fail(error, as_json) from error
    return 0


def _ask(client: Client, method: str, as_json: bool) -> Any:
    answer = client.request(method, "/v1/drain")
    if answer["unstored"] and not as_json:
        print(f"routerd: not stored, a restart of routerd forgets it: {answer['unstored']}", file=sys.stderr)
    return answer


def _wait(client: Client, answer: Any, as_json: bool, timeout: float, deadline: float | None) -> str:
    """Wait until no packets flow through the groups; return what cannot be seen of that, empty if all is."""
    while answer["telling"] and (deadline is None or time.monotonic() < deadline):
        time.sleep(_POLL)
        answer = client.get("/v1/drain")
    quiet = 0
    while quiet < _QUIET:
        counted = client.get("/v1/traffic", milliseconds=_COUNTED, limit=_NAMED)
        quiet = 0 if counted["packets_per_second"] else quiet + 1
        if client.get("/v1/drain")["drain"] is None:
            raise ApiError("the drain of this router was ended by somebody else")
        if quiet < _QUIET and deadline is not None and time.monotonic() >= deadline:
            raise fail(ApiError(f"after {timeout:g} s there are still {_flowing(counted)}; {_STAYS}"), as_json)
    if not counted["uncounted"]:
        return ""
    groups = count(counted["uncounted"], "group")
    return f"the kernel does not count the packets of {groups} of one member: look at the interfaces before you go on"


def _flowing(view: TrafficView) -> str:
    busy = [group for group in view["groups"] if group["packets_per_second"]]
    named = ", ".join(f"{', '.join(each['prefixes'])} {rate(each['packets_per_second'])}" for each in busy)
    return f"{rate(view['packets_per_second'])} packets/s" + (f" ({named})" if named else ", a moment ago")


def _print(answer: Any, as_json: bool) -> None:
    write(json.dumps(answer, indent=2) if as_json else "\n".join(lines_of(lines, answer)))


def lines(screen: Screen, view: RouterDrainView) -> list[str]:
    """Whether this router is drained, and who knows."""
    order = view["drain"]
    if order is None:
        ended = "is no longer drained" if view["changed"] else "is not drained"
        how = "again without" if view["changed"] else "without"
        return screen.paragraph(f"this router {ended}; {_told(view, how)}")
    who = f"by {order['by']}, {moment(order['time'])}"
    return screen.paragraph(f"this router is drained ({who}); {_told(view, 'with')}; routerd health fails")


def _told(view: RouterDrainView, how: str) -> str:
    if not view["peers"]:
        return "no peer is told any routes"
    being = "are being told" if view["telling"] else "are told"
    return f"{count(view['peers'], 'peer')} {being} routes {how} GRACEFUL_SHUTDOWN"
