"""What can be asked of the looking glass. Long answers are made while they are read: none is held in memory whole."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from routerd import __version__
from routerd.api.endpoints import Endpoint, Failure, Request
from routerd.api.limits import Places
from routerd.api.lookingglass import bgplgd, birdwatcher, rows
from routerd.api.lookingglass.rows import Row
from routerd.api.models import PeerView
from routerd.api.slices import SLICE, in_slices
from routerd.api.stream import Stream
from routerd.api.views.peers import peers as peers_view
from routerd.core.rib.foreign import network_of
from routerd.core.rib.peer import Peer
from routerd.core.route import Address, Family, Prefix, parse_prefix
from routerd.core.router import Router

JSON = "application/json"
LISTS = 16
"""Lists of routes that are read at once: each holds the keys of a table."""
FRESH = 1.0
"""Seconds for which the counts of all peers serve others, too."""
_TABLES = {"master": None, "master4": Family.IPV4, "master6": Family.IPV6}
_PART = 1 << 16
"""Octets that are handed over at once, at least, while there are more."""


def endpoints(router: Router) -> tuple[Endpoint, ...]:
    """Return all endpoints, birdwatcher's and bgplgd's."""

    turn, places = asyncio.Lock(), Places(LISTS)
    known, counted_at = list[PeerView](), -FRESH

    def listed(request: Request, fields: Mapping[str, Any], **lists: Iterator[object | None]) -> Stream:
        client = str(request.caller)
        if not places.free(client):
            raise Failure(503, "too many answers are being read already; ask again later")
        return Stream(JSON, _placed(places, client, _parts(turn, fields, lists)))

    async def peers() -> list[PeerView]:
        nonlocal known, counted_at
        async with turn:
            if time.monotonic() - counted_at >= FRESH:
                known = await in_slices(peers_view(router, time.monotonic()))
                counted_at = time.monotonic()
            return known

    def peer(name: str) -> Peer:
        found = rows.find(router, name)
        if found is None:
            raise Failure(404, f"no peer has the name or address {name[:100]}")
        return found

    def routes(request: Request, found: Iterable[Row | None]) -> Stream:
        now, monotonic = birdwatcher.now()
        return listed(request, birdwatcher.head(now), routes=rows.shown(found, birdwatcher.route(now, monotonic)))

    def counted(number: int) -> dict[str, Any]:
        return birdwatcher.head(time.time()) | {"routes": number}

    async def status(_: Request) -> dict[str, Any]:
        now, monotonic = birdwatcher.now()
        return birdwatcher.head(now) | birdwatcher.status(router, now, monotonic)

    async def version(_: Request) -> dict[str, Any]:
        return {"version": f"routerd {__version__}"}

    async def protocols(_: Request) -> dict[str, Any]:
        now = time.time()
        found = {each["name"]: birdwatcher.protocol(each, now) for each in await peers()}
        return birdwatcher.head(now) | {"protocols": found}

    async def protocols_short(_: Request) -> dict[str, Any]:
        now = time.time()
        found = {each["name"]: birdwatcher.short(each, now) for each in await peers()}
        return birdwatcher.head(now) | {"protocols": found}

    async def of_protocol(request: Request) -> Stream:
        return routes(request, rows.accepted(router, peer(request.named)))

    async def filtered(request: Request) -> Stream:
        return routes(request, rows.rejected(router, peer(request.named)))

    async def export(request: Request) -> Stream:
        return routes(request, rows.exported(router, peer(request.named)))

    async def noexport(request: Request) -> Stream:
        return routes(request, rows.not_exported(router, peer(request.named)))

    async def table(request: Request) -> Stream:
        return routes(request, rows.table(router, _table(request.named)))

    async def table_filtered(request: Request) -> Stream:
        return routes(request, rows.filtered(router, _table(request.named)))

    async def count_protocol(request: Request) -> dict[str, Any]:
        rib = peer(request.named).adj_rib_in
        return counted(len(rib.accepted) + len(rib.stale))

    async def count_table(request: Request) -> dict[str, Any]:
        if _table(request.named) is not None:
            raise Failure(404, "the routes of master are counted, and not by family")
        return counted(len(router.rib.loc_rib.table))

    async def prefix(request: Request) -> Stream:
        return routes(request, rows.one(router, _sought(router, request.query.get("prefix", ""))))

    async def net(request: Request) -> Stream:
        return routes(request, rows.one(router, _sought(router, request.named)))

    async def dump(request: Request) -> Stream:
        now, monotonic = birdwatcher.now()
        show = birdwatcher.route(now, monotonic)
        imported, filtered = (rows.shown(each(router), show) for each in (rows.table, rows.filtered))
        return listed(request, birdwatcher.head(now), imported=imported, filtered=filtered)

    async def neighbors(request: Request) -> dict[str, Any]:
        found = await peers()
        return {"neighbors": [bgplgd.neighbor(each) for each in found if _asked(request, each)]}

    async def summary(_: Request) -> dict[str, Any]:
        return {"neighbors": [bgplgd.summary(each) for each in await peers()]}

    async def rib(request: Request) -> Stream:
        """Rejected routes are there too, with their reason: Alice-LG tells them apart by that."""
        name, sought = request.query.get("neighbor"), request.query.get("prefix")
        found: Iterable[Row | None]
        if name is not None:
            one = peer(name)
            found = chain(rows.accepted(router, one), rows.rejected(router, one))
        elif sought is not None:
            found = rows.one(router, _sought(router, sought))
        else:
            found = chain(rows.table(router), rows.filtered(router))
        return listed(request, {}, rib=rows.shown(found, bgplgd.route(time.monotonic())))

    async def rib_out(request: Request) -> Stream:
        found = rows.exported(router, peer(request.query.get("neighbor", "")))
        return listed(request, {}, rib=rows.shown(found, bgplgd.route(time.monotonic())))

    return tuple(
        _endpoint(path, answer)
        for path, answer in (
            ("/status", status),
            ("/version", version),
            ("/protocols", protocols),
            ("/protocols/bgp", protocols),
            ("/protocols/short", protocols_short),
            ("/routes/protocol/{protocol}", of_protocol),
            ("/routes/peer/{peer}", of_protocol),
            ("/routes/filtered/{protocol}", filtered),
            ("/routes/export/{protocol}", export),
            ("/routes/noexport/{protocol}", noexport),
            ("/routes/table/{table}/filtered", table_filtered),
            ("/routes/table/{table}", table),
            ("/routes/count/protocol/{protocol}", count_protocol),
            ("/routes/count/table/{table}", count_table),
            ("/routes/prefix", prefix),
            ("/routes/dump", dump),
            ("/route/net/{net}", net),
            ("/neighbors", neighbors),
            ("/summary", summary),
            ("/rib", rib),
            ("/rib/in", rib),
            ("/rib/out", rib_out),
        )
    )


def _endpoint(path: str, answer: Callable[[Request], Awaitable[Any]]) -> Endpoint:
    return Endpoint("GET", path, dict[str, str], "", answer)


def _asked(request: Request, peer: PeerView) -> bool:
    return request.query.get("neighbor") in (None, peer["name"], peer["address"])


def _table(name: str) -> Family | None:
    """Return the family of a table; None for all."""
    if name not in _TABLES:
        raise Failure(404, f"there is no table {name[:100]!r}; there are {', '.join(_TABLES)}")
    return _TABLES[name]


def _sought(router: Router, text: str) -> Prefix:
    """Return the prefix of the Loc-RIB that is asked for: that itself, or the most specific one around an address."""
    try:
        prefix = parse_prefix(text)
    except ValueError as error:
        try:
            meant = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise Failure(422, f"{text[:100]!r} is not a prefix or an address") from error
        raise Failure(422, f"{text} has host bits set; write {meant}") from error
    if "/" not in text:
        wider = (network_of(Address(prefix[1:]), length) for length in range(prefix[0], -1, -1))
        prefix = next((each for each in wider if each in router.rib.loc_rib.table), prefix)
    return prefix


async def _placed(places: Places, client: str, parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield the parts of an answer, which has a place from the first to the last."""
    taken = places.take(client)
    try:
        async with contextlib.aclosing(parts):
            async for part in parts:
                yield part
    finally:
        if taken:
            places.leave(client)


async def _parts(
    turn: asyncio.Lock, fields: Mapping[str, Any], lists: Mapping[str, Iterator[object | None]]
) -> AsyncGenerator[bytes, None]:
    """Yield an object of fields, and of lists whose rows come one by one, as JSON, slice by slice.

    Of all long answers one does a slice at a time, while it has the `turn`: however many there are, routing waits for
    no more than that.
    """
    texts = _texts(fields, lists)
    ready, size, more = list[str](), 0, True
    while more:
        async with turn:
            begun = time.monotonic()
            while (text := next(texts, None)) is not None:
                if text:
                    ready.append(text)
                    size += len(text)
                if time.monotonic() - begun > SLICE:
                    break
            more = text is not None
        if size > _PART or not more:
            yield "".join(ready).encode()
            ready, size = [], 0
        await asyncio.sleep(0)


def _texts(fields: Mapping[str, Any], lists: Mapping[str, Iterator[object | None]]) -> Iterator[str]:
    """Yield the text of such an object in pieces, empty ones where there is no row."""
    yield "{" + "".join(f"{_text(name)}:{_text(value)}," for name, value in fields.items())
    for number, (name, found) in enumerate(lists.items()):
        yield f"{',' if number else ''}{_text(name)}:["
        between = ""
        for row in found:
            yield "" if row is None else between + _text(row)
            between = between if row is None else ","
        yield "]"
    yield "}"


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
