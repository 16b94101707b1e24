"""Asking the kernel whether the nodes' link layer answers: liveness without help from the nodes.

The kernel probes by unicast ARP or neighbour solicitation, and reports NUD_FAILED (to `Monitor`) when nobody answers.
It proves host and link, not what runs there. Source: kernel doc networking/ip-sysctl, linux/neighbour.h.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection, Iterable, Sequence
from functools import partial

from routerd.config.model import LivenessSection
from routerd.core.message import Gateway
from routerd.core.route import Address
from routerd.kernel import wire
from routerd.kernel.requests import Refusals, Requests

RTM_NEWNEIGH, RTM_GETNEIGH = 28, 30
NUD_REACHABLE, NUD_PROBE, NUD_FAILED, NUD_NOARP, NUD_PERMANENT = 0x02, 0x10, 0x20, 0x40, 0x80
_NTF_USE = 0x01
_NDA_DST, _NDA_LLADDR = 1, 2

NDMSG = struct.Struct("=B3xiHBB")
"""struct ndmsg: family, interface index, state, flags, type."""


def _request(kind: int, netlink_flags: int, gateway: Gateway, state: int, flags: int, *, sequence: int = 0) -> bytes:
    family = socket.AF_INET if len(gateway.address) == 4 else socket.AF_INET6
    body = NDMSG.pack(family, gateway.ifindex, state, flags, 0) + wire.attribute(_NDA_DST, gateway.address)
    return wire.request(kind, netlink_flags, body, sequence)


class Prober:
    """Sends probes in the network namespace in which it was made."""

    def __init__(self) -> None:
        self._requests = Requests()

    def close(self) -> None:
        """Close the socket."""
        self._requests.close()

    def probe(self, gateways: Iterable[Gateway]) -> None:
        """Make the kernel verify that these neighbours answer; what it finds out comes by notification.

        An entry that is being probed already goes on being probed. One that does not exist, or has failed, is
        resolved anew.
        """
        every = list(gateways)
        unknown = [every[number] for number in self._send(every, wire.NLM_F_REPLACE, NUD_PROBE, 0)]
        self._send(unknown, wire.NLM_F_CREATE | wire.NLM_F_REPLACE, 0, _NTF_USE)

    def answering(self, gateways: Iterable[Gateway]) -> list[Gateway]:
        """Return those of these neighbours that answer now."""
        return [gateway for gateway in gateways if _state(gateway) & (NUD_REACHABLE | NUD_PERMANENT)]

    def _send(self, gateways: Sequence[Gateway], netlink_flags: int, state: int, flags: int) -> Refusals:
        """Send a request for each neighbour; return the refused ones by its index."""
        request = partial(_request, RTM_NEWNEIGH, netlink_flags, state=state, flags=flags)
        return self._requests.exchange(
            (start, b"".join(request(gateway, sequence=number) for number, gateway in enumerate(some)))
            for start, some in self._requests.bursts(gateways)
        )


def _state(gateway: Gateway) -> int:
    try:
        answer = wire.query(_request(RTM_GETNEIGH, 0, gateway, 0, 0))
    except OSError:
        return 0  # no entry, or no such interface: nobody answers
    state: int = NDMSG.unpack_from(answer, wire.HEADER.size)[2]
    return state


def link_layer_addresses(gateways: Collection[Gateway]) -> dict[Gateway, bytes]:
    """Return the link-layer addresses of those of these neighbours that have answered lately, or whose entry somebody
    made by hand; empty for a link without such addresses. Raises OSError if the table cannot be read."""
    found: dict[Gateway, bytes] = {}
    for data, start, end in wire.dump(RTM_GETNEIGH, bytes(NDMSG.size)):
        _, ifindex, state, _, _ = NDMSG.unpack_from(data, start)
        if state & (NUD_REACHABLE | NUD_NOARP | NUD_PERMANENT):
            fields = wire.attributes(data, start + NDMSG.size, end)
            gateway = Gateway(Address(fields.get(_NDA_DST, b"")), ifindex)
            if gateway in gateways:
                found[gateway] = b"" if state & NUD_NOARP else fields.get(_NDA_LLADDR, b"")
    return found


def parse_neighbour(data: bytes, start: int, end: int) -> tuple[Gateway, int] | None:
    """Return who a neighbour notification is about and its NUD_ state; None for one without an address."""
    _, ifindex, state, _, _ = NDMSG.unpack_from(data, start)
    address = wire.attributes(data, start + NDMSG.size, end).get(_NDA_DST)
    return None if address is None else (Gateway(Address(address), ifindex), state)


def settings(liveness: LivenessSection, interfaces: Iterable[str]) -> dict[str, str]:
    """Return the sysctls, by path, that make probes on these interfaces as quick as configured."""
    # Twenty milliseconds are a whole number of ticks with every usual HZ: else the kernel reads back another value.
    values = {
        "retrans_time_ms": str(max(1, round(liveness.retransmit * 50)) * 20),
        "ucast_solicit": str(liveness.retries),
        "mcast_solicit": str(liveness.retries),
    }
    return {
        f"net/ipv{version}/neigh/{interface}/{name}": value
        for interface in interfaces
        for version in (4, 6)
        for name, value in values.items()
    }
