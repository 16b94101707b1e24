"""The configuration text that ExaBGP reads, made of routerd's configuration. Pure.

One `neighbor` section, ExaBGP's word for a peer, per static peer and per dynamic peer that is there now: ExaBGP's own
ranges share one RIB among all peers and do not survive a reload, so routerd makes a section for each peer.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable

from routerd.session.configuration import PeerGroup, SpeakerConfig

EMPTY = "template {\n}\n"
"""The text without peers: ExaBGP refuses one without any section."""


def speaker_text(config: SpeakerConfig, dynamic: Iterable[str] = ()) -> str:
    """Return the text for all static peers and the dynamic peers at these addresses, sorted by address.

    An address that no peer and no range covers any more is left out.
    """
    groups = {address: found[1] for address in dynamic if (found := config.group_of(address)) is not None}
    groups |= {peer.address: config.peer_groups[peer.group] for peer in config.peers}
    return "\n".join(neighbor_text(config, *each) for each in sorted(groups.items())) or EMPTY


def neighbor_text(config: SpeakerConfig, address: str, group: PeerGroup) -> str:
    """Return the section of one peer.

    `local-address auto` takes the connection on any address of the router. `peer-as auto` means that the AS is
    checked by routerd itself. The text also tells ExaBGP whether a reload has changed a peer, so everything
    that must reset a session when it changes has to be in it.
    """
    router = config.router
    lines = [
        f"router-id {router.router_id}",
        "local-address auto",
        f"local-as {router.asn}",
        f"peer-as {_peer_as(config, group)}",
        f"hold-time {group.hold_time}",
        "passive true",
        "adj-rib-in false",
        "adj-rib-out true",  # route refresh asks for it; it stays empty
        "manual-eor true",
    ]
    if group.ttl_security:
        lines += ["outgoing-ttl 255", f"incoming-ttl {group.least_ttl}"]
    elif external(config, group):
        lines.append(f"outgoing-ttl {group.multihop}")
    if group.password is not None:
        # as base64, because a password may hold what the text gives a meaning to
        lines += [f"md5-password {b64encode(group.password.encode()).decode()}", "md5-base64 true"]
    families = "".join(f"    {family} unicast;\n" for family in ("ipv4", "ipv6") if family in group.families)
    restart = group.restart_time if group.graceful_restart else "disable"
    return (
        f"neighbor {address} {{\n"
        + "".join(f"  {line};\n" for line in lines)
        + f"  family {{\n{families}  }}\n"
        + "  capability {\n    asn4 enable;\n    route-refresh enable;\n    extended-message enable;\n"
        + f"    graceful-restart {restart};\n    multi-session disable;\n  }}\n}}\n"
    )


def external(config: SpeakerConfig, group: PeerGroup) -> bool:
    """Tell whether the peers of a group are eBGP peers."""
    return group.remote_as not in ("internal", config.router.asn)


def _peer_as(config: SpeakerConfig, group: PeerGroup) -> str:
    if group.remote_as == "external":
        return "auto"
    return str(config.router.asn if group.remote_as == "internal" else group.remote_as)
