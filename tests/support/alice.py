"""Reads birdwatcher's answers as Alice-LG's source adapter does, as strictly as its language: that whose type it
asserts must have it, and a time that does not fit its layout is none. It shares nothing with what it reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

_LAYOUT = {"2006": "%Y", "01": "%m", "02": "%d", "15": "%H", "04": "%M", "05": "%S", "Z07:00": "%z", "-0700": "%z"}
_LAYOUT |= {"Jan": "%b", "Mon": "%a"}


class PanicError(Exception):
    """What would end the adapter."""


def asserted(value: object, kind: type) -> Any:
    """Return a value whose type the adapter asserts; a number is a float there, and never a bool."""
    if type(value) not in ((int, float) if kind is float else (kind,)):
        raise PanicError(f"{value!r} is no {kind.__name__}")
    return value


def text(value: object, otherwise: str) -> str:
    return value if isinstance(value, str) else otherwise


def number(value: object, otherwise: int) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def strings(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


@dataclass(frozen=True)
class Neighbor:
    """A session as Alice-LG shows it."""

    id: str
    address: str
    asn: int
    state: str
    description: str
    received: int
    accepted: int
    filtered: int
    exported: int
    since: datetime
    last_error: str


@dataclass(frozen=True)
class Route:
    """A route as Alice-LG shows it; `reasons` are what the configuration says of its large communities."""

    network: str
    neighbor: str
    gateway: str
    learnt_from: str
    primary: bool
    metric: int
    since: datetime
    kind: tuple[str, ...]
    origin: str
    as_path: tuple[int, ...]
    next_hop: str
    local_pref: int
    med: int
    communities: tuple[tuple[int, ...], ...]
    large_communities: tuple[tuple[int, ...], ...]
    ext_communities: tuple[tuple[str, ...], ...]
    reasons: tuple[str, ...]


class Alice:
    """One source of `configuration`, an alice.conf; `ask` returns the decoded answer to a path."""

    def __init__(self, configuration: str, ask: Callable[[str], Any]) -> None:
        parser = ConfigParser(delimiters=("=",))
        parser.read_string(configuration)
        [source] = [parser[each] for each in parser.sections() if each.endswith(".birdwatcher")]
        assert source["type"] == "single_table"
        assert source["timezone"] == "UTC"
        self.api = source["api"]
        self._times = {name: source[name] for name in ("servertime", "servertime_short", "servertime_ext")}
        self._reasons = {**parser["rejection_reasons"], **parser["noexport_reasons"]}
        self._ask = ask

    def _time(self, value: object, layout: str) -> datetime | None:
        """Return a time; None if it is no text. ValueError if it does not fit."""
        if not isinstance(value, str):
            return None
        form = re.sub(r"2006|Z07:00|-0700|Jan|Mon|0[1245]|15", lambda found: _LAYOUT[found[0]], self._times[layout])
        found = datetime.strptime(value, form)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)

    def _since(self, value: object) -> datetime:
        """Return a time of which the adapter would make 1970 years if it did not fit."""
        found = self._time(value, "servertime_short")
        if found is None:
            raise PanicError(f"{value!r} is no time")
        return found

    def _get(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._ask(urlsplit(self.api).path + path)  # nothing sees to a single slash
        head = asserted(answer.get("api"), dict)
        asserted(head.get("Version"), str)
        asserted(head.get("result_from_cache"), bool)
        if self._time(answer.get("ttl"), "servertime") is None:
            raise PanicError("no ttl")
        return answer

    def status(self) -> Mapping[str, Any]:
        """Return the times and texts of the router."""
        found = asserted(self._get("/status").get("status"), dict)
        return {
            "now": self._time(found["current_server"], "servertime_short"),
            "reboot": self._time(found["last_reboot"], "servertime_short"),
            "reconfig": self._time(found["last_reconfig"], "servertime_ext"),
            **{name: text(found.get(name), "unknown") for name in ("version", "message", "router_id")},
        }

    def neighbors(self) -> dict[str, Neighbor]:
        """Return all sessions by name."""
        found = {}
        for name, value in asserted(self._get("/protocols/bgp").get("protocols"), dict).items():
            said = asserted(value, dict)
            routes = asserted(said.get("routes"), dict)
            received = sum(asserted(routes[each], float) for each in ("imported", "filtered") if each in routes)
            found[name] = Neighbor(
                name,
                text(said.get("neighbor_address"), "error"),
                number(said.get("neighbor_as"), 0),
                text(said.get("state"), "unknown").lower(),
                text(said.get("description"), "no description"),
                int(received),
                *(number(routes.get(each), 0) for each in ("imported", "filtered", "exported")),
                since=self._since(said.get("state_changed")),
                last_error=text(said.get("last_error"), ""),
            )
        return found

    def states(self) -> dict[str, str]:
        """Return the states of all sessions, as they are asked for often."""
        found = asserted(self._get("/protocols/short?uncached=true").get("protocols"), dict)
        for each in found.values():
            self._since(asserted(each, dict).get("since"))
        return {name: text(each.get("state"), "unknown") for name, each in found.items()}

    def routes(self, name: str) -> tuple[list[Route], list[Route], list[Route]]:
        """Return what was received from a session, what of it was filtered, and what it is not told."""
        received = self._routes(f"/routes/protocol/{name}")
        filtered = self._routes(f"/routes/filtered/{name}")
        if received:  # a route of another session, by its gateway, would be left out
            peer = received[0].gateway
            learnt = received[0].learnt_from
            filtered = [each for each in filtered if each.gateway in (peer, learnt) or each.learnt_from == peer]
        gone = {each.network for each in filtered}
        return (
            [each for each in received if each.network not in gone],
            filtered,
            self._routes(f"/routes/noexport/{name}"),
        )

    def table(self) -> tuple[list[Route], list[Route]]:
        """Return the table for searches over all sessions, and what was filtered."""
        return self._routes("/routes/table/master"), self._routes("/routes/table/master/filtered")

    def look_up(self, prefix: str) -> list[Route]:
        """Return the routes of a prefix."""
        return self._routes(f"/routes/prefix?prefix={prefix}")

    def _routes(self, path: str) -> list[Route]:
        return [self._route(asserted(each, dict)) for each in asserted(self._get(path).get("routes"), list)]

    def _route(self, said: dict[str, Any]) -> Route:
        bgp = said["bgp"] if isinstance(said.get("bgp"), dict) else {}
        large = _numbers(bgp.get("large_communities"))
        extended = [asserted(each, list) for each in bgp.get("ext_communities") or []]
        gateway = text(said.get("gateway"), "unknown gateway")
        return Route(
            text(said.get("network"), "unknown net"),
            text(said.get("from_protocol"), "unknown neighbor"),
            gateway,
            text(said.get("learnt_from"), "") or gateway,
            said.get("primary") is True,
            number(said.get("metric"), -1),
            self._since(said.get("age")),
            tuple(strings(said.get("type"))),
            text(bgp.get("origin"), "unknown"),
            tuple(map(int, strings(bgp.get("as_path")))),
            text(bgp.get("next_hop"), "unknown"),
            int(text(bgp.get("local_pref"), "0")),
            int(text(bgp.get("med"), "0")),
            _numbers(bgp.get("communities")),
            large,
            tuple(tuple(each) for each in extended if len(each) == 3),
            tuple(reason for each in large if (reason := self._reasons.get(":".join(map(str, each))))),
        )


def _numbers(value: object) -> tuple[tuple[int, ...], ...]:
    if not isinstance(value, list):
        return ()
    return tuple(tuple(int(asserted(part, float)) for part in asserted(each, list)) for each in value)
