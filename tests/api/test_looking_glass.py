"""The looking glass without a network: its limits, its reasons, and long answers."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from unittest.mock import Mock

import pytest

from routerd.api.caller import Caller
from routerd.api.endpoints import Failure, Request
from routerd.api.limits import BURST, CLIENTS, SHARE, Places, Rates, client_of
from routerd.api.lookingglass import endpoints as module
from routerd.api.lookingglass import server
from routerd.api.lookingglass.bgplgd import timeframe
from routerd.api.lookingglass.endpoints import LISTS, endpoints
from routerd.api.lookingglass.rows import NotExported, not_exported
from routerd.core.route import Family, format_prefix
from routerd.core.router import Router
from tests.support.core import CONFIG, Simulation, sequence

A, B = "192.168.10.100", "192.168.10.101"


def test_a_client_has_so_many_requests_a_second_and_some_at_once() -> None:
    rates = Rates(2)
    assert [rates.wait("a", 0.0) for _ in range(2 * BURST)] == [0.0] * 2 * BURST
    assert rates.wait("a", 0.0) == 0.5
    assert rates.wait("b", 0.0) == 0.0
    assert rates.wait("a", 0.5) == 0.0
    assert rates.wait("a", 0.5) == 0.5
    assert [rates.wait("a", 1000.0) for _ in range(2 * BURST + 1)][-1] == 0.5


def test_of_many_clients_those_are_forgotten_that_asked_longest_ago() -> None:
    rates = Rates(1)
    for _ in range(BURST):
        rates.wait("a", 0.0)
    for number in range(CLIENTS):
        assert rates.wait("a", 0.0) > 0
        rates.wait(str(number), 0.0)
    for number in range(CLIENTS):
        rates.wait(str(number), 0.0)
    assert rates.wait("a", 0.0) == 0
    assert len(rates._buckets) <= CLIENTS


def test_a_client_has_a_share_of_the_places() -> None:
    places = Places(8)
    assert [places.take("a") for _ in range(3)] == [True, True, False]
    assert [places.take(name) for name in "bbccdde"] == [True] * 6 + [False]
    places.leave("a")
    assert places.take("e")


def test_a_network_of_ipv6_is_one_client() -> None:
    assert client_of("2001:db8::1") == client_of("2001:db8::2:3:4") != client_of("2001:db8:0:1::1")
    assert client_of("::ffff:10.0.0.1") == client_of("10.0.0.1") == "10.0.0.1"
    assert client_of("fe80::1%eth0") == "fe80::/64"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "00:00:00"), (36672.9, "10:11:12"), (504300, "5d20h05m"), (3354 * 1000 + 200, "05w3d19h")],
)
def test_times_are_those_of_bgpctl(seconds: float, text: str) -> None:
    assert timeframe(seconds) == text


async def ask(simulation: Simulation, path: str, named: str = "", **query: str) -> Any:
    """Return the decoded answer of an endpoint."""
    [found] = [each for each in endpoints(simulation.router) if each.path == path]
    answer = await found.answer(Request("GET", path, named, query, Caller(0, 0, frozenset())))
    return json.loads(b"".join([part async for part in answer.parts]))


def test_why_a_peer_is_not_told_of_a_path() -> None:
    learned = CONFIG.replace('advertise = ["networks"]', 'advertise = ["learned"]')
    simulation = Simulation(learned)
    simulation.up(A)
    simulation.up(B, families=frozenset((Family.IPV4,)))
    simulation.announce(A, "172.16.0.1/32")
    simulation.announce(A, "fd00:ac10::1/128")
    said = simulation.attributes(A, as_path=sequence(65001, 7))._replace(communities=(0xFFFFFF01,))
    simulation.announce(A, "172.16.0.2/32", attributes=said)
    peer = simulation.router.rib.peers[B]
    found = {format_prefix(row.prefix): row.mark for row in not_exported(simulation.router, peer) if row is not None}
    assert found == {
        "10.10.1.0/24": (65000, 65667, NotExported.NOT_ADVERTISED),
        "172.16.0.2/32": (65000, 65667, NotExported.COMMUNITY),
        "fd00:ac10::1/128": (65000, 65667, NotExported.NO_ADDRESS),
    }


async def test_long_answers_take_turns_with_each_other_and_with_all_else() -> None:
    simulation = Simulation()
    simulation.up(A)
    table = [f"172.16.{number // 256}.{number % 256}/32" for number in range(8_000)]
    for start in range(0, len(table), 1000):
        simulation.announce(A, *table[start : start + 1000])
    turns, done = 0, asyncio.Event()

    async def others() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    [endpoint] = [each for each in endpoints(simulation.router) if each.path == "/routes/table/{table}"]
    request = Request("GET", "", "master", {}, Caller(0, 0, frozenset()))
    streams = [await endpoint.answer(request) for _ in range(2)]

    async def parts(number: int) -> list[bytes]:
        return [part async for part in streams[number].parts]

    both = await asyncio.gather(parts(0), parts(1))
    done.set()
    await beside
    assert turns > 20
    for each in both:
        assert max(map(len, each)) < sum(map(len, each)) / 5
        networks = [row["network"] for row in json.loads(b"".join(each))["routes"]]
        assert sorted(networks) == sorted([*table, "10.10.1.0/24"])


async def test_all_clients_together_have_a_rate_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "time", Mock(monotonic=lambda: 0.0))
    application, statuses = server._Application(Simulation().router, 1), list[int]()

    async def send(part: dict[str, Any]) -> None:
        statuses.extend(value for value in (part.get("status"),) if value)

    for number in range(server.ALL * BURST + 1):
        scope = {
            "state": {"caller": str(number)},
            "method": "GET",
            "path": "/version",
            "query_string": b"",
            "headers": [],
        }
        await application(scope | {"type": "http"}, None, send)  # type: ignore[arg-type]
    assert statuses[:-1] == [200] * (server.ALL * BURST)
    assert statuses[-1] == 429


async def test_peers_are_counted_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, view = list[float](), module.peers_view

    def count(router: Router, now: float) -> Any:
        counted.append(now)
        return view(router, now)

    monkeypatch.setattr(module, "peers_view", count)
    found = {each.path: each for each in endpoints(Simulation().router)}
    for path in ("/protocols", "/protocols/short", "/summary"):
        await found[path].answer(Request("GET", "", "", {}, Caller(0, 0, frozenset())))
    assert len(counted) == 1
    monkeypatch.setattr(module, "FRESH", 0.0)
    await found["/protocols"].answer(Request("GET", "", "", {}, Caller(0, 0, frozenset())))
    assert len(counted) == 2


async def test_a_client_reads_so_many_lists_at_once() -> None:
    [endpoint] = [each for each in endpoints(Simulation().router) if each.path == "/routes/table/{table}"]
    request = Request("GET", "", "master", {}, Caller(0, 0, frozenset()))
    begun = [(await endpoint.answer(request)).parts for _ in range(LISTS // SHARE)]
    for parts in begun:
        await anext(parts)
    with pytest.raises(Failure) as failure:
        await endpoint.answer(request)
    assert failure.value.status == 503
    await endpoint.answer(request._replace(caller=Caller(1, 1, frozenset())))
    await begun[0].aclose()
    await endpoint.answer(request)


async def test_what_is_asked_for_wrongly_is_said() -> None:
    simulation = Simulation()
    for path, named, query, status in (
        ("/routes/protocol/{protocol}", "nobody", {}, 404),
        ("/routes/table/{table}", "inet.0", {}, 404),
        ("/routes/prefix", "", {}, 422),
        ("/routes/prefix", "", {"prefix": "172.16.0.1/24"}, 422),
    ):
        with pytest.raises(Failure) as failure:
            await ask(simulation, path, named, **query)
        assert failure.value.status == status
    assert (await ask(simulation, "/rib", prefix="10.10.1.9"))["rib"][0]["prefix"] == "10.10.1.0/24"
