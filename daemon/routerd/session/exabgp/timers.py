"""ExaBGP's timers, on the monotonic clock: a step of the wall clock must neither end a session nor silence one."""

from __future__ import annotations

import sys
import time
from typing import Any

from exabgp.bgp.message import _NOP
from exabgp.bgp.timer import ReceiveTimer
from exabgp.reactor import peer

TIMED = ("exabgp.bgp.timer", "exabgp.reactor.delay", "exabgp.reactor.loop", "exabgp.reactor.peer")
"""The modules of ExaBGP whose timers routerd runs."""


class Clock:
    """Stands where a module of ExaBGP keeps `time`: its `time()` is CLOCK_MONOTONIC, all else is as it was."""

    time = staticmethod(time.monotonic)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


clock = Clock()


class HoldTimer(ReceiveTimer):  # type: ignore[misc]
    """ExaBGP's hold timer. With a hold time of 0 a KEEPALIVE is not expected, and no error (RFC 4271 section 4.4)."""

    def check_ka(self, message: Any = _NOP, ignore: Any = _NOP.TYPE) -> None:
        """Note what came; Notify once nothing has come for the hold time."""
        self.check_ka_timer(message, ignore)


class Keepalives:
    """Stands where ExaBGP asks in each step of a session whether a KEEPALIVE is to go out, and has it sent."""

    def __init__(self, session: Any, proto: Any) -> None:
        self._proto = proto

    def __call__(self) -> bool:
        """Send one if it is time; False, as nothing is left to do then."""
        self._proto.keep_alive()
        return False


def install() -> None:
    """Give every module of ExaBGP that asks the time our clock, and its sessions our timers."""
    for name, module in list(sys.modules.items()):
        if name.startswith("exabgp.") and getattr(module, "time", None) is time:
            module.time = clock  # type: ignore[attr-defined]
    peer.ReceiveTimer, peer.KA = HoldTimer, Keepalives
