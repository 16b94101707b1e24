"""Doubts about a valid configuration: what is of no use, and what it names that this host has not."""

from __future__ import annotations

import errno
import grp
import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path

from routerd.config import keyfile
from routerd.config.contradictions import Problem
from routerd.config.metrics import MetricsSection
from routerd.config.model import Config
from routerd.config.pairing import doubts_of_pair, unusable_files


def unwise(config: Config) -> Iterator[Problem]:
    """Yield what is valid and of no use."""
    used = {peer.group for peer in config.peers} | {dynamic.group for dynamic in config.dynamic_peers}
    for name, group in config.peer_groups.items():
        if name in used and group.accept is None:
            yield (
                ("peer_groups", name),
                "without accept nothing that these peers announce is accepted (RFC 8212); "
                'write accept = ["172.16.0.0/16"], or what they shall announce',
            )
        if name in used and "networks" in group.advertise and not config.router.networks:
            yield (
                ("peer_groups", name, "advertise"),
                '"networks" are those of [router], which has none; write networks = [...] there',
            )
        if name not in used:
            yield ("peer_groups", name), "no peer and no range belongs to this group"
    for index, peer in enumerate(config.peers):
        for key in ("port", "local_address"):
            if not peer.connect and getattr(peer, key) != type(peer).model_fields[key].default:
                yield ("peers", index, key), f"nobody dials {peer.name}; write connect = true, or remove {key}"
    for index, dynamic in enumerate(config.dynamic_peers):
        if dynamic.range in ("0.0.0.0/0", "::/0") and config.peer_groups[dynamic.group].password is None:
            yield (
                ("dynamic_peers", index, "range"),
                f"{dynamic.range} without a password lets everybody in who reaches this router; write the network "
                "of the nodes",
            )
    yield from _metrics(config.metrics)
    yield from doubts_of_pair(config)
    if not used:
        yield (), "there are no [[peers]] and no [[dynamic_peers]]: every node is refused"


def _metrics(section: MetricsSection) -> Iterator[Problem]:
    for key in ("token_file", "certificate", "key"):
        if getattr(section, key) and not section.listen:
            yield ("metrics", key), "metrics are served on the Unix socket alone; write listen, or remove it"
    if section.key and not section.certificate:
        yield (
            ("metrics", "key"),
            "without its certificate it is of no use: there is no TLS; write certificate = ...",
        )
    if section.listen and not section.local and section.token_file and not section.certificate:
        yield (
            ("metrics", "token_file"),
            "whoever can listen on the way reads the token; write certificate and key, or let metrics listen on a "
            "loopback address",
        )


def missing(config: Config) -> Iterator[Problem]:
    """Yield what this host has not, at this moment. Asks the user database and the kernel."""
    for key, group in (("group", config.api.group), ("readers", config.api.readers)):
        try:
            grp.getgrnam(group or "root")
        except KeyError:
            yield (
                ("api", key),
                f"this host has no group {group}: root alone could use the socket; groupadd --system {group}",
            )
    for index, address in enumerate(config.router.listen):
        if not _is_here(address):
            yield (
                ("router", "listen", index),
                f"this host has no address {address}: nobody could dial in there; ip address show",
            )
    if config.metrics.listen and not _is_here(config.metrics.place[0]):
        yield (
            ("metrics", "listen"),
            f"this host has no address {config.metrics.place[0]}: nobody could scrape there; ip address show",
        )
    if config.pair.partner and config.pair.listen and not _is_here(config.pair.listen):
        yield (
            ("pair", "listen"),
            f"this host has no address {config.pair.listen}: there would be no link to {config.pair.partner}; "
            "ip address show",
        )
    files = [("metrics", key, getattr(config.metrics, key)) for key in ("token_file", "certificate", "key")]
    if config.mqtt.broker:
        keys = ("password_file", "ca_file", "certificate_file", "key_file")
        files += [("mqtt", key, getattr(config.mqtt, key)) for key in keys]
    for section, key, path in files:
        if path and not Path(path).is_file():
            yield (section, key), f"this host has no file {path}"
    if config.mqtt.broker and config.mqtt.fleet_key_file:
        try:
            keyfile.read(config.mqtt.fleet_key_file)
        except ValueError as error:
            yield ("mqtt", "fleet_key_file"), str(error)
    yield from unusable_files(config)
    for index, peer in enumerate(config.peers):
        if peer.connect and peer.local_address is not None and not _is_here(peer.local_address):
            yield (
                ("peers", index, "local_address"),
                f"this host has no address {peer.local_address}, from which {peer.name} is to be dialled; "
                "ip address show",
            )


def _is_here(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    if parsed.is_unspecified:
        return True
    family = socket.AF_INET if parsed.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True
