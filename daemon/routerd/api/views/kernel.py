"""What the kernel was found to hold, as the API shows it."""

from __future__ import annotations

from routerd.api.models import GroupMemberView, KernelRouteView, SysctlView
from routerd.core.message import KernelRoute, SysctlState
from routerd.core.route import format_address

_SEED = "net.ipv4.fib_multipath_hash_seed"
_ACCEPT_RA = "  # then also net.ipv6.conf.IFACE.accept_ra=2 where the router's own IPv6 default route comes by RA"


def route(found: KernelRoute | None) -> KernelRouteView:
    """Return the kernel's route to a prefix. Members have no peers: the kernel knows none."""
    if found is None:
        return KernelRouteView(present=False, protocol="", metric=None, nexthop_id=None, members=[])
    members = [
        GroupMemberView(
            nexthop_id=leg.nexthop,
            gateway="" if leg.gateway is None else format_address(leg.gateway),
            interface=leg.interface,
            weight=leg.weight,
            buckets=None,
            peers=[],
        )
        for leg in found.legs
    ]
    return KernelRouteView(
        present=True,
        protocol=found.protocol,
        metric=found.metric,
        nexthop_id=found.nexthop or None,
        members=members,
    )


def sysctl(state: SysctlState) -> SysctlView:
    """Return a kernel setting, with a remedy if it is not as wanted."""
    return SysctlView(
        name=state.name,
        wanted=state.wanted,
        found=state.found,
        current=state.current,
        ok=state.ok,
        remedy="" if state.ok else _remedy(state),
    )


def _remedy(state: SysctlState) -> str:
    if state.name == _SEED and not state.current:
        return f"use Linux 6.11 or newer on both routers of the pair  # {state.problem}"
    problem = f"  # {state.problem}" if state.problem else ""
    if state.name == _SEED:  # the seed itself is shown to nobody
        return f"routerd pair --set-seed{problem}  # moves every flow once"
    hint = _ACCEPT_RA if state.name == "net.ipv6.conf.all.forwarding" else ""
    return f"sysctl -w {state.name}={state.wanted}{problem}{hint}"
