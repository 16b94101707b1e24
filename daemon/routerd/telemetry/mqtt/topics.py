"""The topics of a router at a broker, `routerd/v1/<site>/<router>/...`, and their payloads: JSON in UTF-8. Pure.

A level of a topic holds no `/`, `+` or `#` (MQTT 5 section 4.7): a prefix stands in one with `_` for its slash, and
in a name what must not stand there is written as in a URL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

ROOT = "routerd/v1"
BIRTH, AVAILABILITY, SUMMARY, METRICS, REQUEST = "birth", "availability", "summary", "metrics", "request"
PEER, VIP, EVENT, ANSWER = "peer", "vip", "event", "answer"
LARGEST = 64 * 1024
"""Octets of a payload that is read; what is larger is none of routerd's."""
_LONGEST_KIND = 64
_UNSAFE = re.compile(r"[%/+#\x00-\x1f\x7f]")


class Topic(NamedTuple):
    """A topic in its parts: `kind` is `birth`, `peer` and so on, `what` is which peer, or empty."""

    site: str
    router: str
    kind: str
    what: str = ""

    def __str__(self) -> str:
        below = f"/{self.what}" if self.what else ""
        return f"{ROOT}/{self.site}/{self.router}/{self.kind}{below}"


class Own(NamedTuple):
    """Who a router is at the broker: its site, its name, and the id of its run."""

    site: str
    router: str
    boot: str

    def topic(self, kind: str, what: str = "") -> Topic:
        """Return a topic of the router's."""
        return Topic(self.site, self.router, kind, what)


def parse(text: str) -> Topic | None:
    """Return the parts of a topic; None if it is none of routerd's."""
    levels = text.split("/")
    if "/".join(levels[:2]) != ROOT or not 5 <= len(levels) <= 6 or not all(levels):
        return None
    return Topic(*levels[2:])


def level(text: str) -> str:
    """Return a name or a prefix as a level of a topic: `172.16.1.1/32` is `172.16.1.1_32`."""
    if "_" not in text:
        text = text.replace("/", "_")
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", text)


def kind_of(event: str) -> str:
    """Return the level of an event's name: `peer down` is `peer-down`."""
    return re.sub(r"[^a-z0-9]+", "-", event.lower()).strip("-")[:_LONGEST_KIND] or "event"


def encode(payload: Mapping[str, Any]) -> bytes:
    """Return a payload."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def decode(payload: bytes, most: int = LARGEST) -> dict[str, Any]:
    """Return what a payload says; ValueError if it is no JSON object, or has more octets than `most`."""
    if len(payload) > most:
        raise ValueError(f"{len(payload)} octets, and {most} are the most")
    try:
        found = json.loads(payload)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found
