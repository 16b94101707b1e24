"""Introductions and proofs of the direct link, without a wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routerd.telemetry.pair.channel import Names
from routerd.telemetry.pair.codec import MessageError, OtherProtocolError
from routerd.telemetry.pair.proof import Introduction, Proof, introduce, introduced

KEY = b"0123456789abcdef0123456789abcdef"
NONCE = bytes(range(32))
NAMES = Names("gw1", "gw2")


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("hold_time", [0.3, 60.0])
def test_an_introduction_is_heard_as_it_was_said(hold_time: float, tls: bool) -> None:
    said = introduce(NAMES, NONCE, hold_time, tls=tls)
    assert introduced(said) == Introduction("gw1", "gw2", NONCE.hex(), hold_time, tls)


def test_tls_is_not_begun_unless_it_is_asked_for() -> None:
    assert not introduced(introduce(NAMES, NONCE, 3.0)).tls
    assert not introduced(_changed(tls="yes")).tls
    assert not introduced(_changed(tls=None)).tls


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"nonce": None}, "nonce: no text"),
        ({"nonce": "00" * 31}, "nonce: not 32 octets"),
        ({"nonce": "00" * 33}, "nonce: not 32 octets"),
        ({"nonce": "0g" * 32}, "nonce: not 32 octets"),
        ({"hold_time": None}, "hold_time: no number from 0.3 to 60"),
        ({"hold_time": "3"}, "hold_time: no number"),
        ({"hold_time": 0.29}, "hold_time: no number"),
        ({"hold_time": 60.1}, "hold_time: no number"),
        ({"hold_time": float("nan")}, "hold_time: no number"),
        ({"router": ""}, "router: no text"),
        ({"partner": 1}, "partner: no text"),
    ],
)
def test_errors_say_what_is_wrong(changed: dict[str, Any], error: str) -> None:
    with pytest.raises(MessageError, match=error):
        introduced(_changed(**changed))


def test_a_partner_of_another_protocol_is_told_apart_from_what_is_no_introduction() -> None:
    with pytest.raises(OtherProtocolError, match="speaks version 2"):
        introduced(_changed(protocol=2))
    with pytest.raises(MessageError, match="nonce: no text"):
        introduced(b'{"hello":"world"}')


def test_a_proof_is_good_for_one_side_of_one_connection_with_one_key() -> None:
    dialler, listener = introduce(NAMES, NONCE, 3.0), introduce(Names("gw2", "gw1"), NONCE[::-1], 3.0)
    proof = Proof(KEY, dialler, listener)
    for side in ("dialler", "listener"):
        assert Proof(KEY, dialler, listener).holds(side, proof.by(side))
        for other in (
            Proof(KEY[::-1], dialler, listener),
            Proof(KEY, listener, dialler),
            Proof(KEY, introduce(NAMES, bytes(32), 3.0), listener),
            Proof(KEY, dialler, introduce(Names("gw2", "gw1"), bytes(32), 3.0)),
            Proof(KEY, dialler, listener, (b"one", b"other")),
        ):
            assert not other.holds(side, proof.by(side))
            assert other.key_of(side) != proof.key_of(side)
    assert not proof.holds("listener", proof.by("dialler"))
    assert not proof.holds("dialler", proof.by("dialler")[:-1])
    made = [proof.by("dialler"), proof.by("listener"), proof.key_of("dialler"), proof.key_of("listener")]
    assert len({*made}) == 4
    assert {*map(len, made)} == {32}


def test_a_proof_is_of_both_certificates_in_their_order() -> None:
    """Who is in between has others."""
    proofs = [Proof(KEY, b"a", b"b", each).by("dialler") for each in ((b"c", b"d"), (b"d", b"c"), (b"c", b"x"))]
    assert len({*proofs}) == 3
    assert Proof(KEY, b"a", b"b", (b"c", b"d")).holds("dialler", proofs[0])


def _changed(**changed: Any) -> bytes:
    return json.dumps(json.loads(introduce(NAMES, NONCE, 3.0)) | changed).encode()
