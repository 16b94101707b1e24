"""The options that commands share."""

from __future__ import annotations

import os

from routerd.cli.arguments import argument
from routerd.cli.client import DEFAULT_SOCKET

CONFIG = "The configuration file"
SOCKET = argument(
    "-s",
    "--socket",
    metavar="PATH",
    default=os.environ.get("ROUTERD_SOCKET") or DEFAULT_SOCKET,
    help=f"The daemon's Unix socket.  [env var: ROUTERD_SOCKET; default: {DEFAULT_SOCKET}]",
)
JSON = argument(
    "--json", dest="as_json", action="store_true", help="Print what the API answers, for programs; errors too."
)
