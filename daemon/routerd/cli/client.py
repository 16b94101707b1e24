"""A client of the API: HTTP over the Unix socket, on the standard library, because a command must start fast."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any
from urllib.parse import quote

DEFAULT_SOCKET = "/run/routerd/routerd.sock"
TIMEOUT = 10.0
"""Seconds that an answer may take."""


class ApiError(Exception):
    """The daemon cannot be asked, or refused the question. The text is for the operator."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("routerd", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client:
    """Asks the routerd behind the socket at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path

    def get(self, resource: str, **query: str | int | None) -> Any:
        """Return the decoded JSON of `GET resource`; ApiError when there is no daemon or it says no."""
        return self.request("GET", resource, **query)

    def request(self, method: str, resource: str, **query: str | int | None) -> Any:
        """Return the decoded JSON that a request is answered with; ApiError as in `get`."""
        words = [f"{key}={quote(str(value))}" for key, value in query.items() if value is not None]
        target = quote(resource) + ("?" + "&".join(words) if words else "")
        connection = _Connection(self._path)
        try:
            connection.request(method, target)
            response = connection.getresponse()
            body = response.read()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise ApiError(f"routerd is not running: nobody listens on {self._path} ({error.strerror})") from error
        except PermissionError as error:
            raise ApiError(f"no permission to use {self._path}; run as root or as a member of its group") from error
        except TimeoutError as error:
            raise ApiError(f"routerd does not answer on {self._path} within {TIMEOUT:.0f} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(f"routerd broke off the answer on {self._path}: {error}") from error
        finally:
            connection.close()
        return self._decode(response.status, body)

    @staticmethod
    def _decode(status: int, body: bytes) -> Any:
        try:
            answer = json.loads(body)
        except ValueError as error:
            raise ApiError(f"routerd answered {status} with something that is not JSON") from error
        if status != 200:
            raise ApiError(str(answer.get("detail", answer)) if isinstance(answer, dict) else str(answer))
        return answer
