"""The direct link over TLS: both have certificates, or say what is wrong with them."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple, cast
from unittest.mock import Mock

import pytest

from routerd.config import certificates
from routerd.config.certificates import read
from routerd.config.pair import Files
from routerd.core.message import GroupGone
from routerd.detached import finish
from routerd.telemetry.pair.channel import Counts, Home, Names
from routerd.telemetry.pair.frames import Frames
from routerd.telemetry.pair.link import Ends, Link
from routerd.telemetry.pair.proof import introduce
from routerd.telemetry.pair.session import Own, Session, introduce_to
from tests.daemon.harness import becomes
from tests.support.certificates import authority, signed
from tests.telemetry.pair.ends import End, end

KEY, OTHER = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"


class Two(NamedTuple):
    """Two routers on the loopback interface, and an authority. `gw1`, whose name is lower, dials."""

    ca: Path
    key_file: Path
    port: int
    stack: ExitStack

    def gw1(self, files: Files | None, **options: Any) -> End:
        return self._end({"names": ("gw1", "gw2"), "address": "127.0.0.2", "listen": "127.0.0.1"}, files, options)

    def gw2(self, files: Files | None, **options: Any) -> End:
        return self._end({"names": ("gw2", "gw1"), "address": "127.0.0.1", "listen": "127.0.0.2"}, files, options)

    def _end(self, where: dict[str, Any], files: Files | None, options: dict[str, Any]) -> End:
        what = {"key_file": str(self.key_file), "port": self.port, "files": files}
        return self.stack.enter_context(end("link", where | what | options))


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    key_file = tmp_path / "pair.key"
    key_file.touch(0o600)
    key_file.write_text(KEY)
    with socket.create_server(("127.0.0.2", 0)) as free:
        port = free.getsockname()[1]
    with ExitStack() as stack:
        yield Two(authority(tmp_path), key_file, port, stack)


async def _talking(one: End, other: End, word: str = "a") -> None:
    """Wait until both hear each other."""
    await becomes(lambda: one.up and other.up)
    one.send(f"{word}1")
    other.send(f"{word}2")
    await becomes(lambda: other.heard[-1:], [f"{word}1"])
    await becomes(lambda: one.heard[-1:], [f"{word}2"])


async def _say(one: End, here: str, other: End, there: str) -> None:
    """Wait until both say why there is no channel, in the end."""
    await becomes(
        lambda: (
            (here in "".join(one.reasons[-1:]) and there in "".join(other.reasons[-1:]))
            or [*one.reasons, *other.reasons]
        ),
        True,
    )
    assert not one.ups + other.ups


async def test_over_tls_all_is_said_and_nothing_is_to_be_read(two: Two) -> None:
    """What goes over the wire is TLS, after the introductions."""
    other = two.gw2(signed(two.ca, "gw2"))
    await becomes(lambda: other.reasons)
    with socket.create_server(("127.0.0.3", two.port)) as between:
        one = two.gw1(signed(two.ca, "gw1"), address="127.0.0.3")
        wire = _carried(two, between)
        await _talking(one, other, "plain word ")
        one.send("100")
        await becomes(lambda: len(other.heard), 101)
        assert (one.ups, other.ups) == (1, 1)
        assert b"nonce" in wire
        assert b"plain word" not in wire
        assert b"172.16" not in wire
    other.close()
    await becomes(lambda: one.up, False)
    assert "the other side has closed the connection" in one.reasons[-1]


def _carried(two: Two, between: socket.socket) -> bytearray:
    """Carry a connection to gw2; return what goes over it, as it goes."""
    seen = bytearray()
    near, _ = between.accept()
    far = socket.create_connection(("127.0.0.2", two.port), source_address=("127.0.0.1", 0))

    def carry(source: socket.socket, drain: socket.socket) -> None:
        with suppress(OSError):  # the test is over, and has closed both
            while said := source.recv(65536):
                seen.extend(said)
                drain.sendall(said)
            drain.shutdown(socket.SHUT_WR)

    for each in ((near, far), (far, near)):
        two.stack.callback(each[0].close)
        threading.Thread(target=carry, args=each, daemon=True).start()
    return seen


async def test_one_with_tls_and_one_without(two: Two) -> None:
    files = signed(two.ca, "gw")
    for mine, theirs, here, there in (
        (files, None, "it does not talk over TLS, and this", "it talks over TLS, and this router does not"),
        (None, files, "it talks over TLS, and this", "it does not talk over TLS, and this router does"),
    ):
        one, other = two.gw1(mine), two.gw2(theirs)
        await _say(one, f"the partner refuses: {here}", other, f"gw1 at 127.0.0.1: {there}")
        for each in (one, other):
            assert "certificate_file, private_key_file and ca_file in [pair]" in each.reasons[-1]
            each.close()


async def test_another_authority(two: Two) -> None:
    """Whoever is shown a certificate that it does not accept says so, and so does the other one."""
    strange = signed(authority(two.ca.parent, "other"), "strange")
    one, other = two.gw1(signed(two.ca, "gw1")), two.gw2(strange)
    await _say(one, "its certificate is not accepted here: ", other, "it does not accept this router's certificate: ")
    one.close()
    both = two.ca.with_name("both.pem")
    both.write_text(two.ca.read_text() + Path(strange.ca).read_text())
    one = two.gw1(signed(two.ca, "gw1")._replace(ca=str(both)))
    await _say(one, "it does not accept this router's certificate: unknown ca; both", other, "not accepted here: ")


async def test_certificates_are_read_again_for_each_connection(two: Two) -> None:
    """One that has expired, then no file, then one that is renewed; a session that stands does not notice."""
    files, expired = signed(two.ca, "gw1"), signed(two.ca, "expired", days=-1)
    for kind in (0, 1):
        shutil.copy(expired[kind], files[kind])
    one, other = two.gw1(files), two.gw2(signed(two.ca, "gw2"))
    await becomes(lambda: "certificate has expired" in "".join(one.reasons[-1:]))
    assert f"this router has no certificate: certificate_file: {files.certificate} is not valid by" in one.reasons[-1]
    Path(files.private_key).unlink()
    await becomes(lambda: f"private_key_file: {files.private_key}: No such file" in one.reasons[-1])
    renewed = signed(two.ca, "renewed")
    for kind in (0, 1):
        shutil.copy(renewed[kind], files[kind])
    await _talking(one, other)
    Path(files.certificate).write_text("")
    await _talking(one, other, "b")
    assert (one.ups, other.ups) == (1, 1)


async def test_files_that_do_not_answer_cost_one_thread(two: Two) -> None:
    """However often somebody dials meanwhile, who need not be the partner."""
    files = signed(two.ca, "gw2")
    Path(files.certificate).unlink()
    os.mkfifo(files.certificate)
    ends = Ends("127.0.0.1", "127.0.0.2", two.port, files)
    own = await Link(ends, Names("gw2", "gw1"), str(two.key_file), 3.0, cast("Home", Mock()))._own()
    assert own.certificates is not None
    before = set(threading.enumerate())
    try:
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await own.certificates()
        assert [each.name for each in set(threading.enumerate()) - before] == ["detached"]
    finally:
        os.close(os.open(files.certificate, os.O_RDWR))  # so that whoever waits for it reads that it is empty
        finish(5)


async def test_who_is_dialled_and_has_no_certificate_of_use_says_so_and_so_does_the_other(two: Two) -> None:
    files = signed(two.ca, "gw2", days=-1)
    one, other = two.gw1(signed(two.ca, "gw1")), two.gw2(files)
    wrong = f"this router has no certificate: certificate_file: {files.certificate} is not valid by"
    await _say(one, "the partner refuses: it has no key or certificate of use", other, f"gw1 at 127.0.0.1: {wrong}")
    signed(two.ca, "gw2")
    await _talking(one, other)


async def test_a_certificate_of_the_authority_is_no_key(two: Two) -> None:
    """The proof of the key goes on inside."""
    another = two.key_file.with_name("other.key")
    another.touch(0o600)
    another.write_text(OTHER)
    one, other = two.gw1(signed(two.ca, "gw1"), key_file=str(another)), two.gw2(signed(two.ca, "gw2"))
    await _say(one, "the partner refuses: it has another key", other, "gw1 at 127.0.0.1: it has another key")


async def test_who_else_connects_disturbs_nobody(two: Two) -> None:
    one, other = two.gw1(signed(two.ca, "gw1")), two.gw2(signed(two.ca, "gw2"))
    await _talking(one, other)
    for said in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.0\r\n\r\n", b""):
        with socket.create_connection(("127.0.0.2", two.port)) as stranger:
            stranger.sendall(said)
            stranger.shutdown(socket.SHUT_WR)
            stranger.recv(1)
    await becomes(lambda: "it speaks another language" in "".join(other.lines))
    await _talking(one, other, "b")
    assert (one.ups, other.ups) == (1, 1)


async def test_who_is_in_between_with_a_certificate_of_the_authority_is_found_out(two: Two) -> None:
    """The proof is good for the certificates of the two alone."""
    own = read(signed(two.ca, "between"))
    carried = list[bytes]()

    async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.2", two.port, local_addr=("127.0.0.1", 0))
        near, far = Frames(reader, writer), Frames(there, back)
        far.write(await near.read())
        near.write(await far.read())
        await near.encrypt(own.listener, listens=True)
        await far.encrypt(own.dialler, listens=False)
        far.write(await near.read())
        carried.append(await far.read())
        near.write(carried[-1])
        for each in (writer, back):
            each.close()
            await each.wait_closed()

    other = two.gw2(signed(two.ca, "gw2"))
    await becomes(lambda: other.reasons)
    async with await asyncio.start_server(between, "127.0.0.3", two.port):
        one = two.gw1(signed(two.ca, "gw1"), address="127.0.0.3")
        await _say(one, "the partner refuses: it has another key", other, "gw1 at 127.0.0.1: it has another key")
        one.close()
    assert carried[0] == b"refused key"


async def test_what_is_said_after_the_end_of_tls_and_before_that_is_noticed_is_lost(tmp_path: Path) -> None:
    """Somebody in between writes into the connection. It is for whoever reads to tell, not for the core."""
    ca, met = authority(tmp_path), asyncio.get_running_loop().create_future()

    def own(name: str, partner: str) -> Own:
        files = signed(ca, name)
        return Own(Names(name, partner), KEY.encode(), 3.0, Counts(), lambda: asyncio.to_thread(read, files))

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        met.set_result(await introduce_to(reader, writer, own("gw2", "gw1"), "listener"))

    async with await asyncio.start_server(meet, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await introduce_to(reader, writer, own("gw1", "gw2"), "dialler")
        other: Session = await met
        writer.write(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(ssl.SSLError):
            await other._frames.read()
        other.send(GroupGone("172.16.1.1/32"))
        assert (await other.talk(lambda _: None)).startswith("TLS ends")
        writer.close()


async def test_for_a_stranger_no_certificate_is_read(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """That takes milliseconds, and whoever reaches the port may knock there all the time."""
    asked: list[Files] = []
    monkeypatch.setattr(certificates, "read", asked.append)
    heard: list[str] = []
    home = Home(lambda: None, lambda _: None, heard.append, lambda *_, **__: None)
    ends = Ends("127.0.0.1", "127.0.0.2", two.port, Files("a", "b", "c"))
    running = asyncio.ensure_future(Link(ends, Names("gw2", "gw1"), str(two.key_file), 1.0, home).run())
    try:
        await becomes(lambda: heard, ["gw1 has not dialled yet"])
        for said in (b"{}", introduce(Names("gw9", "gw2"), bytes(32), 1.0, tls=True)):
            reader, writer = await asyncio.open_connection("127.0.0.2", two.port)
            writer.write(len(said).to_bytes(4) + said)
            assert b"nonce" not in await reader.read()
            writer.close()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert not asked
