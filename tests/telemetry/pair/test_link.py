"""The direct link between two routers: real TCP between two namespaces."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from routerd.core.message import GroupGone
from routerd.telemetry.pair import session
from routerd.telemetry.pair.channel import Counts, Names
from routerd.telemetry.pair.codec import encode
from routerd.telemetry.pair.frames import Frames
from routerd.telemetry.pair.link import AT_ONCE
from routerd.telemetry.pair.proof import Proof, introduce
from routerd.telemetry.pair.session import PATIENCE, Session
from tests.daemon.harness import becomes
from tests.support.netns import Namespace, namespace, needs_root, veth
from tests.telemetry.pair.ends import End, end

pytestmark = needs_root
KEY, OTHER = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"


class Two(NamedTuple):
    """Two routers on a link. `gw1`, whose name is lower, dials."""

    near: Namespace
    far: Namespace
    key_file: Path
    stack: ExitStack

    def gw1(self, **options: Any) -> End:
        return self._end(self.near, {"names": ("gw1", "gw2"), "address": "10.0.0.2"} | options)

    def gw2(self, inside: Namespace | None = None, **options: Any) -> End:
        return self._end(inside or self.far, {"names": ("gw2", "gw1"), "address": "10.0.0.1"} | options)

    def _end(self, inside: Namespace, options: dict[str, Any]) -> End:
        return self.stack.enter_context(end("link", {"key_file": str(self.key_file)} | options, inside))

    def another_key(self) -> str:
        """Return the file of another key."""
        path = self.key_file.with_name("other.key")
        _write(path, OTHER)
        return str(path)


def _write(path: Path, key: str) -> None:
    path.touch(0o600)
    path.write_text(key + "\n")


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    key_file = tmp_path / "pair.key"
    _write(key_file, KEY)
    with namespace("gw1") as near, namespace("gw2") as far, ExitStack() as stack:
        veth(near, "eth0", far, "eth0")
        near.address("eth0", "10.0.0.1/24", "fd00::1/64")
        far.address("eth0", "10.0.0.2/24", "fd00::2/64")
        yield Two(near, far, key_file, stack)


async def _talking(one: End, other: End, word: str = "a") -> None:
    """Wait until both hear each other."""
    await becomes(lambda: one.up and other.up)
    one.send(f"{word}1")
    other.send(f"{word}2")
    await becomes(lambda: other.heard[-1:], [f"{word}1"])
    await becomes(lambda: one.heard[-1:], [f"{word}2"])


@pytest.mark.parametrize("addresses", [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")])
async def test_what_one_says_the_other_hears_in_order(two: Two, addresses: tuple[str, str]) -> None:
    near, far = addresses
    one, other = two.gw1(address=far, listen=near), two.gw2(address=near, listen=far)
    await _talking(one, other)
    one.send("500")
    await becomes(lambda: len(other.heard), 501)
    assert other.heard[1:] == [f"172.16.{number >> 8}.{number & 255}/32" for number in range(500)]
    assert (one.ups, other.ups) == (1, 1)


async def test_a_router_that_dies_is_missed_at_once_and_taken_back(two: Two) -> None:
    one, other = two.gw1(), two.gw2()
    await _talking(one, other)
    other.close()
    await becomes(lambda: one.up, False)
    assert "the other side has closed the connection" in one.reasons[-1]
    again = two.gw2()
    await _talking(one, again, "b")


@pytest.mark.parametrize("way", ["link down", "dropped", "stopped"])
async def test_silence_is_noticed_within_the_hold_time(two: Two, way: str) -> None:
    """The lower hold time counts, whoever has it."""
    one, other = two.gw1(hold_time=1.0), two.gw2(hold_time=60.0)
    await _talking(one, other)
    began = time.monotonic()
    if way == "link down":
        two.near.ip("link", "set", "eth0", "down")
    elif way == "dropped":
        _astray(two, "replace")
    else:
        other.process.send_signal(signal.SIGSTOP)
    await becomes(lambda: one.up, False)
    assert 0.5 < time.monotonic() - began < 3.0
    if way == "stopped":
        other.process.send_signal(signal.SIGCONT)
    await becomes(lambda: other.up, False)
    if way == "link down":
        two.near.address("eth0")
    elif way == "dropped":
        _astray(two, "del")
    await becomes(lambda: one.ups == 2 and one.up and other.up)
    await _talking(one, other, "b")


def _astray(two: Two, what: str) -> None:
    """Have packets between the two go to a link-layer address that nobody has, or not any more."""
    for inside, address in ((two.near, "10.0.0.2"), (two.far, "10.0.0.1")):
        inside.ip("neighbour", what, address, "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "permanent")


async def test_another_key_is_refused_and_both_say_so(two: Two) -> None:
    one, other = two.gw1(key_file=two.another_key()), two.gw2()
    why = "it has another key: put the same key_file on both"
    await becomes(lambda: one.reasons[-1:], [f"gw2 at 10.0.0.2 port 7179: the partner refuses: {why}"])
    await becomes(lambda: other.reasons[-1:], [f"gw1 at 10.0.0.1: {why}"])
    await becomes(lambda: other.lines)
    _write(two.key_file.with_name("other.key"), KEY)
    await _talking(one, other)
    assert sum("is refused" in line for line in other.lines) == 1, "it has dialled more often"


@pytest.mark.parametrize(
    ("names", "near", "far"),
    [
        (("gw0", "gw2"), "the partner refuses: it knows this router", "it calls itself gw0, and the partner is gw1"),
        (("gw1", "gw3"), "the partner refuses: it knows this router", "its partner is gw3, and this router is gw2"),
        (("gw2", "gw3"), "the partner refuses: it knows this router", "it calls itself gw2, as this router does"),
    ],
)
async def test_a_wrong_name_is_refused(two: Two, names: tuple[str, str], near: str, far: str) -> None:
    one, other = two.gw1(names=names), two.gw2()
    await becomes(lambda: near in "".join(one.reasons[-1:]) and far in "".join(other.reasons[-1:]))
    assert not one.ups
    assert not other.ups


async def test_a_key_that_cannot_be_read_is_a_reason(two: Two) -> None:
    one = two.gw1(key_file="/nowhere/key")
    await becomes(lambda: one.reasons)
    assert "this router has no key: key_file /nowhere/key: No such file or directory; openssl" in one.reasons[-1]


async def test_an_address_that_comes_later_is_listened_on_then(two: Two) -> None:
    two.far.ip("address", "del", "10.0.0.2/24", "dev", "eth0")
    one, other = two.gw1(), two.gw2(listen="10.0.0.2")
    await becomes(lambda: "nobody can dial 10.0.0.2 port 7179" in "".join(other.reasons))
    two.far.address("eth0", "10.0.0.2/24")
    await _talking(one, other)


async def test_who_else_connects_disturbs_nobody(two: Two) -> None:
    """Garbage, a port scan, silence, somebody who writes an octet now and then: from elsewhere, and many of them."""
    one, other = two.gw1(), two.gw2()
    await _talking(one, other)
    two.near.address("eth0", "10.0.0.9/24")
    with two.near.enter():
        silent = [
            socket.create_connection(("10.0.0.2", 7179), source_address=("10.0.0.9", 0)) for _ in range(AT_ONCE)
        ]
        for said in (b"GET / HTTP/1.0\r\n\r\n", b"\0\0\0\4nope", b"\0\0\0\2{}", b"", b"\0"):
            with socket.create_connection(("10.0.0.2", 7179), source_address=("10.0.0.9", 0)) as stranger:
                stranger.sendall(said)
        with socket.create_connection(("10.0.0.2", 7179)) as stranger:
            stranger.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert stranger.recv(1) == b""
    await becomes(lambda: "too many connections" in "".join(other.lines))
    await becomes(lambda: "it speaks another language" in "".join(other.lines))
    for each in silent:
        each.close()
    await becomes(lambda: "the other side has closed the connection" in "".join(other.lines))
    await _talking(one, other, "b")
    assert (one.ups, other.ups) == (1, 1)
    assert len([line for line in other.lines if "is refused" in line]) <= 4


async def test_who_says_nothing_has_its_time(two: Two) -> None:
    """And the partner gets through meanwhile, however many of those there are elsewhere."""
    other = two.gw2()
    await becomes(lambda: "gw1 has not dialled yet" in other.reasons)
    two.near.address("eth0", "10.0.0.9/24")
    with ExitStack() as stack:
        for _ in range(AT_ONCE):
            stranger = stack.enter_context(_connected(two, "10.0.0.9"))
        one = two.gw1()
        await _talking(one, other)
        assert stranger.recv(1) == b""
        await becomes(lambda: f"not introduced itself within {PATIENCE:g} s" in "".join(other.lines))
    assert (one.ups, other.ups) == (1, 1)


async def test_two_routers_of_one_name(two: Two) -> None:
    """The one that is there stays; the other one waits, and says so."""
    one, other = two.gw1(), two.gw2()
    await _talking(one, other)
    rival = two.gw1()
    await becomes(lambda: "it has a channel to a router of this name already" in "".join(rival.reasons[-1:]))
    await becomes(lambda: "there is a channel to gw1 already" in "".join(other.lines))
    await _talking(one, other, "b")
    assert (one.ups, other.ups, rival.ups) == (1, 1, 0)
    one.close()
    await _talking(rival, other, "c")


async def test_two_that_dial_each_other_say_so_once(two: Two) -> None:
    """Both routers have the same name: each is refused and refuses in turn, for as long as that lasts."""
    one, other = two.gw1(), two.gw2(names=("gw1", "gw2"))
    await becomes(lambda: len(one.reasons) >= 6 and len(other.reasons) >= 6)
    for each in (one, other):
        lines = [line for line in each.lines if "no channel to the partner" in str(line)]
        assert len(lines) == len({str(line) for line in lines})


async def test_what_went_over_the_wire_before_is_of_no_use(two: Two) -> None:
    """A session is recorded and played again; and one that stands gets a frame twice, and one that was changed."""
    other = two.gw2()
    await becomes(lambda: other.reasons)
    async with meeting(two.near) as (frames, recorded):
        await becomes(lambda: other.up)
        frames.write(encode(GroupGone("a")))
        await becomes(lambda: other.heard, ["a"])
        frames._said = 0  # the number that the frame before had
        frames.write(encode(GroupGone("a")))
        await becomes(lambda: other.reasons[-1], "a frame came that the partner has not sent so")
    with _connected(two) as again:
        again.sendall(recorded)
        await becomes(lambda: "it has another key" in other.reasons[-1])
    async with meeting(two.near) as (frames, _):
        await becomes(lambda: other.ups, 2)
        frames.secure(b"another key", b"another key")
        frames.write(encode(GroupGone("b")))
        await becomes(lambda: other.up, False)
    assert other.heard == ["a"]


async def test_a_partner_that_makes_no_sense_loses_the_session_and_one_of_later_years_does_not(two: Two) -> None:
    other = two.gw2()
    await becomes(lambda: other.reasons)
    async with meeting(two.near) as (frames, _):
        frames.write(b'{"protocol":1,"type":"song","words":"la"}')
        frames.write(encode(GroupGone("a")))
        await becomes(lambda: other.heard, ["a"])
        frames.write(b'{"protocol":1,"type":"gone","key":5}')
        await becomes(lambda: other.reasons[-1], "key: no text of 1 to 128 characters")
    with _connected(two) as stranger:
        said = introduce(Names("gw1", "gw2"), bytes(32), 1.0).replace(b'"protocol": 1', b'"protocol": 7')
        stranger.sendall(len(said).to_bytes(4) + said)
        await becomes(lambda: "speaks version 7 of the pair's protocol" in other.reasons[-1])
        assert stranger.recv(99)[4:] == b"refused protocol"


async def test_a_partner_that_takes_nothing_loses_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MOST_WAITING", 1 << 16)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # nobody accepts what it has
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        made = Session(writer, Frames(reader, writer), 60.0, Counts())
        talking = asyncio.ensure_future(made.talk(lambda _: None))
        for number in range(100_000):
            made.send(GroupGone(f"{number:0100d}"))
            if number % 100 == 0:
                await asyncio.sleep(0)
            if talking.done():
                break
        assert await talking == "the partner takes too little: more than 65536 octets wait for it"


@asynccontextmanager
async def meeting(inside: Namespace) -> AsyncIterator[tuple[Frames, bytes]]:
    """Introduce oneself as gw1, by hand; yield the frames of the session, and all that it took."""
    with inside.enter():
        reader, writer = await asyncio.open_connection("10.0.0.2", 7179)
    try:
        frames = Frames(reader, writer)
        mine = introduce(Names("gw1", "gw2"), bytes(32), 60.0)
        frames.write(mine)
        proof = Proof(KEY.encode(), mine, await frames.read())
        frames.write(proof.by("dialler"))
        assert proof.holds("listener", await frames.read())
        frames.secure(proof.key_of("dialler"), proof.key_of("listener"))
        yield frames, b"".join(len(each).to_bytes(4) + each for each in (mine, proof.by("dialler")))
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


def _connected(two: Two, source: str = "10.0.0.1") -> socket.socket:
    with two.near.enter():
        return socket.create_connection(("10.0.0.2", 7179), timeout=5, source_address=(source, 0))
