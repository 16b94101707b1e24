"""The commands against answers that are made up: what they say, and how they end."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from routerd import __main__
from routerd.api.models import DrainView
from tests.daemon.harness import CLI, cli
from tests.support.api import DRAIN, Served, serving

BUSY = DRAIN | {"name": "k8s-w0", "buckets": 7, "groups": 2, "empty": False}


async def run(served: Served, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command while the server goes on."""
    return await asyncio.to_thread(cli, *words, "--socket", str(served.path))


def _answers(served: Served, view: DrainView) -> None:
    served.source.drain.return_value = view
    served.source.set_drain.return_value = view


async def test_a_drain_that_takes_too_long_says_that_it_stays(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        _answers(served, BUSY)
        done = await run(served, "drain", "k8s-w0", "--wait", "--timeout", "0.1")
    assert done.returncode == 1
    assert done.stdout == "k8s-w0 is drained (by the operator); 7 buckets in 2 groups still carry flows\n"
    assert done.stderr == (
        "routerd: k8s-w0 still carries flows after 0.1 s; it stays drained: routerd undrain k8s-w0 ends that\n"
    )


async def test_a_drain_with_nowhere_to_go_says_that_it_stays(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        _answers(served, BUSY | {"buckets": 0, "sole": 3})
        done = await run(served, "drain", "k8s-w0", "--wait")
    assert done.returncode == 1
    assert "3 prefixes have no other next hop" in done.stderr
    assert "it stays drained" in done.stderr


async def test_a_drain_that_somebody_else_ends(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        served.source.set_drain.return_value = BUSY
        served.source.drain.return_value = BUSY | {"drain": ""}
        done = await run(served, "drain", "k8s-w0", "--wait")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "routerd: the drain of k8s-w0 was ended by somebody else\n"


async def test_a_drain_that_takes_too_long_is_one_json_document(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        _answers(served, BUSY)
        done = await run(served, "drain", "k8s-w0", "--wait", "--timeout", "0.1", "--json")
    assert (done.returncode, done.stderr) == (1, "")
    told = "k8s-w0 still carries flows after 0.1 s; it stays drained: routerd undrain k8s-w0 ends that"
    assert json.loads(done.stdout) == BUSY | {"ok": False, "error": told}


COMMANDS = """
status; peers; groups; routes; route 10.0.0.0/8; peer a; flow 10.0.0.9 172.16.1.1; fib; pair; pair --set-seed; health;
top --once; drain a; drain a --wait; drain --self; undrain a; undrain --self; clear a; shutdown a; enable a; log;
log debug; diff; reload; rollback; config history
"""


@pytest.mark.parametrize("words", [tuple(each.split()) for each in COMMANDS.split(";")], ids=" ".join)
async def test_an_answer_of_another_version_is_told(tmp_path: Path, words: tuple[str, ...]) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        listing = words[0] in ("peers", "groups", "config")
        body = b'[{"name": "a"}]' if listing else b'{"total": 1, "name": "a"}'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    path = tmp_path / "other.sock"
    async with await asyncio.start_unix_server(other, path):
        done = await asyncio.to_thread(cli, *words, "--socket", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "routerd: the answer is not one of this version: is a routerd of another one running? `routerd version` "
        "tells; restart it\n"
    )


async def test_an_answer_that_breaks_off_is_told(tmp_path: Path) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[")
        writer.close()

    path = tmp_path / "cut.sock"
    async with await asyncio.start_unix_server(cut, path):
        done = await asyncio.to_thread(cli, "peers", "--socket", str(path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"routerd: routerd broke off the answer on {path}: it is incomplete\n"


async def test_a_stream_that_is_reset_is_told(tmp_path: Path) -> None:
    path = tmp_path / "reset.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def reset() -> None:
            with listener.accept()[0] as connection:
                connection.recv(1, socket.MSG_PEEK)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n: a comment\n")
            # What was asked has not been read, so that this is no end but a reset.

        server = asyncio.create_task(asyncio.to_thread(reset))
        done = await asyncio.to_thread(cli, "events", "--follow", "--socket", str(path))
        await server
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"routerd: routerd broke off the answer on {path}: [Errno 104] Connection reset by peer\n"


def test_help_fits_80_columns() -> None:
    for words in ([], *([name] for name in __main__.COMMANDS)):
        done = subprocess.run([*CLI, *words, "-h"], capture_output=True, text=True, check=True, timeout=20)
        assert [line for line in done.stdout.splitlines() if len(line) > 80] == [], words


def test_a_reader_that_has_what_it_wanted_is_told_from_a_failure() -> None:
    """As `| head`: `status` would say with 1 that not all is well."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([*CLI, "version"], stdout=write, stderr=subprocess.PIPE, check=False, timeout=20)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")
