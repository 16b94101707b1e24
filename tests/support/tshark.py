"""Wireshark's dissectors as a reader that shares nothing with routerd: messages, as it understands them."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PROGRAM = shutil.which("tshark")
needs_tshark = pytest.mark.skipif(PROGRAM is None, reason="needs Debian's tshark")

_RAW_IP = 101
"""The link type of packets that begin with IP (pcap-linktype(7))."""
_SEGMENT = 16_384


class Field(NamedTuple):
    """A field by Wireshark's name, as it shows it."""

    name: str
    value: str


class Dissected(NamedTuple):
    """A message: its fields in order, those of what it contains, too."""

    fields: tuple[Field, ...]

    def all(self, name: str) -> list[str]:
        """Return all values of a field."""
        return [field.value for field in self.fields if field.name == name]

    def one(self, name: str) -> str:
        """Return the value of a field that is there once."""
        [found] = self.all(name)
        return found


def dissected(directory: Path, messages: Iterable[bytes], port: int, protocol: str) -> list[Dissected]:
    """Return what Wireshark makes of messages that came one by one on a connection; AssertionError if it finds one
    malformed, or has something to warn of."""
    file = directory / "stream.pcap"
    file.write_bytes(b"".join(_capture(messages, port)))
    assert PROGRAM is not None
    command = [PROGRAM, "-n", "-r", str(file), "-d", f"tcp.port=={port},{protocol}", "-T", "pdml"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    found = []
    for packet in ET.fromstring(done.stdout).iter("packet"):
        inside = [proto for proto in packet.iter("proto") if proto.get("name") == protocol]
        if not inside:
            continue
        protocols = list(packet.findall("proto"))
        behind = protocols[next(n for n, proto in enumerate(protocols) if proto.get("name") == protocol) :]
        fields = [
            Field(each.get("name", ""), each.get("show", "")) for proto in behind for each in proto.iter("field")
        ]
        flaws = [
            each.get("showname") for proto in behind for each in proto.iter() if "malformed" in each.get("name", "")
        ]
        assert not flaws, flaws
        severe = [field for field in fields if field.name == "_ws.expert.severity" and int(field.value) >= _WARNING]
        assert not severe, [field for field in fields if field.name == "_ws.expert.message"]
        found.append(Dissected(tuple(fields)))
    return found


_WARNING = 0x600000
"""PI_WARN (epan/proto.h)."""


def _capture(messages: Iterable[bytes], port: int) -> Iterator[bytes]:
    """Yield a capture file with a segment, or several, a message."""
    yield struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, _RAW_IP)
    sequence, number = 1, 0
    for message in messages:
        for start in range(0, len(message), _SEGMENT):
            payload = message[start : start + _SEGMENT]
            tcp = struct.pack("!HHIIBBHHH", 40_000, port, sequence, 1, 5 << 4, 0x18, 65_535, 0, 0)
            addresses = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2")
            size = 40 + len(payload)
            packet = struct.pack("!BBHHHBBH", 0x45, 0, size, number & 0xFFFF, 0, 64, 6, 0) + addresses + tcp + payload
            yield struct.pack("<IIII", 1_700_000_000 + number, 0, len(packet), len(packet)) + packet
            sequence, number = (sequence + len(payload)) & 0xFFFFFFFF, number + 1
