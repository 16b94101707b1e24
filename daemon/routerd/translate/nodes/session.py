"""What the nodes' end of a session must be, whatever program speaks there."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from routerd.config.model import Config, PeerGroup

LABEL = "routerd/peer-group"
"""The label that tells nodes of several peer groups apart."""


class MissingError(Exception):
    """Something that the configuration does not say is needed; the message names the option that says it."""


@dataclass(frozen=True)
class Session:
    """How the nodes of a peer group speak with the router. `alone`: there is no other group, so it is all nodes.

    `object_name` is that of the objects for this group, and of the label that tells its nodes (RFC 1123, 63 octets).
    """

    name: str
    object_name: str
    group: PeerGroup
    asn: int
    routers: tuple[str, ...]
    router_asn: int
    port: int
    alone: bool
    guessed: bool
    """The router's address is its router_id, for want of a better one."""

    @property
    def router(self) -> str:
        """The address that nodes dial."""
        return self.routers[0]

    @property
    def external(self) -> bool:
        """Whether it is eBGP."""
        return self.asn != self.router_asn

    @property
    def keepalive(self) -> int:
        """Seconds between keepalives: a third of the hold time (RFC 4271 section 10)."""
        return max(1, self.group.hold_time // 3)

    @property
    def accepted(self) -> list[str]:
        """The prefixes of accept, of the group's families; none if it is "any" or nothing."""
        return list(self.group.accept) if isinstance(self.group.accept, tuple) else []

    def notes(self) -> list[str]:
        """Return what a person has to know of this group, as comment lines."""
        lines = [f"Peer group {self.name} of routerd."]
        if self.guessed:
            lines.append(
                f"{self.router} is router_id: if nodes do not reach the router there, give --router-address."
            )
        if not self.alone:
            lines.append(f"Label its nodes: kubectl label node NODE {LABEL}={self.object_name}")
        return lines

    def secret(self, namespace: str, kind: str = "Opaque") -> list[str]:
        """Return how to make the Secret with the password, which is never written out."""
        made = {"Opaque": "", "kubernetes.io/basic-auth": f" --type={kind}"}[kind]
        return [
            f"The password of peer group {self.name} belongs into a Secret, from a file with no newline at its end:",
            f"kubectl -n {namespace} create secret generic {self.object_name}{made} --from-file=password=FILE",
        ]


def sessions(config: Config, asn: int | None, routers: Sequence[str]) -> list[Session]:
    """Return the sessions of all peer groups that nodes belong to. MissingError if an AS or address is unknown.

    `asn` is that of nodes whose group says "external"; `routers` are addresses where nodes reach the router.
    """
    members = {each.group for each in config.peers} | {each.group for each in config.dynamic_peers}
    used = [name for name in config.peer_groups if name in members and not _is_upstream(config, name)]
    if not used:
        raise MissingError("no node belongs to any peer group: write [[peers]] or [[dynamic_peers]]")
    names: dict[str, str] = {}
    for name in used:
        names[name] = _object_name(name, names.values())
    return [
        Session(
            name,
            names[name],
            config.peer_groups[name],
            _asn(config, name, asn),
            tuple(routers) or (_address(config, name),),
            config.router.asn,
            config.router.port,
            len(used) == 1,
            not routers and _address(config, name) not in config.router.listen,
        )
        for name in used
    ]


def _is_upstream(config: Config, name: str) -> bool:
    """Tell whether a group is of routers that are dialled for a way out: no nodes, as no service is heard there."""
    ranges = any(each.group == name for each in config.dynamic_peers)
    accept = config.peer_groups[name].accept or ()
    dialled = all(each.connect for each in config.peers if each.group == name)
    return dialled and not ranges and accept != "any" and all(each.endswith("/0") for each in accept)


def _address(config: Config, name: str) -> str:
    """Return where a group's nodes reach the router: the address of `listen` that is nearest to one of them."""
    members = [each.address for each in config.peers if each.group == name]
    members += [each.range for each in config.dynamic_peers if each.group == name]
    nodes = [ipaddress.ip_network(each).network_address for each in members]
    own = [each for each in map(ipaddress.ip_address, config.router.listen) if not each.is_unspecified]
    pairs = [(each.max_prefixlen - (int(each) ^ int(node)).bit_length(), each) for each in own for node in nodes
             if each.version == node.version]  # fmt: skip
    return str(max(pairs, key=lambda pair: pair[0])[1]) if pairs else config.router.router_id


def _object_name(name: str, taken: Iterable[str]) -> str:
    """Return a name as Kubernetes takes it, and that no other group has: NODES and nodes are two."""
    wished = "routerd-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    found, there = wished[:63].rstrip("-"), set(taken)
    while found in there:
        found = f"{wished[:59].rstrip('-')}-{len(there) + 1}"
    return found


def _asn(config: Config, name: str, asn: int | None) -> int:
    remote = config.peer_groups[name].remote_as
    if remote == "internal":
        return config.router.asn
    if isinstance(remote, int):
        return remote
    if asn is None:
        raise MissingError(f'peer_groups.{name} says remote_as = "external": give the AS of its nodes with --asn')
    if asn == config.router.asn:
        raise MissingError(f"--asn {asn} is the router's own AS, and peer_groups.{name} says external")
    return asn
