"""The pure parts of the speaker, and its contract with ExaBGP."""

from __future__ import annotations

import asyncio
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from routerd.config.model import Config, PeerGroup
from routerd.core.message import GracefulRestart, Notification, SessionDown, SessionUp
from routerd.core.route import Family, parse_address
from routerd.session import frames
from routerd.session.channel import Channel
from routerd.session.exabgp import contract
from routerd.session.exabgp.pending import Pending
from routerd.session.exabgp.uplink import Uplink
from routerd.session.open import (
    BAD_BGP_IDENTIFIER,
    BAD_PEER_AS,
    OpenError,
    decode_open,
    judge_open,
    notifications_are_soft,
)
from routerd.session.speaker import Speaker
from routerd.session.text import neighbor_text, speaker_text
from tests.support import bgp

GOLDEN = Path(__file__).parent / "golden"

CONFIG = Config.model_validate(
    {
        "router": {"asn": 64512, "router_id": "10.0.0.100"},
        "peer_groups": {
            "plain": {},
            "secret": {
                "remote_as": 65001,
                "hold_time": 9,
                "multihop": 3,
                "graceful_restart": True,
                "restart_time": 60,
                "families": ["ipv6"],
                "password": 'a "b"; }',
                "ttl_security": True,
            },
            "ours": {"remote_as": "internal", "families": ["ipv4"]},
        },
        "peers": [
            {"name": "one", "address": "10.0.0.1", "group": "plain"},
            {"name": "two", "address": "fd00::2", "group": "secret"},
            {"name": "three", "address": "10.0.0.3", "group": "ours"},
        ],
        "dynamic_peers": [{"range": "10.1.0.0/16", "group": "secret"}, {"range": "10.1.1.0/24", "group": "plain"}],
    }
)


def test_contract_holds() -> None:
    contract.assert_contract()


def test_contract_names_what_is_different(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "release", "6.0.0")
    monkeypatch.delattr(contract.Peer, "reconfigure")
    monkeypatch.setattr(contract.Peer, "run", lambda self, turns: None)
    with pytest.raises(contract.ContractError) as caught:
        contract.assert_contract()
    for part in ("version 6.0.0", "Peer.reconfigure is gone", "Peer.run takes (self turns), not (self)"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["static", "dynamic"])
def test_text_is_the_golden_one(name: str) -> None:
    text = speaker_text(CONFIG) if name == "static" else _dynamic("10.1.1.9")
    assert text == (GOLDEN / f"{name}.conf").read_text()


def _dynamic(address: str) -> str:
    group = CONFIG.group_of(address)
    assert group is not None
    return neighbor_text(CONFIG, address, group[1])


def test_text_has_the_dynamic_peers_that_a_range_covers() -> None:
    text = speaker_text(CONFIG, ["10.1.1.9", "10.2.0.1", "10.0.0.1"])
    names = [line.split()[1] for line in text.splitlines() if line.startswith("neighbor")]
    assert names == ["10.0.0.1", "10.0.0.3", "10.1.1.9", "fd00::2"]


def test_exabgp_reads_the_text() -> None:
    program = (
        "import sys; from exabgp.configuration.configuration import Configuration\n"
        "from exabgp.logger.option import option; from exabgp.environment import getenv; option.setup(getenv())\n"
        "c = Configuration([sys.stdin.read()], text=True); ok = c.reload(); print(ok, len(c.neighbors), c.error)\n"
        "print([n['md5-password'] is not None for n in c.neighbors.values()])"
    )
    text = speaker_text(CONFIG, ["10.1.2.3"])
    ran = subprocess.run([sys.executable, "-c", program], input=text, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("True 4"), ran.stdout
    assert ran.stdout.count("True") == 3


# --------------------------------------------------------------------------------------------------------- frames

some_frames = st.lists(
    st.tuples(st.sampled_from(frames.Kind), st.integers(0, 2**32 - 1), st.binary(max_size=200)), max_size=20
)


@given(some_frames, st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_frames_survive_any_cutting(said: list[tuple[frames.Kind, int, bytes]], sizes: list[int]) -> None:
    stream = b"".join(frames.frame(*each) for each in said)
    splitter, heard, offset, turn = frames.Splitter(), [], 0, 0
    while offset < len(stream):
        size = sizes[turn % len(sizes)]
        heard += splitter.feed(stream[offset : offset + size])
        offset, turn = offset + size, turn + 1
    assert heard == said


def test_stream_out_of_step_is_an_error() -> None:
    with pytest.raises(ValueError, match="out of step"):
        frames.Splitter().feed(b"\xff" * 20)


@given(st.lists(st.binary(max_size=100), max_size=6))
def test_fields_survive(fields: list[bytes]) -> None:
    assert frames.unpack(frames.pack(*fields)) == fields


@given(st.text(max_size=50), st.text(max_size=50), st.booleans(), st.binary(max_size=99), st.binary(max_size=99))
def test_up_survives(peer: str, local: str, dynamic: bool, received: bytes, sent: bytes) -> None:
    up = frames.Up(peer, local, dynamic, received, sent)
    assert frames.unpack_up(frames.pack_up(up)) == up


notifications = st.builds(
    Notification, st.booleans(), st.integers(0, 255), st.integers(0, 255), st.binary(max_size=99)
)


@given(st.text(max_size=50), st.text(max_size=50), st.none() | notifications, st.booleans())
def test_down_survives(peer: str, reason: str, said: Notification | None, established: bool) -> None:
    down = frames.Down(peer, reason, said, established)
    assert frames.unpack_down(frames.pack_down(down)) == down


# ----------------------------------------------------------------------------------------------------------- OPEN


def test_open_with_everything() -> None:
    graceful = bgp.Graceful(True, True, 120, {bgp.IPV4: True, bgp.IPV6: False})
    said = decode_open(bgp.open_message(asn=4200000000, hold=9, graceful=graceful, extended=True)[19:])
    assert (said.asn, said.hold_time, said.router_id) == (4200000000, 9, parse_address("10.0.0.1"))
    assert said.families == {Family.IPV4, Family.IPV6}
    assert (said.four_octet_as, said.route_refresh, said.extended_message) == (True, True, True)
    families = {Family.IPV4: True, Family.IPV6: False}
    assert said.graceful_restart == GracefulRestart(True, True, 120, families)


def test_open_without_capabilities_is_ipv4_alone() -> None:
    said = decode_open(bgp.open_message(asn=65001, hold=0x1234, families=(), refresh=False, as4=False)[19:])
    assert (said.asn, said.hold_time, said.families, said.graceful_restart) == (65001, 0x1234, {Family.IPV4}, None)
    assert (said.four_octet_as, said.route_refresh, said.extended_message) == (False, False, False)


def test_graceful_restart_without_a_family_is_restart_alone() -> None:
    said = decode_open(bgp.open_message(asn=65001, graceful=bgp.Graceful(time=120, families={}))[19:])
    assert said.graceful_restart == GracefulRestart(False, False, 120, {})


def test_open_passes_over_what_it_does_not_know() -> None:
    odd = bytes([1, 4, 0, 25, 0, 70, 128, 0, 73, 3, 1, 65, 0, 200, 1, 9])  # L2VPN EVPN, Cisco refresh, name, private
    said = decode_open(bgp.open_message(refresh=False, capabilities=odd)[19:])
    assert (said.families, said.route_refresh) == ({Family.IPV4, Family.IPV6}, True)


def test_open_with_extended_optional_parameters() -> None:
    plain = bgp.open_message(asn=70000)[19:]
    capabilities = plain[12:]
    parameter = bytes([2]) + len(capabilities).to_bytes(2, "big") + capabilities
    body = plain[:9] + b"\xff\xff" + len(parameter).to_bytes(2, "big") + parameter
    assert decode_open(body) == decode_open(plain)
    assert decode_open(plain[:9] + b"\x07" + body[10:]) == decode_open(plain), "the first length does not count"


def test_open_that_says_it_has_no_parameters_has_none() -> None:
    """Not even extended ones, whatever follows (RFC 9072 section 2)."""
    plain = bgp.open_message(asn=65001, families=(), refresh=False, as4=False)[19:]
    assert decode_open(plain[:9] + b"\0\xff\0\x05\x02\0\x02\x02\0") == decode_open(plain)


FIXED = bytes([4]) + (65001).to_bytes(2, "big") + bytes([0, 9, 10, 0, 0, 1])
"""An OPEN up to the length of its optional parameters."""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        FIXED,
        FIXED + b"\x05\x02\x03\x01\x01\x00",
        FIXED + b"\x07\x02\x05\x01\x03\x00\x01\x00",
        FIXED + b"\x05\x02\x03\x41\x01\x00",
        FIXED + b"\x06\x02\x04\x41\x02\xfd\xe9",
        FIXED + b"\x09\x02\x07\x01\x05\x00\x01\x00\x01\x00",
        FIXED + b"\x04\x02\x02\x01",
        FIXED + b"\x04\x02\x03\x01\x04",
        FIXED + b"\x04\x02\x02\x41\x01",
        FIXED + b"\x05\x02\x03\x40\x01\x00",
        FIXED + b"\xff\xff\x00\x09\x02",
        *(bgp.open_message(capabilities=bytes([64, size, *bytes(size)]))[19:] for size in (0, 1, 3, 4, 5, 7)),
    ],
)
def test_garbage_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"OPEN|capability"):
        decode_open(body)


@pytest.mark.parametrize(
    ("head", "restarting", "notification", "seconds"),
    [
        (0x0000, False, False, 0),
        (0x8000, True, False, 0),
        (0x4000, False, True, 0),
        (0x3001, False, False, 1),
        (0x0FFF, False, False, 4095),
        (0xFFFF, True, True, 4095),
    ],
)
def test_the_first_octets_of_the_graceful_restart_capability(
    head: int, restarting: bool, notification: bool, seconds: int
) -> None:
    """RFC 4724 section 3: four bits of flags, of which two are known (RFC 8538), and twelve of seconds; then the
    families, each with a flag."""
    value = struct.pack("!HHBBHBB", head, 1, 1, 0x7F, 2, 1, 0x80)
    opened = decode_open(bgp.open_message(capabilities=bytes([64, len(value)]) + value)[19:])
    families = {Family.IPV4: False, Family.IPV6: True}
    assert opened.graceful_restart == GracefulRestart(restarting, notification, seconds, families)


@pytest.mark.parametrize("received", [None, False, True])
@pytest.mark.parametrize("sent", [None, False, True])
def test_notifications_are_soft_where_both_have_the_n_bit(received: bool | None, sent: bool | None) -> None:
    bodies = [
        bgp.open_message(graceful=None if bit is None else bgp.Graceful(notification=bit))[19:]
        for bit in (received, sent)
    ]
    assert notifications_are_soft(*bodies) is (received is True and sent is True)


@given(st.binary(max_size=80))
def test_open_decoder_raises_nothing_but_value_errors(body: bytes) -> None:
    try:
        decode_open(body)
    except ValueError as error:
        assert str(error)  # noqa: PT017 (it may also decode)


def test_a_frame_is_of_no_session_unless_it_says_so() -> None:
    assert frames.frame(frames.Kind.LISTENING) == bytes(4) + bytes((frames.Kind.LISTENING,)) + bytes(4)
    assert (
        frames.frame(frames.Kind.UPDATE, 7, b"body") == b"\0\0\0\4" + bytes((frames.Kind.UPDATE,)) + b"\0\0\0\7body"
    )


def test_every_kind_of_frame_has_a_number_of_its_own_by_its_direction() -> None:
    numbers = [int(kind) for kind in frames.Kind.__members__.values()]
    assert len(set(numbers)) == len(numbers)
    below = [kind.name for kind in frames.Kind if kind < 32]
    assert below == ["LISTENING", "UP", "DOWN", "UPDATE", "REFRESH", "TAKEN", "LOG", "FAILED", "DIALLING"]


def test_fields_may_be_empty_and_are_not_cut_off() -> None:
    fields = [b"", b"one", b"", b"two", b""]
    payload = frames.pack(*fields)
    assert frames.unpack(payload) == fields
    assert frames.unpack(b"") == []
    ends = [4, 11, 15, 22, 26]
    for size in range(1, len(payload)):
        if size in ends:
            assert frames.unpack(payload[:size]) == fields[: ends.index(size) + 1]
            continue
        with pytest.raises(ValueError, match=r"cut off|overruns"):
            frames.unpack(payload[:size])


@pytest.mark.parametrize("dynamic", [True, False])
def test_what_is_said_of_a_session_that_is_up_survives(dynamic: bool) -> None:
    up = frames.Up("10.0.0.2", "fd00::1", dynamic, b"received", b"sent", (179, 40000))
    assert frames.unpack_up(frames.pack_up(up)) == up


@pytest.mark.parametrize("established", [True, False])
@pytest.mark.parametrize(
    "said", [None, Notification(True, 6, 2), Notification(False, 6, 2, b"x"), Notification(False, 255, 0, b"data")]
)
def test_what_is_said_of_a_session_that_is_over_survives(said: Notification | None, established: bool) -> None:
    down = frames.Down("10.0.0.2", "the connection was lost", said, established)
    assert frames.unpack_down(frames.pack_down(down)) == down


def test_a_frame_that_is_larger_than_any_is_none() -> None:
    """The stream is out of step: nobody waits for the rest."""
    largest = frames.HEADER.pack(frames.MAX_PAYLOAD, frames.Kind.LOG, 0)
    assert frames.Splitter().feed(largest) == []
    with pytest.raises(ValueError, match="out of step"):
        frames.Splitter().feed(frames.HEADER.pack(frames.MAX_PAYLOAD + 1, frames.Kind.LOG, 0))


def test_the_ports_of_a_session_may_not_be_known() -> None:
    assert frames.Up("10.0.0.2", "10.0.0.1", False, b"", b"").ports == (0, 0)


@pytest.mark.parametrize("said", [frames.Dialling("10.0.0.2", "away", 1.5, True), frames.Dialling("fd00::2", "")])
def test_what_dialling_does_survives(said: frames.Dialling) -> None:
    assert frames.unpack_dialling(frames.pack_dialling(said)) == said


async def test_a_session_may_end_while_the_batch_that_began_it_is_taken_in() -> None:
    speaker, channel = Speaker(CONFIG, log=structlog.get_logger()), Channel()
    speaker._channel = channel
    channel.watch_urgent(speaker._urgent_came)
    stream, urgent = channel.child_ends
    opened = struct.pack("!BHHIB", 4, 65001, 9, 1, 0)
    stream.send(
        frames.frame(frames.Kind.UP, 7, frames.pack_up(frames.Up("10.0.0.2", "10.0.0.1", False, opened, opened)))
    )
    messages, _ = await anext(speaker.batches())
    assert [type(message) for message in messages] == [SessionUp]
    assert not speaker.overtaken(7)
    assert speaker.lost() == []
    ended = frames.Down("10.0.0.2", "connection lost", None, True, True)
    down = frames.frame(frames.Kind.DOWN, 7, frames.pack_down(ended))
    urgent.send(down)
    await asyncio.wait_for(speaker.ended.wait(), 5)  # whatever the consumer of the batches does
    lost = SessionDown("10.0.0.2", 7, "connection lost", None)
    assert speaker.lost() == [lost]
    assert speaker.overtaken(7) == lost
    stream.send(down)
    assert speaker.lost() == []
    channel.close()


async def test_hundreds_of_sessions_that_end_at_once_all_take_the_urgent_way() -> None:
    """However much is in line: what waits between two sockets of messages is ten of them."""
    speaker, channel = Speaker(CONFIG, log=structlog.get_logger()), Channel()
    speaker._channel = channel
    for end in channel.child_ends:
        end.setblocking(False)
    uplink = Uplink(*channel.child_ends)
    opened = struct.pack("!BHHIB", 4, 65001, 9, 1, 0)
    peers = {number: f"10.0.{number >> 8}.{number & 255}" for number in range(1, 301)}
    for number, peer in peers.items():
        uplink.up(number, frames.Up(peer, "10.0.0.1", False, opened, opened))
    uplink.flush()
    speaker.translation.translate([each for _ in peers for each in channel.read()], [])
    channel.watch_urgent(speaker._urgent_came)
    for number, peer in peers.items():
        uplink.down(number, frames.Down(peer, "connection lost", None, True, True))
    assert speaker.lost() == [SessionDown(peer, number, "connection lost", None) for number, peer in peers.items()]
    channel.close()


@pytest.mark.parametrize(
    ("remote_as", "asn", "fits"),
    [
        ("external", 65001, True),
        ("external", 64512, False),
        ("internal", 64512, True),
        ("internal", 65001, False),
        (65001, 65001, True),
        (65001, 65002, False),
        (65001, 4200000001, False),
        (4200000001, 4200000001, True),
        (4200000001, 65001, False),
    ],
)
def test_the_judgement_on_the_peers_as(remote_as: object, asn: int, fits: bool) -> None:
    group = PeerGroup.model_validate({"remote_as": remote_as})
    opened = decode_open(bgp.open_message(asn=asn)[19:])
    if fits:
        judge_open(opened, CONFIG, group)
        return
    with pytest.raises(OpenError, match=f"got AS {asn}, expected") as caught:
        judge_open(opened, CONFIG, group)
    assert caught.value.subcode == BAD_PEER_AS


def open_of(asn: int, *four_octet: int, hold: int = 9, router_id: bytes = b"\x0a\x00\x00\x01") -> bytes:
    """Return the body of an OPEN with this My-AS, and these four-octet capabilities in one optional parameter."""
    capabilities = b"".join(b"\x41\x04" + each.to_bytes(4, "big") for each in four_octet)
    parameters = bytes([2, len(capabilities)]) + capabilities
    return struct.pack("!BHH4sB", 4, asn, hold, router_id, len(parameters)) + parameters


@pytest.mark.parametrize(
    ("body", "subcode", "data"),
    [
        pytest.param(b"\x03" + open_of(65001)[1:], 1, b"\x00\x04", id="another version: the answer names ours"),
        pytest.param(open_of(0), 2, b"", id="AS 0 (RFC 7607)"),
        pytest.param(open_of(23456, 0), 2, b"", id="AS 0 in four octets"),
        pytest.param(open_of(23456), 2, b"", id="AS_TRANS with nothing that it stands for"),
        pytest.param(open_of(23456, 23456), 2, b"", id="AS_TRANS that stands for itself"),
        pytest.param(open_of(65001, 65001, 65002), 2, b"", id="two AS numbers"),
        pytest.param(open_of(65001, 70000), 2, b"", id="a large AS without AS_TRANS"),
        pytest.param(open_of(23456, 65001), 2, b"", id="AS_TRANS for a small AS"),
        pytest.param(open_of(65001, router_id=bytes(4)), 3, b"", id="no identifier"),
        pytest.param(open_of(65001)[:9] + b"\x02\x03\x00", 4, b"", id="an optional parameter that is unknown"),
        pytest.param(open_of(65001)[:9] + b"\x02\xff\x00", 4, b"", id="of type 255, and no longer length (RFC 9072)"),
        pytest.param(open_of(65001, hold=1), 6, b"", id="a hold time of 1"),
        pytest.param(open_of(65001, hold=2), 6, b"", id="a hold time of 2"),
        pytest.param(open_of(65001)[:9] + b"\x03\x02\x00", 0, b"", id="what overruns its lengths"),
    ],
)
def test_what_is_wrong_with_an_open_is_answered_by_its_number(body: bytes, subcode: int, data: bytes) -> None:
    """RFC 4271 sections 4.5 and 6.2, RFC 6793 section 9."""
    with pytest.raises(OpenError) as caught:
        judge_open(decode_open(body), CONFIG, PeerGroup(remote_as="external"))
    assert (caught.value.subcode, caught.value.data) == (subcode, data)


@pytest.mark.parametrize(
    "body",
    [open_of(65001), open_of(65001, 65001), open_of(23456, 70000), open_of(65001, hold=0), open_of(65001, hold=3)],
)
def test_what_an_open_may_say_of_its_as_and_its_hold_time(body: bytes) -> None:
    judge_open(decode_open(body), CONFIG, PeerGroup(remote_as="external"))


@pytest.mark.parametrize(("remote_as", "asn", "fits"), [("internal", 64512, False), ("external", 65001, True)])
def test_our_own_identifier_is_wrong_within_our_as_alone(remote_as: str, asn: int, fits: bool) -> None:
    """RFC 6286 section 2.1."""
    group = PeerGroup.model_validate({"remote_as": remote_as})
    opened = decode_open(bgp.open_message(asn=asn, router_id="10.0.0.100")[19:])
    if fits:
        judge_open(opened, CONFIG, group)
        return
    with pytest.raises(OpenError, match=r"our own BGP identifier 10\.0\.0\.100") as caught:
        judge_open(opened, CONFIG, group)
    assert caught.value.subcode == BAD_BGP_IDENTIFIER


def test_no_module_of_exabgp_asks_the_wall_clock() -> None:
    """In a process of its own, as the child is: each timer's `time` is the monotonic clock, whatever was imported."""
    program = (
        "import sys, time\n"
        "from routerd.session.exabgp import contract, reactor, timers\n"
        "timers.install()\n"
        "contract.assert_contract()\n"
        "left = [n for n, m in sys.modules.items() if n.startswith('exabgp.') and vars(m).get('time') is time]\n"
        "assert not left, left\n"
        "assert all(abs(sys.modules[n].time.time() - time.monotonic()) < 60 for n in timers.TIMED)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Newcomer:
    """A connection whose OPEN has come."""

    peer = "10.0.0.2"
    hung_up = False

    def __init__(self) -> None:
        self.closed = False

    def fd(self) -> int:
        return -1 if self.closed else 7

    def peek(self) -> tuple[int, bytes]:
        return 1, b"an OPEN"

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("where", ["judge", "admit"])
def test_a_newcomer_for_whom_there_is_no_memory_is_given_up_alone(where: str) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    def nothing(*_: object) -> None:
        return None

    refused: list[tuple[int, int]] = []
    calls = dict.fromkeys(("judge", "admit", "peer_at"), nothing) | {where: no_memory}
    reactor = SimpleNamespace(refuse=lambda _, notify, __: refused.append((notify.code, notify.subcode)), **calls)
    reactor.turns = SimpleNamespace(poll=nothing, unpoll=nothing)
    reactor.judge = no_memory if where == "judge" else lambda *_: SimpleNamespace()
    reactor.dialler = SimpleNamespace(precedes=lambda *_: False)
    pending, newcomer = Pending(reactor), Newcomer()
    pending.add(newcomer, 0.0)  # type: ignore[arg-type]
    pending.turn([7], 1.0)
    assert newcomer.closed
    assert 7 not in pending
    assert refused == ([(6, 8)] if where == "judge" else [])  # one that was let in has no word of ours yet
