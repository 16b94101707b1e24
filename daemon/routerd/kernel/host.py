"""Reads what else of the host decides whether packets get through: a few dumps and files for all interfaces.

Source: kernel doc networking/ip-sysctl, linux/netconf.h, linux/neighbour.h (struct ndt_config, struct ndt_stats).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

from routerd.core.message import HostState, Interface, TableFill
from routerd.core.route import Address
from routerd.kernel import parse, wire
from routerd.kernel.dump import ALL_LINKS
from routerd.kernel.firewall import Firewall
from routerd.kernel.sysctl import PROC_SYS

PROC_NET = Path("/proc/thread-self/net")
LATELY = 120.0
"""Seconds for which a counter that has risen counts: more than an audit interval of the default length."""

_RTM_GETNEIGHTBL, _RTM_GETNETCONF = 66, 82
_NETCONFA_IFINDEX, _NETCONFA_FORWARDING, _NETCONFA_RP_FILTER = 1, 2, 3
_ALL = -1
_IFA_FLAGS, _IFA_F_DADFAILED = 2, 0x08
"""Where struct ifaddrmsg has its flags."""
_IFINFO = struct.Struct("=2xHiI")
"""struct ifinfomsg, but for its first and last parts: ARPHRD_, index, IFF_."""
_ARPHRD_ETHER, _IFF_NOARP = 1, 0x80
_NDTA_THRESH3, _NDTA_CONFIG, _NDTA_STATS = 4, 5, 7
_ENTRIES = 4
"""struct ndt_config: where it has the number of entries."""
_TABLE_FULLS = 80
"""struct ndt_stats: where it counts the entries that there was no room for."""
_RTA_DST = 1
_INTERNET = bytes([0x20]) + bytes(15)
"""2000::, of the unicast addresses that are assigned: a default route leads there, or one for 2000::/3."""


class _Rise:
    """Tells whether a counter has risen lately, under the same circumstances."""

    def __init__(self) -> None:
        self._seen: tuple[int, object] | None = None
        self._until = 0.0

    def lately(self, count: int, circumstances: object, now: float) -> bool:
        if self._seen is None or self._seen[1] != circumstances:
            self._until = now
        elif count > self._seen[0]:
            self._until = now + LATELY
        self._seen = (count, circumstances)
        return now < self._until


class Host:
    """The host of the caller's network namespace. Remembers counters, so `read` it now and then."""

    def __init__(self) -> None:
        self._filtered = _Rise()
        self._firewall = Firewall()
        self._full: dict[str, _Rise] = {}

    def read(self, interfaces: Collection[Interface], now: float, nodes: Collection[int] = ()) -> HostState:
        """Return how things stand; `interfaces` are those that may matter, `nodes` those of them that lead to nodes.
        Raises OSError if netlink fails."""
        found4, found6 = _netconf(socket.AF_INET), _netconf(socket.AF_INET6)
        general = found4.pop(_ALL, {})
        floor = general.get(_NETCONFA_RP_FILTER, 0)
        strict = frozenset(i for i, value in found4.items() if max(floor, value.get(_NETCONFA_RP_FILTER, 0)) == 1)
        up = {interface.index: interface.name for interface in interfaces if interface.up}
        off = [index for index, value in found4.items() if not value.get(_NETCONFA_FORWARDING, 1)]
        routers = [i for i in interfaces if i.up and found6.get(i.index, {}).get(_NETCONFA_FORWARDING)]
        return HostState(
            not_forwarding=frozenset(off if general.get(_NETCONFA_FORWARDING) else ()),
            strict=strict,
            dropped=self._filtered.lately(_reverse_path_drops(), strict, now),
            unheeded=frozenset(i.index for i in routers if _unheeded(i.name)) if _astray() else frozenset(),
            tables=tuple(self._tables(now)),
            without_arp=_without_arp() if nodes else frozenset(),
            barriers=tuple(self._firewall.barriers(up, nodes)) if nodes else (),
            duplicates=tuple(_duplicates()),
        )

    def _tables(self, now: float) -> Iterator[TableFill]:
        for name, family in (("ipv4", socket.AF_INET), ("ipv6", socket.AF_INET6)):
            # The table itself comes first, then what every interface has of its own: nobody reads that.
            for data, start, end in islice(wire.dump(_RTM_GETNEIGHTBL, bytes([family, 0, 0, 0])), 1):
                found = wire.attributes(data, start + 4, end)
                (limit,) = struct.unpack("=I", found[_NDTA_THRESH3])
                (entries,) = struct.unpack_from("=I", found[_NDTA_CONFIG], _ENTRIES)
                (turned_away,) = struct.unpack_from("=Q", found[_NDTA_STATS], _TABLE_FULLS)
                full = self._full.setdefault(name, _Rise()).lately(turned_away, limit, now)
                yield TableFill(name, entries, limit, full)
        try:
            entries, limit = (
                int((PROC_SYS / "net/netfilter" / name).read_text())
                for name in ("nf_conntrack_count", "nf_conntrack_max")
            )
        except OSError:
            return  # nothing tracks connections here
        yield TableFill("conntrack", entries, limit, entries >= limit > 0)


def _netconf(family: int) -> dict[int, dict[int, int]]:
    """Return the NETCONFA_ values of every interface by its index, those of all by -1; nothing without the family."""
    found: dict[int, dict[int, int]] = {}
    try:
        for data, start, end in wire.dump(_RTM_GETNETCONF, bytes([family, 0, 0, 0])):
            attributes = wire.attributes(data, start + 4, end)
            values = {kind: struct.unpack("=i", value)[0] for kind, value in attributes.items() if len(value) == 4}
            found[values[_NETCONFA_IFINDEX]] = values
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
    return found


def _without_arp() -> frozenset[int]:
    """Return the Ethernet interfaces with IFF_NOARP: every neighbour there is NUD_NOARP, and is never asked."""
    links = (_IFINFO.unpack_from(data, start) for data, start, _ in wire.dump(wire.RTM_GETLINK, ALL_LINKS))
    return frozenset(index for kind, index, flags in links if kind == _ARPHRD_ETHER and flags & _IFF_NOARP)


def _duplicates() -> Iterator[tuple[int, Address]]:
    """Yield the IPv6 addresses for which duplicate address detection has failed (RFC 4862 section 5.4)."""
    for data, start, end in wire.dump(wire.RTM_GETADDR, bytes([socket.AF_INET6]) + bytes(7)):
        if data[start + _IFA_FLAGS] & _IFA_F_DADFAILED:
            found = parse.address(data, start, end)
            yield found.ifindex, found.address


def _reverse_path_drops() -> int:
    """Return how many packets the reverse path filter has dropped, on all interfaces: the kernel knows no more."""
    lines = [line.split() for line in (PROC_NET / "netstat").read_text().splitlines() if line.startswith("TcpExt:")]
    return int(dict(zip(*lines, strict=True)).get("IPReversePathFilter", 0))


def _astray() -> bool:
    """Tell whether no way leads to the IPv6 internet, though router advertisements have come in somewhere."""
    return _advertisements(PROC_NET / "snmp6") > 0 and not _internet()


def _internet() -> bool:
    """Tell whether the kernel has a way to the IPv6 internet."""
    body = struct.pack("=BBBBBBBBI", socket.AF_INET6, 128, 0, 0, 0, 0, 0, 0, 0) + wire.attribute(_RTA_DST, _INTERNET)
    try:
        wire.query(wire.request(wire.RTM_GETROUTE, 0, body))
    except OSError:
        return False
    return True


def _unheeded(interface: str) -> bool:
    """Tell whether router advertisements have come in on an interface that forwards, and are ignored."""
    try:
        if (PROC_SYS / "net/ipv6/conf" / interface / "accept_ra").read_text().strip() != "1":
            return False
        return _advertisements(PROC_NET / "dev_snmp6" / interface) > 0
    except OSError:
        return False  # the interface has just gone


def _advertisements(counters: Path) -> int:
    """Return how many router advertisements came in; 0 for a kernel without IPv6."""
    if not counters.exists():
        return 0
    words = counters.read_text().split()
    return int(dict(zip(words[::2], words[1::2], strict=True)).get("Icmp6InRouterAdvertisements", 0))
