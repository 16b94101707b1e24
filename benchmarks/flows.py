"""Flows from the client to VIPs, and the node that the router leads each of them to.

The kernel is asked (RTM_GETROUTE with the five-tuple): it looks the way up as for a packet of the flow, and to a
resilient group it is one, for it marks the flow's bucket as in use.
"""

from __future__ import annotations

import json
import socket
import struct

from benchmarks.fib import BASE
from benchmarks.net import CLIENT, Site, inside
from routerd.kernel import wire

PORT = 9000
"""The flows' destination; their source ports are from `FIRST_PORT` on."""
FIRST_PORT = 20_000
_RTA_DST, _RTA_SRC, _RTA_IIF, _RTA_GATEWAY = 1, 2, 3, 5
_RTA_IP_PROTO, _RTA_SPORT, _RTA_DPORT = 27, 28, 29
_RTMSG = 12
_BATCH = 64


class Flows:
    """UDP flows, `each` to every VIP. A flow is broken once it led elsewhere than at first, even for a moment."""

    def __init__(self, site: Site, vips: range, each: int, first_port: int = FIRST_PORT) -> None:
        (link,) = json.loads(site.router.run("ip", "-j", "link", "show", "eth1"))
        with inside(site.router):
            self._socket = wire.open_socket(receive_buffer=1 << 20)
        self._questions = [
            _question(vip, first_port + port, int(link["ifindex"])) for vip in vips for port in range(each)
        ]
        self.before = self.legs()
        """Where each of them led at first."""
        self.broken: set[int] = set()

    def look(self) -> int:
        """Ask for all of them, and return how many are broken."""
        pairs = zip(self.before, self.legs(), strict=True)
        self.broken.update(number for number, (before, now) in enumerate(pairs) if now != before)
        return len(self.broken)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def legs(self) -> list[bytes]:
        """Return the gateway of each flow; b"" where nothing leads."""
        found = []
        for start in range(0, len(self._questions), _BATCH):
            questions = self._questions[start : start + _BATCH]
            self._socket.send(b"".join(questions))
            found += [_gateway(self._socket.recv(1 << 16)) for _ in questions]
        return found


def _question(vip: int, port: int, interface: int) -> bytes:
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 32, 32, 0, 0, 0, 0, 0, 0) + b"".join(
        wire.attribute(kind, payload)
        for kind, payload in (
            (_RTA_DST, struct.pack("!I", BASE + vip)),
            (_RTA_SRC, socket.inet_aton(CLIENT)),
            (_RTA_IIF, struct.pack("=I", interface)),
            (_RTA_IP_PROTO, bytes([socket.IPPROTO_UDP])),
            (_RTA_SPORT, struct.pack("!H", port)),
            (_RTA_DPORT, struct.pack("!H", PORT)),
        )
    )
    return wire.request(wire.RTM_GETROUTE, 0, body)


def _gateway(data: bytes) -> bytes:
    length, kind, _, _, _ = wire.HEADER.unpack_from(data)
    if kind == wire.NLMSG_ERROR:
        return b""
    return wire.attributes(data, wire.HEADER.size + _RTMSG, length).get(_RTA_GATEWAY, b"")
