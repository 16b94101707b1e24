"""The ASGI application: finds the endpoint of a request, and writes its answer as JSON, as it is, or as a stream."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Generator, MutableMapping, Sequence
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from routerd.api.caller import Caller
from routerd.api.endpoints import Endpoint, Failure, Request, Text
from routerd.api.slices import Slices, encoded, encoded_at_once, in_turns
from routerd.api.stream import BEAT, Stream

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

DESCRIPTION = "/openapi.json"
PATIENCE = 10.0
"""Seconds that the reader of a stream may take for what is sent at a stretch."""
AT_ONCE = 8
"""Long answers that are made at once, and as many of root's: one may take tens of megabytes until it is written."""
UNREAD = 32 << 20
"""Octets of answers that wait to be read, beyond which nobody but root is given another long one."""
JSON = "application/json"


class Application:
    """Answers from a table of endpoints, which `/openapi.json` describes; `read_only`: what only looks."""

    explains = "detail"
    """The field that says why there is no answer."""
    described = True
    """Whether `/openapi.json` says what there is."""

    def __init__(self, endpoints: Sequence[Endpoint], *, read_only: bool = False) -> None:
        self._endpoints = endpoints
        self._read_only = read_only
        self._paths: dict[re.Pattern[str], dict[str, Endpoint]] = {}
        for each in endpoints:
            # What a path names may hold slashes, as a prefix does.
            pattern = re.compile(re.sub(r"\{\w+\}", "(.*)", each.path))
            self._paths.setdefault(pattern, {})[each.method] = each
        self._places = {is_root: asyncio.Semaphore(AT_ONCE) for is_root in (False, True)}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; what fails here unforeseen is uvicorn's to answer and to log."""
        content, fields = JSON, tuple[tuple[bytes, bytes], ...]()
        try:
            status, answer = 200, await self._answer(scope, receive)
        except Failure as failure:
            status, answer, fields = failure.status, {self.explains: failure.detail}, failure.fields
        if isinstance(answer, Stream):
            scope["state"]["endless"]()
            await _stream(answer, receive, send, scope["state"]["abort"], scope["state"]["unread"])
            return
        if isinstance(answer, Text):
            content, body = answer
        else:
            body = b"".join([part async for part in encoded(answer)])
        await respond(send, status, content, body, *fields)

    @cached_property
    def _description(self) -> dict[str, Any]:
        from routerd.api.openapi import describe

        return describe(self._endpoints)

    async def _answer(self, scope: Message, receive: Receive) -> Any:
        method, path = scope["method"], scope["path"]
        if path == DESCRIPTION and method == "GET" and self.described:
            return self._description
        if self._read_only and method != "GET":
            raise Failure(403, "one may only look at this socket; [api] socket is where things are changed")
        for pattern, methods in self._paths.items():
            if found := pattern.fullmatch(path):
                if method not in methods:
                    there = f"{' and '.join(methods)} {'is' if len(methods) == 1 else 'are'}"
                    allow = b"allow", ", ".join(sorted(methods)).encode()
                    raise Failure(405, f"{method} is not for {path}; {there}", "", allow)
                query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
                named = found[1] if found.groups() else ""
                resumed = dict(scope["headers"]).get(b"last-event-id", b"").decode("latin-1")
                if methods[method].whole:
                    scope["state"]["endless"]()
                request = Request(method, path, named, query, scope["state"]["caller"], resumed)
                answer = await methods[method].answer(request)
                if methods[method].urgent:
                    return Text(JSON, encoded_at_once(answer))
                if not isinstance(answer, Generator | Text):
                    return answer
                return await _while_there(receive, self._written(answer, request.caller, scope["state"]))
        where = f"GET {DESCRIPTION}" if self.described else "docs/monitoring.md"
        raise Failure(404, f"there is nothing at {path[:100]}; {where} says what there is")

    async def _written(self, answer: Slices[Any] | Text, caller: Caller, state: Message) -> Text:
        """Return an answer that is long as it is written; Failure if too much of others waits to be read."""
        is_root = caller.uid == 0
        async with self._places[is_root]:
            if not is_root and state["unread_by_all"]() > UNREAD:
                raise Failure(503, "too much of what others have asked for waits to be read; ask again later")
            if isinstance(answer, Text):
                return answer
            view = await in_turns(answer)
            return Text(JSON, b"".join([part async for part in encoded(view)]))


async def respond(send: Send, status: int, content: str, body: bytes, *fields: tuple[bytes, bytes]) -> None:
    """Send a whole answer."""
    headers = [(b"content-type", content.encode()), (b"content-length", str(len(body)).encode()), *fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _while_there(receive: Receive, answer: Awaitable[Any]) -> Any:
    """Return an answer that takes long to make. It is given up, with a Failure that nobody hears, when who asks has
    gone: else those of many who ask and go would pile up."""
    making, leaving = asyncio.ensure_future(answer), asyncio.ensure_future(_disconnect(receive))
    try:
        await asyncio.wait({making, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not making.done():
            raise Failure(499, "nobody waits for the answer any more")
        return making.result()
    finally:
        making.cancel()
        leaving.cancel()


async def _stream(
    answer: Stream, receive: Receive, send: Send, abort: Callable[[], None], unread: Callable[[], bool]
) -> None:
    """Send the parts of a stream until it ends, or its reader goes or reads too slowly."""

    async def gone() -> None:
        await _disconnect(receive)
        sending.cancel()

    async def parts() -> None:
        headers = [(b"content-type", answer.content.encode()), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with contextlib.aclosing(answer.parts) as found:
            async for part in found:
                if part is BEAT and unread():
                    raise TimeoutError  # what is small fits into buffers for hours
                async with asyncio.timeout(PATIENCE):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    sending = asyncio.ensure_future(parts())
    watching = asyncio.ensure_future(gone())
    try:
        await asyncio.wait({sending})
        if not sending.cancelled():
            sending.result()
    except (TimeoutError, asyncio.CancelledError):  # it reads too slowly, or the daemon ends
        sending.cancel()
        abort()
        await _disconnect(receive)  # until then, to end without an answer is an error to uvicorn
    finally:
        watching.cancel()
        sending.cancel()


async def _disconnect(receive: Receive) -> None:
    """Wait for the end of the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
