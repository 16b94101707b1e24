"""Reading an frr.conf: which block a line stands in."""

from __future__ import annotations

from routerd.translate.frr import bgp, words
from routerd.translate.frr.lines import Line, commands
from routerd.translate.frr.model import Frr
from routerd.translate.frr.policy import Entry
from routerd.translate.report import Report

_LISTS = {"as-path", "community-list", "extcommunity-list", "large-community-list", "community", "large-community"}
_TOP = {
    "access-list", "agentx", "bfd", "debug", "enable", "frr", "hostname", "interface", "ip", "ipv6", "key", "line",
    "log", "mpls", "nexthop-group", "password", "route-map", "router", "router-id", "rpki", "service", "username",
    "vni", "vrf", "zebra",
}  # fmt: skip
"""Words that begin a command or a block outside of all others."""
_CLAUSES = {"call", "continue", "description", "match", "on-match", "set"}


def read(text: str, report: Report) -> Frr:
    """Read a file. What routerd has no key for is reported."""
    reader = _Reader(report)
    for line in commands(text):
        reader.take(line)
    return reader.frr


class _Reader:
    def __init__(self, report: Report) -> None:
        self.frr = Frr()
        self._report = report
        self._block = ""  # "", "bgp", "route-map", or "other"
        self._family = ""
        self._entry: Entry | None = None
        self._why = ""

    def take(self, line: Line) -> None:
        """Read a line. As in FRR, one that the block does not know belongs outside of it."""
        first = line.words[0]
        if first in ("exit", "exit-address-family", "exit-vrf", "quit"):
            if self._family:
                self._family = ""
            else:
                self._block = ""
        elif self._block == "other" and (first not in _TOP or (first in ("ip", "ipv6") and not _is_list(line))):
            self._leave(line, self._why)
        elif self._block == "route-map" and first in _CLAUSES:
            if self._entry is not None:
                self.frr.policies.clause(self._entry, line, self._report)
        elif self._block == "bgp" and first not in _TOP and not _is_list(line):
            self._bgp(line)
        else:
            self._outside(line)

    def _bgp(self, line: Line) -> None:
        if bgp.is_of_router(line):
            self._family = ""
        match line.words:
            case ("address-family", ("ipv4" | "ipv6") as family) | (
                "address-family",
                ("ipv4" | "ipv6") as family,
                "unicast",
            ):
                self._family = family
            case ("address-family", *_):
                self._family = "other"
                self._leave(line, "routerd speaks IPv4 and IPv6 unicast alone")
            case _ if self._family == "other":
                self._leave(line, "it belongs to an address family that routerd has not")
            case _:
                bgp.take(self.frr, line, self._family, self._report)

    def _outside(self, line: Line) -> None:
        self._block, self._family = "", ""
        match line.words:
            case ("router", "bgp", asn) | ("router", "bgp", asn, "as-notation", _) if self._is_ours(line, asn):
                self._block = "bgp"
                bgp.router(self.frr, line, asn, self._report)
            case ("router", "bgp", *_) if not line.negated:
                self._enter(line, "routerd has one router bgp, and no VRFs or views")
            case ("route-map", *_) if not line.negated:
                self._block = "route-map"
                self._entry = self.frr.policies.entry(line, self._report)
            case (("ip" | "ipv6"), "prefix-list", *_):
                self.frr.policies.prefix_list(line, self._report)
            case ("frr", "defaults", profile):
                self.frr.profile = profile
            case ("frr", "version", version):
                numbers = version.split("-")[0].split(".")
                self.frr.version = tuple(int(each) for each in numbers if each.isdecimal())
            case ("line", "vty"):
                self._block, self._why = "other", ""
            case (
                ("ip", "router-id", address) | ("router-id", address) | ("ip", "router-id", address, "vrf", "default")
            ):
                bgp.identify(self.frr, address, line, self._report)
            case _ if words.is_quiet(line):
                pass
            case (("interface" | "vrf" | "router" | "bfd" | "key" | "rpki" | "nexthop-group"), *_):
                self._enter(line, words.outside(line))
            case _:
                self._leave(line, words.outside(line))

    def _is_ours(self, line: Line, asn: str) -> bool:
        """Tell whether a `router bgp` begins the router's block, or goes on with it."""
        return not line.negated and (self.frr.asn is None or self.frr.asn.value == bgp.as_number(asn))

    def _enter(self, line: Line, why: str) -> None:
        """Begin a block of which nothing is translated."""
        self._block, self._why = "other", f"it belongs to line {line.number}"
        self._leave(line, why)

    def _leave(self, line: Line, why: str) -> None:
        if why and not (self._block == "other" and words.is_quiet(line)):
            self._report.add(line.number, line.shown, why, words.remedy(line))


def _is_list(line: Line) -> bool:
    """Tell whether a line is an entry of a list outside of all blocks."""
    return (line.words[0] == "bgp" and len(line.words) > 1 and line.words[1] in _LISTS) or (
        line.words[0] in ("ip", "ipv6") and line.words[1:2] in (("prefix-list",), ("route",), ("router-id",))
    )
