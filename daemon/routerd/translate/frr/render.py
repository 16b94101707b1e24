"""The routerd.toml that an frr.conf becomes."""

from __future__ import annotations

import ipaddress
import json
import textwrap

from routerd.translate.frr.filters import Value, origin
from routerd.translate.frr.groups import Members, Peer, members
from routerd.translate.frr.keys import Keys
from routerd.translate.frr.model import Frr, Said
from routerd.translate.frr.reader import read
from routerd.translate.report import Report

_MARGIN = 36
"""The column of comments."""
_WIDTH = 118
"""Where a longer comment stands above its value."""


class NothingError(Exception):
    """The text cannot become a configuration; the message says what is missing."""


def translate(text: str, report: Report, router_id: str = "") -> str:
    """Return the routerd.toml of an frr.conf. What is left out goes to the report, and to its end as comments.

    `router_id` takes the place of the file's. NothingError without a `router bgp` or a router id.
    """
    frr = read(text, report)
    if frr.asn is None:
        raise NothingError("there is no `router bgp` with an AS number in it; is it an frr.conf?")
    if router_id:
        frr.settings["router_id"] = Said(router_id)
    if "router_id" not in frr.settings:
        raise NothingError(
            "there is no `bgp router-id`, and what FRR chooses depends on the host; look at `show bgp summary`, and "
            "give it with --router-id"
        )
    made = members(frr, report)
    parts = [_HEAD, _router(frr, frr.asn, report), _fib(frr, made, report)]
    parts += [_group(name, keys) for name, keys in made.groups.items()]
    parts += [_peer(each) for each in made.peers]
    for each in made.dynamic:
        keys = {"range": Value(each.network, each.line.origin), "group": Value(each.group), "limit": each.limit}
        parts.append(_section("[[dynamic_peers]]", keys))
    return "\n".join([*parts, *_left(report)])


_HEAD = """\
# Made from an frr.conf by `routerd import frr`: beside each value stands the line that it came from. Look at it
# before you use it. Without any line it holds that the next hop of a path must be the peer's own (next_hop), that
# martians, the router's own networks and addresses of nodes are not accepted, and that what is announced has the
# router as its next hop.
"""


def _router(frr: Frr, asn: Said, report: Report) -> str:
    router_id = frr.settings["router_id"]
    keys = {
        "asn": Value(asn.value, origin(asn, "")),
        "router_id": Value(router_id.value, origin(router_id, "--router-id")),
    }
    networks = []
    for each in frr.networks:
        try:
            networks.append((ipaddress.ip_network(each.value, strict=False), each.line))
        except ValueError:
            if each.line is not None:
                report.add(
                    each.line.number, each.line.shown, f"{each.value} is no prefix", "mend it, and import again"
                )
    if networks:
        lines = ", ".join(str(line.number) for _, line in networks if line is not None)
        comment = f"line {lines}" if len(networks) == 1 else f"lines {lines}"
        if frr.setting("import_check", not frr.datacenter).value:
            comment += "; FRR announced them only while the router had such a route, routerd always does"
        keys["networks"] = Value(list(dict.fromkeys(str(network) for network, _ in networks)), comment)
    return _section("[router]", keys)


def _fib(frr: Frr, made: Members, report: Report) -> str:
    relax = frr.setting("multipath_relax", False)
    keys = {"multipath_relax": Value(relax.value, origin(relax, "FRR's default (routerd's is true)"))}
    med = frr.settings.get("always_compare_med")
    if med is not None and med.value:
        keys["always_compare_med"] = Value(True, origin(med, ""))
    bandwidth = frr.setting("link_bandwidth", "all")
    if bandwidth.value != "all":
        keys["link_bandwidth"] = Value(bandwidth.value, origin(bandwidth, ""))
    paths = [frr.settings[key] for key in ("max_paths_ipv4", "max_paths_ipv6") if key in frr.settings]
    if any(keys["remote_as"].value in ("internal", frr.asn and frr.asn.value) for keys in made.groups.values()):
        paths += [frr.settings[key] for key in ("max_paths_ibgp",) if key in frr.settings]
    fitting = [each for each in paths if 1 <= each.value <= 1024]
    most = max(fitting, key=lambda each: int(each.value), default=Said(64))
    for each in paths:
        if each.value != most.value and each.line is not None:
            why = f"max_paths is one number for all, 1 to 1024; it is {most.value}"
            report.add(each.line.number, each.line.shown, why, "write another max_paths")
    keys["max_paths"] = Value(most.value, origin(most, "routerd's default; FRR's is what it was built with"))
    return _section("[fib]", dict(sorted(keys.items())))


def _group(name: str, keys: Keys) -> str:
    return _section(f"[peer_groups.{json.dumps(name) if '.' in name else name}]", keys)


def _peer(peer: Peer) -> str:
    neighbor = peer.neighbor
    described, group = neighbor.settings.get("description"), neighbor.group
    passive = neighbor.settings.get("passive")
    keys = {
        "name": Value(peer.name, "" if described is None else origin(described, "")),
        "address": Value(peer.address, neighbor.line.origin),
        "group": Value(peer.group, "" if group is None or group.line == neighbor.line else origin(group, "")),
    }
    if passive is None or not passive.value:
        keys["connect"] = Value(True, "FRR dials, too, unless the neighbor is passive")
    return _section("[[peers]]", keys)


def _section(header: str, keys: Keys) -> str:
    lines = [header]
    for key, value in keys.items():
        text = f"{key} = {_toml(value.value)}" if value.value is not None else f"# no {key}:"
        line = f"{text:{_MARGIN}} # {value.comment}" if value.comment else text
        if value.comment and len(line) > _WIDTH:
            lines += [f"# {each}" for each in textwrap.wrap(f"{key}: {value.comment}", _WIDTH - 2)]
            line = text if value.value is not None else ""
        lines += [line] if line else []
    return "\n".join(lines) + "\n"


def _left(report: Report) -> list[str]:
    if not report.left:
        return []
    lines = ["# Not translated:"]
    for each in report.left:
        where = f"line {each.number}: " if each.number else ""
        lines += [f"# {where}{each.what}", f"#     {each.why}; {each.remedy}"]
    return ["\n".join(lines) + "\n"]


def _toml(value: object) -> str:
    """Write a value as TOML, whose strings are those of JSON but for DEL and what JSON writes as surrogates."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
