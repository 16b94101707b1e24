"""Neighbors and peer-groups become peers, ranges and peer groups."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from routerd.translate.frr.filters import Value, inbound, origin, outbound
from routerd.translate.frr.lines import Line
from routerd.translate.frr.model import Frr, Neighbor, Range, Said, Settings
from routerd.translate.frr.spaces import Space
from routerd.translate.report import Report

Keys = dict[str, Value]
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


class _User(NamedTuple):
    """Who needs a group: a neighbor, or a peer-group with ranges."""

    neighbor: Neighbor
    settings: Settings
    families: dict[str, Settings]


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
    made, names = Members(), _Names()
    for user in (*listening, *users):
        keys = _keys(frr, user, accepted[id(user.neighbor)][0], learned, report)
        group = _place(made, names, user, keys)
        if not user.neighbor.is_group:
            made.peers.append(Peer(names.peer(user), str(_address(user.neighbor.name)), group, user.neighbor))
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
            elif each.group not in frr.neighbors or "remote_as" not in frr.neighbors[each.group].settings:
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
        address = _address(each.name)
        why, remedy = _no_peer(frr, each, ranges)
        if not why and str(address) in found:
            why, remedy = f"{address} is a neighbor already", "remove one"
        if why:
            report.add(each.line.number, each.line.shown, why, remedy)
        else:
            found[str(address)] = each
    return list(found.values())


def _no_peer(frr: Frr, neighbor: Neighbor, ranges: list[Range]) -> tuple[str, str]:
    """Return why a neighbor becomes no peer, and what to do; empty if it does."""
    settings, _ = frr.effective(neighbor)
    address = _address(neighbor.name)
    if neighbor.strange:
        return neighbor.strange, "give the node an address, or make [[dynamic_peers]] of its network"
    if address is None:
        return f"{neighbor.name} is no address and no peer-group", "mend it, and import again"
    if settings.get("shutdown", Said("")).value:
        within = any(address in ipaddress.ip_network(each.network) for each in ranges)
        remedy = "take it out of the range, from which it can dial in" if within else "add it when it shall come up"
        return "it is shut down, and routerd has no key for that: the peer is left out", remedy
    if why := _unfit(address, str(frr.setting("router_id", "").value)):
        return why, "write the node's own address"
    if neighbor.group is not None and neighbor.group.value not in frr.neighbors:
        return f"there is no peer-group {neighbor.group.value}", _MEND
    return ("", "") if "remote_as" in settings else ("it has no remote-as", _MEND)


def _user(frr: Frr, neighbor: Neighbor, report: Report) -> _User | None:
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
    return _User(neighbor, settings, families)


def _keys(frr: Frr, user: _User, accept: Value, learned: list[Space], report: Report) -> Keys:
    """Return the keys of the group that a user needs. Where FRR's default is another one, the key is written."""
    said = user.settings
    remote = said["remote_as"]
    external = frr.is_external(remote.value)
    keys = {"remote_as": Value(remote.value, origin(remote, ""))}
    keys["hold_time"] = _hold_time(frr, said, report)
    keys |= _hops(said, external, report)
    keys |= _restart(frr, said, report)
    lines = [own["activate"].line for own in user.families.values() if "activate" in own]
    activated = ", ".join(f"line {line.number}" for line in lines if line is not None)
    default = origin(frr.setting("default_ipv6", False), "FRR's default: IPv4 unicast alone")
    keys["families"] = Value(list(user.families), activated or default)
    if (password := said.get("password")) is not None and password.line is not None:
        text = str(password.value)
        if "\ufffd" in text or len(text.encode()) > 80:
            why = "the password is longer than 80 octets" if len(text.encode()) > 80 else "the file is not UTF-8 here"
            report.add(password.line.number, password.line.shown, why, "write password by hand")
        else:
            keys["password"] = Value(text, f"line {password.line.number}")
    keys["accept"] = accept
    keys["advertise"] = outbound(frr, external, user.families, learned, report)
    return keys


def _hold_time(frr: Frr, said: Settings, report: Report) -> Value:
    profile, default = ("datacenter, ", (3, 9)) if frr.datacenter else ("", (60, 180))
    timers = said.get("timers", frr.setting("timers", default))
    keepalive, hold = timers.value
    if timers.line is not None and (0 < hold < 3 or hold > 65535):
        report.add(timers.line.number, timers.line.shown, f"{hold} s is no hold time", "write 0 or at least 3")
        timers, (keepalive, hold) = Said(default), default
    comment = origin(timers, f"FRR's default ({profile}routerd's is 90)")
    if keepalive * 3 != hold:
        comment += f"; keepalives are sent every {hold // 3} s, a third of it"
    return Value(hold, comment)


def _hops(said: Settings, external: bool, report: Report) -> Keys:
    """Return multihop and ttl_security. To internal neighbors FRR sends with the highest TTL, and routerd too."""
    security, multihop = said.get("ttl_security"), said.get("multihop")
    hops = security or multihop
    if hops is None or hops.line is None or (security is None and not external):
        return {}
    most = 254 if security else 255
    if not 1 <= hops.value <= most or (not external and hops.value != 1):
        why = f"routerd takes 1 to {most} hops" if external else "internal peers are one hop away"
        report.add(hops.line.number, hops.line.shown, why, "write multihop by hand")
        return {}
    keys = {"multihop": Value(hops.value, hops.line.origin)}
    return keys | {"ttl_security": Value(True, hops.line.origin)} if security else keys


def _restart(frr: Frr, said: Settings, report: Report) -> Keys:
    mode = said.get("graceful_restart", frr.setting("graceful_restart", "helper"))
    default = "FRR's default: the router helps a node that restarts (routerd's is false)"
    keys = {"graceful_restart": Value(mode.value != "disable", origin(mode, default))}
    if mode.value == "disable":
        return keys
    restart, stale = frr.setting("restart_time", 120), frr.setting("stale_time", 360)
    if restart.line is not None and not 1 <= restart.value <= 4095:
        report.add(restart.line.number, restart.line.shown, "restart_time is 1 to 4095", "write it by hand")
        restart = Said(120)
    keys["restart_time"] = Value(restart.value, origin(restart, "FRR's default (routerd's is 60)"))
    if stale.value <= restart.value or stale.value > 86400:
        if stale.line is not None:
            why = f"stale_time must be longer than restart_time = {restart.value}, and 86400 at most"
            report.add(stale.line.number, stale.line.shown, why, f"look at stale_time = {restart.value + 30}")
        keys["stale_time"] = Value(restart.value + 30, "must be longer than restart_time")
    else:
        keys["stale_time"] = Value(stale.value, origin(stale, "FRR's default of stalepath-time (routerd's is 120)"))
    return keys


def _place(made: Members, names: _Names, user: _User, keys: Keys) -> str:
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


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _unfit(address: ipaddress.IPv4Address | ipaddress.IPv6Address, router_id: str) -> str:
    """Return why no node can have an address; empty if one can."""
    if str(address) == router_id:
        return f"{address} is the router's own router_id"
    if isinstance(address, ipaddress.IPv6Address) and (
        address.is_link_local or address.ipv4_mapped or "%" in str(address)
    ):
        return f"routerd has no sessions on link-local or mapped addresses such as {address}"
    return f"{address} cannot be a node's address" if address.is_multicast or address.is_unspecified else ""


class _Names:
    """Names as routerd takes them: letters, digits, `._-`, and each once."""

    def __init__(self) -> None:
        self._peers: set[str] = set()

    def peer(self, user: _User) -> str:
        """Return the name of a peer: its description, or else its address."""
        address = str(_address(user.neighbor.name))
        name = _clean(str(user.neighbor.settings.get("description", Said("")).value))
        if not name or (_address(name) is not None and name != address):
            name = _clean(address)
        name = self.free(name, self._peers)
        self._peers.add(name)
        return name

    def free(self, name: str, taken: Iterable[str]) -> str:
        """Return a name that is not taken, close to the one that is wished for."""
        name, there, number = _clean(name) or "nodes", set(taken), 2
        wished = name
        while name in there:
            name = f"{wished[:58]}-{number}"
            number += 1
        return name


def _clean(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).lstrip("._-")[:63].rstrip("-")
