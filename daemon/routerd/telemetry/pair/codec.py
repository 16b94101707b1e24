"""The messages of a pair as bytes, and back: JSON in UTF-8, of a protocol with a number. Pure.

A type that is not known is no message, and a field that is not known does not count: the partner may be of another
version. What changes the meaning of a field gets another number. The owners and the mask of a layout are packed:
an octet a bucket (two, if there are more than 256 members), then the mask, least octet first; raw deflate (RFC 1951),
which has a run in three octets; Base64.
"""

from __future__ import annotations

import base64
import json
import math
import struct
import zlib
from typing import Any

from routerd.core.message import AllSaid, Ask, GroupGone, GroupLayout, Hello, PartnerMessage
from routerd.core.route import Address, format_address, parse_address

PROTOCOL = 1
LARGEST = 256 * 1024
"""Octets of a message: the largest group that the kernel makes, in any layout."""
MOST_BUCKETS, MOST_MEMBERS = 65535, 4096
"""What a resilient group has at most (nh_grp_res_num_buckets is 16 bits wide); and what [fib] max_paths allows."""
_LONGEST, _LARGEST_NUMBER = 128, 1 << 63
_WINDOW, _SMALL, _LITTLE = -15, -12, 4
"""Raw deflate, with a window of 32 KiB for whatever the partner sends, and of 4 KiB and little memory for what it is
sent: the usual ones are mapped from the kernel, and given back, for each message."""


class MessageError(ValueError):
    """What the partner said makes no sense: what of it."""


class OtherProtocolError(MessageError):
    """The partner speaks another protocol."""

    def __init__(self, number: object) -> None:
        which = number if isinstance(number, int) and 0 <= number < 1 << 32 else "unknown"
        super().__init__(
            f"the partner speaks version {which} of the pair's protocol, and this router version {PROTOCOL}: "
            "upgrade the older one"
        )


def encode(message: PartnerMessage) -> bytes:
    """Return a message as bytes; ValueError if it is too large."""
    match message:
        case GroupLayout():
            said: dict[str, Any] = {
                "type": "layout",
                "key": message.key,
                "members": [format_address(member) for member in message.members],
                "buckets": len(message.owners),
                "packed": _packed(message),
                "settled": message.settled,
                "answers": message.answers,
                "drained": [format_address(member) for member in message.drained],
                "fresh": message.fresh,
            }
        case GroupGone(key=key):
            said = {"type": "gone", "key": key}
        case Ask(keys=keys, number=number):
            said = {"type": "ask", "keys": keys, "number": number}
        case Hello():
            said = {"type": "hello", **message._asdict()}
        case AllSaid():
            said = {"type": "all"}
    payload = json.dumps({"protocol": PROTOCOL, **said}, separators=(",", ":")).encode()
    if len(payload) > LARGEST:
        raise ValueError(f"it has {len(payload)} octets, and {LARGEST} are the most")
    return payload


def decode(payload: bytes) -> PartnerMessage | None:
    """Return what a payload says, None if it is of a type that this version does not know; MessageError if it is
    neither."""
    said = parsed(payload)
    if said.get("protocol") != PROTOCOL:
        raise OtherProtocolError(said.get("protocol"))
    match said.get("type"):
        case "layout":
            return _layout(said)
        case "gone":
            return GroupGone(text(said, "key"))
        case "ask":
            keys = said.get("keys")
            if not isinstance(keys, list):
                raise MessageError("keys: no list")
            return Ask(tuple(text({"keys": key}, "keys") for key in keys), _number(said, "number"))
        case "hello":
            texts = {name: text(said, name, least=0) for name in Hello._fields[:-2]}
            idle_timer = _seconds(said, "idle_timer") if "idle_timer" in said else 0.0  # which not every version says
            return Hello(**texts, age=_seconds(said, "age"), idle_timer=idle_timer)
        case "all":
            return AllSaid()
    return None


def parsed(payload: bytes) -> dict[str, Any]:
    """Return the JSON object that a payload is; MessageError if it is none."""
    if len(payload) > LARGEST:
        raise MessageError(f"{len(payload)} octets, and {LARGEST} are the most")
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        raise MessageError("no JSON") from None
    if not isinstance(said, dict):
        raise MessageError("no JSON object")
    return said


def text(said: dict[str, Any], name: str, least: int = 1) -> str:
    """Return a field of text, one line that may be shown; MessageError if it is none."""
    found = said.get(name)
    if not isinstance(found, str) or not least <= len(found) <= _LONGEST or not found.isprintable():
        raise MessageError(f"{name}: no text of {least} to {_LONGEST} characters")
    return found


def _number(said: dict[str, Any], name: str, least: int = 0, most: int = _LARGEST_NUMBER) -> int:
    found = said.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or not least <= found <= most:
        raise MessageError(f"{name}: no number from {least} to {most}")
    return found


def _seconds(said: dict[str, Any], name: str) -> float:
    found = said.get(name)
    if not isinstance(found, int | float) or isinstance(found, bool) or not 0 <= found < _LARGEST_NUMBER:
        raise MessageError(f"{name}: no number of seconds")
    return float(found)


def _packed(layout: GroupLayout) -> str:
    owners = layout.owners
    octets = bytes(owners) if len(layout.members) <= 256 else struct.pack(f">{len(owners)}H", *owners)
    mask = layout.busy.to_bytes(math.ceil(len(owners) / 8), "little")
    deflating = zlib.compressobj(wbits=_SMALL, memLevel=_LITTLE)
    return base64.b64encode(deflating.compress(octets + mask) + deflating.flush()).decode()


def _layout(said: dict[str, Any]) -> GroupLayout:
    members, buckets = _addresses(said, "members", 1), _number(said, "buckets", 1, MOST_BUCKETS)
    width = 1 if len(members) <= 256 else 2
    octets = _unpacked(said.get("packed"), width * buckets + math.ceil(buckets / 8))
    owners, mask = octets[: width * buckets], octets[width * buckets :]
    found = tuple(owners) if width == 1 else struct.unpack(f">{buckets}H", owners)
    if max(found) >= len(members):
        raise MessageError("packed: a bucket leads to no member")
    busy = int.from_bytes(mask, "little")
    if busy >> buckets:
        raise MessageError("packed: the mask has more bits than there are buckets")
    settled = said.get("settled")
    if not isinstance(settled, bool):
        raise MessageError("settled: neither true nor false")
    answers, drained = _number(said, "answers"), _addresses(said, "drained")
    fresh = said.get("fresh") is True  # which not every version says
    return GroupLayout(text(said, "key"), members, found, busy, settled, answers, drained, fresh)


def _addresses(said: dict[str, Any], name: str, least: int = 0) -> tuple[Address, ...]:
    found = said.get(name)
    if not isinstance(found, list) or not least <= len(found) <= MOST_MEMBERS:
        raise MessageError(f"{name}: no list of {least} to {MOST_MEMBERS} addresses")
    try:
        addresses = tuple(parse_address(text({name: each}, name)) for each in found)
    except MessageError:
        raise
    except ValueError:
        raise MessageError(f"{name}: no address") from None
    if len({*addresses}) < len(addresses):
        raise MessageError(f"{name}: one stands there twice")
    return addresses


def _unpacked(packed: Any, size: int) -> bytes:
    """Return what was packed, if it has this size; no more than that is ever unpacked."""
    if not isinstance(packed, str):
        raise MessageError("packed: no text")
    try:
        inflating = zlib.decompressobj(wbits=_WINDOW)
        octets = inflating.decompress(base64.b64decode(packed, validate=True), size + 1)
    except (ValueError, zlib.error):
        raise MessageError("packed: no deflated octets in Base64") from None
    if len(octets) != size or not inflating.eof or inflating.unused_data:
        raise MessageError("packed: not as many octets as there are buckets")
    return octets
