"""What no single key can tell: contradictions between parts of the configuration."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from routerd.config.model import Config, Peer
from routerd.config.pairing import contradictions_of_pair

MOST_SHOWN = 1000
"""Next hops of a route that the kernel dumps in `nexthop_compat_mode`: 28 octets each for IPv6, of 32 KB."""

Problem = tuple[tuple[str | int, ...], str]
"""Where it is (keys and list positions), and what is wrong and what to write instead."""


def contradictions(config: Config) -> Iterator[Problem]:
    """Yield what contradicts itself in a config whose keys are valid each on its own."""
    yield from _groups(config)
    yield from _peers(config)
    yield from _ranges(config)
    yield from _passwords(config)
    yield from _listening(config)
    yield from _accept(config)
    yield from _silence(config)
    if config.api.readers is not None and config.api.readers_socket == config.api.socket:
        yield ("api", "readers_socket"), "that is [api] socket, where its group may write; write another path"
    yield from _metrics(config)
    yield from _mqtt(config)
    yield from contradictions_of_pair(config)
    yield from _onlookers(config)
    if config.fib.ids[-1] >= 1 << 30:
        yield (
            ("fib", "nexthop_id_base"),
            f"nexthop ids {config.fib.ids[0]} to {config.fib.ids[-1]} go beyond {(1 << 30) - 1}; "
            "write a smaller nexthop_id_base or nexthop_id_count",
        )
    if config.fib.groups == "resilient" and config.fib.buckets < config.fib.max_paths:
        yield (
            ("fib", "buckets"),
            f"{config.fib.buckets} buckets cannot serve max_paths = {config.fib.max_paths} members; "
            f"write at least {config.fib.max_paths * 8} buckets, or a smaller max_paths",
        )
    if config.fib.compat_mode and config.fib.max_paths > MOST_SHOWN:
        yield (
            ("fib", "nexthop_compat_mode"),
            f"with it the kernel cannot dump routes of more than {MOST_SHOWN} next hops; "
            "write false, or a smaller max_paths",
        )


def _mqtt(config: Config) -> Iterator[Problem]:
    mqtt = config.mqtt
    if not mqtt.broker:
        return
    if bool(mqtt.certificate_file) != bool(mqtt.key_file):
        there, missing = ("certificate_file", "key_file")[:: 1 if mqtt.certificate_file else -1]
        yield ("mqtt", there), f"a client certificate takes two files; write {missing} as well"
    if mqtt.password_file and not mqtt.user:
        yield ("mqtt", "password_file"), 'a password takes a user; write user = "..." as well'
    for key in ("ca_file", "certificate_file"):
        if getattr(mqtt, key) and mqtt.broker.startswith("mqtt:"):
            yield ("mqtt", key), 'is of no use without TLS; write broker = "mqtts://..."'


def _onlookers(config: Config) -> Iterator[Problem]:
    if config.mrt.directory and not config.mrt.interval and not config.mrt.updates:
        yield ("mrt", "interval"), "nothing is dumped; write an interval, or updates = true, or no directory"
    names: dict[str, int] = {}
    for index, collector in enumerate(config.bmp):
        if (first := names.setdefault(collector.name, index)) != index:
            yield (
                ("bmp", index, "name"),
                f"{collector.name!r} is already the name of {config.bmp[first].address}",
            )
        if collector.max_retry < collector.min_retry:
            yield (
                ("bmp", index, "max_retry"),
                f"{collector.max_retry:g} s is less than min_retry = {collector.min_retry:g}; write more, or a "
                "smaller min_retry",
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
    own = {config.router.router_id: "router_id", **dict.fromkeys(config.router.listen, "listen address")}
    for index, peer in enumerate(config.peers):
        if (first := names.setdefault(peer.name, index)) != index:
            yield ("peers", index, "name"), f"{peer.name!r} is already the name of {config.peers[first].address}"
        if (first := addresses.setdefault(peer.address, index)) != index:
            yield ("peers", index, "address"), f"{peer.address} is already the address of {config.peers[first].name}"
        if _is_another(peer.name, peer.address):
            yield (
                ("peers", index, "name"),
                f"{peer.name} is an address, and not this peer's: commands take names and addresses alike; write "
                "a name",
            )
        yield from _dialling(index, peer)
        for key, address in (("address", peer.address), *(("addresses", each) for each in peer.addresses)):
            if problem := _no_node(ipaddress.ip_address(address)):
                yield ("peers", index, key), f"{address} {problem}"
            elif address in own:
                yield ("peers", index, key), f"{address} is the router's own {own[address]}; write the node's"
    # What one node is allowed to name must not be another's, whichever of them stands first.
    for index, peer in enumerate(config.peers):
        for address in peer.addresses:
            if (first := addresses.setdefault(address, index)) != index or address == peer.address:
                owner = config.peers[first].name
                yield ("peers", index, "addresses"), f"{address} is already an address of {owner}; remove it"


def _dialling(index: int, peer: Peer) -> Iterator[Problem]:
    """Yield why a peer cannot be dialled from where it is to be."""
    if peer.local_address is None:
        return
    local = ipaddress.ip_address(peer.local_address)
    if local.version != ipaddress.ip_address(peer.address).version:
        yield (
            ("peers", index, "local_address"),
            f"nobody can dial {peer.address} from {local}; write an IPv{10 - local.version} address of this router",
        )
    elif local.is_unspecified or local.is_multicast or local.is_link_local or peer.local_address == peer.address:
        yield ("peers", index, "local_address"), f"nobody can dial from {local}; write an address of this router"


def _is_another(name: str, address: str) -> bool:
    """Tell whether a name reads as an address, and not as `address`."""
    try:
        return str(ipaddress.ip_address(name)) != address
    except ValueError:
        return False


def _no_node(address: IPv4Address | IPv6Address) -> str:
    """Return why no node can have an address, and what to write instead; empty if one can."""
    if isinstance(address, IPv6Address):
        if address.is_link_local:
            return "is link-local, which routerd has no sessions on; write the node's global (or fd00::/8) address"
        if address.ipv4_mapped is not None:
            return f"is an IPv4 address in IPv6 clothes; write {str(address.ipv4_mapped)!r}"
    return "cannot be a node's address" if address.is_multicast or address.is_unspecified else ""


def _ranges(config: Config) -> Iterator[Problem]:
    ranges: dict[str, int] = {}
    for index, dynamic in enumerate(config.dynamic_peers):
        where = ("dynamic_peers", index, "range")
        if (first := ranges.setdefault(dynamic.range, index)) != index:
            yield (
                where,
                f"{dynamic.range} is there already, with group {config.dynamic_peers[first].group}; remove one",
            )
        if dynamic.expected > dynamic.limit:
            yield (
                ("dynamic_peers", index, "expected"),
                f"{dynamic.expected} is more than limit = {dynamic.limit}; raise limit",
            )
        network = ipaddress.ip_network(dynamic.range)
        problem = _no_node(network.network_address) if network.prefixlen >= 8 else ""
        if problem:
            yield where, f"{dynamic.range} {problem}"


def _passwords(config: Config) -> Iterator[Problem]:
    """The kernel demands a range's password of every address in it that has none of its own."""
    secret = {name for name, group in config.peer_groups.items() if group.password is not None}
    ranges = [(ipaddress.ip_network(each.range), each) for each in config.dynamic_peers]
    within = [(("peers", i, "group"), ipaddress.ip_network(p.address), p.group) for i, p in enumerate(config.peers)]
    within += [(("dynamic_peers", i, "group"), network, each.group) for i, (network, each) in enumerate(ranges)]
    for where, network, group in within:
        if not secret or group in secret:
            continue
        around = [outer for outer in ranges if outer[0] != network and _inside(network, outer[0])]
        nearest = max(around, key=lambda outer: outer[0].prefixlen, default=None)
        if nearest is not None and nearest[1].group in secret and group in config.peer_groups:
            yield (
                where,
                f"{network if where[0] == 'dynamic_peers' else network.network_address} needs no password in group "
                f"{group}, but lies in the range {nearest[1].range} of group {nearest[1].group}, which has one that "
                "the kernel demands of all addresses in it; give this group a password, or take it out of the range",
            )


def _inside(inner: IPv4Network | IPv6Network, outer: IPv4Network | IPv6Network) -> bool:
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    return isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network) and inner.subnet_of(outer)


def _listening(config: Config) -> Iterator[Problem]:
    listen = [ipaddress.ip_address(text) for text in config.router.listen]
    versions = {address.version for address in listen}
    wildcards = {4: "0.0.0.0", 6: "::"}
    for index, address in enumerate(listen):
        if not address.is_unspecified and wildcards[address.version] in config.router.listen:
            yield (
                ("router", "listen"),
                f'{address} is listened on already with "{wildcards[address.version]}", and only one can be: '
                "remove one of the two",
            )
        if address.is_multicast or (
            isinstance(address, IPv6Address) and (address.is_link_local or address.ipv4_mapped)
        ):
            yield ("router", "listen"), f"listen[{index}] = {address} is none that nodes can dial; write another"
    dialling = [("peers", i, "address", peer.address) for i, peer in enumerate(config.peers) if not peer.connect]
    dialling += [("dynamic_peers", i, "range", dynamic.range) for i, dynamic in enumerate(config.dynamic_peers)]
    for section, index, key, text in dialling:
        version = ipaddress.ip_network(text).version
        if version not in versions:
            yield (
                (section, index, key),
                f'{text} cannot dial in: router.listen has no IPv{version} address; add "{wildcards[version]}"',
            )


UNROUTABLE = [
    ipaddress.ip_network(text)
    for text in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/127", "::ffff:0:0/96", "fe80::/10", "ff00::/8")
]
"""No kernel forwards to these, whatever routes say."""


def _accept(config: Config) -> Iterator[Problem]:
    for name, group in config.peer_groups.items():
        for index, text in enumerate(group.accept if isinstance(group.accept, tuple) else ()):
            network, where = ipaddress.ip_network(text), ("peer_groups", name, "accept", index)
            family = f"ipv{network.version}"
            if family not in group.families:
                yield (
                    where,
                    f"{text} is never announced: the group speaks no {family}; add it to families, or remove it",
                )
            if network.prefixlen and any(_inside(network, space) for space in UNROUTABLE):
                yield where, f"{text} cannot be routed by any router; remove it"


def _silence(config: Config) -> Iterator[Problem]:
    for name, group in config.peer_groups.items():
        if group.hold_time == 0 and config.liveness.method == "off":
            yield (
                ("peer_groups", name, "hold_time"),
                'without keepalives (0), and with liveness.method = "off", nobody would notice that a node is dead; '
                'write a hold time of at least 3, or method = "neighbour"',
            )


def _metrics(config: Config) -> Iterator[Problem]:
    section = config.metrics
    if section.listen:
        address = ipaddress.ip_address(section.place[0])
        if problem := _no_listener(address):
            yield ("metrics", "listen"), f"{address} {problem}"
        elif section.place[1] == config.router.port and {section.place[0], "0.0.0.0", "::"} & {*config.router.listen}:
            yield ("metrics", "listen"), f"port {section.place[1]} is where nodes dial in; write another one"


def _no_listener(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address) and address.is_link_local:
        return "is link-local, and says not on which link; write another address of this router"
    return "is none that anybody could dial; write an address of this router" if address.is_multicast else ""
