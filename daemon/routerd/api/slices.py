"""Long answers in slices: the event loop gets its turn in between, however many peers, groups or routes there are.

What makes a view is a generator that yields nothing wherever it may be interrupted, and returns the view. Each row is
of one moment; two rows may be some milliseconds apart.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from itertools import chain
from typing import Any, TypeVar

from routerd.api.pace import pace

SLICE = 0.002
"""Seconds of work at a stretch, beside which others do theirs."""

T = TypeVar("T")
Slices = Generator[None, None, T]


async def in_slices(slices: Slices[T]) -> T:
    """Return the view, made slice by slice."""
    begun = time.monotonic()
    while True:
        try:
            next(slices)
        except StopIteration as end:
            made: T = end.value
            return made
        if time.monotonic() - begun > SLICE:
            await asyncio.sleep(0)
            begun = time.monotonic()


async def in_turns(slices: Slices[T]) -> T:
    """Return the view, made slice by slice as an answer: each in a turn of its own, for which routing comes first."""
    turns = pace()
    while True:
        await turns.begin()
        begun = time.monotonic()
        try:
            while time.monotonic() - begun <= SLICE:
                next(slices)
        except StopIteration as end:
            made: T = end.value
            return made
        finally:
            turns.end(time.monotonic() - begun)


async def encoded(view: object) -> AsyncIterator[bytes]:
    """Yield a view as JSON, slice by slice, as `in_turns`; a row is not divided."""
    turns, pieces, more = pace(), _pieces(view), True
    while more:
        await turns.begin()
        begun, ready, more = time.monotonic(), list[str](), False
        try:
            for text in pieces:
                ready.append(text)
                if more := time.monotonic() - begun > SLICE:
                    break
        finally:
            turns.end(time.monotonic() - begun)
        yield "".join(ready).encode(errors="replace")


def encoded_at_once(view: object) -> bytes:
    """Return a view as JSON. It waits for nothing: it has to be small."""
    return _text(view).encode(errors="replace")


def _pieces(view: object) -> Iterator[str]:
    """Yield the JSON text of an object or an array of rows in pieces."""
    if isinstance(view, Mapping):
        fields = ((f"{_text(name)}:", _pieces(value)) for name, value in view.items())
        yield from _joined("{", fields, "}")
    elif isinstance(view, list):
        yield from _joined("[", ((_text(row), ()) for row in view), "]")
    else:
        yield _text(view)


def _joined(begin: str, parts: Iterator[tuple[str, Any]], end: str) -> Iterator[str]:
    for number, (first, rest) in enumerate(parts):
        yield from chain((("," if number else begin) + first,), rest)
        begin = ""
    yield begin + end


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
