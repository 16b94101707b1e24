"""prefix-lists and route-maps: what they permit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import NamedTuple

from routerd.translate.frr.lines import Line
from routerd.translate.frr.spaces import Network, Space, whole, without
from routerd.translate.report import Report

FAMILIES = ("ipv4", "ipv6")
EVERYTHING = {"ipv4": whole(ip_network("0.0.0.0/0")), "ipv6": whole(ip_network("::/0"))}


class Rule(NamedTuple):
    """The first rule whose space has a prefix decides about it."""

    permit: bool
    space: Space
    line: Line


@dataclass
class Entry:
    """An entry of a route-map. `lists` are the prefix-lists that it matches, one a family: the last one counts."""

    permit: bool
    sequence: int
    line: Line
    lists: dict[str, tuple[str, Line]] = field(default_factory=dict)
    strange: bool = False
    """It has a match or an action that routerd has not."""


@dataclass
class Policies:
    """All prefix-lists, by family and name, and all route-maps, by name, of a file."""

    lists: dict[tuple[str, str], list[tuple[int, Rule]]] = field(default_factory=dict)
    maps: dict[str, list[Entry]] = field(default_factory=dict)

    def prefix_list(self, line: Line, report: Report) -> None:
        """Take in `ip|ipv6 prefix-list NAME [seq N] permit|deny PREFIX|any [ge N] [le N]`."""
        family = "ipv6" if line.words[0] == "ipv6" else "ipv4"
        found = re.fullmatch(
            r"prefix-list (\S+) (?:seq (\d+) )?(permit|deny) (\S+)(?: ge (\d+))?(?: le (\d+))?(?: ge (\d+))?",
            " ".join(line.words[1:]),
        )
        if line.negated or (found is None and "description" in line.words[3:4]):
            return
        space = None if found is None else _space(family, found[4], found[5] or found[7], found[6])
        if found is None or space is None:
            report.add(line.number, line.shown, "is no entry of a prefix-list", "mend it, and import again")
            return
        rules = self.lists.setdefault((family, found[1]), [])
        sequence = int(found[2]) if found[2] else max((each for each, _ in rules), default=0) // 5 * 5 + 5
        rules.append((sequence, Rule(found[3] == "permit", space, line)))
        rules.sort(key=lambda each: each[0])

    def entry(self, line: Line, report: Report) -> Entry | None:
        """Take in `route-map NAME permit|deny SEQUENCE`, and return the entry that the next lines belong to."""
        match line.words:
            case ("route-map", name, ("permit" | "deny") as action, sequence) if sequence.isdecimal():
                entries = self.maps.setdefault(name, [])
                same = next((each for each in entries if each.sequence == int(sequence)), None)
                made = same or Entry(action == "permit", int(sequence), line)
                if same is None:
                    entries.append(made)
                    entries.sort(key=lambda each: each.sequence)
                return made
        report.add(line.number, line.shown, "is no entry of a route-map", "mend it, and import again")
        return None

    def clause(self, entry: Entry, line: Line, report: Report) -> None:
        """Take in a line of an entry."""
        match line.words:
            case ("match", "ip", "address", "prefix-list", name):
                entry.lists["ipv4"] = name, line
            case ("match", "ipv6", "address", "prefix-list", name):
                entry.lists["ipv6"] = name, line
            case ("description", *_):
                pass
            case ("set", *_):
                why = "routerd changes no attributes of what it hears or announces"
                report.add(line.number, line.shown, why, "do without, or set it on the nodes")
            case ("match", *_):
                entry.strange = True
                why = "routerd judges prefixes, and nothing else of a route"
                effect = "write by hand what the entry permits: it is left out" if entry.permit else _OPEN
                report.add(line.number, line.shown, why, effect)
            case _:
                entry.strange = True
                why = "routerd has no route-maps, and only simple ones can be said in its keys"
                report.add(line.number, line.shown, why, "look at accept and advertise, and mend them")

    def rules(self, family: str, name: str, line: Line, report: Report) -> list[Rule]:
        """Return the rules of a prefix-list. One that is missing denies everything, as in FRR."""
        if (family, name) not in self.lists:
            why = f"there is no {'ip' if family == 'ipv4' else family} prefix-list {name}, so FRR denies everything"
            report.add(line.number, line.shown, why, "look at accept and advertise, and mend them")
        return [rule for _, rule in self.lists.get((family, name), [])]

    def map_rules(self, family: str, name: str, line: Line, report: Report) -> list[Rule]:
        """Return the rules that a route-map has for a family."""
        if name not in self.maps:
            why = f"there is no route-map {name}, so FRR denies everything"
            report.add(line.number, line.shown, why, "look at accept and advertise, and mend them")
        found = []
        for entry in self.maps.get(name, ()):
            if entry.strange or entry.lists.keys() - {family}:
                continue  # it can match nothing of this family, or is reported
            matched = [Rule(True, EVERYTHING[family], entry.line)]
            if family in entry.lists:
                listed, where = entry.lists[family]
                matched = permitted(self.rules(family, listed, where, report), report)
            found += [rule._replace(permit=entry.permit) for rule in matched]
        return found


_OPEN = "look at accept and advertise: what the entry denies is not left out"


def permitted(rules: list[Rule], report: Report) -> list[Rule]:
    """Return what rules permit, in any order. What cannot be taken out of it exactly stays, and is reported."""
    found: list[Rule] = []
    barred: list[Rule] = []
    for rule in rules:
        if not rule.permit:
            barred.append(rule)
            continue
        kept = [rule.space]
        for bar in barred:
            parts = [without(each, bar.space) for each in kept]
            kept = [part for some, _ in parts for part in some]
            for why in filter(None, (each for _, each in parts)):
                remedy = "nothing, if nodes announce none of these; else mend accept"
                report.add(bar.line.number, bar.line.shown, f"accept has no exceptions: {why}", remedy)
        found += [rule._replace(space=space) for space in kept]
    return found


def permits(rules: list[Rule], prefix: Network) -> bool:
    """Tell whether rules permit one prefix."""
    return next((rule.permit for rule in rules if rule.space.has(prefix)), False)


def _space(family: str, text: str, least: str | None, most: str | None) -> Space | None:
    """Return what an entry of a prefix-list stands for; None if it is no valid one."""
    if text == "any":
        return EVERYTHING[family]
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return None
    if f"ipv{network.version}" != family or "/" not in text:
        return None
    length = network.prefixlen
    low = length if least is None else int(least)
    high = int(most) if most is not None else network.max_prefixlen if least is not None else length
    return Space(network, low, high) if length <= low <= high <= network.max_prefixlen else None
