"""A chain of nftables that drops what is forwarded but by rules for interfaces; made in the caller's namespace.

Source: linux/netfilter/nf_tables.h. `nft` itself is not needed.
"""

from __future__ import annotations

import os
import socket
import struct

from routerd.kernel import wire

IIFNAME, OIFNAME = 6, 7
"""enum nft_meta_keys."""

_NETFILTER, _SUBSYSTEM, _BEGIN, _END, _ACK = 12, 10, 16, 17, 4
_NEWTABLE, _NEWCHAIN, _NEWRULE = 0, 3, 6
_FORWARD, _NF_ACCEPT = 2, 1


class Chain:
    """A chain of table `table`, at the hook for forwarded IPv4, with the policy drop."""

    def __init__(self, table: str, name: str) -> None:
        self._table, self._name = _string(1, table), name
        hook = wire.attribute(1, _be32(_FORWARD)) + wire.attribute(2, _be32(0))
        _send(_NEWTABLE, _string(1, table))
        _send(
            _NEWCHAIN,
            self._table + _string(3, name) + _nested(4, hook) + wire.attribute(5, _be32(0)) + _string(7, "filter"),
        )

    def accept(self, *matches: tuple[int, str]) -> None:
        """Append a rule that accepts what comes in (IIFNAME) or goes out (OIFNAME) by all of these interfaces."""
        expressions = b"".join(
            _expression("meta", wire.attribute(2, _be32(key)) + wire.attribute(1, _be32(1)))
            + _expression(
                "cmp",
                wire.attribute(1, _be32(1))
                + wire.attribute(2, _be32(0))
                + _nested(3, wire.attribute(1, name.encode().ljust(16, b"\0"))),
            )
            for key, name in matches
        )
        code = _nested(2, _nested(2, wire.attribute(1, _be32(_NF_ACCEPT))))
        expressions += _expression("immediate", wire.attribute(1, _be32(0)) + code)
        _send(_NEWRULE, self._table + _string(2, self._name) + _nested(4, expressions), wire.NLM_F_APPEND)


def _send(kind: int, body: bytes, flags: int = 0) -> None:
    batch = struct.pack("!BBH", 0, 0, _SUBSYSTEM)
    head = struct.pack("!BBH", socket.AF_INET, 0, 0)
    with wire.open_socket(protocol=_NETFILTER) as sock:
        sock.settimeout(5)
        sock.send(
            wire.request(_BEGIN, 0, batch)
            + wire.request(_SUBSYSTEM << 8 | kind, wire.NLM_F_CREATE | _ACK | flags, head + body, 1)
            + wire.request(_END, 0, batch, 2)
        )
        _, number, text = wire.error(sock.recv(65536))
    if number:
        raise OSError(number, text or os.strerror(number))


def _expression(name: str, data: bytes) -> bytes:
    return _nested(1, _string(1, name) + _nested(2, data))


def _nested(kind: int, data: bytes) -> bytes:
    return wire.attribute(kind | 0x8000, data)


def _string(kind: int, text: str) -> bytes:
    return wire.attribute(kind, text.encode() + b"\0")


def _be32(value: int) -> bytes:
    return struct.pack("!I", value)
