"""Asking the kernel whether the nodes' link layer answers: liveness without help from the nodes.

The kernel probes by unicast ARP or neighbour solicitation, and says NUD_FAILED (to `Monitor`) when nobody answers. It
proves host and link, not what runs there. Source: kernel doc networking/ip-sysctl, linux/neighbour.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from routerd.config.model import LivenessSection
from routerd.core.memo import Memo
from routerd.core.message import Gateway
from routerd.core.route import Address
from routerd.kernel import wire
from routerd.kernel.requests import Requests
from routerd.kernel.sysctl import PROC_SYS

RTM_NEWNEIGH, RTM_GETNEIGH = 28, 30
NUD_REACHABLE, NUD_PROBE, NUD_FAILED, NUD_NOARP, NUD_PERMANENT = 0x02, 0x10, 0x20, 0x40, 0x80
_NUD_VALID = NUD_REACHABLE | 0x04 | 0x08 | NUD_PROBE | NUD_NOARP | NUD_PERMANENT
"""The kernel knows a link-layer address and sends to it; 0x04 and 0x08 are NUD_STALE and NUD_DELAY."""
_NTF_USE, NTF_EXT_LEARNED = 0x01, 0x10
_NTF_ROUTER = 0x80
_NDA_DST, _NDA_LLADDR, _NDA_PROBES, _NDA_IFINDEX, _NDA_PROTOCOL, NDA_FLAGS_EXT = 1, 2, 4, 8, 12, 15
_REST = (_NDA_LLADDR, _NDA_PROTOCOL, NDA_FLAGS_EXT)
_AGES, _AGES_SIZE = wire.attribute(3, bytes(16))[:4], 20
"""NDA_CACHEINFO, which ends an ordinary entry: all that differs between two looks at a node that answers."""
_KNOWN = 1 << 20
"""Octets of entries that are recognised without being parsed again."""
_U32 = struct.Struct("=I")

NDMSG = struct.Struct("=B3xiHBB")
"""struct ndmsg: family, interface index, state, flags, type."""


class Neighbour(NamedTuple):
    """An entry of the neighbour table. `state` is NUD_, `flags` NTF_, and `extended` NTF_EXT_; `probes` are the
    questions since the kernel began to ask, `rest` the attributes that it takes to write a foreign entry again."""

    gateway: Gateway
    state: int
    flags: int
    extended: int
    probes: int
    rest: bytes = b""

    @property
    def valid(self) -> bool:
        """Whether the kernel can send to it."""
        return bool(self.state & _NUD_VALID)

    @property
    def foreign(self) -> bool:
        """Whether somebody else keeps it: the operator (static), another daemon, or the kernel on a link without ARP.

        NTF_EXT_MANAGED, the only extended flag until 6.17, and those after it, all mean the same here.
        """
        return bool(self.state & (NUD_PERMANENT | NUD_NOARP) or self.flags & NTF_EXT_LEARNED or self.extended)

    @property
    def alive(self) -> bool:
        """Whether it answers. What is foreign is not asked: it counts as alive while the kernel can send to it."""
        return bool(self.state & NUD_REACHABLE) or (self.foreign and self.valid)


class Prober:
    """Looks at neighbours and probes them in the network namespace in which it was made.

    Every write to an entry makes it an ordinary one: RTM_NEWNEIGH ends NUD_PERMANENT, even with NTF_USE alone, and
    clears NTF_EXT_LEARNED and NTF_EXT_MANAGED (kernel: net/core/neighbour.c, __neigh_update). So `probe` asks for
    entries that were just looked at, and leaves the foreign ones alone.
    """

    def __init__(self) -> None:
        self._dumps = wire.open_socket()
        self._requests = Requests()
        self._restoring = Requests()
        """Of its own: `restore` may be called while another thread is about `probe`."""
        self._known: Memo[bytes, Neighbour | None] = Memo(_KNOWN)
        self._said: tuple[frozenset[Gateway], list[bytes]] = (frozenset(), [])
        self._found: dict[Gateway, Neighbour] = {}
        """What `look` was asked last time, what the kernel said to it, and what that came to: mostly it is the same
        again."""
        self._plan = _Plan([], {}, [], [], [])
        self._valid: list[tuple[int, bytes]] = []
        """What was probed last time, and the requests for those that were valid: likewise."""

    def close(self) -> None:
        """Close the sockets."""
        self._dumps.close()
        self._requests.close()
        self._restoring.close()

    def look(self, gateways: Collection[Gateway]) -> Mapping[Gateway, Neighbour]:
        """Return the entries of these neighbours: one dump a family. Those without an entry are absent. OSError
        if the kernel refuses."""
        try:
            said = self._dumped(gateways)
        except OSError:
            self._dumps.close()
            self._dumps = wire.open_socket()  # what is left of the dump may still come
            raise
        asked = frozenset(gateways)
        if (asked, said) != self._said:
            self._said = asked, said
            entries = map(self._parse, said)
            self._found = {each.gateway: each for each in entries if each is not None and each.gateway in asked}
        return self._found

    def _dumped(self, gateways: Collection[Gateway]) -> list[bytes]:
        said: list[bytes] = []
        for family, size in ((socket.AF_INET, 4), (socket.AF_INET6, 16)):
            links = {gateway.ifindex for gateway in gateways if len(gateway.address) == size}
            if links:
                # The kernel filters by one interface: usually the nodes are behind one, and clients behind others.
                wanted = _U32.pack(links.pop() if len(links) == 1 else 0)
                body = NDMSG.pack(family, 0, 0, 0, 0) + wire.attribute(_NDA_IFINDEX, wanted)
                said += [
                    data[start : end - _AGES_SIZE if data.startswith(_AGES, end - _AGES_SIZE) else end]
                    for data, start, end in wire.dump_on(self._dumps, RTM_GETNEIGH, body)
                ]
        return said

    def probe(self, gateways: Iterable[Gateway], entries: Mapping[Gateway, Neighbour]) -> bool:
        """Make the kernel verify that these neighbours answer; what it finds out comes by notification. Tell whether
        all of them have ordinary entries that were valid.

        `entries` is what `look` has just found. An entry that is being probed already goes on being probed. One that
        does not exist, or has failed, is resolved anew; the kernel does so itself for those that it manages.
        """
        asked = list(gateways)
        if entries is not self._plan.entries or asked != self._plan.asked:
            self._plan = _plan(asked, entries)
            self._valid = list(self._bursts(self._plan.valid, wire.NLM_F_REPLACE, NUD_PROBE))
        plan = self._plan
        self._requests.exchange(self._bursts(plan.failed, wire.NLM_F_REPLACE, 0))
        self._resolve(plan.absent)
        return self.probe_again() and len(plan.valid) == len(plan.asked)

    def probe_again(self) -> bool:
        """Do as `probe` did for those whose entries were valid; tell whether all of them still have one."""
        gone = self._requests.exchange(self._valid)
        if gone:
            self._resolve([(self._plan.valid[number][0], _NTF_USE) for number in gone])
        return not gone

    def _resolve(self, absent: Sequence[tuple[Gateway, int]]) -> None:
        self._requests.exchange(self._bursts(absent, wire.NLM_F_CREATE | wire.NLM_F_EXCL, 0))

    def restore(self, made: Neighbour) -> bool:
        """Somebody has made this foreign entry: write it again if a probe has met it; tell whether one had.

        Between `look` and `probe` an entry may become foreign, and the kernel has no write that asks what it writes
        over. If the entry is an ordinary one now, so shortly after it was made, a probe was faster than the news.
        """
        try:
            answer = wire.query(_request(RTM_GETNEIGH, 0, made.gateway, 0, 0))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
                raise
            return False  # whoever made it has taken it away, or the interface has gone
        now = parse_neighbour(answer, wire.HEADER.size, len(answer))
        if now is None or now.foreign:
            return False
        again = _request(RTM_NEWNEIGH, wire.NLM_F_REPLACE, made.gateway, made.state, made.flags, more=made.rest)
        return not self._restoring.transmit([again])

    def _parse(self, said: bytes) -> Neighbour | None:
        """Do as `parse_neighbour`, which a node that answers needs once for each state of its entry."""
        if said not in self._known:
            self._known.remember(said, parse_neighbour(said, 0, len(said)), 4 * len(said))
        return self._known[said]

    def _bursts(
        self, gateways: Sequence[tuple[Gateway, int]], netlink_flags: int, state: int
    ) -> Iterator[tuple[int, bytes]]:
        """Yield requests for each neighbour, with its flags, and the index of the first in each burst."""
        for start, some in self._requests.bursts(gateways):
            yield (
                start,
                b"".join(
                    _request(RTM_NEWNEIGH, netlink_flags, gateway, state, flags, sequence=number)
                    for number, (gateway, flags) in enumerate(some)
                ),
            )


class _Plan(NamedTuple):
    """How neighbours `asked` for are to be probed, by the `entries` that they have; each with its flags."""

    asked: list[Gateway]
    entries: Mapping[Gateway, Neighbour]
    valid: list[tuple[Gateway, int]]
    failed: list[tuple[Gateway, int]]
    absent: list[tuple[Gateway, int]]


def _plan(asked: list[Gateway], entries: Mapping[Gateway, Neighbour]) -> _Plan:
    plan = _Plan(asked, entries, [], [], [])
    for gateway in asked:
        entry = entries.get(gateway)
        if entry is None:
            plan.absent.append((gateway, _NTF_USE))
        elif not entry.valid and not entry.extended:
            plan.failed.append((gateway, _NTF_USE | entry.flags & NTF_EXT_LEARNED))
        elif not entry.foreign:
            plan.valid.append((gateway, entry.flags & _NTF_ROUTER))
    return plan


def _request(
    kind: int, netlink_flags: int, gateway: Gateway, state: int, flags: int, *, more: bytes = b"", sequence: int = 0
) -> bytes:
    family = socket.AF_INET if len(gateway.address) == 4 else socket.AF_INET6
    body = NDMSG.pack(family, gateway.ifindex, state, flags, 0) + wire.attribute(_NDA_DST, gateway.address)
    return wire.request(kind, netlink_flags, body + more, sequence)


def parse_neighbour(data: bytes, start: int, end: int) -> Neighbour | None:
    """Return an entry that the kernel tells of; None for one without an address, as bridges have."""
    _, ifindex, state, flags, _ = NDMSG.unpack_from(data, start)
    found = wire.attributes(data, start + NDMSG.size, end)
    if _NDA_DST not in found:
        return None
    (probes,) = _U32.unpack(found[_NDA_PROBES])
    extended = _U32.unpack(found[NDA_FLAGS_EXT])[0] if NDA_FLAGS_EXT in found else 0
    entry = Neighbour(Gateway(Address(found[_NDA_DST]), ifindex), state, flags, extended, probes)
    if not entry.foreign:
        return entry
    return entry._replace(rest=b"".join(wire.attribute(kind, found[kind]) for kind in _REST if kind in found))


def asked_in_vain(failed: Neighbour, name_of: Callable[[int], str] = socket.if_indextoname) -> bool:
    """Tell whether an entry is NUD_FAILED because the kernel has asked as often as it shall, and nobody answered.

    Netlink messages of an administrative change carry the port id of who asked for it, but not those of ioctl
    (SIOCDARP: `arp -d`). There the count of questions is that of the last time that somebody answered.
    """
    version = 4 if len(failed.gateway.address) == 4 else 6
    try:
        directory = PROC_SYS / f"net/ipv{version}/neigh" / name_of(failed.gateway.ifindex)
        unicast, multicast, application, again = (
            int((directory / name).read_text())
            for name in ("ucast_solicit", "mcast_solicit", "app_solicit", "mcast_resolicit")
        )
    except OSError:
        return True  # the interface goes, or /proc is not there: only the kernel's word is left
    asked = unicast + application
    return failed.probes == asked + again or failed.probes >= asked + multicast


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


def settings(liveness: LivenessSection, links: Iterable[tuple[str, int]]) -> dict[str, str]:
    """Return the sysctls, by path, that make probes as quick as configured on these (interface, IP version)s.

    The last questions of a probe go to everybody on the link: a node that has another link-layer address than before,
    and did not say so, answers these, and is not silent. IPv4 has to believe it by then: an entry keeps its address
    for `locktime` (1/100 s) since it last changed, which it does when a probe begins.
    """
    to_everybody = min(2, liveness.retries // 2)
    # Twenty milliseconds are a whole number of ticks with every usual HZ: else the kernel reads back another value.
    ticks = max(1, round(liveness.retransmit * 50))
    values = {
        "retrans_time_ms": str(ticks * 20),
        "ucast_solicit": str(liveness.retries - to_everybody),
        "mcast_resolicit": str(to_everybody),
        "mcast_solicit": str(liveness.retries),
    }
    only4 = {"locktime": str(ticks // 2 * 2)}
    return {
        f"net/ipv{version}/neigh/{interface}/{name}": value
        for interface, version in links
        for name, value in (values | only4 if version == 4 else values).items()
    }
