"""`routerd log`: what the daemon's log has, and how to have more or less of it. Returns the exit code."""

from __future__ import annotations

import json

from routerd.cli.client import ApiError, Client
from routerd.cli.output import fail, write


def log(level: str | None, socket: str, as_json: bool) -> int:
    """Show the least level that the daemon's log has, or change it.

    A change lasts until the daemon's next start: `routerd run --log-level` is what it starts with.
    """
    try:
        client = Client(socket)
        answer = client.get("/v1/log") if level is None else client.request("PUT", f"/v1/log/{level}")
    except ApiError as error:
        raise fail(error, as_json) from error
    when = "" if level is None else " now" if answer["changed"] else " already"
    text = f"the log has what is of level {answer['level']} or above{when}"
    write(json.dumps(answer, indent=2) if as_json else text)
    return 0
