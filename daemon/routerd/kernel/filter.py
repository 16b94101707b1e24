"""What the monitor's socket does not let through: a classic BPF program that the kernel runs on every notification.

Source: kernel doc networking/filter. Offsets count from struct nlmsghdr. BPF loads in network order what the kernel
writes in the host's.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Collection

from routerd.core.message import RTPROT_BGP
from routerd.kernel import neighbour, wire

_SO_ATTACH_FILTER = 26
_LD_WORD, _LD_HALF, _LD_BYTE, _LD_NUMBER, _LDX_NUMBER = 0x20, 0x28, 0x30, 0x00, 0x01
_JEQ, _JSET, _RET = 0x15, 0x45, 0x06

_TYPE, _PORT = 4, 12
"""`_PORT`: the netlink port id of whoever asked for the change; 0 for the kernel's own doing."""
_NEIGHBOUR_STATE, _NEIGHBOUR_FLAGS = wire.HEADER.size + 8, wire.HEADER.size + 10
_NEIGHBOUR_ATTRIBUTES = wire.HEADER.size + neighbour.NDMSG.size
_ATTRIBUTE = 0xFFFFF000 + 12
"""SKF_AD_OFF + SKF_AD_NLATTR: where the attribute of type X is, looked for from A on; 0 if there is none."""
_TOLD = neighbour.NUD_FAILED | neighbour.NUD_NOARP | neighbour.NUD_PERMANENT
_ROUTE_FAMILY, _ROUTE_TABLE, _ROUTE_PROTOCOL = wire.HEADER.size, wire.HEADER.size + 4, wire.HEADER.size + 5

_Statement = tuple[int, str, str, int] | str
"""Code, where to go on if it holds and if not (empty: with the next one), operand; or a label."""


def attach(sock: socket.socket, ports: Collection[int]) -> None:
    """Have a socket drop what it need not hear: what these ports caused, ordinary neighbours that have not failed
    (every probe changes one's state twice), routes of other tables, and what the kernel flushes of protocol bgp in
    IPv6 along with a nexthop: of that it tells by the nexthop or the link, and an emptied group may have 100,000
    routes."""
    program = _assemble(
        (_LD_WORD, "", "", _PORT),
        *((_JEQ, "drop", "", _swapped(port)) for port in ports),
        (_LD_HALF, "", "", _TYPE),
        (_JEQ, "neighbour", "", socket.htons(neighbour.RTM_NEWNEIGH)),
        (_JEQ, "route", "", socket.htons(wire.RTM_NEWROUTE)),
        (_JEQ, "deleted", "keep", socket.htons(wire.RTM_DELROUTE)),
        "neighbour",
        (_LD_HALF, "", "", _NEIGHBOUR_STATE),
        (_JSET, "keep", "", socket.htons(_TOLD)),
        (_LD_BYTE, "", "", _NEIGHBOUR_FLAGS),
        (_JSET, "keep", "", neighbour.NTF_EXT_LEARNED),
        (_LD_NUMBER, "", "", _NEIGHBOUR_ATTRIBUTES),
        (_LDX_NUMBER, "", "", neighbour.NDA_FLAGS_EXT),
        (_LD_WORD, "", "", _ATTRIBUTE),
        (_JEQ, "drop", "keep", 0),
        "deleted",
        (_LD_WORD, "", "", _PORT),
        (_JEQ, "", "route", 0),
        (_LD_BYTE, "", "", _ROUTE_FAMILY),
        (_JEQ, "", "route", socket.AF_INET6),
        (_LD_BYTE, "", "", _ROUTE_PROTOCOL),
        (_JEQ, "drop", "", RTPROT_BGP),
        "route",
        (_LD_BYTE, "", "", _ROUTE_TABLE),
        (_JEQ, "keep", "drop", wire.TABLE),
        "drop",
        (_RET, "", "", 0),
        "keep",
        (_RET, "", "", 0xFFFFFFFF),
    )
    buffer = ctypes.create_string_buffer(program, len(program))
    address = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, address)


def _swapped(word: int) -> int:
    value: int = struct.unpack(">I", struct.pack("=I", word))[0]
    return value


def _assemble(*statements: _Statement) -> bytes:
    """Return the instructions (struct sock_filter), jumps counted from the instruction behind each."""
    instructions: list[tuple[int, str, str, int]] = []
    labels: dict[str, int] = {}
    for statement in statements:
        if isinstance(statement, str):
            labels[statement] = len(instructions)
        else:
            instructions.append(statement)
    return b"".join(
        struct.pack("=HBBI", code, *(labels[label] - at if label else 0 for label in (true, false)), operand)
        for at, (code, true, false, operand) in enumerate(instructions, 1)
    )
