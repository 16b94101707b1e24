"""What can be asked of the API: a table of endpoints, each with its answer's view."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import structlog

from routerd.api import stream
from routerd.api.caller import Caller, described
from routerd.api.choosing import Choice, choice
from routerd.api.models import (
    CheckView,
    ClearView,
    DrainView,
    EventView,
    GroupView,
    HealthView,
    HistoryView,
    LogView,
    OrderView,
    PeerView,
    ReloadView,
    RouteDetailView,
    RouterDrainView,
    RoutesView,
    StatusView,
    VersionView,
)
from routerd.api.shared import Shared
from routerd.api.slices import Slices
from routerd.core.route import Prefix, format_prefix, parse_prefix

LEVELS = ("debug", "info", "warning", "error")
"""Of the log."""
MAX_OFFSET = 2**31 - 1
MAX_LIMIT = 10_000
MAX_NODES = 100_000
MAX_CONFIRM = 86_400
"""Seconds that a change may wait to be confirmed."""

if TYPE_CHECKING:
    from routerd.api.inspecting import Inspector
    from routerd.api.pairing import Paired

T = TypeVar("T")
log = structlog.get_logger()


class Source(Protocol):
    """Where the answers come from. Those that are synchronous are consistent views of one moment; of `Slices`, each
    row is.

    `routes` and the drains return None when there is no such peer.
    """

    def status(self) -> Slices[StatusView]: ...
    def peers(self) -> Slices[list[PeerView]]: ...
    def groups(self) -> Slices[list[GroupView]]: ...
    def routes(self, offset: int, limit: int, peer: str | None, choice: Choice) -> Slices[RoutesView | None]: ...
    def route(self, prefix: Prefix) -> RouteDetailView | None: ...
    def covering(self, prefix: Prefix) -> str: ...
    async def drain(self, peer: str) -> DrainView | None: ...
    async def set_drain(self, peer: str, *, on: bool, by: str) -> DrainView | None: ...
    def health(self, at_least: int) -> HealthView: ...
    def own_drain(self) -> RouterDrainView: ...
    async def set_own_drain(self, *, on: bool, by: str) -> RouterDrainView: ...
    def version(self) -> VersionView: ...
    @property
    def events(self) -> stream.Events: ...
    def names(self, peer: str) -> frozenset[str]: ...
    def dump(self) -> AsyncGenerator[bytes, None]: ...
    async def check(self, path: str | None) -> CheckView: ...
    async def diff(self, path: str | None) -> ReloadView: ...
    async def reload(self, path: str | None, confirm: int, by: str) -> ReloadView: ...
    async def confirm(self, by: str) -> ReloadView: ...
    async def rollback(self, number: int, by: str) -> ReloadView: ...
    async def history(self) -> list[HistoryView]: ...
    @property
    def inspection(self) -> Inspector: ...
    @property
    def paired(self) -> Paired | None: ...
    async def clear(self, peer: str, soft: str, by: str) -> ClearView: ...
    async def shutdown(self, peer: str, text: str, by: str) -> OrderView: ...
    async def enable(self, peer: str, by: str) -> OrderView: ...
    def log_level(self) -> LogView: ...
    def set_log_level(self, level: str, by: str) -> LogView: ...
    async def metrics(self) -> bytes: ...


class Failure(Exception):  # noqa: N818 - an answer, if not the one that was hoped for
    """A request that is answered with an HTTP status other than 200, and a text that says why. `brief` is what those
    are told who may not read everything; empty for the same. `fields` are header fields of the answer."""

    def __init__(self, status: int, detail: str, brief: str = "", *fields: tuple[bytes, bytes]) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.brief = brief
        self.fields = fields


class Number(NamedTuple):
    """A whole number in a query: its limits, and what it is if absent."""

    least: int
    most: int
    default: int

    def read(self, name: str, text: str | None) -> int:
        """Return the number; Failure if it is none, or beyond the limits."""
        value = self.default
        if text is not None:
            value = int(text) if re.fullmatch("[0-9]{1,19}", text) else self.least - 1
        if not self.least <= value <= self.most:
            raise Failure(
                422, f"{name} is a whole number from {self.least} to {self.most}, not {(text or '')[:40]!r}"
            )
        return value


class Text(NamedTuple):
    """An answer that is no JSON: its type, and all of it."""

    content: str
    body: bytes


PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format."""


class Request(NamedTuple):
    """A request. `named` is what its path names, a peer or a prefix; both it and the query are decoded."""

    method: str
    path: str
    named: str
    query: Mapping[str, str]
    caller: Caller
    resumed: str = ""
    """The id of the last event that the reader of a stream knows."""


class Endpoint(NamedTuple):
    """What a method does at a path, which may end in a `{name}`, or name one on its way. `view` is the answer's type,
    or `module:name` for one that is loaded when the API is described.

    `query` are the numbers that may stand in the query, and None for a text. The functions are coroutines that do not
    wait while they look at the core, so that nobody sees its state in the middle of a change. They return a long
    answer as the slices that make it.
    """

    method: str
    path: str
    view: Any
    about: str
    answer: Callable[[Request], Awaitable[Any]]
    query: Mapping[str, Number | None] = {}
    content: str = "application/json"
    whole: bool = False
    """Whether its answer is awaited however long it takes: who asks shall know whether it was done."""
    urgent: bool = False
    """Whether its answer, a short one, waits for no other: by it others decide which router traffic goes to."""


def endpoints(source: Source, writers: int | None = 0) -> tuple[Endpoint, ...]:
    """Return all endpoints, answered from `source`; members of the group `writers` may change something, if any."""
    offset, limit = Number(0, MAX_OFFSET, 0), Number(1, MAX_LIMIT, 100)
    dumps = stream.Bounded(stream.DUMPS)
    least = Number(0, MAX_NODES, 1)
    longest, number, switch = Number(0, MAX_CONFIRM, 0), Number(0, MAX_OFFSET, 0), Number(0, 1, 1)

    async def status(_: Request) -> Slices[StatusView]:
        return source.status()

    async def peers(_: Request) -> Slices[list[PeerView]]:
        return source.peers()

    async def groups(_: Request) -> Slices[list[GroupView]]:
        return source.groups()

    async def version(_: Request) -> VersionView:
        return source.version()

    async def routes(request: Request) -> Slices[RoutesView]:
        first, most = (request.query.get(name) for name in ("offset", "limit"))
        peer = request.query.get("peer")
        try:
            chosen = choice(request.query)
        except ValueError as error:
            raise Failure(422, str(error)) from error
        page = source.routes(offset.read("offset", first), limit.read("limit", most), peer, chosen)

        def known() -> Slices[RoutesView]:
            return _known((yield from page), peer)

        return known()

    async def route(request: Request) -> RouteDetailView:
        parsed = _prefix(request.named)
        found = source.route(parsed)
        if found is None:
            wider = source.covering(parsed)
            within = f"; it lies in {wider}: routerd route {wider}" if wider else ""
            raise Failure(
                404, f"nobody announces {format_prefix(parsed)}, and the kernel has no route to just that{within}"
            )
        return found

    async def drain(request: Request) -> DrainView:
        return _known(await source.drain(request.named), request.named)

    async def events(request: Request) -> stream.Stream:
        await writer(request)  # as for diff: of a file that could not be taken they have the errors
        if stream.full():
            raise Failure(503, f"{stream.STREAMS} streams of events are open already; close some")
        peer, follow = request.query.get("peer"), switch.read("follow", request.query.get("follow"))
        names = frozenset[str]() if peer is None else _named(source.names(peer), peer)
        parts = stream.stream(source.events, request.resumed, follow=follow == 1, wanted=stream.about(names))
        return stream.Stream(stream.CONTENT, parts)

    async def dump(_: Request) -> stream.Stream:
        if dumps.full:
            raise Failure(503, f"{stream.DUMPS} dumps are under way already; ask again when one has ended")
        return stream.Stream(stream.MRT, dumps.counted(source.dump()))

    async def writer(request: Request) -> str:
        return await admit(request, writers)

    async def check(request: Request) -> CheckView:
        await writer(request)  # as for diff
        return await _guarded(request, source.check(request.query.get("path")))

    async def diff(request: Request) -> ReloadView:
        await writer(request)  # errors show what stands in the file
        return await _guarded(request, source.diff(request.query.get("path")))

    async def reload(request: Request) -> ReloadView:
        seconds = longest.read("confirm", request.query.get("confirm"))
        by = await writer(request)
        return await _guarded(request, source.reload(request.query.get("path"), seconds, by))

    async def confirm(request: Request) -> ReloadView:
        return await source.confirm(await writer(request))

    async def rollback(request: Request) -> ReloadView:
        wanted = number.read("number", request.query.get("number"))
        return await source.rollback(wanted, await writer(request))

    async def history(_: Request) -> list[HistoryView]:
        return await source.history()

    async def set_drain(request: Request) -> DrainView:
        by = await writer(request)
        return _known(await source.set_drain(request.named, on=request.method == "PUT", by=by), request.named)

    async def health(request: Request) -> HealthView:
        return source.health(least.read("at_least", request.query.get("at_least")))

    async def own_drain(_: Request) -> RouterDrainView:
        return source.own_drain()

    async def set_own_drain(request: Request) -> RouterDrainView:
        return await source.set_own_drain(on=request.method == "PUT", by=await writer(request))

    async def clear(request: Request) -> ClearView:
        soft = request.query.get("soft", "")
        if soft not in ("", "in", "out"):
            raise Failure(422, f"soft is in or out, not {soft[:40]!r}")
        return await source.clear(request.named, soft, await writer(request))

    async def shutdown(request: Request) -> OrderView:
        return await source.shutdown(request.named, request.query.get("text", ""), await writer(request))

    async def enable(request: Request) -> OrderView:
        return await source.enable(request.named, await writer(request))

    async def log_level(_: Request) -> LogView:
        return source.log_level()

    async def set_log_level(request: Request) -> LogView:
        if request.named not in LEVELS:
            raise Failure(422, f"a level is one of {', '.join(LEVELS)}, not {request.named[:40]!r}")
        return source.set_log_level(request.named, await writer(request))

    page = Shared(source.metrics)

    async def metrics(_: Request) -> Text:
        return Text(PROMETHEUS, await page.get())

    one, all_of_it = "/v1/routes/{prefix}", {"offset": offset, "limit": limit, "peer": None}
    all_of_it |= dict.fromkeys(("longer", "shorter", "state", "community", "as_path"))
    peer = "/v1/peers/{peer}"
    node = f"{peer}/drain"
    found = "One prefix: its paths, why each won or lost, its group, and what the kernel has."
    heard = "What happened, as server-sent events: all that is kept, and then what comes, unless follow is 0."
    whole = "The table with all its paths, as an MRT file (TABLE_DUMP_V2, RFC 6396)."
    told = {"follow": switch, "peer": None}
    changed = {"path": None, "confirm": longest}
    stays = "Have a change stay that waits for it."
    taken = "Put a file in force, all of it or nothing; the daemon's own one unless a path is given."
    back = "Go back to what ran before, or to a configuration of the history by its number."
    doubts = "What is doubtful about a file on this host, and beside the sessions that stand."
    anew = "Reset a peer's session; or have it announce (`soft=in`) or hear (`soft=out`) all again without."
    down = "End a peer's session, and give it none until it is enabled; it is told the text (RFC 9003)."
    quieter = "Change the least level that the log has, until the next start: debug, info, warning or error."
    carries = "Can this router carry traffic? With the first reason why not."
    aside = "Drain this router itself: peers are told GRACEFUL_SHUTDOWN (RFC 8326), and its health fails."
    well = "Is all well? The router, its peers, groups, sysctls and the problems found."
    counted = "All metrics, as Prometheus reads them."
    return (
        Endpoint("GET", "/v1/status", StatusView, well, status),
        Endpoint("GET", "/v1/peers", list[PeerView], "All peers with their state and counts.", peers),
        Endpoint("GET", "/v1/groups", list[GroupView], "The nexthop groups in the kernel.", groups),
        Endpoint("GET", "/v1/routes", RoutesView, "A page of the Loc-RIB.", routes, all_of_it),
        Endpoint("GET", "/v1/dump", str, whole, dump, content=stream.MRT),
        Endpoint("GET", one, RouteDetailView, found, route),
        Endpoint("GET", node, DrainView, "How far a drain has come: the buckets that still carry flows.", drain),
        Endpoint("PUT", node, DrainView, "Drain a node: no new flows, established ones live on.", set_drain),
        Endpoint("DELETE", node, DrainView, "End a drain: the node gets its share again, as flows end.", set_drain),
        Endpoint("GET", "/v1/health", HealthView, carries, health, {"at_least": least}, urgent=True),
        Endpoint("GET", "/v1/drain", RouterDrainView, "Whether this router itself is drained.", own_drain),
        Endpoint("PUT", "/v1/drain", RouterDrainView, aside, set_own_drain),
        Endpoint("DELETE", "/v1/drain", RouterDrainView, "End the drain of this router itself.", set_own_drain),
        Endpoint("POST", f"{peer}/clear", ClearView, anew, clear, {"soft": None}),
        Endpoint("POST", f"{peer}/shutdown", OrderView, down, shutdown, {"text": None}),
        Endpoint("POST", f"{peer}/enable", OrderView, "Let a peer have a session again that was shut down.", enable),
        Endpoint("GET", "/v1/config/check", CheckView, doubts, check, {"path": None}),
        Endpoint("GET", "/v1/events", EventView, heard, events, told, stream.CONTENT),
        Endpoint("GET", "/v1/config/diff", ReloadView, "What a file would change.", diff, {"path": None}),
        Endpoint("POST", "/v1/config/reload", ReloadView, taken, reload, changed, whole=True),
        Endpoint("POST", "/v1/config/confirm", ReloadView, stays, confirm, whole=True),
        Endpoint("POST", "/v1/config/rollback", ReloadView, back, rollback, {"number": number}, whole=True),
        Endpoint("GET", "/v1/config/history", list[HistoryView], "What ran, the newest first.", history),
        Endpoint("GET", "/v1/log", LogView, "The least level that the log has.", log_level),
        Endpoint("PUT", "/v1/log/{level}", LogView, quieter, set_log_level),
        Endpoint("GET", "/v1/version", VersionView, "Versions of routerd and of what it stands on.", version),
        Endpoint("GET", "/metrics", str, counted, metrics, content=PROMETHEUS),
    )


async def _guarded(request: Request, answer: Awaitable[T]) -> T:
    """Return the answer; its Failure shows no more of a file than who asks may know."""
    try:
        return await answer
    except Failure as failure:
        if failure.brief and not request.caller.may_write(None):
            raise Failure(failure.status, failure.brief) from failure
        raise


async def admit(request: Request, writers: int | None) -> str:
    """Return who asks; Failure if that is nobody who may change something, as root and the group `writers` may."""
    by = await described(request.caller)
    if not request.caller.may_write(writers):
        log.warning("refused", request=f"{request.method} {request.path}", by=by)
        raise Failure(403, f"{by} may look only; be root or a member of the socket's group for that")
    return by


def _named(names: frozenset[str], peer: str) -> frozenset[str]:
    """Return the names of a peer, or an address that need not be a peer's; Failure when it is neither."""
    if not names:
        try:
            ipaddress.ip_address(peer)
        except ValueError as error:
            raise Failure(404, f"no peer has the name or address {peer}") from error
    return names | {peer}


def _prefix(text: str) -> Prefix:
    """Return the prefix that a request names, or the address alone; Failure when it is neither."""
    try:
        return parse_prefix(text)
    except ValueError as error:
        with contextlib.suppress(ValueError):
            meant = ipaddress.ip_network(text, strict=False)
            raise Failure(422, f"{text} has host bits set; write {meant}") from error
        raise Failure(422, f"{text!r} is not a prefix; write one such as 172.16.1.1/32") from error


def _known(answer: T | None, peer: str | None) -> T:
    """Return the answer; Failure when there is no such peer."""
    if answer is None:
        raise Failure(404, f"no peer has the name or address {peer}")
    return answer
