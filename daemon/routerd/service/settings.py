"""The kernel's settings: made at the start, and verified at each audit and whenever somebody changes one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

import structlog

from routerd.api.views import kernel as view
from routerd.config.model import FibSection
from routerd.core.message import HostState, Interface, SysctlState
from routerd.kernel.host import Host
from routerd.kernel.sysctl import SettingChanges, Sysctls

PAUSE = 1.0
"""Seconds between two looks at least: somebody else may want another value, again and again."""

log = structlog.get_logger()


class Settings:
    """What `fib` asks for, and what `follow` asks for of interfaces. They stay when routerd ends."""

    def __init__(self, fib: FibSection) -> None:
        self._manage = fib.manage_sysctls
        self._interval = fib.audit_interval
        self._sysctls = Sysctls(fib)
        self._host = Host()
        self._configured = asyncio.Event()
        self._left: dict[str, str] = {}
        """What stood there at the last look; nothing of what is new."""

    def begin(self) -> None:
        """Make the settings, and log what was found."""
        states = self._sysctls.apply(self._manage)
        self._left = {state.name: state.current for state in states}
        for state in states:
            log.info("sysctl", **view.sysctl(state))

    def configure(self, fib: FibSection) -> None:
        """Go on with another configuration, at once."""
        self._manage, self._interval = fib.manage_sysctls, fib.audit_interval
        self._sysctls.configure(fib)
        self._configured.set()
        self.verify()

    def read(self) -> list[SysctlState]:
        """Return what stands there now."""
        return self._sysctls.apply(manage=False)

    def host(self, interfaces: Collection[Interface], now: float, nodes: Collection[int] = ()) -> HostState:
        """Return what else decides whether packets get through on these interfaces, of which `nodes` lead there."""
        return self._host.read(interfaces, now, nodes)

    def follow(self, settings: dict[str, str]) -> None:
        """From now on these are the settings of the interfaces in use."""
        self._sysctls.follow(settings)
        self._left = {name: value for name, value in self._left.items() if name not in settings}
        self.verify()

    async def keep(self) -> None:
        """Verify the settings at each audit, and when the kernel tells that one of an interface has changed."""
        changes = SettingChanges()
        try:
            while True:
                await self._due(changes)
                await asyncio.sleep(PAUSE)
                self.verify()
                try:
                    self.host((), time.monotonic())  # so that it knows which counters rise
                except OSError as error:
                    log.warning("the host's counters could not be read", reason=str(error))
        finally:
            changes.close()

    def verify(self) -> None:
        """Make anew what is not as wanted, and log what somebody has changed."""
        before, found = self._left, self.read()
        made = found if all(state.ok for state in found) else self._sysctls.apply(self._manage)
        self._left = {state.name: state.current for state in made}
        for was, state in zip(found, made, strict=True):
            changed = was.current and was.current != before.get(was.name, was.current)
            if self._manage and changed and not was.ok:
                log.warning("sysctl was changed by someone else", was=was.current, **view.sysctl(state))

    async def _due(self, changes: SettingChanges) -> None:
        """Wait until something is said to have changed, or the time of an audit has come."""
        self._configured.clear()
        waits = [asyncio.ensure_future(changes.heard()), asyncio.ensure_future(self._configured.wait())]
        try:
            done, _ = await asyncio.wait(waits, timeout=self._interval, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                await each
        finally:
            for each in waits:
                each.cancel()
