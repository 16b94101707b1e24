"""What the service manager is told, which may be stuck, or have made its socket anew."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest

from routerd.service.manager import ServiceManager


def _bound(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    made.bind(path)
    return made


@pytest.mark.parametrize("abstract", [False, True])
def test_it_is_told(abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"routerd-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", "@" + name if abstract else name)
    with _bound("\0" + name if abstract else name) as there:
        with ServiceManager() as manager:
            manager.tell("READY=1")
        assert there.recv(100) == b"READY=1"


def test_one_that_reads_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with _bound(str(tmp_path / "notify")) as there, ServiceManager() as manager:
        for _ in range(1000):
            manager.tell("WATCHDOG=1")
        with contextlib.suppress(BlockingIOError):
            while there.recv(100):
                continue
        manager.tell("READY=1")
        assert there.recv(100) == b"READY=1"


def test_a_socket_that_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notify"
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    with ServiceManager() as manager:
        manager.tell("nobody is there")
        for _ in range(2):
            with _bound(str(path)) as there:
                manager.tell("READY=1")
                assert there.recv(100) == b"READY=1"
            path.unlink()


def test_nobody_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    with ServiceManager() as manager:
        manager.tell("READY=1")
