"""The API's socket alone: bounds of connections and requests, and who may change something."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from contextlib import AsyncExitStack
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from routerd.api import application, connection, server
from routerd.api.models import VersionView
from routerd.api.models.pair import SeedView
from routerd.api.pace import pace
from routerd.api.slices import Slices
from tests.daemon.harness import becomes
from tests.support.api import ASK, DRAIN, NOBODY, VERSION, Served, answer, serving
from tests.support.netns import needs_root
from tests.support.nobody import open_way

# ------------------------------------------------------------------------------------------------------ bounds


@pytest.mark.parametrize("said", [b"", b"GET /v1/ver", ASK[:-2]], ids=["nothing", "a word", "half a request"])
async def test_a_request_that_does_not_end_is_cut_off(
    tmp_path: Path, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REQUEST_TIME", 0.2)
    async with serving(tmp_path) as served:
        assert await served.ask(said) == (0, None)


async def test_a_change_of_the_configuration_is_not_given_up_halfway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be made all the same, and who asked for it would not know."""
    monkeypatch.setattr(connection, "REQUEST_TIME", 0.2)

    async def slow(*_: object) -> dict[str, bool]:
        await asyncio.sleep(0.6)
        return {"applied": True}

    async with serving(tmp_path) as served:
        for order in ("reload", "confirm", "rollback"):
            setattr(served.source, order, slow)
            asked = f"POST /v1/config/{order} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            assert await served.ask(asked) == (200, {"applied": True})
        served.source.diff = slow
        assert (await served.ask(b"GET /v1/config/diff HTTP/1.1\r\nHost: a\r\n\r\n"))[0] == 0


async def test_an_answer_that_is_late_because_routing_comes_first_is_awaited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REQUEST_TIME", 0.2)

    async def slow(*_: object) -> dict[str, bool]:
        await asyncio.sleep(0.6)
        return {"applied": False}

    async with serving(tmp_path) as served:
        pace().busy = lambda: True
        served.source.diff = slow
        assert await served.ask(b"GET /v1/config/diff HTTP/1.1\r\nHost: a\r\n\r\n") == (200, {"applied": False})
        assert await served.ask(ASK[:-2]) == (0, None), "but not who does not say all of it"


async def test_an_answer_that_has_waited_for_routing_is_not_cut_off_in_a_pause_of_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routerd.api.connection.REQUEST_TIME", 0.5)
    monkeypatch.setattr("routerd.api.pace.LINGERING", 60.0)
    turns, late, its_time = pace(), connection.Connection._late, asyncio.Event()

    def is_late(self: connection.Connection) -> None:
        late(self)
        its_time.set()

    async def slow(*_: object) -> dict[str, bool]:
        turns.busy = lambda: True
        await turns.begin()
        turns.end(0.0)
        turns.busy = lambda: False
        await its_time.wait()
        return {"applied": False}

    monkeypatch.setattr(connection.Connection, "_late", is_late)

    async with serving(tmp_path) as served:
        served.source.diff = slow
        assert await served.ask(b"GET /v1/config/diff HTTP/1.1\r\nHost: a\r\n\r\n") == (200, {"applied": False})


async def test_whether_the_router_can_carry_traffic_waits_for_no_other_answer(tmp_path: Path) -> None:
    """Else the addresses move to another router because somebody reads this one's routes as it takes in more."""
    async with serving(tmp_path) as served:
        served.source.health.return_value = {"ok": True}
        turns = pace()
        await turns.begin()
        try:
            asked = served.ask(b"GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n")
            assert await asyncio.wait_for(asked, 5) == (200, {"ok": True})
        finally:
            turns.end(0.0)


async def test_an_octet_now_and_then_wins_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_TIME", 0.3)
    async with serving(tmp_path) as served:
        reader, writer = await asyncio.open_unix_connection(str(served.path))
        writer.write(ASK)
        assert (await answer(reader))[0] == 200  # the next request has as much time as the first one
        closed = asyncio.create_task(reader.read())
        for octet in ASK * 20:
            if closed.done():
                break
            try:
                writer.write(bytes([octet]))
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.wait([closed], timeout=0.02)
        assert served.source.version.call_count == 1
        writer.close()


async def test_an_idle_connection_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE_TIME", 0.2)
    async with serving(tmp_path) as served:
        reader, writer = await asyncio.open_unix_connection(str(served.path))
        writer.write(ASK)
        assert (await answer(reader))[0] == 200
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


async def test_a_connection_that_is_reset_leaves_no_timer_behind(tmp_path: Path) -> None:
    """It would hold the connection and its request for a minute, however many come and go."""
    loop = asyncio.get_running_loop()

    def timers() -> int:
        return sum(not each.cancelled() for each in loop._scheduled)  # type: ignore[attr-defined]

    async with serving(tmp_path) as served:
        before = timers()
        for _ in range(20):
            with socket.socket(socket.AF_UNIX) as client:
                client.setblocking(False)
                client.connect(str(served.path))
                await loop.sock_sendall(client, ASK)
                assert await loop.sock_recv(client, 1) == b"H"  # what it leaves unread makes a reset of its end
        await becomes(timers, before)


async def test_an_answer_is_given_up_when_who_asked_has_gone(tmp_path: Path) -> None:
    """However often somebody asks and does not wait, as a script whose patience ends before routing is calm."""
    made, under_way = 0, 0

    def slow() -> Slices[list[object]]:
        nonlocal made, under_way
        made, under_way = made + 1, under_way + 1
        try:
            while made <= 20:
                time.sleep(0.0005)
                yield
        finally:
            under_way -= 1
        return []

    async with serving(tmp_path) as served:
        served.source.peers = slow
        for number in range(20):
            _, writer = await asyncio.open_unix_connection(str(served.path))
            writer.write(b"GET /v1/peers HTTP/1.1\r\nHost: a\r\n\r\n")
            await becomes(lambda number=number: made, number + 1)  # type: ignore[misc]
            writer.close()
        await becomes(lambda: under_way, 0)
        made = 21
        assert await served.ask(b"GET /v1/peers HTTP/1.1\r\nHost: a\r\n\r\n") == (200, "[]")


async def test_few_long_answers_are_made_at_once_and_all_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes memory until it is written, and none would be ready if all were made at the same time."""
    monkeypatch.setattr(connection, "REQUEST_TIME", 5.0)
    under_way = most = 0

    def slow() -> Slices[list[object]]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(20):
            time.sleep(0.0005)
            yield
        under_way -= 1
        return []

    async with serving(tmp_path) as served:
        served.source.groups = slow
        asked = (served.ask(b"GET /v1/groups HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(50))
        assert await asyncio.gather(*asked) == [(200, "[]")] * 50
        assert await served.ask() == (200, VERSION)
    assert 1 < most <= application.AT_ONCE


@needs_root
async def test_who_does_not_read_makes_nobody_keep_more_than_so_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And root is answered all the same, and whoever asks for little."""
    monkeypatch.setattr(application, "UNREAD", 4 << 20)

    def large() -> Slices[list[object]]:
        yield
        return ["x" * (1 << 20)]

    script = """
        clients = [dial() for _ in range(40)]
        for client in clients:
            client.sendall(HEAD.format("GET", "/v1/groups").encode())
        print(*[client.recv(12)[9:].decode() for client in clients], flush=True)
        ask("GET", "/v1/version")
        sys.stdout.flush()
        sys.stdin.read()
    """
    async with serving(tmp_path) as served:
        everybodys(served)
        served.source.groups = large
        with served.nobody(script) as process:
            assert process.stdout is not None
            found = (await asyncio.to_thread(process.stdout.readline)).split()
            assert found.count("200") + found.count("503") == 40
            # What is being made, or is about to be written, counts later.
            assert 4 <= found.count("200") <= 4 + 2 * application.AT_ONCE
            assert (await asyncio.to_thread(process.stdout.readline)).startswith("HTTP/1.1 200")
            status, answer = await served.ask(b"GET /v1/groups HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (status, len(answer)) == (200, (1 << 20) + 4)
            await asyncio.to_thread(process.communicate, timeout=10)


async def test_an_answer_that_is_not_read_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the client wanted the connection closed after it."""
    monkeypatch.setattr(connection, "IDLE_TIME", 0.2)
    async with serving(tmp_path) as served:
        served.source.version.return_value = VERSION | {"kernel": "x" * 4_000_000}
        for head in (ASK, ASK.replace(b"Host: a", b"Host: a\r\nConnection: close")):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(served.path))
                client.sendall(head)
                client.settimeout(10)
                await becomes(lambda: _open(served.path), 0)


def _open(path: Path) -> int:
    """Count the server's ends of connections, each of which bears the socket's name, as the listener does."""
    return sum(line.endswith(str(path)) for line in Path("/proc/net/unix").read_text().splitlines()) - 1


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/version HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n",
        b"PUT /v1/peers/a/drain HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["length", "chunked"],
)
async def test_a_body_is_refused_before_it_comes(tmp_path: Path, head: bytes) -> None:
    async with serving(tmp_path) as served:
        assert await served.ask(head) == (413, {"detail": "no request to routerd has a body"})
        served.source.set_drain.assert_not_called()


async def test_a_small_body_is_passed_over(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        asked = b"PUT /v1/peers/a/drain HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
        assert await served.ask(asked) == (200, DRAIN)


async def test_a_long_head_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        assert (await served.ask(b"GET /v1/version HTTP/1.1\r\nX: " + b"a" * 300_000))[0] in (0, 400)


async def test_garbage_after_an_answer_begins_is_no_error_of_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    head = b"GET /v1/version HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"
    async with serving(tmp_path) as served:
        for octets in (head, ASK + b"\0" * 100, b"\0" * 100, ASK.replace(b"GET", b"G\0T")):
            await served.ask(octets)
        assert (await served.ask())[0] == 200
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_too_many_connections_are_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECTIONS", 3)
    monkeypatch.setattr(connection, "RESERVED", 0)
    async with serving(tmp_path) as served, AsyncExitStack() as stack:
        for _ in range(3):
            _, writer = await asyncio.open_unix_connection(str(served.path))
            stack.callback(writer.close)
        status, refused = await served.ask()
        assert (status, "too many connections" in str(refused)) == (503, True)
        writer.close()
        await becomes(lambda: _open(served.path), 2)
        assert (await served.ask())[0] == 200


@needs_root
async def test_nobody_locks_root_out(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        everybodys(served)
        with served.nobody("held = [dial() for _ in range(400)]; sys.stdin.read()") as holder:
            await becomes(lambda: _open(served.path), connection.CONNECTIONS - connection.RESERVED)
            answers = await asyncio.gather(*(served.ask() for _ in range(connection.RESERVED)))
            assert {status for status, _ in answers} == {200}
            holder.communicate()


async def test_routing_goes_on_between_two_answers(tmp_path: Path) -> None:
    """However many ask at once, whatever else there is to do has a turn after each answer."""
    turns: list[str] = []
    async with serving(tmp_path) as served:

        def version() -> VersionView:
            asyncio.get_running_loop().call_soon(turns.append, "routing")
            turns.append("answer")
            return VERSION

        served.source.version.side_effect = version
        answers = await asyncio.gather(*(served.ask() for _ in range(50)))
    assert [status for status, _ in answers] == [200] * 50
    assert turns == ["answer", "routing"] * 50


# ------------------------------------------------------------------------------------------------- who may write


def everybodys(served: Served) -> None:
    """Open the way to the socket, as an operator may do who lets a monitor look."""
    served.path.chmod(0o666)
    open_way(served.path)


@needs_root
async def test_others_may_look_and_change_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        everybodys(served)
        assert " 200 " in await served.as_nobody("GET")
        for method in ("PUT", "DELETE"):
            refused = await served.as_nobody(method)
            assert " 403 " in refused
            assert f"(uid {NOBODY}, pid " in refused
            assert "be root or a member of the socket's group" in refused
        served.source.set_drain.assert_not_called()
        for order in ("clear", "shutdown", "enable"):
            assert " 403 " in await served.as_nobody("POST", path=f"/v1/peers/a/{order}")
            getattr(served.source, order).assert_not_called()
        assert " 403 " in await served.as_nobody("POST", path="/v1/pair/seed")
        served.source.paired.set_seed.assert_not_called()
        # Its errors show what stands in the file.
        assert " 403 " in await served.as_nobody("GET", path="/v1/config/check")
        served.source.check.assert_not_called()
        # As do events of a file that could not be taken.
        refused = await served.as_nobody("GET", path="/v1/events?follow=0")
        assert " 403 " in refused
        assert "may look only; be root or a member of the socket's group" in refused


async def test_a_pair_is_asked_for_where_there_is_one(tmp_path: Path) -> None:
    seed = SeedView(changed=True, before="random", after="5f0c")
    asked: list[bool] = []

    def view(*, whole: bool) -> Slices[dict[str, bool]]:
        asked.append(whole)
        yield
        return {"ok": True}

    async with serving(tmp_path) as served:
        served.source.paired.view = view
        served.source.paired.set_seed = AsyncMock(return_value=seed)
        for query in ("", "?all=1"):
            head = f"GET /v1/pair{query} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
            assert await served.ask(head) == (200, {"ok": True})
        assert asked == [False, True]
        order = b"POST /v1/pair/seed HTTP/1.1\r\nHost: a\r\n\r\n"
        assert await served.ask(order) == (200, seed)
        served.source.paired = None
        for head in (b"GET /v1/pair HTTP/1.1\r\nHost: a\r\n\r\n", order):
            code, answered = await served.ask(head)
            assert (code, "no partner" in answered["detail"]) == (404, True)


@needs_root
async def test_members_of_the_group_may_change_and_are_named(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        everybodys(served)
        assert " 200 " in await served.as_nobody("PUT", 0)
        served.source.set_drain.assert_awaited_once()
        assert f"(uid {NOBODY}, pid " in served.source.set_drain.await_args.kwargs["by"]
        assert (await served.ask(b"DELETE /v1/peers/a/drain HTTP/1.1\r\nHost: a\r\n\r\n"))[0] == 200
        assert served.source.set_drain.await_args.kwargs["by"] == f"root (uid 0, pid {os.getpid()})"


# ------------------------------------------------------------------------------------------------ the socket's file


async def test_a_file_that_is_gone_before_anybody_is_served_is_made_anew(tmp_path: Path) -> None:
    """As while the kernel is read, at the start."""
    served = Served(tmp_path / "api.sock")

    def bind() -> server.Listener:
        return server.bind(str(served.path), "root")[0]

    first = bind()
    served.path.unlink()
    keeping = asyncio.create_task(server.keep(served.source, first, bind))
    try:
        await becomes(served.path.exists)
        assert (await served.ask())[0] == 200
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    assert not served.path.exists()
