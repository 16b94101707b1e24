"""Questions to the kernel about flows, and its answers: for people who look."""

from __future__ import annotations

from typing import NamedTuple

from routerd.core.message.operation import Gateway
from routerd.core.route import Address, Prefix

L3, L4, INNER_L3, FIVE_TUPLE = 0, 1, 2, 3
"""Values of fib_multipath_hash_policy (kernel doc networking/ip-sysctl)."""


class Flow(NamedTuple):
    """What is asked. Ports are 0 where nobody said any; `interface` is empty for that of the way back to the source.
    `protocol` is the number of IANA's registry."""

    source: Address
    destination: Address
    source_port: int
    destination_port: int
    protocol: int
    interface: str = ""

    def is_whole(self, policy: int) -> bool:
        """Tell whether all is known that the kernel hashes: both ports, unless it hashes addresses alone."""
        return policy == L3 or self.protocol not in (6, 17) or (self.source_port > 0 and self.destination_port > 0)

    def is_exact(self, policy: int) -> bool:
        """Tell whether the kernel works out the same when it is asked as for a packet whose hash nobody has set.

        It does with IPv4. With IPv6 it has no packet when it is asked: it hashes the five-tuple in another way
        (rt6_multipath_custom_hash_fl6 in net/ipv6/route.c), and knows no flow label, which the policy l3 takes.
        """
        return len(self.source) == 4 or policy == L4


class Bucket(NamedTuple):
    """Which bucket it is, None where that is not clear among `candidates`; and for how long it had been idle."""

    number: int | None
    candidates: int
    idle: float | None


class FlowMember(NamedTuple):
    """A member of the group that a flow is led to; `buckets` are as many as lead to it."""

    nexthop: int
    weight: int
    gateway: Gateway | None
    buckets: int = 0


class Way(NamedTuple):
    """What the kernel answered.

    `interface` is where the flow comes in, empty if the router itself is its source. `error` is why there is no
    route, `local` that the router itself is the destination. `table`, `protocol`, `metric`, `nexthop` and `prefix`
    are the route's. `chosen` is the nexthop object that the flow goes by: 0 where the answer would be another
    one than for packets, where not all is known that decides, and where the route leads over no nexthop object.
    """

    interface: str
    policy: int
    error: str = ""
    local: bool = False
    prefix: Prefix | None = None
    table: int = 0
    protocol: int = 0
    metric: int = 0
    nexthop: int = 0
    buckets: int = 0
    members: tuple[FlowMember, ...] = ()
    chosen: int = 0
    bucket: Bucket | None = None


class Reading(NamedTuple):
    """The packets that groups have carried, read at a moment in monotonic seconds: by group, by nexthop id.

    `gateways` has where these lead. What the kernel does not count is not in `packets`.
    """

    at: float
    packets: dict[int, dict[int, int]]
    gateways: dict[int, Gateway]
