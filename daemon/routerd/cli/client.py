"""A client of the API: HTTP over the Unix socket, by hand, because a command must start fast."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

DEFAULT_SOCKET = "/run/routerd/routerd.sock"
TIMEOUT = 10.0
"""Seconds that routerd may say nothing."""
LONGEST_PATH = 107
"""Octets of a Unix socket's path at most, unix(7)."""


_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~/")
"""Octets that stand in a target as they are: the unreserved ones and the slash (RFC 3986 section 2.3)."""


class ApiError(Exception):
    """The daemon cannot be asked, or refused the question. The text is for the operator."""


OTHER_VERSION = (
    "the answer is not one of this version: is a routerd of another one running? `routerd version` tells; restart it"
)


class Answer(dict[str, Any]):
    """An object of an answer; a field that is missing is the mark of another version."""

    def __missing__(self, field: str) -> Any:
        raise ApiError(OTHER_VERSION)


class Client:
    """Asks the routerd behind the socket at `path`, which may say nothing for `timeout` seconds."""

    def __init__(self, path: str, timeout: float = TIMEOUT) -> None:
        self._path = path
        self._timeout = timeout

    def get(self, resource: str, **query: str | int | None) -> Any:
        """Return the decoded JSON of `GET resource`; ApiError when there is no daemon or it says no."""
        return self.request("GET", resource, **query)

    def request(self, method: str, resource: str, **query: str | int | None) -> Any:
        """Return the decoded JSON that a request is answered with; ApiError as in `get`."""
        with self._asked(method, resource, query) as connection, self._explained():
            octets = b"".join(iter(lambda: connection.recv(1 << 20), b""))
        return self._decode(octets)

    def stream(self, resource: str, **query: str | int | None) -> Iterator[str]:
        """Yield the lines of an answer that goes on, until it ends; ApiError as in `get`."""
        with (
            self._asked("GET", resource, query, "1.0") as connection,
            connection.makefile("rb") as lines,
            self._explained(),
        ):
            head = list(iter(lines.readline, b"\r\n")) if (first := lines.readline()) else []
            if first.split()[1:2] != [b"200"]:
                self._decode(first + b"".join(head) + b"\r\n" + lines.read())
            connection.settimeout(None)
            for line in lines:
                yield line.decode(errors="replace").rstrip("\n")

    def download(self, resource: str, **query: str | int | None) -> Iterator[bytes]:
        """Yield the octets of an answer that is long, in parts; ApiError as in `get`, and if its end is missing."""
        with (
            self._asked("GET", resource, query) as connection,
            connection.makefile("rb") as answer,
            self._explained(),
        ):
            head = list(iter(answer.readline, b"\r\n")) if (first := answer.readline()) else []
            if first.split()[1:2] != [b"200"]:
                self._decode(first + b"".join(head) + b"\r\n" + answer.read())
            # Chunks tell a whole answer from one that was broken off (RFC 9112 section 7.1).
            while size := int(answer.readline() or b"-1", 16):
                part = answer.read(size + 2) if size > 0 else b""
                if len(part) != size + 2:
                    raise ApiError(f"routerd broke off the answer on {self._path}: it is incomplete")
                yield part[:-2]

    @contextmanager
    def _asked(
        self, method: str, resource: str, query: Mapping[str, str | int | None], version: str = "1.1"
    ) -> Iterator[socket.socket]:
        """Yield a connection that the daemon was asked something on. HTTP/1.0 has no chunks."""
        words = [f"{key}={_quoted(str(value))}" for key, value in query.items() if value is not None]
        target = _quoted(resource) + ("?" + "&".join(words) if words else "")
        if not 0 < len(os.fsencode(self._path)) <= LONGEST_PATH:
            raise ApiError(f"{self._path!r} is no path of a socket: those have 1 to {LONGEST_PATH} octets")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(self._timeout)
            with self._explained():
                connection.connect(self._path)
                connection.sendall(
                    f"{method} {target} HTTP/{version}\r\nHost: routerd\r\nConnection: close\r\n\r\n".encode()
                )
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise what the socket says as ApiError, in the operator's words."""
        try:
            yield
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise ApiError(
                f"routerd is not running: nobody listens on {self._path} ({error.strerror}); start it, or name "
                "the socket of its configuration with --socket"
            ) from error
        except PermissionError as error:
            raise ApiError(f"no permission to use {self._path}; run as root or as a member of its group") from error
        except TimeoutError as error:
            raise ApiError(f"routerd does not answer on {self._path} within {self._timeout:.0f} s") from error
        except OSError as error:
            raise ApiError(f"routerd broke off the answer on {self._path}: {error}") from error

    def _decode(self, octets: bytes) -> Any:
        head, _, body = octets.partition(b"\r\n\r\n")
        fields = head.lower().split()
        if b"content-length:" not in fields or len(body) < int(fields[fields.index(b"content-length:") + 1]):
            raise ApiError(f"routerd broke off the answer on {self._path}: it is incomplete")
        try:
            status, answer = int(fields[1]), json.loads(body, object_hook=Answer)
        except ValueError as error:
            raise ApiError(f"routerd answered on {self._path} with something that is not JSON") from error
        if status != 200:
            raise ApiError(str(answer.get("detail", answer)) if isinstance(answer, dict) else str(answer))
        return answer


def _quoted(text: str) -> str:
    """As urllib.parse.quote does it, whose import takes longer than the rest of a request."""
    octets = text.encode(errors="surrogateescape")
    return "".join(chr(octet) if octet in _PLAIN else f"%{octet:02X}" for octet in octets)
