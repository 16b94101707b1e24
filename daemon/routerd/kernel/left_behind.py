"""What a process that was killed in the middle of a layout has left: stand-ins that hold buckets of groups in use.

Flows that began meanwhile went where the stand-in leads. The member that leads there gets its buckets, so that they
stay; deleted with its buckets, it would leave them to whoever has too few.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from routerd.core.message import RTPROT_BGP, KernelGroup, KernelNexthop, Member, SetGroup
from routerd.kernel import lookup, messages, wire
from routerd.kernel.layout import held
from routerd.kernel.messages import NARROW, WIDE
from routerd.kernel.requests import Requests


def give_back(
    requests: Requests, left: Collection[int], nexthops: Sequence[KernelNexthop], groups: Sequence[KernelGroup]
) -> None:
    """Give the buckets of the stand-ins among `left` to the nexthops that lead where they lead, and take them out of
    their groups, as far as there is such a nexthop and the kernel does it."""
    gateways = {each.id: each.gateway for each in nexthops if each.protocol == RTPROT_BGP and each.gateway}
    ways = {gateway: id for id, gateway in gateways.items() if id not in left}
    for group in groups:
        heirs = {id: ways[gateways[id]] for id in left if id in gateways and gateways[id] in ways}
        stood_in = {member.id for member in group.members if member.id in heirs}
        if not stood_in or not group.buckets or group.protocol != RTPROT_BGP:
            continue
        members = {member.id: member for member in group.members if member.id not in stood_in}
        members |= {heirs[id]: Member(heirs[id]) for id in stood_in if heirs[id] not in members}
        for every in _weighed(group.id, list(members.values()), heirs):
            wanted = SetGroup(group.id, every, group.buckets, group.idle_timer, group.unbalanced_timer)
            if not requests.transmit([messages.set_group(wanted, wire.NLM_F_REPLACE)]):
                break


def _weighed(group: int, members: Sequence[Member], heirs: dict[int, int]) -> Iterator[tuple[Member, ...]]:
    """Yield members with weights by which each has its own buckets and those it is the heir of: exact ones, and ones
    that any kernel takes."""
    try:
        counts = Counter(heirs.get(owner, owner) for owner in lookup.owners(group))
    except OSError:
        return  # it is gone
    for widest in (WIDE, NARROW):
        yield held(counts, members, widest)
