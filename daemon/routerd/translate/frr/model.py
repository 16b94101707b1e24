"""What an frr.conf says, with the line that says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from routerd.translate.frr.lines import Line
from routerd.translate.frr.policy import Policies


class Said(NamedTuple):
    """A value and its line; without a line it is a default of FRR."""

    value: Any
    line: Line | None = None


Settings = dict[str, Said]


@dataclass
class Neighbor:
    """A neighbor or a peer-group. `settings` are those of the session, `families` those of each address family."""

    name: str
    line: Line
    is_group: bool = False
    group: Said | None = None
    settings: Settings = field(default_factory=dict)
    families: dict[str, Settings] = field(default_factory=lambda: {"ipv4": {}, "ipv6": {}})
    strange: str = ""
    """Why routerd can have no such peer."""


class Range(NamedTuple):
    """`bgp listen range`."""

    network: str
    group: str
    line: Line


@dataclass
class Frr:
    """A whole file."""

    asn: Said | None = None
    settings: Settings = field(default_factory=dict)
    networks: list[Said] = field(default_factory=list)
    neighbors: dict[str, Neighbor] = field(default_factory=dict)
    ranges: list[Range] = field(default_factory=list)
    policies: Policies = field(default_factory=Policies)
    profile: str = "traditional"
    version: tuple[int, ...] = ()

    @property
    def datacenter(self) -> bool:
        """Whether `frr defaults datacenter` is in force."""
        return self.profile == "datacenter"

    def setting(self, key: str, default: Any) -> Said:
        """Return a setting of the router."""
        return self.settings.get(key, Said(default))

    def is_external(self, remote_as: int | str) -> bool:
        """Tell whether a neighbor of a remote AS is an eBGP neighbor."""
        return self.asn is not None and remote_as not in ("internal", self.asn.value)

    def effective(self, neighbor: Neighbor) -> tuple[Settings, dict[str, Settings]]:
        """Return what holds for a neighbor: its own settings before those of its peer-group."""
        group = self.neighbors.get(neighbor.group.value) if neighbor.group is not None else None
        if group is None:
            return neighbor.settings, neighbor.families
        families = {family: {**group.families[family], **own} for family, own in neighbor.families.items()}
        own = {**group.settings, **neighbor.settings}
        for key, other in (("multihop", "ttl_security"), ("ttl_security", "multihop")):
            if key in neighbor.settings and other in group.settings and other not in neighbor.settings:
                del own[other]
        return own, families
