"""The API's socket: what it answers, and that no client can harm the daemon or other clients."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from routerd.api import models
from routerd.api.endpoints import PROMETHEUS
from tests.daemon.harness import Network, Routerd, announcement, becomes, network, node, running
from tests.support.bgp import Client, end_of_rib
from tests.support.netns import namespace, needs_root
from tests.support.schema import undescribed, wrong

pytestmark = needs_root

VIP = "172.16.1.1"


@pytest.fixture(scope="module", name="network")
def _network() -> Iterator[Network]:
    with network() as made:
        yield made


@pytest.fixture(scope="module")
def daemon(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routerd]:
    with running(network.router, tmp_path_factory.mktemp("daemon")) as made:
        yield made


@asynccontextmanager
async def connected(daemon: Routerd) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(str(daemon.socket))
    try:
        yield reader, writer
    finally:
        writer.close()


async def ask(daemon: Routerd, request: bytes, seconds: float = 10.0) -> tuple[int, bytes]:
    """Send octets, and return the status and the body of the answer; (0, b"") if it is closed without one."""
    async with connected(daemon) as (reader, writer), asyncio.timeout(seconds):
        try:
            writer.write(request)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            return int(head.split()[1]), await reader.readexactly(int(length[1]) if length else 0)
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, b""


async def get(daemon: Routerd, target: str, method: str = "GET") -> tuple[int, Any]:
    status, body = await ask(daemon, f"{method} {target} HTTP/1.1\r\nHost: routerd\r\n\r\n".encode())
    return status, json.loads(body)


async def test_every_endpoint(daemon: Routerd, network: Network, clients: list[Client]) -> None:
    for number in range(2):
        client = await network.establish(number)
        clients.append(client)
        client.send(announcement(number, VIP, "172.16.1.2") + announcement(number, "fd00:ac10::1") + end_of_rib())
    await network.has(VIP, 0, 1)
    await network.has("fd00:ac10::1", 0, 1)

    _, status = await get(daemon, "/v1/status")
    _shaped(status, models.StatusView)
    assert status["ok"]
    assert status["problems"] == []
    assert (status["asn"], status["router_id"]) == (65000, "10.0.0.1")
    assert (status["prefixes"], status["paths"], status["fib"]["routes"]) == (4, 7, 3)
    assert status["speaker"]["running"]

    _, peers = await get(daemon, "/v1/peers")
    assert {peer["address"] for peer in peers} == {node(0), node(1)}
    _shaped(peers[0], models.PeerView)
    assert peers[0]["by_family"]["ipv4"] == {
        "received": 2, "accepted": 2, "rejected": 0, "in_fib": 2, "stale": 0, "advertised": 1,
    }  # fmt: skip
    assert peers[0]["totals"]["in_fib"] == 3

    _, groups = await get(daemon, "/v1/groups")
    assert [group["prefixes"] for group in groups] == [1, 1, 1]
    _shaped(groups[0], models.GroupView)
    assert groups[0]["id"] == network.nhid(VIP)
    assert [(leg["gateway"], leg["interface"], leg["peers"]) for leg in groups[0]["members"]] == [
        (node(n), "eth0", [node(n)]) for n in range(2)
    ]

    _, routes = await get(daemon, "/v1/routes")
    assert routes["total"] == 4
    _shaped(routes["routes"][1], models.RouteView)
    assert {route["prefix"]: route["in_fib"] for route in routes["routes"]} == {
        "10.10.1.0/24": False, f"{VIP}/32": True, "172.16.1.2/32": True, "fd00:ac10::1/128": True,
    }  # fmt: skip
    _, page = await get(daemon, "/v1/routes?offset=1&limit=2")
    assert (page["total"], page["routes"]) == (4, routes["routes"][1:3])
    _, mine = await get(daemon, f"/v1/routes?peer={node(1)}&limit=1")
    assert (mine["total"], len(mine["routes"])) == (3, 1)
    assert await get(daemon, "/v1/routes?peer=nobody") == (404, {"detail": "no peer has the name or address nobody"})

    _, route = await get(daemon, f"/v1/routes/{VIP}/32")
    _shaped(route, models.RouteDetailView)
    assert route["group_id"] == route["kernel"]["nexthop_id"] == network.nhid(VIP)
    assert sorted(leg["gateway"] for leg in route["kernel"]["members"]) == [node(0), node(1)]
    assert (await get(daemon, "/v1/routes/fd00:ac10::1%2F128"))[1]["prefix"] == "fd00:ac10::1/128"

    _, version = await get(daemon, "/v1/version")
    _shaped(version, models.VersionView)
    assert version["kernel"] == os.uname().release


def _shaped(answer: dict[str, Any], view: type) -> None:
    """The answer has exactly the keys of its view."""
    assert set(answer) == set(get_type_hints(view))


async def test_openapi_describes_every_endpoint(daemon: Routerd) -> None:
    status, described = await get(daemon, "/openapi.json")
    assert status == 200
    assert set(described["paths"]) == {
        "/v1/status", "/v1/peers", "/v1/groups", "/v1/routes", "/v1/routes/{prefix}", "/v1/version",
        "/v1/peers/{peer}/drain", "/v1/config/check", "/v1/config/diff", "/v1/config/reload", "/v1/config/confirm",
        "/v1/config/rollback", "/v1/config/history", "/v1/events", "/v1/peers/{peer}/clear",
        "/v1/peers/{peer}/shutdown", "/v1/peers/{peer}/enable", "/v1/dump", "/v1/peers/{peer}", "/v1/flow", "/v1/fib",
        "/v1/traffic", "/v1/log", "/v1/log/{level}", "/metrics", "/v1/health", "/v1/drain",
        "/v1/pair", "/v1/pair/seed",
    }  # fmt: skip
    operations = {(method, name): each for name, path in described["paths"].items() for method, each in path.items()}
    assert len({each["operationId"] for each in operations.values()}) == len(operations)
    for (method, name), operation in operations.items():
        (content,) = operation["responses"]["200"]["content"].values()
        if name != "/v1/dump":  # octets, which JSON cannot show
            assert list(wrong(content["example"], content["schema"], described)) == [], (method, name)
        if isinstance(content.get("example"), dict):
            assert undescribed(content["example"], content["schema"], described) == set(), (method, name)
        (failure,) = operation["responses"]["default"]["content"].values()
        assert list(wrong(failure["example"], failure["schema"], described)) == []
        for each in operation["parameters"]:
            schema = each["schema"]
            assert list(wrong(each["example"], {"type": schema["type"]}, described)) == [], each
            assert each["example"] in schema.get("enum", [each["example"]])
            assert schema.get("minimum", 0) <= (each["example"] if schema["type"] == "integer" else 0)
    others = {
        "/v1/events": "text/event-stream", "/v1/dump": "application/octet-stream", "/metrics": PROMETHEUS,
    }  # fmt: skip
    for name, path in described["paths"].items():
        changing = {"post"} if re.search("/(reload|confirm|rollback|clear|shutdown|enable|seed)$", name) else {"get"}
        changing = {"put"} if name == "/v1/log/{level}" else changing
        assert set(path) == ({"get", "put", "delete"} if name.endswith("/drain") else changing)
        for each in path.values():
            (content,) = each["responses"]["200"]["content"].items()
            assert content[0] == others.get(name, "application/json")
            assert content[1]["schema"] != {}
    # All of a stream is a text; OpenAPI 3.1 cannot say what its events are, and 3.2 calls that itemSchema.
    stream = operations["get", "/v1/events"]["responses"]["200"]["content"]["text/event-stream"]
    assert stream["schema"] == {"type": "string"}
    [event] = [line[6:] for line in stream["example"].splitlines() if line.startswith("data: ")]
    assert list(wrong(json.loads(event), stream["x-itemSchema"], described)) == []
    schemas = described["components"]["schemas"]
    assert set(schemas["PeerView"]["properties"]) == set(get_type_hints(models.PeerView))


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("/v1/routes/172.16.1.300/32", 422),
        ("/v1/routes/172.16.1.1/33", 422),
        ("/v1/routes/172.16.1.1/-1", 422),
        ("/v1/routes/172.16.1.1/24", 422),
        ("/v1/routes/fd00::/129", 422),
        ("/v1/routes/%00", 422),
        ("/v1/routes/%ff%fe/32", 422),
        ("/v1/routes/../../etc/passwd", 422),
        ("/v1/routes/" + "1" * 5000, 422),
        ("/v1/routes/192.0.2.1/32", 404),
        ("/v1/routes?limit=-1", 422),
        ("/v1/routes?limit=0", 422),
        ("/v1/routes?limit=10001", 422),
        ("/v1/routes?limit=many", 422),
        ("/v1/routes?limit=" + "9" * 5000, 422),
        ("/v1/routes?offset=-1", 422),
        ("/v1/routes?offset=1000000", 200),
        ("/v1/routes?offset=9223372036854775807", 422),
        ("/v1/routes?offset=99999999999999999999", 422),
        ("/v1/routes?limit=1_0", 422),
        ("/v1/routes?limit=%D9%A3", 422),
        ("/v1/routes?limit=%2B3", 422),
        ("/v1/nothing", 404),
        ("/", 404),
        ("/docs", 404),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_bad_questions_get_a_clear_answer(daemon: Routerd, target: str, wanted: int) -> None:
    status, answer = await get(daemon, target)
    assert status == wanted
    assert wanted == 200 or answer["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
async def test_only_get(daemon: Routerd, method: str) -> None:
    assert (await get(daemon, "/v1/status", method))[0] == 405
    assert (await get(daemon, f"/v1/routes/{VIP}/32", method))[0] == 405


async def test_which_methods_there_are_is_said(daemon: Routerd) -> None:
    """RFC 9110 section 15.5.6."""
    async with connected(daemon) as (reader, writer), asyncio.timeout(10):
        for path, methods in (("/v1/status", b"GET"), ("/v1/peers/x/drain", b"DELETE, GET, PUT")):
            writer.write(f"PATCH {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"\r\nallow: " + methods + b"\r\n" in head
            [length] = re.findall(rb"content-length: (\d+)", head)
            await reader.readexactly(int(length))


@pytest.mark.parametrize(
    "octets",
    [
        b"\0" * 100,
        bytes(range(256)) * 300,
        b"GET\r\n\r\n",
        b"GET /v1/status FTP/1.1\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"GET /v1/status HTTP/1.1\r\n" + b"X: a\r\n" * 200_000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
    ],
    ids=["zeros", "octets", "words", "protocol", "length", "chunks", "target", "header", "headers", "TLS"],
)
async def test_garbage_is_refused(daemon: Routerd, octets: bytes) -> None:
    status, _ = await ask(daemon, octets)
    assert status in (0, 400, 431) or (status == 413 and b"chunked" in octets)
    assert (await get(daemon, "/v1/version"))[0] == 200


async def test_half_requests_and_silence_hold_up_nobody(daemon: Routerd) -> None:
    with ExitStack() as stack:
        head = b"GET /v1/status HTTP/1.1\r\nHost: a\r\n"
        for said in (b"", b"GET", head, head.replace(b"GET", b"POST")):
            for _ in range(50):
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.connect(str(daemon.socket))
                client.sendall(said)
        assert (await get(daemon, "/v1/status"))[0] == 200
    assert (await get(daemon, "/v1/status"))[0] == 200
    await becomes(lambda: len(list(Path(f"/proc/{daemon.pid}/fd").iterdir())) < 60, True)


async def test_a_client_that_does_not_read_holds_up_nobody(daemon: Routerd) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(daemon.socket))
        client.setblocking(False)
        question = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 100
        before = daemon.rss()
        for _ in range(1000):
            try:
                client.send(question)
            except BlockingIOError:
                break
        assert (await get(daemon, "/v1/status"))[0] == 200
        assert daemon.rss() - before < 20_000


async def test_endless_bodies_take_no_memory(daemon: Routerd) -> None:
    before = daemon.rss()
    head = b"POST /v1/status HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n"
    async with connected(daemon) as (_, writer), asyncio.timeout(20):
        writer.write(head)
        try:
            for _ in range(500):
                writer.write(b"x" * 100_000)
                await asyncio.wait_for(writer.drain(), 1)
        except (ConnectionError, TimeoutError):
            pass  # it is not read on, or closed: both are fine
    assert (await get(daemon, "/v1/status"))[0] == 200
    assert daemon.rss() - before < 20_000


async def test_two_hundred_clients_at_once(daemon: Routerd) -> None:
    await asyncio.gather(*(get(daemon, "/v1/status") for _ in range(200)))
    before = daemon.rss()
    answers = await asyncio.gather(*(get(daemon, "/v1/status") for _ in range(200)))
    assert [status for status, _ in answers] == [200] * 200
    assert daemon.rss() - before < 20_000


async def test_requests_on_one_connection(daemon: Routerd) -> None:
    question = b"GET /v1/version HTTP/1.1\r\nHost: a\r\n\r\n"
    async with connected(daemon) as (reader, writer), asyncio.timeout(10):
        writer.write(question * 50)
        for _ in range(50):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            await reader.readexactly(int(re.findall(rb"content-length: (\d+)", head)[0]))


def test_the_daemon_is_still_the_same(daemon: Routerd) -> None:
    """After all of the above; and every line of its log is JSON, whoever wrote it."""
    assert daemon.running
    assert daemon.status()["speaker"]["restarts"] == 0
    lines = [json.loads(line) for line in daemon.log.read_text().splitlines()]
    wrong = [line for line in lines if line["level"] in ("error", "critical") or "logger" in line]
    assert wrong == []


# ---------------------------------------------------------------------------------------------- the socket file


def test_the_socket_is_for_its_group(daemon: Routerd) -> None:
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o660


def test_the_socket_of_another_routerd_is_refused(daemon: Routerd) -> None:
    with namespace("elsewhere") as elsewhere:
        second = Routerd(elsewhere, daemon.socket.parent)
        second.log = daemon.socket.parent / "second.log"
        second.spawn()
        assert second.wait() == 1
    wanted = f"routerd: another routerd answers on {daemon.socket}; stop it, or set another [api] socket"
    assert second.log.read_text().splitlines() == [wanted]
    assert set(daemon.problems()) <= {"range 10.0.0.64/26"}, "the nodes of other tests have left"


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "routerd.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert path.is_socket()
    with namespace("elsewhere") as elsewhere, running(elsewhere, tmp_path) as daemon:
        assert daemon.status()["speaker"]["running"]


def test_a_file_in_its_place_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "routerd.sock"
    path.write_text("precious")
    with namespace("elsewhere") as elsewhere:
        daemon = Routerd(elsewhere, tmp_path)
        daemon.spawn()
        assert daemon.wait() == 1
    assert daemon.log.read_text().splitlines() == [
        f"routerd: {path} exists and is not a socket; remove it, or set another [api] socket"
    ]
    assert path.read_text() == "precious"
