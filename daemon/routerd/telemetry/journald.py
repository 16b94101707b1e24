"""The journal's native protocol: an event is a datagram with a field for each value (systemd.journal-fields(7)).

`journalctl -u routerd ROUTERD_PEER=k8s-w0 -o verbose` finds what a line's text only shows. See
https://systemd.io/JOURNAL_NATIVE_PROTOCOL.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Mapping

SOCKET = "/run/systemd/journal/socket"
MOST = 64 << 10
"""Octets of a datagram. What is longer goes as lines, which have no such limit."""
_NOT_IN_NAMES = re.compile("[^A-Z0-9_]")


class Journald:
    """A socket to the journal. Nothing waits for it."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

    def send(self, datagram: bytes) -> bool:
        """Send a datagram; tell whether the journal has it. It may be restarting, or be stuck."""
        if len(datagram) > MOST:
            return False
        try:
            self._socket.sendto(datagram, self._path)
        except OSError:
            return False
        return True


def datagram(priority: int, message: str, fields: Mapping[str, object]) -> bytes:
    """Return an event as the journal reads it; `fields` get names such as ROUTERD_PEER."""
    named = {"PRIORITY": str(priority), "SYSLOG_IDENTIFIER": "routerd", "MESSAGE": message}
    named |= {f"ROUTERD_{_NOT_IN_NAMES.sub('_', name.upper())}": str(value) for name, value in fields.items()}
    return b"".join(_field(name, value.encode(errors="backslashreplace")) for name, value in named.items())


def _field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name.encode() + b"=" + value + b"\n"
