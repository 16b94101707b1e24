"""Problems of the host: all is well with BGP and the FIB, and still packets do not get through."""

from __future__ import annotations

from collections.abc import Iterator

from routerd.api.models import ProblemView
from routerd.api.slices import Slices
from routerd.api.views.problems.first import first
from routerd.core.message import HostState, Interface
from routerd.core.router import Router

_IPV4, _IPV4_PREFIX = 4, 5
_LOOPBACK = b"\x7f\0\0\1"


def host(router: Router, state: HostState) -> Slices[list[ProblemView]]:
    """Name what stands in the packets' way on this host, with the command that helps."""
    strict = yield from _reverse_path(router, state)
    problems: list[ProblemView] = []
    for found, kind in (
        (list(_forwarding(router, state)), "interfaces without forwarding"),
        (strict, "interfaces with a strict reverse path filter"),
        (list(_advertisements(router, state)), "interfaces on which advertisements are ignored"),
    ):
        remedy = "mend those named here first"
        problems += first(found, lambda problem: problem, where="host", more=kind, remedy=remedy)
    return [*problems, *_tables(state)]


def _candidates(router: Router, indexes: frozenset[int]) -> Iterator[Interface]:
    """Those of the interfaces that are up and have an IPv4 address, or lead to a gateway; not the loopback."""
    leading = {gateway.ifindex for gateway in router.fib.groups.nexthops}
    for index in sorted(indexes):
        interface = router.rib.nexthops.interfaces.get(index)
        if interface is None or not interface.up or _LOOPBACK in interface.addresses:
            continue
        if index in leading or any(len(address) == _IPV4 for address in interface.addresses):
            yield interface


def _forwarding(router: Router, state: HostState) -> Iterator[ProblemView]:
    """The kernel forwards what comes in by an interface with forwarding on; where it goes out does not matter.

    IPv6 has one switch for all interfaces, net.ipv6.conf.all.forwarding, which is among the sysctls.
    """
    leading = {gateway.ifindex for gateway in router.fib.groups.nexthops}
    for interface in _candidates(router, state.not_forwarding):
        whose = "nodes" if interface.index in leading else "clients"
        yield ProblemView(
            where=f"interface {interface.name}",
            what=f"IPv4 forwarding is off there: what {whose} send to it goes nowhere",
            remedy=_set("ipv4", interface.name, "forwarding", 1),
        )


def _reverse_path(router: Router, state: HostState) -> Slices[list[ProblemView]]:
    """A strict filter drops a packet whose sender is routed through another interface.

    The kernel counts the drops of all interfaces together. Towards the internet there are always some, of forged
    senders; so if the filter is strict there, too, only interfaces count that must drop what is genuine: those with
    a worse way to where another one has a better, and those that a node has its session on and its next hop not.
    """
    strict = list(_candidates(router, state.strict))
    if not state.dropped or not strict:
        return []
    foreign = router.rib.nexthops.foreign
    outward, genuine = set[int](), set[int]()
    for prefix in list(foreign.routes):
        yield
        if len(prefix) == _IPV4_PREFIX:
            ways = [(r.metric, leg.ifindex) for r in foreign.routes.get(prefix, ()) for leg in foreign.legs(r)]
            used = {index for metric, index in ways if metric == min(ways)[0]}
            genuine |= {index for _, index in ways} - used
            if not prefix[0]:
                outward = used
    if not state.strict.isdisjoint(outward):
        for peer in router.rib.peers.values():
            named = router.rib.loc_rib.hops.get(peer.address, ())
            hops = (router.rib.nexthops.resolve(*hop, peer.packed) for hop in named if len(hop[0]) == _IPV4)
            links = {found.gateway.ifindex for found in hops if found is not None}
            link = router.rib.nexthops.link_of(peer.packed)
            if links and link is not None and link not in links:
                genuine.add(link)
        strict = [interface for interface in strict if interface.index in genuine]
    return [
        ProblemView(
            where=f"interface {interface.name}",
            what="its reverse path filter is strict, and packets were dropped lately: the way back to their sender "
            "leads through another interface",
            remedy=_set("ipv4", interface.name, "rp_filter", 2),
        )
        for interface in strict
    ]


def _advertisements(router: Router, state: HostState) -> Iterator[ProblemView]:
    for index in sorted(state.unheeded):
        name = router.rib.nexthops.interfaces[index].name
        yield ProblemView(
            where=f"interface {name}",
            what="there is no IPv6 default route, and the router advertisements that come in here are ignored, "
            "because forwarding is on",
            remedy=f"{_set('ipv6', name, 'accept_ra', 2)}  # the next advertisement brings the route back",
        )


def _tables(state: HostState) -> Iterator[ProblemView]:
    for table in state.tables:
        if not table.full:
            continue
        more = f"{table.entries} of {table.limit} entries"
        if table.name == "conntrack":
            yield ProblemView(
                where="conntrack",
                what=f"the table of connections is full ({more}): new ones are dropped",
                remedy=f"sysctl -w net.netfilter.nf_conntrack_max={4 * table.limit}",
            )
            continue
        default = f"net.{table.name}.neigh.default"
        yield ProblemView(
            where=f"{table.name} neighbours",
            what=f"the kernel's table was full lately, and turned new neighbours away (now {more}, of all "
            "namespaces): whoever is not in it cannot be reached",
            remedy=f"sysctl -w {default}.gc_thresh3={4 * table.limit} {default}.gc_thresh2={2 * table.limit}"
            "  # in the initial network namespace",
        )


def _set(family: str, interface: str, name: str, value: int) -> str:
    """The command that sets a value; with slashes, as the dot may be part of an interface's name."""
    path = f"net/{family}/conf/{interface}/{name}" if "." in interface else f"net.{family}.conf.{interface}.{name}"
    return f"sysctl -w {path}={value}"
