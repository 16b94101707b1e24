"""What routerd overrides in ExaBGP must still be there, with the arguments that it had."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Iterable
from typing import Any

from exabgp.bgp.message import Message, Notification, Notify, Open
from exabgp.bgp.timer import ReceiveTimer
from exabgp.configuration.configuration import Configuration
from exabgp.logger import log
from exabgp.reactor import loop
from exabgp.reactor import peer as peer_module
from exabgp.reactor.api.processes import Processes
from exabgp.reactor.interrupt import Signal
from exabgp.reactor.keepalive import KA
from exabgp.reactor.listener import Listener
from exabgp.reactor.network.connection import Connection
from exabgp.reactor.network.incoming import Incoming
from exabgp.reactor.peer import Peer
from exabgp.reactor.protocol import Protocol
from exabgp.version import release

from routerd.session.exabgp.timers import TIMED, clock

OLDEST = (5, 0, 15)

SIGNATURES: dict[Any, dict[str, str]] = {
    loop.Reactor: {
        "__init__": "self configuration",
        "active_peers": "self",
        "_wait_for_io": "self sleeptime",
        "reload": "self",
        "register_peer": "self name peer",
        "run": "self",
        "shutdown": "self",
    },
    Peer: {
        "__init__": "self neighbor reactor",
        "run": "self",
        "remove": "self",
        "shutdown": "self",
        "stopping": "self",
        "established": "self",
        "reestablish": "self restart_neighbor",
        "reconfigure": "self restart_neighbor",
        "resend": "self enhanced family",
        "socket": "self",
        "_main": "self",
        "_send_open": "self",
        "_close": "self message error",
        "_reset": "self message error",
    },
    Protocol: {
        "__init__": "self peer",
        "accept": "self incoming",
        "read_message": "self",
        "write": "self message negotiated",
        "validate_open": "self",
        "new_open": "self",
        "new_keepalive": "self comment",
        "new_notification": "self notification",
    },
    Incoming: {"__init__": "self afi peer local io"},
    Connection: {"writer": "self data", "close": "self"},
    Listener: {
        "__init__": "self reactor backlog",
        "listen_on": "self local_addr remote_addr port md5_password md5_base64 ttl_in",
        "incoming": "self",
        "close_unwanted": "self wanted",
    },
    Processes: {
        "start": "self configuration restart",
        "terminate": "self",
        "broken": "self neighbor",
        "received": "self",
        "answer_error": "self service",
    },
    Configuration: {"__init__": "self configurations text", "reload": "self"},
    Notify: {"__init__": "self code subcode data"},
    Notification: {"unpack_message": "data direction negotiated"},
    Open: {"__init__": "self version asn hold_time router_id capabilities"},
    ReceiveTimer: {
        "__init__": "self session holdtime code subcode message",
        "check_ka_timer": "self message ignore",
        "check_ka": "self message ignore",
    },
    KA: {"__init__": "self session proto", "__call__": "self"},
    log: dict.fromkeys(("debug", "info", "warning", "error", "critical", "fatal"), "message source level"),
}

NAMES: tuple[tuple[Any, str], ...] = (
    (loop, "Peer"),
    (loop, "Processes"),
    (peer_module, "ReceiveTimer"),
    (peer_module, "KA"),
    (Signal, "SHUTDOWN"),
    (Signal, "rearm"),
    *((Signal, name) for name in ("sigterm", "sighup", "sigalrm", "sigusr1", "sigusr2")),
    (Message, "MARKER"),
)


class ContractError(RuntimeError):
    """The installed ExaBGP is not the one that routerd was written against."""


def assert_contract() -> None:
    """Check version, names and signatures; ContractError names all that is different."""
    broken = list(breaches())
    if broken:
        raise ContractError(f"ExaBGP {release} does not fit routerd: " + "; ".join(broken))


def breaches() -> Iterable[str]:
    """Yield a line for each thing that is not as routerd needs it."""
    version = tuple(int(part) for part in release.split(".")[:3] if part.isdigit())
    if not OLDEST <= version < (6,):
        yield f"version {release} is not >= 5.0.15 and < 6"
    for owner, methods in SIGNATURES.items():
        for name, wanted in methods.items():
            function = getattr(owner, name, None)
            if function is None:
                yield f"{owner.__name__}.{name} is gone"
            elif (found := " ".join(inspect.signature(function).parameters)) != wanted:
                yield f"{owner.__name__}.{name} takes ({found}), not ({wanted})"
    for owner, name in NAMES:
        if not hasattr(owner, name):
            yield f"{owner.__name__}.{name} is gone"
    for name in TIMED:
        if getattr(sys.modules.get(name), "time", None) not in (time, clock):
            yield f"{name} does not ask the time of a module `time`"
