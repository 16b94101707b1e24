"""Finds chains of nftables that let nothing pass to the nodes: Docker, for one, sets the policy of FORWARD to drop.

iptables-nft, which Debian's and Red Hat's iptables is, keeps its rules in nftables, too. A rule that might let a
packet through counts as if it did: what is told is certain. Legacy iptables are not read: who asks for a table, makes
it.
Source: linux/netfilter/nf_tables.h, linux/netfilter/xt_conntrack.h.
"""

from __future__ import annotations

import errno
import re
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping

from routerd.core.message import Barrier
from routerd.kernel import wire

_NETLINK_NETFILTER, _CHAINS_REQUEST, _RULES_REQUEST = 12, 10 << 8 | 4, 10 << 8 | 7
"""NFT_MSG_GETCHAIN and NFT_MSG_GETRULE (and below NFT_MSG_GETGEN) of NFNL_SUBSYS_NFTABLES."""
_GENERATION_REQUEST = 10 << 8 | 16
_ABSENT = (errno.EPERM, errno.EPROTONOSUPPORT, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOENT)
_FAMILIES = {1: "inet", 2: "ip", 10: "ip6"}
_FORWARD, _NF_DROP, _NF_ACCEPT, _JUMP, _GOTO = 2, 0, 1, -3, -4
_HEAD = 4
"""struct nfgenmsg, of which the first octet is the family."""
_IIF, _OIF, _IIFNAME, _OIFNAME = 4, 5, 6, 7
_NEW = 1 << 3
"""NF_CT_STATE_BIT(IP_CT_NEW)."""
_XT_STATE_MASK = 150
"""Where struct xt_conntrack_mtinfo3 has it; its flags are four octets before."""
_CONTAINERS = re.compile(r"(docker|br-[0-9a-f]{12}$|virbr|podman|cni|lxc|lxd|incusbr|veth|lo$)")
"""Interfaces that container engines and hypervisors make: what comes in there is theirs, and passes."""

Chain = tuple[int, str, str]
"""Family, table, name."""
Rule = list[tuple[str, dict[int, bytes]]]
"""The expressions of a rule, each with its attributes."""


class Firewall:
    """The nftables of the caller's network namespace, which are read again when they have changed."""

    def __init__(self) -> None:
        self._known: tuple[object, list[Barrier]] = (None, [])

    def barriers(self, interfaces: Mapping[int, str], nodes: Iterable[int]) -> list[Barrier]:
        """Return the base chains through which nothing comes from any of these interfaces to the `nodes`'.

        Nothing where there are no nftables, or where routerd may not ask. Blocking: a question, and dumps of all
        chains and rules if they have changed.
        """
        sources = {index: name for index, name in interfaces.items() if not _CONTAINERS.match(name)}
        targets = {index: interfaces[index] for index in nodes if index in interfaces}
        pairs = [(source, target) for source in sources.items() for target in targets.items()]
        try:
            state = _generation(), pairs
            if state != self._known[0]:
                self._known = state, _closed(pairs) if pairs else []
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            return []
        return self._known[1]


Way = tuple[tuple[int, str], tuple[int, str]]
"""Index and name of the interface that a packet comes in by, and of the one that it goes out by."""


def _closed(pairs: Iterable[Way]) -> list[Barrier]:
    base = list(_base_chains())
    rules = _rules() if base else {}
    return [
        Barrier(_FAMILIES[chain[0]], chain[1], chain[2])
        for chain, drops in base
        if not any(_admits(chain, rules, way, drops, set()) for way in pairs)
    ]


def _admits(chain: Chain, rules: Mapping[Chain, list[Rule]], way: Way, drops: bool, seen: set[Chain]) -> bool:
    """Tell whether a chain may accept a new connection; `drops` is what becomes of what no rule accepts."""
    seen.add(chain)
    for rule in rules.get(chain, ()):
        may, always, verdict, target = _judge(rule, way)
        if not may:
            continue
        if verdict == _NF_ACCEPT:
            return True
        if verdict in (_JUMP, _GOTO):
            other = (chain[0], chain[1], target)
            if other not in seen and _admits(other, rules, way, True, seen):
                return True
        elif verdict == _NF_DROP and always:
            return False
    return not drops


def _judge(rule: Rule, way: Way) -> tuple[bool, bool, int | None, str]:
    """Return whether a rule may match, whether it always does, and its verdict with the chain where that leads."""
    registers: dict[bytes, tuple[str, int]] = {}
    always = True
    for name, found in rule:
        match name:
            case "meta":
                registers[found.get(1, b"")] = ("meta", _be32(found.get(2, b"")))
            case "ct":
                registers[found.get(1, b"")] = ("ct", -1) if _be32(found.get(2, b"")) == 0 else ("", 0)
            case "bitwise":
                kind, _ = registers.get(found.get(1, b""), ("", 0))
                mask = int.from_bytes(_nested(found.get(4, b"")).get(1, b"")[:4], sys.byteorder)
                registers[found.get(2, b"")] = (kind, mask)
            case "cmp":
                always = False
                if not _matches(registers.get(found.get(1, b""), ("", 0)), found, way):
                    return False, False, None, ""
            case "match":
                always = False
                if not _starts(found):
                    return False, False, None, ""
            case "immediate" if _be32(found.get(1, b"")) == 0:
                verdict = _nested(_nested(found.get(2, b"")).get(2, b""))
                return True, always, _be32(verdict.get(1, b"")), _text(verdict.get(2, b""))
            case "reject":
                return True, always, _NF_DROP, ""
            case "target" if _text(found.get(1, b"")) == "REJECT":
                return True, always, _NF_DROP, ""
            case "counter" | "log":
                pass
            case "lookup" | "queue" if name == "queue" or 3 in found:
                return True, False, _NF_ACCEPT, ""  # a map of verdicts, or a program, decides
            case _:
                always = False
                registers.pop(found.get(1, b""), None)
    return True, always, None, ""


def _matches(register: tuple[str, int], comparison: Mapping[int, bytes], way: Way) -> bool:
    """Tell whether what was loaded may compare like that; what is not an interface or a state may be anything."""
    kind, key = register
    wanted = _nested(comparison.get(3, b"")).get(1, b"")
    differs = _be32(comparison.get(2, b""))
    if differs > 1:
        return True
    if kind == "ct" and key >= 0:
        return bool(key & _NEW) if differs and not any(wanted) else True
    if kind != "meta" or key not in (_IIF, _OIF, _IIFNAME, _OIFNAME):
        return True
    index, name = way[key in (_OIF, _OIFNAME)]
    there = struct.pack("=I", index) if key in (_IIF, _OIF) else name.encode().ljust(16, b"\0")
    return there.startswith(wanted) != bool(differs)


def _starts(match: Mapping[int, bytes]) -> bool:
    """Tell whether a match of iptables may hold for the first packet of a connection."""
    info = match.get(3, b"")
    if _text(match.get(1, b"")) == "conntrack" and len(info) >= _XT_STATE_MASK + 2:
        by_state, inverted, mask = struct.unpack_from("=HHH", info, _XT_STATE_MASK - 4)
        return not by_state & 1 or bool(mask & _NEW) != bool(inverted & 1)
    if _text(match.get(1, b"")) == "state" and len(info) >= 4:
        return bool(struct.unpack_from("=I", info)[0] & _NEW)
    return True


def _generation() -> bytes:
    """Return a number that changes with the rules."""
    answer = wire.query(wire.request(_GENERATION_REQUEST, 0, bytes(_HEAD)), protocol=_NETLINK_NETFILTER)
    return wire.attributes(answer, wire.HEADER.size + _HEAD, len(answer))[1]


def _base_chains() -> Iterator[tuple[Chain, bool]]:
    """Yield the chains where forwarded packets come by, and whether each drops what no rule has accepted."""
    for data, start, end in wire.dump(_CHAINS_REQUEST, bytes(_HEAD), protocol=_NETLINK_NETFILTER):
        found = wire.attributes(data, start + _HEAD, end)
        filters = data[start] in _FAMILIES and 4 in found and _text(found.get(7, b"")) == "filter"
        if filters and _be32(_nested(found[4]).get(1, b"")) == _FORWARD:
            yield (data[start], _text(found[1]), _text(found[3])), _be32(found.get(5, b"\0\0\0\1")) == _NF_DROP


def _rules() -> dict[Chain, list[Rule]]:
    rules: dict[Chain, list[Rule]] = {}
    for data, start, end in wire.dump(_RULES_REQUEST, bytes(_HEAD), protocol=_NETLINK_NETFILTER):
        found = wire.attributes(data, start + _HEAD, end)
        chain = (data[start], _text(found[1]), _text(found[2]))
        rules.setdefault(chain, []).append(list(_expressions(found.get(4, b""))))
    return rules


def _expressions(data: bytes) -> Iterator[tuple[str, dict[int, bytes]]]:
    at = 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from("=H", data, at)
        found = wire.attributes(data, at + 4, at + length)
        yield _text(found.get(1, b"")), _nested(found.get(2, b""))
        at += (length + 3) & ~3


def _nested(data: bytes) -> dict[int, bytes]:
    return wire.attributes(data, 0, len(data))


def _be32(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode(errors="replace")
