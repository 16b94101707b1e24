"""How two routers prove to each other that they have the same key, and what they say after that is theirs. Pure.

Both introduce themselves, with a random number each. Whoever has dialled proves first, so that nobody who dials in
gets anything that was made with the key. A proof is an HMAC-SHA-256 (RFC 2104) of both introductions, as they went
over the wire, of the certificates of both if there is TLS, and of who gives it; so it is good for this connection and
this direction alone, and of no use to who is in between. Two keys are made likewise, one for what each side says.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import Literal, NamedTuple

from routerd.telemetry.pair.channel import Names
from routerd.telemetry.pair.codec import PROTOCOL, MessageError, OtherProtocolError, parsed, text

Side = Literal["dialler", "listener"]
_NONCE = re.compile(r"[0-9a-f]{64}")
SHORTEST_HOLD, LONGEST_HOLD = 0.3, 60.0


class Introduction(NamedTuple):
    """Who a router says it is, who it takes the other one for, its random number, its hold time in seconds, and
    whether TLS is to begin once both have introduced themselves."""

    router: str
    partner: str
    nonce: str
    hold_time: float
    tls: bool


def introduce(names: Names, nonce: bytes, hold_time: float, *, tls: bool = False) -> bytes:
    """Return an introduction, with 32 random octets."""
    said = Introduction(*names, nonce.hex(), hold_time, tls)
    return json.dumps({"protocol": PROTOCOL, **said._asdict()}).encode()


def introduced(payload: bytes) -> Introduction:
    """Return what an introduction says; MessageError if it is none."""
    said = parsed(payload)
    if said.get("protocol") != PROTOCOL and "nonce" in said:
        raise OtherProtocolError(said.get("protocol"))
    nonce, hold_time = text(said, "nonce"), said.get("hold_time")
    if not _NONCE.fullmatch(nonce):
        raise MessageError("nonce: not 32 octets")
    if not isinstance(hold_time, int | float) or not SHORTEST_HOLD <= hold_time <= LONGEST_HOLD:
        raise MessageError(f"hold_time: no number from {SHORTEST_HOLD} to {LONGEST_HOLD}")
    return Introduction(text(said, "router"), text(said, "partner"), nonce, float(hold_time), said.get("tls") is True)


class Proof:
    """Of one connection: `dialler` and `listener` are the introductions as they were sent, `certificates` those of
    the two in this order, if they talk over TLS (DER)."""

    def __init__(self, key: bytes, dialler: bytes, listener: bytes, certificates: tuple[bytes, ...] = ()) -> None:
        self._key = key
        self._both = b"".join(hashlib.sha256(each).digest() for each in (dialler, listener, *certificates))

    def by(self, side: Side) -> bytes:
        """Return what a side proves with."""
        return self._made("proof", side)

    def holds(self, side: Side, given: bytes) -> bool:
        """Tell whether a side has proved that it has the key."""
        return hmac.compare_digest(self.by(side), given)

    def key_of(self, side: Side) -> bytes:
        """Return the key of what a side says."""
        return self._made("frames", side)

    def _made(self, purpose: str, side: Side) -> bytes:
        return hmac.digest(self._key, f"routerd pair link {purpose} {side}\n".encode() + self._both, "sha256")
