"""Messages of a pair: what is said comes out as it went in, and nothing else comes out."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routerd.core.message import AllSaid, Ask, GroupGone, GroupLayout, Hello, PartnerMessage
from routerd.core.route import Address
from routerd.telemetry.pair import codec
from routerd.telemetry.pair.codec import MessageError, OtherProtocolError, decode, encode

TEXTS = st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), min_size=1, max_size=128)
ADDRESSES = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)
NUMBERS = st.integers(0, 1 << 63)


@st.composite
def layouts(draw: st.DrawFn) -> GroupLayout:
    members = tuple(map(Address, draw(st.lists(ADDRESSES, min_size=1, max_size=5, unique=True))))
    owners = tuple(draw(st.lists(st.integers(0, len(members) - 1), min_size=1, max_size=40)))
    busy = draw(st.integers(0, (1 << len(owners)) - 1))
    drained = draw(st.sets(st.sampled_from(members)))
    return GroupLayout(
        draw(TEXTS), members, owners, busy, draw(st.booleans()), draw(NUMBERS), tuple(drained), draw(st.booleans())
    )


MESSAGES = (
    layouts()
    | st.builds(GroupGone, TEXTS)
    | st.builds(Ask, st.lists(TEXTS, max_size=3).map(tuple), NUMBERS)
    | st.builds(Hello, *[TEXTS] * 6, st.floats(0, 1e9), st.floats(0, 1e6))
    | st.just(AllSaid())
)


def layout(buckets: int, members: int, *, runs: bool) -> GroupLayout:
    """Return a layout of a run each, or of buckets at random, half of them busy."""
    chance = random.Random(buckets)
    owners = [bucket * members // buckets if runs else chance.randrange(members) for bucket in range(buckets)]
    busy = 0 if runs else chance.getrandbits(buckets)
    named = tuple(Address(bytes((10, 0, number >> 8, number & 255))) for number in range(members))
    return GroupLayout("172.16.0.1/32", named, tuple(owners), busy)


@given(MESSAGES)
def test_what_is_said_is_what_is_heard(message: PartnerMessage) -> None:
    assert decode(encode(message)) == message


def test_a_partner_that_does_not_say_its_idle_timer() -> None:
    hello = Hello("gw2", "b", "0.1.0", "6.12.43", "five-tuple", "5f0c", 60.0)
    payload = json.dumps({name: value for name, value in json.loads(encode(hello)).items() if name != "idle_timer"})
    assert decode(payload.encode()) == hello
    with pytest.raises(MessageError, match="idle_timer: no number of seconds"):
        decode(json.dumps({**json.loads(payload), "idle_timer": -1}).encode())


def test_texts_of_a_hello_may_be_empty_and_not_long() -> None:
    hello = Hello("gw2", "", "", "", "", "a" * 128, 60.0)
    assert decode(encode(hello)) == hello
    with pytest.raises(MessageError, match="version: no text of 0 to 128 characters"):
        decode(json.dumps({**json.loads(encode(hello)), "version": "a" * 129}).encode())


def test_a_layout_that_is_not_said_to_be_of_this_moment_is_not() -> None:
    """A partner of an older version is asked."""
    said = json.loads(encode(layout(4, 2, runs=True)._replace(fresh=True)))
    for changed in ({"fresh": None}, {"fresh": 1}, {"fresh": False}):
        assert decode(json.dumps(said | changed).encode()) == layout(4, 2, runs=True)
    del said["fresh"]
    assert decode(json.dumps(said).encode()) == layout(4, 2, runs=True)


@pytest.mark.parametrize(
    ("said", "most"),
    [
        (layout(1024, 3, runs=True), 300),
        (layout(1024, 64, runs=True), 1700),
        (layout(1024, 3, runs=False), 900),
        (layout(1024, 16, runs=False), 1400),
        (layout(1024, 256, runs=False), 6_000),
        (layout(1024, 257, runs=False), 7_000),
        (layout(16384, 64, runs=False), 24_000),
        (layout(codec.MOST_BUCKETS, codec.MOST_MEMBERS, runs=False), codec.LARGEST),
    ],
)
def test_a_layout_is_small(said: GroupLayout, most: int) -> None:
    payload = encode(said)
    assert len(payload) <= most
    assert decode(payload) == said


def test_a_partner_may_pack_with_the_largest_window() -> None:
    """What was 20,000 octets before is referred to: it takes a window of 32 KiB."""
    said = layout(40_000, 256, runs=False)
    said = said._replace(owners=said.owners[:20_000] * 2, busy=0)
    fields = json.loads(encode(said))
    fields["packed"] = base64.b64encode(_deflated(bytes(said.owners) + bytes(5_000))).decode()
    assert decode(json.dumps(fields).encode()) == said


def test_what_is_too_large_is_not_said() -> None:
    with pytest.raises(ValueError, match="octets, and 262144 are the most"):
        encode(Ask(("172.16.0.1/32",) * 20_000, 1))
    room = codec.LARGEST - len(encode(GroupGone("")))
    assert len(encode(GroupGone("a" * room))) == codec.LARGEST
    with pytest.raises(ValueError, match="262145 octets"):
        encode(GroupGone("a" * (room + 1)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(MESSAGES, st.data())
def test_any_field_may_be_anything(message: PartnerMessage, data: st.DataObject) -> None:
    """It is understood, or refused with what is wrong; nothing else happens."""
    said = json.loads(encode(message))
    said[data.draw(st.sampled_from(sorted(said)))] = data.draw(JSON)
    _heard(json.dumps(said).encode())


@given(st.binary())
@example(b"[" * 100_000)
@example(b'{"protocol":1,"type":"hello","age":NaN}')
def test_octets_may_be_any(payload: bytes) -> None:
    _heard(payload)


def _heard(payload: bytes) -> None:
    with contextlib.suppress(MessageError):
        message = decode(payload)
        assert message is None or decode(encode(message)) == message


def _deflated(octets: bytes, *, end: bool = True) -> bytes:
    deflating = zlib.compressobj(wbits=-15)
    return deflating.compress(octets) + deflating.flush(zlib.Z_FINISH if end else zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"members": []}, "members: no list"),
        ({"members": ["10.0.0.1", "10.0.0.1", "10.0.0.2"]}, "members: one stands there twice"),
        ({"members": ["10.0.0.0", "gw"]}, "members: no address"),
        ({"members": ["10.0.0.0"]}, "packed: a bucket leads to no member"),
        ({"members": [f"10.1.{i >> 8}.{i & 255}" for i in range(4097)]}, "members: no list of 1 to 4096 addresses"),
        ({"drained": None}, "drained: no list of 0 to 4096 addresses"),
        ({"drained": [1]}, "drained: no text of 1 to 128 characters"),
        ({"buckets": 9}, "packed: not as many octets"),
        ({"buckets": 65536}, "buckets: no number from 1 to 65535"),
        ({"buckets": True}, "buckets: no number"),
        ({"packed": "%"}, "packed: no deflated octets"),
        (
            {"packed": base64.b64encode(zlib.compress(bytes(10 << 20), wbits=-15)).decode()},
            "packed: not as many octets",
        ),
        (
            {"packed": base64.b64encode(zlib.compress(bytes(4) + b"\x10", wbits=-15)).decode()},
            "the mask has more bits",
        ),
        ({"packed": base64.b64encode(_deflated(bytes(5), end=False)).decode()}, "packed: not as many octets"),
        ({"packed": base64.b64encode(_deflated(bytes(5)) + b"more").decode()}, "packed: not as many octets"),
        ({"settled": 1}, "settled: neither"),
        ({"key": "a\nb"}, "key: no text"),
        ({"key": "a" * 129}, "key: no text"),
        ({"answers": -1}, "answers: no number"),
        ({"answers": (1 << 63) + 1}, "answers: no number"),
    ],
)
def test_errors_say_what_is_wrong(changed: dict[str, Any], error: str) -> None:
    said = json.loads(encode(layout(4, 2, runs=True)))
    with pytest.raises(MessageError, match=error):
        decode(json.dumps(said | changed).encode())


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"[]", "no JSON object"),
        (b"1", "no JSON object"),
        (b"{", "no JSON"),
        (b" " * codec.LARGEST, "no JSON"),
        (b" " * (codec.LARGEST + 1), "262145 octets, and 262144 are the most"),
    ],
)
def test_what_is_no_message_at_all(payload: bytes, error: str) -> None:
    with pytest.raises(MessageError, match=f"^{error}$"):
        decode(payload)


def test_a_name_may_be_as_long_as_it_is_said_to_be() -> None:
    assert decode(encode(GroupGone("a" * 128))) == GroupGone("a" * 128)
    with pytest.raises(MessageError, match="key: no text of 1 to 128 characters"):
        decode(encode(GroupGone("a" * 129)))


def test_a_partner_of_another_version() -> None:
    said = json.loads(encode(layout(4, 2, runs=True)))
    assert decode(json.dumps(said | {"colour": "blue"}).encode()) == layout(4, 2, runs=True)
    assert decode(b'{"protocol":1,"type":"song"}') is None
    with pytest.raises(
        OtherProtocolError, match="speaks version 2 of the pair's protocol, and this router version 1"
    ):
        decode(json.dumps(said | {"protocol": 2}).encode())


@pytest.mark.parametrize("number", [-1, 1 << 32, "2\n", None, 1.5])
def test_a_version_that_is_none_is_not_repeated(number: object) -> None:
    with pytest.raises(OtherProtocolError, match="speaks version unknown of"):
        decode(json.dumps({"protocol": number, "type": "all"}).encode())
