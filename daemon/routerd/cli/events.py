"""`routerd events`: what has happened, and what comes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from routerd.cli.client import ApiError, Client
from routerd.cli.output import fail, write
from routerd.cli.screen import Screen

if TYPE_CHECKING:
    from routerd.api.models import EventView

_COLOURS = {"warning": "yellow", "error": "red", "critical": "red"}
_HEAD = frozenset(("boot", "sequence", "time", "level", "event"))


def show(socket: str, as_json: bool, follow: bool, since: float | None, peer: str | None) -> int:
    """Print the events of the last `since` seconds, or all that the daemon has; go on with what comes, if to."""
    begin = 0.0 if since is None else time.time() - since
    screen = Screen.of_stdout()
    try:
        for name, event in _heard(Client(socket), follow, peer):
            if name == "missed":
                raise ApiError(f"{event['missed']} events were missed: they came faster than they were read")
            if datetime.fromisoformat(event["time"]).timestamp() >= begin:
                write(json.dumps(event) if as_json else line(screen, event))
        if follow:
            raise ApiError("routerd has ended, or broken the stream off")
    except ApiError as error:
        if not as_json:
            raise fail(error, as_json) from error
        write(json.dumps({"ok": False, "error": str(error)}))
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def line(screen: Screen, event: EventView) -> str:
    """Return the line of an event: its local time, its name, and what it is about."""
    when = datetime.fromisoformat(event["time"]).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    about = " ".join(f"{name}={_field(value)}" for name, value in event.items() if name not in _HEAD)
    colour = _COLOURS.get(event["level"])
    name = screen.paint(event["event"], colour) if colour else event["event"]
    return f"{when}  {name}  {about}".rstrip()


def _field(value: object) -> str:
    if isinstance(value, str) and value and value.isprintable() and " " not in value:
        return value
    return json.dumps(value)


def _heard(client: Client, follow: bool, peer: str | None) -> Iterator[tuple[str, Any]]:
    """Yield the name and the data of each event of the stream."""
    name = ""
    for text in _lines(client, follow, peer):
        if text.startswith("event: "):
            name = text[7:]
        elif text.startswith("data: "):
            yield name, json.loads(text[6:])


def _lines(client: Client, follow: bool, peer: str | None) -> Iterable[str]:
    """Return the lines of the stream. What is kept is read at once, and to its end: who pages through it may take
    longer than the daemon waits for a reader."""
    if follow:
        return client.stream("/v1/events", follow=1, peer=peer)
    return b"".join(client.download("/v1/events", follow=0, peer=peer)).decode(errors="replace").split("\n")
