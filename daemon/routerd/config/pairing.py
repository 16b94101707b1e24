"""What is wrong with `[pair]` beside the rest of the configuration, and what is of no use in one."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from routerd.config import keyfile
from routerd.config.model import Config

if TYPE_CHECKING:
    from routerd.config.contradictions import Problem

TLS = ("certificate_file", "private_key_file", "ca_file")


def contradictions_of_pair(config: Config) -> Iterator[Problem]:
    """Yield what keeps the two from being a pair."""
    pair = config.pair
    if not pair.partner:
        return
    if pair.partner == config.name_in_pair:
        key = "router" if pair.router else "partner"
        yield (
            ("pair", key),
            f'{pair.partner} is this router and its partner; write router = "..." and partner = "..."',
        )
    if not pair.key_file:
        yield ("pair", "key_file"), 'the two have no key; write key_file = "/etc/routerd/pair.key", the same on both'
    if config.fib.groups == "hash-threshold":
        yield (
            ("fib", "groups"),
            'a pair agrees on the buckets of resilient groups, and hash-threshold ones have none; write "resilient"',
        )
    there = [key for key in TLS if getattr(pair, key)]
    if there and len(there) < len(TLS):
        needed = " and ".join(key for key in TLS if key not in there)
        yield ("pair", there[0]), f"TLS takes three files; write {needed} as well"
    yield from (_broker if pair.channel == "mqtt" else _link)(config)


def _broker(config: Config) -> Iterator[Problem]:
    pair = config.pair
    if not config.mqtt.broker:
        yield ("pair", "channel"), 'there is no broker; write broker = "mqtts://..." in [mqtt], or channel = "link"'
    if pair.router and pair.router != config.name_at_broker:
        yield (
            ("pair", "router"),
            f"at the broker this router is {config.name_at_broker}, and so it is for its partner; remove it here, "
            "and write router in [mqtt]",
        )


def _link(config: Config) -> Iterator[Problem]:
    pair = config.pair
    if not pair.address:
        yield ("pair", "address"), f'where {pair.partner} is is not said; write address = "...", its address'
    own = {config.router.router_id, *config.router.listen, pair.listen}
    for key, text in (("address", pair.address), ("listen", pair.listen)):
        if text and (problem := _no_end(text)):
            yield ("pair", key), f"{text} {problem}"
    if pair.address in own - {""}:
        yield ("pair", "address"), f"{pair.address} is this router's own address; write that of {pair.partner}"
    if pair.address and pair.listen and (":" in pair.address) != (":" in pair.listen):
        version = 6 if ":" in pair.listen else 4
        yield ("pair", "address"), f"nobody dials {pair.address} from {pair.listen}; write an IPv{version} address"
    for whose, port, addresses in _ports(config):
        if port == pair.port and (not pair.listen or {pair.listen, "0.0.0.0", "::"} & {*addresses}):
            yield ("pair", "port"), f"port {port} is that of {whose}; write another one, the same on both routers"


def _no_end(text: str) -> str:
    """Return why a link can have no end at an address; empty if it can."""
    address = ipaddress.ip_address(text)
    if address.is_link_local and address.version == 6 and "%" not in text:
        return f'is link-local, and says not on which link; write such as "{text}%eth0"'
    if address.is_multicast or address.is_unspecified:
        return "is no address of a router; write one"
    return ""


def _ports(config: Config) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    """Yield who else listens, on which port and addresses."""
    yield "[router]", config.router.port, config.router.listen
    if config.metrics.listen:
        address, port = config.metrics.place
        yield "[metrics]", port, (address,)
    if config.looking_glass.listen:
        yield "[looking_glass]", config.looking_glass.port, config.looking_glass.listen


def doubts_of_pair(config: Config) -> Iterator[Problem]:
    """Yield what is valid, and of no use in a pair or without one."""
    pair = config.pair
    if not pair.partner:
        for key in ("router", "address", "key_file", *TLS):
            if getattr(pair, key):
                yield ("pair", key), 'there is no pair without a partner; write partner = "...", or remove it'
        return
    if config.fib.hash_policy != "five-tuple":
        yield (
            ("fib", "hash_policy"),
            f'in a pair "{config.fib.hash_policy}" may send a flow to another node on the partner: the kernel takes '
            "the hash that a card or the sender left on the packet, or no ports of fragments; write "
            'hash_policy = "five-tuple", on both',
        )
    if config.fib.unbalanced_timer:
        yield ("fib", "unbalanced_timer"), "has no effect in a pair: no bucket moves under a flow; remove it"
    if not config.fib.manage_sysctls:
        yield (
            ("fib", "manage_sysctls"),
            "so the seed of the kernel's hash is not set: set net.ipv4.fib_multipath_hash_seed, the same on both, or "
            "write true",
        )
    if pair.channel == "mqtt":
        for key in ("address", "listen", *TLS):
            if getattr(pair, key):
                yield ("pair", key), 'is of no use over the broker; write channel = "link", or remove it'


def unusable_files(config: Config) -> Iterator[Problem]:
    """Yield why there can be no channel to the partner, by the key and the files of TLS as they are now."""
    if config.pair.partner:
        try:
            keyfile.read(config.pair.key_file)
        except ValueError as error:
            yield ("pair", "key_file"), str(error)
    if config.pair.tls:
        from routerd.config.certificates import read  # few have any

        try:
            read(config.pair.files)
        except ValueError as error:
            key, _, what = str(error).partition(": ")
            yield ("pair", key), what


def unreachable_partner(config: Config, own: Collection[str]) -> Iterator[Problem]:
    """Yield why the partner cannot be where it is said to be, by the router's `own` addresses."""
    pair = config.pair
    if pair.partner and pair.channel == "link" and pair.address in own:
        yield ("pair", "address"), f"{pair.address} is this router's own address; write that of {pair.partner}"
