"""`routerd health`: one line, and the exit code that says it all."""

from __future__ import annotations

import json
import sys

from routerd.cli.client import OTHER_VERSION, ApiError, Client
from routerd.cli.output import fail, write
from routerd.cli.render import count

PATIENCE = 2.0
"""Seconds that the daemon may say nothing: whoever asks again every second wants to know soon."""


def show(socket: str, as_json: bool, at_least: int) -> int:
    """Ask, and print."""
    try:
        answer = Client(socket, PATIENCE).get("/v1/health", at_least=at_least)
        ok, nodes, reason = answer["ok"], answer["nodes"], answer["reason"]
    except (ApiError, TypeError) as error:
        raise fail(error if isinstance(error, ApiError) else ApiError(OTHER_VERSION), as_json) from error
    if as_json:
        write(json.dumps(answer, indent=2))
    elif ok:
        write(f"ok: {count(nodes, 'node')} in the FIB")
    else:
        print(f"routerd: {reason}", file=sys.stderr)
    return 0 if ok else 1
