"""What a neighbor's filters come to: `accept` and `advertise`."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from routerd.config.contradictions import UNROUTABLE
from routerd.translate.frr.lines import Line
from routerd.translate.frr.model import Frr, Said, Settings
from routerd.translate.frr.policy import EVERYTHING, Rule, permits, permitted
from routerd.translate.frr.spaces import Network, Space, entries, inside, unique, without
from routerd.translate.report import Report

_SPECIFIC = {family: space._replace(least=1) for family, space in EVERYTHING.items()}
"""All but the default route."""

_KINDS = ("prefix-list", "route-map", "filter-list", "distribute-list")


class Value(NamedTuple):
    """A value of routerd's, None to leave the key out, and the comment beside it."""

    value: object
    comment: str = ""


def origin(said: Said, default: str) -> str:
    """Return where a value comes from: its line, or `default`."""
    return default if said.line is None else said.line.origin


def requires_policy(frr: Frr) -> Said:
    """Return whether eBGP neighbors without a filter hear and say nothing (RFC 8212)."""
    old = bool(frr.version) and frr.version < (7, 4)
    return frr.setting("requires_policy", not frr.datacenter and not old)


def inbound(frr: Frr, external: bool, families: dict[str, Settings], report: Report) -> tuple[Value, list[Space]]:
    """Return `accept` of a neighbor with these active families, and the prefixes that it stands for."""
    needed = requires_policy(frr)
    closed = external and needed.value
    why = origin(needed, f"FRR's default: bgp ebgp-requires-policy is {'on' if needed.value else 'off'}")
    if not any(_is_filtered(said, "in") for said in families.values()):
        if closed:
            return Value(None, f"nothing is accepted: there is no filter, and {why}"), []
        why = why if external else "an internal neighbor without a filter"
        return Value("any", f'{why}. "any" is all but a default route'), [_SPECIFIC[each] for each in families]
    networks: list[Network] = []
    spaces: list[Space] = []
    for family, said in families.items():
        if not _is_filtered(said, "in"):
            networks += [] if closed else EVERYTHING[family].network.subnets(1)
            spaces += [] if closed else [_SPECIFIC[family]]
            continue
        rules = _rules(frr, family, said, "in", report)
        spaces += [rule.space for rule in rules]
        for rule in rules:
            nets, why = entries(rule.space)
            if why:
                report.add(rule.line.number, rule.line.shown, why, "nothing, if nodes announce none of these")
            networks += [each for each in nets if _is_routable(each, rule.line, report)]
    lines = [each.line for said in families.values() for key, each in said.items() if key in _keys("in")]
    comment = ", ".join(dict.fromkeys(line.origin for line in lines if line is not None))
    return Value([str(each) for each in unique(networks)], comment), spaces


def outbound(frr: Frr, external: bool, families: dict[str, Settings], accepted: list[Space], report: Report) -> Value:
    """Return `advertise` of a neighbor with these active families; `accepted` is what the router may learn."""
    networks = [each for each in map(_network, frr.networks) if each is not None and _family(each) in families]
    closed = external and requires_policy(frr).value
    own: dict[Network, bool] = {}
    learned: dict[str, bool] = {}
    comments: list[str] = []
    for family, said in families.items():
        mine = [each for each in networks if _family(each) == family]
        if not _is_filtered(said, "out"):
            own |= dict.fromkeys(mine, not closed)
            learned[family] = not closed
            continue
        comments += [each.line.origin for key, each in said.items() if key in _keys("out") and each.line is not None]
        rules = _rules(frr, family, said, "out", report)
        own |= {each: permits(rules, each) for each in mine}
        learned[family] = _all_learned(rules, accepted, family, said, report)
    advertise = []
    if any(own.values()):
        if all(own.values()):
            advertise.append("networks")
        else:
            _mixed(families, "routerd announces all of its networks to a peer, or none; here none", report)
    if any(learned.values()):
        if all(learned.values()):
            advertise.append("learned")
        else:
            _mixed(families, "routerd announces what it has learned in both families or in none; here none", report)
    defaults = {family: said.get("default-originate", Said(False)) for family, said in families.items()}
    if any(each.value for each in defaults.values()):
        lines = [each.line for each in defaults.values() if each.value and each.line is not None]
        if all(each.value for each in defaults.values()):
            advertise.append("default")
            comments += [line.origin for line in lines]
        else:
            why = "routerd announces a default route in all families of a peer, or in none; here none"
            for line in lines:
                report.add(line.number, line.shown, why, 'activate one family alone, or add "default" to advertise')
    if not comments:
        comments.append("there is no filter" if advertise else "nothing is announced: there is no filter")
    return Value(advertise or None, ", ".join(dict.fromkeys(comments)))


def _rules(frr: Frr, family: str, said: Settings, way: str, report: Report) -> list[Rule]:
    """Return what the filters of a family permit. One that routerd cannot have is reported, and permits nothing."""
    found: list[Rule] | None = None
    inexact = report if way == "in" else Report()  # what it says of accept is true of accept alone
    for key, value in said.items():
        if key not in _keys(way) or value.line is None:
            continue
        kind = key.split()[0]
        if kind == "prefix-list":
            rules = frr.policies.rules(family, value.value, value.line, inexact)
        elif kind == "route-map":
            rules = frr.policies.map_rules(family, value.value, value.line, inexact)
        else:
            rules = []
        some = permitted(rules, inexact)
        found = some if found is None else _both(found, some)
    return found or []


def _both(some: list[Rule], others: list[Rule]) -> list[Rule]:
    """Return what two filters permit together."""
    found = []
    for one in some:
        for other in others:
            inner = one if inside(one.space.network, other.space.network) else other
            if one.space.meets(other.space):
                least = max(one.space.least, other.space.least, inner.space.network.prefixlen)
                space = Space(inner.space.network, least, min(one.space.most, other.space.most))
                found.append(inner._replace(space=space))
    return found


def _all_learned(rules: list[Rule], accepted: list[Space], family: str, said: Settings, report: Report) -> bool:
    """Tell whether all that is learned may be announced. A part of it may not: that is reported."""
    heard = [each for each in accepted if _family(each.network) == family]
    rest = heard
    for rule in rules:
        rest = [part for each in rest for part in without(each, rule.space)[0]]
    if not rest and heard:
        return True
    if any(rule.space.meets(each) for rule in rules for each in heard):
        _mixed(
            {family: said}, "routerd announces all that it has learned to a peer, or nothing; here nothing", report
        )
    return not heard and any(rule.space.is_all for rule in rules)


def _mixed(families: dict[str, Settings], why: str, report: Report) -> None:
    for said in families.values():
        for key, value in said.items():
            if key in _keys("out") and value.line is not None:
                report.add(value.line.number, value.line.shown, why, "write into advertise what the nodes need")


def _is_filtered(said: Settings, way: str) -> bool:
    return any(key in said for key in _keys(way))


def _keys(way: str) -> tuple[str, ...]:
    return tuple(f"{kind} {way}" for kind in _KINDS)


def _family(network: Network) -> str:
    return f"ipv{network.version}"


def _network(said: Said) -> Network | None:
    try:
        return ipaddress.ip_network(said.value, strict=False)
    except ValueError:
        return None


def _is_routable(network: Network, line: Line, report: Report) -> bool:
    if network.prefixlen and any(inside(network, each) for each in UNROUTABLE):
        report.add(line.number, line.shown, f"{network} cannot be routed by any router", "leave it out")
        return False
    return True
