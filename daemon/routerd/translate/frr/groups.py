"""Neighbors and peer-groups become peers, ranges and peer groups."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import NamedTuple

from routerd.translate.frr.filters import Value, inbound
from routerd.translate.frr.keys import Keys, User, group_keys
from routerd.translate.frr.lines import Line
from routerd.translate.frr.model import Frr, Neighbor, Range, Said
from routerd.translate.frr.names import Names, address
from routerd.translate.frr.spaces import Space
from routerd.translate.report import Report

_MEND = "write it into [[peers]] by hand"


class Peer(NamedTuple):
    """`[[peers]]`, and the neighbor that it was."""

    name: str
    address: str
    group: str
    neighbor: Neighbor


class Dynamic(NamedTuple):
    """`[[dynamic_peers]]`."""

    network: str
    group: str
    limit: Value
    line: Line


@dataclass
class Members:
    """All groups and who belongs to them."""

    groups: dict[str, Keys] = field(default_factory=dict)
    peers: list[Peer] = field(default_factory=list)
    dynamic: list[Dynamic] = field(default_factory=list)


def members(frr: Frr, report: Report) -> Members:
    """Return the groups, peers and ranges of a file. What cannot be one is reported."""
    ranges = _ranges(frr, report)
    users = [user for each in _neighbors(frr, ranges, report) if (user := _user(frr, each, report)) is not None]
    groups = {each.group for each in ranges}
    listening = [
        user for name in frr.neighbors if name in groups and (user := _user(frr, frr.neighbors[name], report))
    ]
    accepted: dict[int, tuple[Value, list[Space]]] = {}
    for user in (*listening, *users):
        external = frr.is_external(user.settings["remote_as"].value)
        accepted[id(user.neighbor)] = inbound(frr, external, user.families, report)
    learned = [space for _, spaces in accepted.values() for space in spaces]
    made, names = Members(), Names()
    for user in (*listening, *users):
        keys = group_keys(frr, user, accepted[id(user.neighbor)][0], learned, report)
        group = _place(made, names, user, keys)
        if not user.neighbor.is_group:
            made.peers.append(Peer(names.peer(user.neighbor), str(address(user.neighbor.name)), group, user.neighbor))
            continue
        limit = _limit(frr, len(ranges), report)
        made.dynamic += [Dynamic(r.network, group, limit, r.line) for r in ranges if r.group == user.neighbor.name]
    _withhold(made, report)
    _report_idle(frr, groups, report)
    return made


def _ranges(frr: Frr, report: Report) -> list[Range]:
    found: dict[str, Range] = {}
    for each in frr.ranges:
        why = ""
        try:
            network = ipaddress.ip_network(each.network, strict=False)
        except ValueError:
            why = f"{each.network} is no prefix"
        else:
            if str(network) in found:
                why = f"{network} is a range already"
            elif network.prefixlen >= 8 and (why := _unfit(network.network_address, "")):
                pass
            elif (group := frr.neighbors.get(each.group)) is None or not group.is_group:
                why = f"there is no peer-group {each.group}"
            elif "remote_as" not in group.settings:
                why = f"the peer-group {each.group} has no remote-as"
            else:
                found[str(network)] = each._replace(network=str(network))
        if why:
            report.add(each.line.number, each.line.shown, why, "write it into [[dynamic_peers]] by hand")
    return list(found.values())


def _neighbors(frr: Frr, ranges: list[Range], report: Report) -> list[Neighbor]:
    """Return the neighbors that become peers."""
    found: dict[str, Neighbor] = {}
    for each in frr.neighbors.values():
        if each.is_group:
            continue
        own = address(each.name)
        why, remedy = _no_peer(frr, each, ranges)
        if not why and str(own) in found:
            why, remedy = f"{own} is a neighbor already", "remove one"
        if why:
            report.add(each.line.number, each.line.shown, why, remedy)
        else:
            found[str(own)] = each
    return list(found.values())


def _no_peer(frr: Frr, neighbor: Neighbor, ranges: list[Range]) -> tuple[str, str]:
    """Return why a neighbor becomes no peer, and what to do; empty if it does."""
    settings, _ = frr.effective(neighbor)
    own = address(neighbor.name)
    if neighbor.strange:
        return neighbor.strange, "give the node an address, or make [[dynamic_peers]] of its network"
    if own is None:
        return f"{neighbor.name} is no address and no peer-group", "mend it, and import again"
    if settings.get("shutdown", Said("")).value:
        within = any(own in ipaddress.ip_network(each.network) for each in ranges)
        remedy = "take it out of the range, from which it can dial in" if within else "add it when it shall come up"
        return "it is shut down, and routerd has no key for that: the peer is left out", remedy
    if why := _unfit(own, str(frr.setting("router_id", "").value)):
        return why, "write the node's own address"
    if neighbor.group is not None and neighbor.group.value not in frr.neighbors:
        return f"there is no peer-group {neighbor.group.value}", _MEND
    return ("", "") if "remote_as" in settings else ("it has no remote-as", _MEND)


def _user(frr: Frr, neighbor: Neighbor, report: Report) -> User | None:
    """Return a neighbor with what holds for it; None if it speaks neither family."""
    settings, said = frr.effective(neighbor)
    families = {
        family: own
        for family, own in said.items()
        if own.get("activate", frr.setting(f"default_{family}", family == "ipv4")).value
    }
    if not families:
        why = "it has neither IPv4 nor IPv6 unicast activated"
        report.add(neighbor.line.number, neighbor.line.shown, why, "nothing, if it is of no use")
        return None
    return User(neighbor, settings, families)


def _place(made: Members, names: Names, user: User, keys: Keys) -> str:
    """Return the name of the group with these keys, which is made if there is none."""
    wanted = {key: value.value for key, value in keys.items()}
    for name, group in made.groups.items():
        if {key: value.value for key, value in group.items()} == wanted:
            return name
    neighbor = user.neighbor
    if neighbor.is_group:
        name = neighbor.name
    elif neighbor.group is not None:
        name = str(neighbor.group.value)
    else:
        name = f"as{wanted['remote_as']}" if isinstance(wanted["remote_as"], int) else str(wanted["remote_as"])
    name = names.free(name, made.groups)
    made.groups[name] = keys
    return name


def _limit(frr: Frr, ranges: int, report: Report) -> Value:
    limit = frr.setting("listen_limit", 100)
    if limit.line is None:
        return Value(100, "FRR's default, for all ranges together" if ranges > 1 else "FRR's default")
    if not 1 <= limit.value <= 100000:
        report.add(limit.line.number, limit.line.shown, "limit is 1 to 100000", "write it by hand")
        return Value(100)
    if ranges > 1:
        why = "FRR counts the peers of all ranges together, routerd those of each"
        report.add(limit.line.number, limit.line.shown, why, "write a limit for each range")
    return Value(limit.value, limit.line.origin)


def _withhold(made: Members, report: Report) -> None:
    """Take out what has no password and lies in a range that has one: the kernel would demand it all the same."""
    secret = {name for name, keys in made.groups.items() if "password" in keys}
    ranges = [(ipaddress.ip_network(each.network), each.group) for each in made.dynamic]

    def is_barred(network: ipaddress.IPv4Network | ipaddress.IPv6Network, group: str) -> bool:
        around = [r for r in ranges if r[0] != network and r[0].version == network.version and r[0].overlaps(network)]
        around = [r for r in around if r[0].prefixlen < network.prefixlen]
        nearest = max(around, key=lambda r: r[0].prefixlen, default=None)
        return group not in secret and nearest is not None and nearest[1] in secret

    why = "it has no password and lies in a range that has one, which the kernel demands of all in it"
    for each in [each for each in made.peers if is_barred(ipaddress.ip_network(each.address), each.group)]:
        report.add(each.neighbor.line.number, each.neighbor.line.shown, why, "give it a password")
        made.peers.remove(each)
    for other in [each for each in made.dynamic if is_barred(ipaddress.ip_network(each.network), each.group)]:
        report.add(other.line.number, other.line.shown, why, "give it a password")
        made.dynamic.remove(other)
    used = {each.group for each in made.peers} | {each.group for each in made.dynamic}
    made.groups = {name: keys for name, keys in made.groups.items() if name in used}


def _report_idle(frr: Frr, listening: set[str], report: Report) -> None:
    used = listening | {str(each.group.value) for each in frr.neighbors.values() if each.group is not None}
    for name, each in frr.neighbors.items():
        if each.is_group and name not in used:
            report.add(each.line.number, each.line.shown, "no neighbor and no range belongs to it", "nothing")


def _unfit(address: ipaddress.IPv4Address | ipaddress.IPv6Address, router_id: str) -> str:
    """Return why no node can have an address; empty if one can."""
    if str(address) == router_id:
        return f"{address} is the router's own router_id"
    if isinstance(address, ipaddress.IPv6Address) and (
        address.is_link_local or address.ipv4_mapped or "%" in str(address)
    ):
        return f"routerd has no sessions on link-local or mapped addresses such as {address}"
    return f"{address} cannot be a node's address" if address.is_multicast or address.is_unspecified else ""
