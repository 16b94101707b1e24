"""Doubts about a configuration beside the sessions that stand: whom it would refuse, and who could not come. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from routerd.config.contradictions import Problem
from routerd.config.model import Config, PeerGroup
from routerd.config.pairing import unreachable_partner

_SHOWN = 5


class Session(NamedTuple):
    """A session that stands: the peer's name, address and AS, the router's address, and the families in use."""

    name: str
    address: str
    asn: int
    local: str
    families: Collection[str]


def refused(before: Config, after: Config, sessions: Collection[Session]) -> Iterator[Problem]:
    """Yield why sessions of the configuration `before` could not come up again in the one `after`; of each reason
    once, with the names of the peers."""
    found: dict[Problem, list[str]] = {}
    for session in sessions:
        for problem in _reasons(before, after, session):
            found.setdefault(problem, []).append(session.name)
    for (where, what), names in found.items():
        yield where, f"{what}: {_named(names)}"
    yield from _too_many(after, sessions)


def _reasons(before: Config, after: Config, session: Session) -> Iterator[Problem]:
    new, old = after.group_of(session.address), before.group_of(session.address)
    if new is None:
        yield (), "no peer and no range has the address of peers that have a session; they would be refused"
        return
    yield from _router(before, after, session)
    name, group = new
    here = ("peer_groups", name)
    yield from ((here + where, what) for where, what in _group(after, group, session))
    if old is not None:
        yield from ((here + where, what) for where, what in _agreed(old[1], group))


def _router(before: Config, after: Config, session: Session) -> Iterator[Problem]:
    wildcard = "::" if ":" in session.local else "0.0.0.0"
    if not {session.local, wildcard} & set(after.router.listen):
        yield ("router", "listen"), f"peers that have a session dial {session.local}, which is not here any more"
    if after.router.port != before.router.port:
        yield ("router", "port"), f"peers that have a session dial port {before.router.port}"
    if after.router.asn != before.router.asn:
        yield ("router", "asn"), f"peers that have a session expect AS {before.router.asn} here"


def _group(after: Config, group: PeerGroup, session: Session) -> Iterator[Problem]:
    internal = session.asn == after.router.asn
    fits = {"internal": internal, "external": not internal}.get(str(group.remote_as), session.asn == group.remote_as)
    if not fits:
        yield ("remote_as",), f"peers of AS {session.asn} have a session, and would be refused"
    if gone := sorted(set(session.families).difference(group.families)):
        left = "" if set(session.families) & set(group.families) else ", and nothing else"
        yield ("families",), f"peers that have a session announce {' and '.join(gone)} in it{left}"


def _agreed(old: PeerGroup, new: PeerGroup) -> Iterator[Problem]:
    """Yield what the other side has to do, too."""
    if new.password != old.password:
        what = "go from" if new.password is None else "be set in" if old.password is None else "be changed in"
        yield ("password",), f"it has to {what} the speakers of peers that have a session, or they are not heard"
    if new.ttl_security and (not old.ttl_security or new.least_ttl > old.least_ttl):
        yield (
            ("ttl_security",),
            f"peers that have a session are not heard unless they send with a TTL of 255, and at least "
            f"{new.least_ttl} of it arrives",
        )


def _too_many(after: Config, sessions: Iterable[Session]) -> Iterator[Problem]:
    static = {peer.address for peer in after.peers}
    within: dict[str, list[str]] = {}
    for session in sessions:
        if session.address not in static and (found := after.range_of(session.address)) is not None:
            within.setdefault(found.range, []).append(session.name)
    for index, each in enumerate(after.dynamic_peers):
        names = within.get(each.range, [])
        if len(names) > each.limit:
            yield (
                ("dynamic_peers", index, "limit"),
                f"{len(names)} peers of {each.range} have a session, and {each.limit} may: the rest would be refused "
                f"when they dial in again: {_named(names)}",
            )


def unreachable(config: Config, own: Collection[str], networks: Iterable[str]) -> Iterator[Problem]:
    """Yield peers, and a partner, that are the router itself, by its `own` addresses, and peers that are to be on its
    link, and are on none of its `networks`."""
    yield from unreachable_partner(config, own)
    known = [ipaddress.ip_network(network) for network in networks]
    for index, peer in enumerate(config.peers):
        if peer.address in own:
            yield ("peers", index, "address"), f"{peer.address} is this router's own address"
        elif _away(config, peer.group, peer.address, known):
            yield ("peers", index, "address"), _no_interface(peer.address)
    for index, each in enumerate(config.dynamic_peers):
        if _away(config, each.group, each.range, known):
            yield ("dynamic_peers", index, "range"), _no_interface(each.range)


def _away(
    config: Config, group: str, where: str, known: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]
) -> bool:
    found, network = config.peer_groups[group], ipaddress.ip_network(where)
    if found.remote_as in ("internal", config.router.asn) or found.multihop > 1 or network.is_link_local:
        return False
    return not any(each.version == network.version and each.overlaps(network) for each in known)


def _no_interface(where: str) -> str:
    return (
        f"no interface of this router has an address on the network of {where}: nobody there could dial in with "
        "multihop = 1"
    )


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
