"""The lines of `router bgp`."""

from __future__ import annotations

import ipaddress
from typing import get_args

from routerd.config.model import LinkBandwidth
from routerd.translate.frr import words
from routerd.translate.frr.lines import Line
from routerd.translate.frr.model import Frr, Neighbor, Range, Said
from routerd.translate.frr.names import address
from routerd.translate.report import Report

_NEEDLESS = {
    ("bgp", "log-neighbor-changes"), ("bgp", "deterministic-med"), ("bgp", "default", "show-hostname"),
    ("bgp", "default", "show-nexthop-hostname"), ("bgp", "reject-as-sets"), ("bgp", "fast-external-failover"),
    ("bgp", "suppress-fib-pending"), ("bgp", "suppress-duplicates"), ("bgp", "fast-convergence"),
    ("bgp", "graceful-restart", "preserve-fw-state"), ("bgp", "graceful-restart", "notification"),
    ("bgp", "graceful-restart", "select-defer-time"), ("bgp", "graceful-restart", "rib-stale-time"),
    ("bgp", "default", "subgroup-pkt-queue-max"), ("coalesce-time",), ("read-quanta",), ("write-quanta",),
    ("bgp", "always-compare-med", "off"),
}  # fmt: skip
"""What routerd does anyhow, or what has no meaning for it."""

_NEEDLESS_NEIGHBOR = {
    "soft-reconfiguration", "next-hop-self", "send-community", "update-source", "passive", "disable-connected-check",
    "enforce-first-as", "enforce-multihop", "strict-capability-match", "override-capability", "extended-message",
    "capability-default", "port", "interface",
}  # fmt: skip
"""The same of a neighbor: it dials, so that what FRR dials with means nothing; `passive` is noted elsewhere."""

SESSION = {
    "remote-as", "peer-group", "timers", "ebgp-multihop", "ttl-security", "password", "description", "shutdown",
    "graceful-restart", "graceful-restart-helper", "graceful-restart-disable",
}  # fmt: skip
"""What is said of a neighbor's session, not of an address family."""

_BANDWIDTH = get_args(LinkBandwidth)
_FLAGS = {
    ("bgp", "ebgp-requires-policy"): "requires_policy",
    ("bgp", "default", "ipv4-unicast"): "default_ipv4",
    ("bgp", "default", "ipv6-unicast"): "default_ipv6",
    ("bgp", "network", "import-check"): "import_check",
    ("bgp", "bestpath", "as-path", "multipath-relax"): "multipath_relax",
    ("bgp", "always-compare-med"): "always_compare_med",
}


def router(frr: Frr, line: Line, asn: str, report: Report) -> None:
    """Take in `router bgp ASN`."""
    number = as_number(asn)
    if number is None:
        report.add(line.number, line.shown, f"{asn} is no AS number", "write one from 1 to 4294967295")
    elif frr.asn is None:
        frr.asn = Said(number, line)


def identify(frr: Frr, router_id: str, line: Line, report: Report) -> None:
    """Take in a router id; that of `router bgp` stands above others."""
    try:
        parsed = ipaddress.IPv4Address(router_id)
    except ValueError:
        parsed = ipaddress.IPv4Address(0)
    if not int(parsed):
        report.add(line.number, line.shown, f"{router_id} is no router id", "write an IPv4 address")
    elif line.words[0] == "bgp" or "router_id" not in frr.settings:
        frr.settings["router_id"] = Said(str(parsed), line)


def as_number(text: str) -> int | None:
    """Return an AS number, plain or as two numbers with a dot between them (RFC 5396); None if it is none."""
    high, dot, low = text.rpartition(".")
    if not low.isdecimal() or (dot and not high.isdecimal()):
        return None
    if dot and max(int(high), int(low)) > 65535:
        return None
    number = (int(high) << 16 if dot else 0) + int(low)
    return number if 1 <= number <= 4294967295 else None


def is_of_router(line: Line) -> bool:
    """Tell whether a line stands in no address family, even if the one before it was not closed."""
    first, *rest = line.words
    return first in ("bgp", "timers") or (first == "neighbor" and len(rest) > 1 and rest[1] in SESSION)


def take(frr: Frr, line: Line, family: str, report: Report) -> None:
    """Take in a line of `router bgp`; `family` is the address family that it stands in, empty for none."""
    if line.words[0] == "neighbor" and len(line.words) > 2:
        done = _neighbor(frr, line, family, report)
    else:
        done = _router(frr, line, family, report)
    if not done:
        report.add(line.number, line.shown, *words.about_bgp(line))


def _router(frr: Frr, line: Line, family: str, report: Report) -> bool:
    """Take in a line that is of no neighbor; False if there is no key for it."""
    said, found = frr.settings, line.words
    if found in _FLAGS:
        said[_FLAGS[found]] = Said(not line.negated, line)
        return True
    if any(found[: len(each)] == each for each in _NEEDLESS):
        return not (line.negated and found[1:2] in (("reject-as-sets",), ("fast-external-failover",)))
    match found:
        case ("bgp", "bestpath", "as-path", "multipath-relax", *_):
            said["multipath_relax"] = Said(not line.negated, line)
        case ("bgp", "bestpath", "bandwidth", *use) if line.negated or (len(use) == 1 and use[0] in _BANDWIDTH):
            said["link_bandwidth"] = Said("all" if line.negated else use[0], line)
        case ("bgp", "router-id", *_) if line.negated:
            said.pop("router_id", None)
        case ("bgp", "router-id", router_id):
            identify(frr, router_id, line, report)
        case ("bgp", "graceful-restart"):
            said["graceful_restart"] = Said("helper" if line.negated else "restart", line)
        case ("bgp", "graceful-restart-disable"):
            said["graceful_restart"] = Said("helper" if line.negated else "disable", line)
        case ("bgp", "graceful-restart", "restart-time", *value):
            return _number(said, "restart_time", line, value)
        case ("bgp", "graceful-restart", "stalepath-time", *value):
            return _number(said, "stale_time", line, value)
        case ("bgp", "listen", "limit", *value):
            return _number(said, "listen_limit", line, value)
        case ("bgp", "listen", "range", network, "peer-group", group):
            if line.negated:
                frr.ranges[:] = [each for each in frr.ranges if each[:2] != (network, group)]
            else:
                frr.ranges.append(Range(network, group, line))
        case ("timers", "bgp", *value):
            return _timers(said, line, value)
        case ("maximum-paths", "ibgp", *value):
            return _number(said, "max_paths_ibgp", line, value[:1])
        case ("maximum-paths", *value):
            return _number(said, f"max_paths_{family or 'ipv4'}", line, value)
        case ("network", prefix, *rest):
            if line.negated:
                frr.networks[:] = [each for each in frr.networks if each.value != prefix]
                return True
            frr.networks.append(Said(prefix, line))
            if rest:
                why = "routerd originates a network with no attributes of its own"
                report.add(line.number, line.shown, why, "nothing, if that will do; the network itself is translated")
        case ("neighbor", *_):
            return False
        case _:
            return line.negated and words.is_known(line)
    return True


def _neighbor(frr: Frr, line: Line, family: str, report: Report) -> bool:
    _, name, *rest = line.words
    neighbors, within = frr.neighbors, family or "ipv4"
    if rest == ["peer-group"]:
        if line.negated:
            neighbors.pop(name, None)
        else:
            neighbors.setdefault(name, Neighbor(name, line, is_group=True)).is_group = True
        return True
    neighbor = neighbors.setdefault(name, Neighbor(name, line))
    if rest[0] == "interface" and address(name) is None:
        neighbor.strange = words.about_bgp(line)[0]
        rest = rest[1:]
        if rest[:1] == ["v6only"]:
            rest = rest[1:]
        if not rest:
            return True
    said, inside = neighbor.settings, neighbor.families[within]
    return _session(frr, neighbor, line, rest, report) if rest[0] in SESSION else _family(said, inside, line, rest)


def _session(frr: Frr, neighbor: Neighbor, line: Line, rest: list[str], report: Report) -> bool:
    """Take in what holds for the whole session."""
    said, key = neighbor.settings, rest[0]
    match rest:
        case ["remote-as", *_] if line.negated:
            said.pop("remote_as", None)
            if not neighbor.is_group:
                frr.neighbors.pop(neighbor.name, None)
        case ["remote-as", ("external" | "internal") as value]:
            said["remote_as"] = Said(value, line)
        case ["remote-as", "auto"]:
            return False
        case ["remote-as", text] if (number := as_number(text)) is not None:
            said["remote_as"] = Said(number, line)
        case ["peer-group", *group]:
            neighbor.group = None if line.negated or not group else Said(group[0], line)
        case ["timers", "connect", *_] | ["timers", "delayopen", *_] if line.negated or rest[1] == "connect":
            pass
        case ["timers", *value] if value[:1] != ["delayopen"]:
            return _timers(said, line, value)
        case ["ebgp-multihop", *value]:
            return _number(said, "multihop", line, value or ["255"])
        case ["ttl-security", "hops", *value]:
            return _number(said, "ttl_security", line, value)
        case ["password", *_] if line.negated:
            said.pop("password", None)
        case ["password", _, *_]:
            said["password"] = Said(line.text.split(None, 3)[3], line)
        case ["description", *_] | ["shutdown", *_]:
            said[key] = Said("" if line.negated else " ".join(rest[1:]) or key, line)
        case [("graceful-restart" | "graceful-restart-helper" | "graceful-restart-disable")]:
            mode = key.removeprefix("graceful-restart").removeprefix("-") or "restart"
            said["graceful_restart"] = Said(mode, line)
            if line.negated:
                del said["graceful_restart"]
        case _:
            report.add(line.number, line.shown, "is nothing that FRR would take", "mend it, and import again")
    return True


def _family(said: dict[str, Said], inside: dict[str, Said], line: Line, rest: list[str]) -> bool:
    """Take in what holds in one address family, and what needs nothing; False if there is no key for it."""
    match rest:
        case ["activate"]:
            inside["activate"] = Said(not line.negated, line)
        case [("route-map" | "prefix-list") as kind, name, ("in" | "out") as way]:
            inside[f"{kind} {way}"] = Said(name, line)
            if line.negated:
                del inside[f"{kind} {way}"]
        case [("filter-list" | "distribute-list") as kind, name, ("in" | "out") as way]:
            inside[f"{kind} {way}"] = Said(name, line)
            if line.negated:
                del inside[f"{kind} {way}"]
            return line.negated
        case ["default-originate", *condition]:
            inside["default-originate"] = Said(not line.negated, line)
            return not condition
        case ["passive"]:
            said["passive"] = Said(not line.negated, line)
        case [word, *_] if word in _NEEDLESS_NEIGHBOR:
            return not line.negated or word not in ("enforce-first-as", "send-community")
        case _:
            return line.negated and words.is_known(line)
    return True


def _number(said: dict[str, Said], key: str, line: Line, value: list[str]) -> bool:
    """Note a number; `no` takes it away."""
    if line.negated:
        said.pop(key, None)
        return True
    if len(value) != 1 or not value[0].isdecimal():
        return False
    said[key] = Said(int(value[0]), line)
    return True


def _timers(said: dict[str, Said], line: Line, value: list[str]) -> bool:
    if line.negated:
        said.pop("timers", None)
        return True
    if len(value) != 2 or not all(each.isdecimal() for each in value):
        return False
    said["timers"] = Said((int(value[0]), int(value[1])), line)
    return True
