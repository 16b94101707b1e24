"""Where an MQTT broker is, as `mqtt://HOST` or `mqtts://HOST:PORT` writes it. On the standard library alone: commands
that start fast read it too.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

EXAMPLE = "mqtts://broker.example.net:8883"
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class Place(NamedTuple):
    """A broker's host and port, and whether it is talked to over TLS."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def place(url: str) -> Place:
    """Return what a URL says; ValueError, with what to write instead, if it is none of a broker."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f'{url!r} is no URL of a broker; write one such as "{EXAMPLE}"') from None
    if parts.username is not None or parts.password is not None:
        raise ValueError('a broker\'s URL has no user and no password here; write user = "..." and password_file')
    rest = parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme not in _PORTS or not parts.hostname or rest or port == 0:
        raise ValueError(f'{url!r} is no URL of a broker; write one such as "{EXAMPLE}", or "mqtt://..." without TLS')
    return Place(parts.hostname, port or _PORTS[parts.scheme], parts.scheme == "mqtts")
