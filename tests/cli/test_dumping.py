"""`routerd dump` with a daemon that does not say all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from routerd.cli.dumping import show

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@contextmanager
def answering(directory: Path, octets: bytes) -> Iterator[str]:
    """Answer one request with these octets."""
    path = str(directory / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(octets)

        thread = threading.Thread(target=answer)
        thread.start()
        yield path
        thread.join()


def test_what_is_whole_replaces_what_was_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "table.mrt"
    file.write_bytes(b"before")
    with answering(tmp_path, HEAD + b"3\r\nabc\r\n4\r\n\r\n\0\r\r\n0\r\n\r\n") as path:
        assert show(str(file), path) == 0
    assert file.read_bytes() == b"abc\r\n\0\r"
    assert capsys.readouterr().out == f"{file}: 7 octets\n"


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (HEAD + b"3\r\nabc\r\n", "incomplete"),
        (HEAD + b"30\r\nabc\r\n0\r\n\r\n", "incomplete"),
        (HEAD, "incomplete"),
        (b"", "incomplete"),
        (
            b'HTTP/1.1 503 Busy\r\ncontent-length: 32\r\n\r\n{"detail":"4 dumps are under way"}',
            "4 dumps are under way",
        ),
    ],
)
def test_what_is_not_whole_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], octets: bytes, said: str
) -> None:
    file = tmp_path / "table.mrt"
    file.write_bytes(b"before")
    with answering(tmp_path, octets) as path, pytest.raises(SystemExit) as end:
        show(str(file), path)
    assert end.value.code == 1
    assert said in capsys.readouterr().err
    assert file.read_bytes() == b"before"
    assert not file.with_name("table.mrt.part").exists()


def test_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """As everywhere: `routerd dump - | bgpdump -m -`, and no file of that name."""
    monkeypatch.chdir(tmp_path)
    with answering(tmp_path, HEAD + b"5\r\ntable\r\n0\r\n\r\n") as path:
        assert show("-", path) == 0
    assert capfdbinary.readouterr().out == b"table"
    assert [each.name for each in tmp_path.iterdir()] == ["socket"]
