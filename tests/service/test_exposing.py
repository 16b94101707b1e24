"""The TCP listener of metrics, in this process: who may ask, for what, and what becomes of files that change."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from types import SimpleNamespace

import pytest

from routerd.api import remote
from routerd.config.metrics import MetricsSection
from routerd.service import exposing as module
from routerd.service.exposing import Exposing
from tests.daemon.harness import becomes
from tests.support.api import answer
from tests.support.certificates import authority, signed
from tests.support.prometheus import self_signed

LISTEN = "127.0.0.1:19179"
GET = b"GET /metrics HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK", 0.02)
    monkeypatch.setattr(module, "RETRY", 0.02)


@asynccontextmanager
async def exposed(**keys: str) -> AsyncIterator[Exposing]:
    """Serve a page until the block ends."""

    async def page() -> bytes:
        return b"routerd_a 1\n"

    made = Exposing(MetricsSection(**({"listen": LISTEN} | keys)), page)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ask(
    octets: bytes = GET, token: str = "", tls: ssl.SSLContext | None = None, source: str = "127.0.0.1"
) -> tuple[int, object]:
    """Return status and answer, to a client there; 0 without one."""
    if token:
        octets += f"Authorization: Bearer {token}\r\n".encode()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", 19179, ssl=tls, local_addr=(source, 0))
    except OSError:
        return 0, None
    try:
        writer.write(octets + b"\r\n")
        return await answer(reader)
    finally:
        writer.close()


async def answers(status: int, **how: object) -> None:
    """Wait until it does with this status."""
    deadline = time.monotonic() + 10
    while (found := (await ask(**how))[0]) != status:  # type: ignore[arg-type]
        assert time.monotonic() < deadline, found


async def test_metrics_and_nothing_else() -> None:
    async with exposed():
        await answers(200)
        assert (await ask())[1] == "routerd_a 1\n"
        assert (await ask(GET.replace(b"/metrics", b"/v1/status")))[0] == 404
        assert (await ask(GET.replace(b"GET", b"PUT")))[0] == 405
        reader, writer = await asyncio.open_connection("127.0.0.1", 19179)
        writer.write(GET.replace(b"GET", b"HEAD") + b"Connection: close\r\n\r\n")  # as curl -I, and load balancers
        head = await reader.read()
        writer.close()
        assert (head[:15], b"content-length: 12\r\n" in head, head[-4:]) == (b"HTTP/1.1 200 OK", True, b"\r\n\r\n")
        assert (await ask(GET + b"Content-Length: 5000\r\n"))[0] == 413
    assert (await ask())[0] == 0


async def test_a_token_that_changes(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    async with exposed(token_file=str(file)) as made:
        await answers(200, token="first")
        for wrong in ("", "firs", "first2"):
            assert (await ask(token=wrong))[0] == 401
        # RFC 9110 section 11.1: the case of its name does not matter.
        for scheme, status in ((b"bearer", 200), (b"BEARER ", 200), (b"Basic", 401), (b"", 401)):
            assert (await ask(GET + b"Authorization: " + scheme + b" first\r\n"))[0] == status, scheme
        file.write_text("second")
        await answers(200, token="second")
        assert (await ask(token="first"))[0] == 401
        for useless in ("two words", "", "ü"):
            file.write_text(useless)
            await becomes(lambda: "one word" in made.problem)
            assert (await ask(token="second"))[0] == 200
            assert [problem["where"] for problem in made.problems()] == ["metrics"]
        file.unlink()
        await becomes(lambda: "No such file" in made.problem)
        assert (await ask(token="second"))[0] == 200
        file.write_text("third")
        await answers(200, token="third")
        assert made.problem == ""


async def test_a_token_that_was_away_for_a_while(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret")
    async with exposed(token_file=str(file)) as made:
        await answers(200, token="secret")
        file.rename(tmp_path / "elsewhere")
        await becomes(lambda: "No such file" in made.problem)
        (tmp_path / "elsewhere").rename(file)
        await becomes(lambda: made.problem, "")


async def test_files_that_only_root_can_read_are_told_with_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(OSError, match="chgrp routerd /a/token; chmod 0640 /a/token"):
        module.read(MetricsSection(listen=LISTEN, token_file="/a/token"))
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", refused)
    with pytest.raises(OSError, match="chgrp routerd /a/pem /a/key; chmod 0640 /a/pem /a/key"):
        module.read(MetricsSection(listen=LISTEN, certificate="/a/pem", key="/a/key"))


async def test_a_certificate_that_is_renewed(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "127.0.0.1")
    async with exposed(certificate=str(certificate), key=str(key)) as made:
        await answers(200, tls=ssl.create_default_context(cafile=certificate))
        assert (await ask())[0] == 0
        old = ssl.create_default_context(cafile=certificate)
        good = key.read_text()
        key.write_text("nonsense")
        await becomes(lambda: "are of no use" in made.problem)
        assert (await ask(tls=old))[0] == 200
        key.write_text(good)
        self_signed(tmp_path, "127.0.0.1")
        await answers(200, tls=ssl.create_default_context(cafile=certificate))
        assert (await ask(tls=old))[0] == 0
        await becomes(lambda: made.problem, "")


async def test_a_certificate_that_expires_while_it_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever verifies it cannot scrape any more, and nothing else would say so here. A renewed one ends that."""
    ca = authority(tmp_path)
    files = signed(ca, "gw1")
    now = time.time()
    async with exposed(certificate=files.certificate, key=files.private_key) as made:
        await becomes(lambda: made._until < inf)
        assert list(made.problems()) == []
        with monkeypatch.context() as later:
            later.setattr(module, "time", SimpleNamespace(time=lambda: now + 3 * 86400))
            assert [each["what"] for each in made.problems()] == [
                f"the certificate {files.certificate} is not valid now: who verifies it cannot scrape"
            ]
        signed(ca, "gw1", days=-1)
        await becomes(lambda: ["is not valid now" in each["what"] for each in made.problems()], [True])
        signed(ca, "gw1")
        await becomes(lambda: list(made.problems()), [])


async def test_a_clock_that_is_set_while_a_certificate_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A router without a battery starts in 1970, when no certificate is valid yet."""
    certificate, key = self_signed(tmp_path, "127.0.0.1")
    early = [True]
    monkeypatch.setattr(module, "_valid_until", lambda *_: 0.0 if early else inf)
    async with exposed(certificate=str(certificate), key=str(key)) as made:
        await becomes(lambda: ["is not valid now" in each["what"] for each in made.problems()], [True])
        early.clear()
        await becomes(lambda: list(made.problems()), [])


async def test_a_certificate_that_has_its_key_with_it(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "127.0.0.1")
    certificate.write_text(certificate.read_text() + key.read_text())
    async with exposed(certificate=str(certificate)):
        await answers(200, tls=ssl.create_default_context(cafile=certificate))


async def test_a_place_that_somebody_else_has() -> None:
    other = remote.bind("127.0.0.1", 19179)
    other.listen()
    async with exposed() as made:
        await becomes(lambda: f"nobody can scrape at {LISTEN}: Address already in use" in made.problem)
        other.close()
        await answers(200)
        assert made.problem == ""


async def test_it_comes_and_goes_with_the_configuration() -> None:
    async with exposed(listen="") as made:
        assert (await ask())[0] == 0
        made.configure(MetricsSection(listen=LISTEN))
        await answers(200)
        reader, writer = await asyncio.open_connection("127.0.0.1", 19179)
        made.configure(MetricsSection())
        await answers(0)
        assert await reader.read() == b""
        writer.close()


async def test_ipv6_too() -> None:
    async with exposed(listen="[::1]:19179"):
        async with asyncio.timeout(10):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("::1", 19179)
                    break
                except OSError:
                    await asyncio.sleep(0.01)
        writer.write(GET + b"\r\n")
        assert await answer(reader) == (200, "routerd_a 1\n")
        writer.close()


async def test_too_many_connections_of_a_client_are_turned_away_and_others_are_not() -> None:
    async with exposed():
        await answers(200)
        held = [await asyncio.open_connection("127.0.0.1", 19179) for _ in range(remote.CONNECTIONS)]
        await answers(503)
        assert (await ask(source="127.0.0.2"))[0] == 200
        for _, writer in held:
            writer.close()
        await answers(200)


async def test_silence_before_tls_holds_no_more_places_than_a_client_has(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path, "127.0.0.1")
    tls = ssl.create_default_context(cafile=certificate)
    async with exposed(certificate=str(certificate), key=str(key)):
        await answers(200, tls=tls)
        held = [await asyncio.open_connection("127.0.0.1", 19179) for _ in range(3 * remote.CONNECTIONS)]
        await becomes(lambda: sum(reader.at_eof() for reader, _ in held) > 2 * remote.CONNECTIONS)
        assert (await ask(tls=tls, source="127.0.0.2"))[0] == 200
        for _, writer in held:
            writer.close()
        await answers(200, tls=tls)


async def test_who_has_no_token_keeps_no_connection(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret")
    async with exposed(token_file=str(file)):
        await answers(401)
        reader, writer = await asyncio.open_connection("127.0.0.1", 19179)
        writer.write(GET + b"\r\n")
        async with asyncio.timeout(5):
            assert b"401" in await reader.read()
        writer.close()


async def test_those_who_wait_share_one_page() -> None:
    made, ready = 0, asyncio.Event()

    async def page() -> bytes:
        nonlocal made
        made += 1
        await ready.wait()
        return b"routerd_a 1\n"

    application, answered = remote.MetricsApplication(page), list[bytes]()

    async def send(part: dict[str, object]) -> None:
        answered.extend(value for value in (part.get("body"),) if isinstance(value, bytes))

    scope = {"headers": [], "path": "/metrics", "method": "GET"}
    tasks = [asyncio.ensure_future(application(scope, None, send)) for _ in range(3)]  # type: ignore[arg-type]
    await becomes(lambda: made, 1)
    tasks.pop().cancel()  # whoever goes takes it from nobody
    ready.set()
    await asyncio.gather(*tasks)
    assert (made, answered) == (1, [b"routerd_a 1\n"] * 2)
