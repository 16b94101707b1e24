"""The shadow of a lone member: what makes the kernel keep track of flows in a resilient group with a single IPv4 leg.

The kernel sends IPv4 packets past the buckets of a group with one leg (fib_select_path in net/ipv4/fib_semantics.c),
so that none of them looks used, and when a second node joins it is given half of the first one's flows. So a lone
member stands beside a second nexthop object for the same gateway, listed first, with a weight that wants no bucket.
Before Linux 6.12, with weights of 8 bits, it gets one bucket in 257, and those flows move when it goes.

`ip` shows it as a leg of weight 1 to the same node. Nobody else needs to know: dumps come without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from routerd.core.message import KernelGroup, KernelNexthop, Member, SetGroup
from routerd.kernel import wire

_OFFSET = 1 << 30
"""Ids from here on are no one's in the model (`fib.model.Ids`)."""


def shadow(id: int) -> int:
    """Return the id of the shadow of a nexthop object."""
    return id + _OFFSET


def owner(id: int) -> int:
    """Return the nexthop object that an id stands for: that of a shadow, else itself."""
    return id - _OFFSET if _OFFSET < id < 2 * _OFFSET else id


def beside_shadow(group: SetGroup, widest: int) -> SetGroup:
    """Return a group of one member with its shadow. `widest` is the largest weight that the kernel takes."""
    (member,) = group.members
    return replace(group, members=(Member(shadow(member.id)), Member(member.id, widest)))


def shadow_in(members: tuple[Member, ...]) -> int:
    """Return the id of the shadow among the members of a group, 0 if none of them is one."""
    return members[0].id if len(members) == 2 and members[0].id == shadow(members[1].id) else 0


def lone(members: tuple[Member, ...]) -> tuple[Member, ...]:
    """Return the members of a group as the model has them: the one that stands beside its shadow is alone."""
    return (Member(members[1].id),) if shadow_in(members) else members


def hide(
    nexthops: Iterable[KernelNexthop], groups: Iterable[KernelGroup]
) -> tuple[tuple[KernelNexthop, ...], tuple[KernelGroup, ...], dict[int, int]]:
    """Return nexthops and groups without shadows, and the shadows by group.

    A shadow that no group has is shown: it is of no use. A lone member that has lost its shadow keeps the weight that
    it had beside it, which is not what the model wants.
    """
    groups = tuple(groups)
    shown = tuple(replace(group, members=lone(group.members)) for group in groups)
    shadows = {
        group.id: id for group in groups if group.protocol == wire.RTPROT_BGP and (id := shadow_in(group.members))
    }
    hidden = set(shadows.values())
    return tuple(nexthop for nexthop in nexthops if nexthop.id not in hidden), shown, shadows
