"""What there is to say of each nexthop group, of its members, and of the nodes behind them."""

from __future__ import annotations

from collections import Counter

from routerd.api.slices import Slices
from routerd.core.message import Gateway
from routerd.core.route import format_address, format_prefix
from routerd.core.router import Router
from routerd.telemetry.metrics.catalogue import METRICS
from routerd.telemetry.metrics.packets import PacketCounts
from routerd.telemetry.metrics.rows import Rows, escaped


def nodes(router: Router, packets: PacketCounts, buckets_of: Counter[Gateway]) -> Slices[list[Rows]]:
    """Return the samples, given the buckets that lead to each gateway. A group without members is none in the kernel;
    what was read of one that is gone is left out."""
    members, sizes, users = (_rows(f"group_{name}") for name in ("member_packets_total", "members", "prefixes"))
    labels = _Labels(router)
    for group in list(router.fib.groups):
        yield
        if not group.legs:
            continue
        alone = format_prefix(next(iter(group.prefixes))) if len(group.prefixes) == 1 and not group.shared else ""
        base = f'nexthop_group="{group.id}",prefix="{alone}",family="{_family(next(iter(group.legs)))}"'
        sizes.add(base, len(group.legs))
        users.add(base, len(group.prefixes))
        counted = packets.members.get(group.id)
        if counted is not None:
            members.lines += [
                f"routerd_group_member_packets_total{{{base},{labels[gateway]}}} {counted[gateway]}\n"
                for gateway in group.legs
            ]
    chosen, buckets = _rows("node_packets_total"), _rows("node_buckets")
    for gateway in list(router.fib.groups.nexthops):
        yield
        base = f'{labels[gateway]},family="{_family(gateway)}"'
        chosen.add(base, packets.nodes[gateway])
        buckets.add(base, buckets_of[gateway])
    return [chosen, buckets, members, sizes, users]


def _rows(name: str) -> Rows:
    return Rows(METRICS[f"routerd_{name}"])


def _family(gateway: Gateway) -> str:
    return "ipv4" if len(gateway.address) == 4 else "ipv6"


class _Labels(dict[Gateway, str]):
    """Gateways, each with its interface and the peers that lead there."""

    def __init__(self, router: Router) -> None:
        super().__init__()
        self._router = router

    def __missing__(self, gateway: Gateway) -> str:
        name = ",".join(dict.fromkeys(peer.name for peer in self._router.rib.leads.peers(gateway)))
        interface = self._router.rib.nexthops.name_of(gateway.ifindex)
        address = format_address(gateway.address) if gateway.address else "foreign"
        self[gateway] = f'gateway="{address}",interface="{escaped(interface)}",name="{escaped(name)}"'
        return self[gateway]
