"""The one question that `routerd status` answers: is all well, and if not, what is wrong and what helps?"""

from __future__ import annotations

from collections.abc import Iterator
from errno import EEXIST
from itertools import islice

from routerd.api.models import (
    DropView,
    EventLoopView,
    PairStateView,
    ProblemView,
    RefusalView,
    SpeakerView,
    StatusView,
    SysctlView,
)
from routerd.api.slices import Slices
from routerd.api.views import fib, groups, peers
from routerd.api.views.carrying import ordered
from routerd.api.views.dialling import NOBODY, Dialled, remedy, with_dialling
from routerd.api.views.problems.awaited import awaited, too_few
from routerd.api.views.problems.conflicts import conflicts
from routerd.api.views.problems.drops import dropped, explained
from routerd.api.views.problems.first import SHOWN, first
from routerd.api.views.problems.host import host as host_problems
from routerd.api.views.problems.refusals import matters, refused
from routerd.api.views.problems.shadows import Diversions, diverted, hollowed, inside, samples, shadowed
from routerd.api.views.problems.vanished import vanished
from routerd.api.views.shutdowns import shutdowns
from routerd.config.model import Config
from routerd.core.gateway_health import Reason
from routerd.core.message import HostState, WriteFailed
from routerd.core.rib.peer import Peer
from routerd.core.route import Prefix, format_address, format_prefix, parse_address
from routerd.core.router import Router

_REFUSED = {
    EEXIST: "it is another program's, and left alone: ip route show PREFIX says whose; remove it there, or write "
    "another metric in [fib]"
}
"""What helps against a route that the kernel refuses, by errno."""

_LINK_LOCAL = b"\xfe\x80"
_NO_WAY = "the router needs an address on that network, or the peer group fewer families"
_IPV4_FOR_IPV6 = (
    "it is an IPv4 address, and no IPv6 route can lead there: have the node's speaker name its IPv6 address, or give "
    "it an IPv6 session besides; or take ipv6 out of the peer group's families"
)
"""Cilium and BIRD say so on an IPv4 session, unless they are told an address."""


def status(
    router: Router,
    version: str,
    speaker: SpeakerView,
    sysctls: list[SysctlView],
    notes: list[ProblemView],
    *,
    host: HostState,
    refusals: list[RefusalView],
    drops: list[DropView],
    diversions: Diversions,
    unwritten: int,
    event_loop: EventLoopView,
    counts: groups.Counts = groups.unread,
    dialled: Dialled = NOBODY,
    pair: PairStateView | None = None,
    now: float,
) -> Slices[StatusView]:
    """Return the whole screen. `notes` are problems that the composition root knows of itself, `unwritten` is how
    much waits to be written to the kernel, `diversions` finds out which routes the kernel passes by, `counts` tells
    where buckets lead, `dialled` how far the router has come with whom it dials, `pair` how it stands with
    its partner."""
    found = yield from peers.peers(router, now, counts)
    shown = with_dialling(explained(router, found, drops, now), dialled)
    reasons = {peer["address"]: peer["reason"] for peer in shown}
    for each in refusals:
        if matters(router, each, now):
            reasons.pop(each["address"], None)  # a problem of its own says more
    problems = [*notes, *_own_problems(router, speaker)]
    static = {configured.address for configured in router.config.peers}
    for peer in list(router.rib.peers.values()):
        yield
        problems += _peer_problems(router, peer, reasons, static=peer.address in static)
    yield
    problems += [*awaited(router), *too_few(router), *vanished(router, now), *_refusals(router)]
    problems += yield from shadowed(router)
    parts = yield from inside(router)
    problems += [*hollowed(router, parts), *conflicts(router), *_sysctls(sysctls)]
    problems += yield from host_problems(router, host)
    problems += [*refused(router, refusals, now), *dropped(router, drops, now)]
    yield
    problems += diverted(diversions(samples(router, parts)))
    rows = yield from groups.groups(router, now, counts)
    return StatusView(
        version=version,
        router_id=router.config.router.router_id,
        asn=router.config.router.asn,
        uptime_seconds=now - router.started,
        ok=not problems,
        speaker=speaker,
        peers=shown,
        drained=ordered(router),
        shutdowns=shutdowns(router),
        prefixes=len(router.rib.loc_rib.table),
        paths=sum(sum(hops.values()) for hops in router.rib.loc_rib.hops.values()),
        fib=fib.fib(router, unwritten),
        groups=rows,
        sysctls=sysctls,
        problems=problems,
        refusals=refusals,
        drops=drops,
        event_loop=event_loop,
        pair=pair,
    )


def _own_problems(router: Router, speaker: SpeakerView) -> Iterator[ProblemView]:
    if not speaker["running"]:
        yield ProblemView(
            where="speaker",
            what=f"the ExaBGP child is not running: {speaker['reason'] or 'it has not started yet'}",
            remedy="it is started again by itself; the FIB stays as it is meanwhile",
        )
    if not router.synchronised:
        yield ProblemView(where="fib", what="the kernel has not been read yet", remedy="wait a moment")


def _sysctls(sysctls: list[SysctlView]) -> Iterator[ProblemView]:
    for sysctl in sysctls:
        if not sysctl["ok"]:
            yield ProblemView(
                where="sysctl",
                what=f"{sysctl['name']} is {sysctl['current'] or 'absent'}, wanted {sysctl['wanted']}",
                remedy=sysctl["remedy"],
            )


def _peer_problems(router: Router, peer: Peer, reasons: dict[str, str], *, static: bool) -> Iterator[ProblemView]:
    where = f"peer {peer.name}"
    if peer.address in router.rib.peers.shut:
        return
    if not router.rib.gateways_of(peer).isdisjoint(router.health.having(Reason.SILENT)):
        yield ProblemView(
            where=where,
            what="its link layer does not answer: it is out of the FIB",
            remedy=f"check the node and its cable; ip neigh show {peer.address}",
        )
    if peer.session is None:
        if peer.adj_rib_in.stale:
            yield ProblemView(
                where=where,
                what=f"the session is down ({peer.reason}); {len(peer.adj_rib_in.stale)} paths are stale",
                remedy="if the node does not come back they go when its restart time is over",
            )
        elif static and peer.address in reasons:
            yield ProblemView(
                where=where,
                what=reasons[peer.address] or "has not dialled in",
                remedy=_remedy(router.config, peer.address),
            )
        return
    if peer.group.accept is None:
        yield ProblemView(
            where=where,
            what=f"nothing is accepted: peer group {peer.group_name} has no accept list (RFC 8212)",
            remedy=f'add accept = ["172.16.0.0/16"], or what its nodes announce, to [peer_groups.{peer.group_name}]',
        )
    for hop, prefixes in _unreachable(router, peer).items():
        yield ProblemView(
            where=where,
            what=f"{prefixes} prefixes are not in the FIB: nothing leads to {hop}",
            remedy=_IPV4_FOR_IPV6 if "::ffff:" in hop else _NO_WAY,
        )
    local = parse_address(peer.session.local)
    if local not in router.rib.nexthops.addresses and local[:2] != _LINK_LOCAL:
        yield ProblemView(
            where=where,
            what=f"the router has no address {peer.session.local} any more, at which the session stands: it ends "
            "with its hold timer",
            remedy="give the address back (has a DHCP client taken it?), or have the node's speaker dial another one",
        )
        return
    for family in sorted(peer.unadvertisable):
        if peer.group.advertise:
            yield ProblemView(
                where=where,
                what=f"{family.label} cannot be advertised: the router has no {family.label} address on the link",
                remedy=f"add an {family.label} address to the interface that holds the session",
            )


def _unreachable(router: Router, peer: Peer) -> dict[str, int]:
    """Count the peer's accepted prefixes by those of its next hops that nothing resolves, or whose routes lead to
    gateways that are on no link."""
    found: dict[str, int] = {}
    lost = router.health.having(Reason.UNREACHABLE)
    for hop, prefixes in router.rib.loc_rib.hops.get(peer.address, {}).items():
        way = router.rib.nexthops.resolve(*hop, peer.packed)
        if way is not None and not all(gateway in lost for gateway in way.gateways):
            continue
        name = f"their next hop {format_address(hop[0])}"
        if way is not None:
            name = f"{format_address(way.gateway.address)}, the gateway to {name}"
        found[name] = found.get(name, 0) + prefixes
    return found


def _refused_route(refused: tuple[Prefix, tuple[int, str]]) -> ProblemView:
    prefix, (errno, text) = refused
    return ProblemView(
        where=f"route {format_prefix(prefix)}",
        what=f"the kernel refuses it: {text or 'no reason given'} (errno {errno})",
        remedy=_REFUSED.get(errno, "it is tried again by itself; routerd route PREFIX shows what the kernel has"),
    )


def _undeleted(where: str, failed: WriteFailed) -> ProblemView:
    return ProblemView(
        where=where,
        what=f"the kernel does not delete it: {failed.text} (errno {failed.errno})",
        remedy="it is tried again by itself; see whether memory is short, and whether routerd has CAP_NET_ADMIN",
    )


def _remedy(config: Config, address: str) -> str:
    """Return what to do about a static peer without a session."""
    if config.is_dialled(address):
        return remedy(config, address)
    return f"check the node's speaker, and that {address} reaches this router on TCP port {config.router.port}"


def _refusals(router: Router) -> Iterator[ProblemView]:
    yield from first(
        router.fib.refused.items(), _refused_route, where="fib", more="routes are refused", remedy="see the log"
    )
    yield from first(
        router.retries.undeleted,
        lambda prefix: _undeleted(f"route {format_prefix(prefix)}", router.refusals.deletions[prefix]),
        where="fib",
        more="routes are not deleted",
        remedy="see the log",
    )
    for id, failed in islice(router.refusals.deletions.items(), SHOWN):
        if isinstance(id, int):
            yield _undeleted(f"nexthop id {id}", failed)
    refused = [(f"group {id}", failed) for id, failed in router.refusals.groups.items()]
    refused += [(f"next hop {format_address(g.address)}", failed) for g, failed in router.refusals.nexthops.items()]
    for where, failed in refused[:SHOWN]:
        yield ProblemView(
            where=where,
            what=f"the kernel refuses it: {failed.text} (errno {failed.errno})",
            remedy="it is tried again by itself; check the interface and its addresses",
        )
