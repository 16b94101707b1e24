"""What else of the host decides whether a packet gets through: settings of interfaces, tables that may be full."""

from __future__ import annotations

from dataclasses import dataclass

from routerd.core.route import Address


@dataclass(frozen=True, slots=True)
class TableFill:
    """A table of the kernel's and its limit; `full` tells whether it has lately turned an entry away.

    `name` is `ipv4` or `ipv6` for the neighbours', which all network namespaces share, or `conntrack`.
    """

    name: str
    entries: int
    limit: int
    full: bool


@dataclass(frozen=True, slots=True)
class Barrier:
    """A chain of nftables that lets no new connection pass to the nodes; `family` is ip, ip6 or inet (both)."""

    family: str
    table: str
    chain: str


@dataclass(frozen=True, slots=True)
class HostState:
    """Interfaces are named by index.

    `not_forwarding`: IPv4 forwarding is off on it, though not in general. `strict`: the reverse path filter is 1, the
    interface's and the general one taken together (the higher one holds). `dropped`: it has lately dropped packets.
    `unheeded`: router advertisements have come in there and are ignored (forwarding is on, accept_ra is 1), while
    nothing leads to the IPv6 internet. `without_arp`: Ethernet on which the kernel asks nobody for a link-layer
    address (`ip link set arp off`). `duplicates`: IPv6 addresses that another host of their link has, too.
    """

    not_forwarding: frozenset[int]
    strict: frozenset[int]
    dropped: bool
    unheeded: frozenset[int]
    tables: tuple[TableFill, ...]
    without_arp: frozenset[int] = frozenset()
    barriers: tuple[Barrier, ...] = ()
    duplicates: tuple[tuple[int, Address], ...] = ()
