"""A client of routerd's API. It needs nothing but Python 3.11."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any


class Refused(Exception):  # noqa: N818 - an answer, if not the one that was hoped for
    """The API answered with another status than 200; `detail` says why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("routerd", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Connection:
    """Where the daemon's socket is, and for how many seconds it may say nothing; a connection for each request."""

    def __init__(self, path: str = "/run/routerd/routerd.sock", timeout: float = 60.0) -> None:
        self._path = path
        self._timeout = timeout

    @contextlib.contextmanager
    def _asked(self, method: str, place: str, query: Mapping[str, Any]) -> Iterator[http.client.HTTPResponse]:
        words = urllib.parse.urlencode({name: value for name, value in query.items() if value is not None})
        with contextlib.closing(_Unix(self._path, self._timeout)) as connection:
            connection.request(method, f"{place}?{words}" if words else place)
            response = connection.getresponse()
            if response.status != 200:
                raise Refused(response.status, json.load(response)["detail"])
            yield response

    def _octets(self, method: str, place: str, query: Mapping[str, Any]) -> bytes:
        with self._asked(method, place, query) as response:
            return response.read()

    def _json(self, method: str, place: str, query: Mapping[str, Any]) -> Any:
        return json.loads(self._octets(method, place, query))

    def _events(self, method: str, place: str, query: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the data of server-sent events, as they come."""
        with self._asked(method, place, query) as response:
            for line in response:
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])


def quote(name: str) -> str:
    """Return a name as it stands in a path."""
    return urllib.parse.quote(name, safe="")
