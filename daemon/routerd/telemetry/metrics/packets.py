"""Packets by member and by node, which only grow: the kernel counts anew whenever a group is replaced. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from routerd.core.message import Gateway


class PacketCounts:
    """What was read so far, added up: `members` by group and gateway, `nodes` by gateway.

    What a group has counted between the last reading and its replacement is lost, and so is what one that was adopted
    has counted before the first reading: with that a counter that begins anew would not begin at 0, and rates of it
    would leap at each restart. A group that is gone is forgotten.
    """

    def __init__(self) -> None:
        self.members: dict[int, Counter[Gateway]] = {}
        self.nodes: Counter[Gateway] = Counter()
        self._last: dict[int, dict[int, int]] = {}

    def take(
        self,
        read: Mapping[int, Mapping[int, int]],
        gateways: Mapping[int, Gateway],
        is_adopted: Callable[[int], bool] = lambda _: False,
    ) -> None:
        """Take in what the kernel has counted, by group and nexthop object; `gateways` says where those lead to,
        `is_adopted` tells of a group that was not written since the start."""
        nobody: Mapping[int, int] = {}
        for group in self.members.keys() - read.keys():
            del self.members[group]
        for group, packets in read.items():
            last: Mapping[int, int] | None = self._last.get(group)
            if last is None:
                last = packets if is_adopted(group) else nobody
            members = self.members.setdefault(group, Counter())
            for nexthop, count in packets.items():
                before, gateway = last.get(nexthop, 0), gateways.get(nexthop)
                more = count - before if count >= before else count
                if gateway is not None:
                    members[gateway] += more
                    self.nodes[gateway] += more
        self._last = {group: dict(packets) for group, packets in read.items()}
        for gateway in self.nodes.keys() - set(gateways.values()):
            del self.nodes[gateway]
