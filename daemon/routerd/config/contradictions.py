"""What no single key can tell: contradictions between parts of the configuration."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from routerd.config.model import Config

Problem = tuple[tuple[str | int, ...], str]
"""Where it is (keys and list positions), and what is wrong and what to write instead."""


def contradictions(config: Config) -> Iterator[Problem]:
    """Yield what contradicts itself in a config whose keys are valid each on its own."""
    yield from _groups(config)
    yield from _peers(config)
    yield from _ranges(config)
    yield from _listening(config)
    if config.fib.groups == "resilient" and config.fib.buckets < config.fib.max_paths:
        yield (
            ("fib", "buckets"),
            f"{config.fib.buckets} buckets cannot serve max_paths = {config.fib.max_paths} members; "
            f"write at least {config.fib.max_paths * 8} buckets, or a smaller max_paths",
        )


def _groups(config: Config) -> Iterator[Problem]:
    for name, group in config.peer_groups.items():
        if group.stale_time <= group.restart_time:
            yield (
                ("peer_groups", name, "stale_time"),
                f"{group.stale_time} s is no longer than restart_time = {group.restart_time}: nodes that wait for it "
                f"(FRR does) would come too late; write at least {group.restart_time + 30}",
            )
        if group.ttl_security and group.multihop == 255:
            yield (
                ("peer_groups", name, "ttl_security"),
                "ttl_security takes packets from at most multihop hops away, and multihop = 255 is everywhere; write "
                "the number of hops to the farthest node, 1 for nodes on the same link",
            )
        if group.remote_as == "internal" and group.multihop != 1:
            yield ("peer_groups", name, "multihop"), "multihop is for external peers; remove it"
        if group.remote_as == config.router.asn and group.multihop != 1:
            yield (
                ("peer_groups", name, "remote_as"),
                f"{config.router.asn} is the router's own AS, so these peers are internal and multihop has no "
                'meaning; remove multihop, or write remote_as = "external"',
            )
    known = ", ".join(sorted(config.peer_groups)) or "none"
    users = [("peers", i, p.group) for i, p in enumerate(config.peers)]
    users += [("dynamic_peers", i, p.group) for i, p in enumerate(config.dynamic_peers)]
    for section, index, wanted in users:
        if wanted not in config.peer_groups:
            yield (section, index, "group"), f"no [peer_groups.{wanted}] in this file (there is: {known})"


def _peers(config: Config) -> Iterator[Problem]:
    names: dict[str, int] = {}
    addresses: dict[str, int] = {}
    for index, peer in enumerate(config.peers):
        if (first := names.setdefault(peer.name, index)) != index:
            yield ("peers", index, "name"), f"{peer.name!r} is already the name of peers[{first}]"
        if (first := addresses.setdefault(peer.address, index)) != index:
            yield ("peers", index, "address"), f"{peer.address} is already the address of peers[{first}]"
        parsed = ipaddress.ip_address(peer.address)
        if parsed.is_multicast or parsed.is_unspecified:
            yield ("peers", index, "address"), f"{peer.address} cannot be a node's address"
        if peer.address == config.router.router_id:
            yield (
                ("peers", index, "address"),
                f"{peer.address} is the router's own router_id; write the node's",
            )


def _ranges(config: Config) -> Iterator[Problem]:
    ranges: dict[str, int] = {}
    for index, dynamic in enumerate(config.dynamic_peers):
        if (first := ranges.setdefault(dynamic.range, index)) != index:
            yield ("dynamic_peers", index, "range"), f"{dynamic.range} is already dynamic_peers[{first}]"


def _listening(config: Config) -> Iterator[Problem]:
    versions = {ipaddress.ip_address(text).version for text in config.router.listen}
    for index, peer in enumerate(config.peers):
        version = ipaddress.ip_address(peer.address).version
        if version not in versions:
            wildcard = "0.0.0.0" if version == 4 else "::"
            yield (
                ("peers", index, "address"),
                f'{peer.address} cannot dial in: router.listen has no IPv{version} address; add "{wildcard}"',
            )
