"""The kernel's settings: made at the start, and verified at each audit and whenever somebody changes one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

import structlog

from routerd.api.views import kernel as view
from routerd.config.model import FibSection
from routerd.core.message import HostState, Interface, SysctlState
from routerd.kernel.dump import nexthops
from routerd.kernel.host import Host
from routerd.kernel.owned import own_nexthops
from routerd.kernel.sysctl import SettingChanges, Sysctls
from routerd.service import looks

if TYPE_CHECKING:
    from routerd.kernel.hash_seed import HashSeed

PAUSE = 1.0
"""Seconds between two looks at least: somebody else may want another value, again and again."""
HASH_LOOK = 0.25
"""Seconds between two looks at what flows are spread by: nobody tells of changes, as when the files of sysctl.d are
set again, and each moves flows."""
ROUTED = "there were flows when it was to be set, and each moves once"
UNMANAGED = "[fib] manage_sysctls is false"

log = structlog.get_logger()


class Settings:
    """What `fib` asks for, what `follow` asks for of interfaces, and the seed that is wanted. They stay when routerd
    ends."""

    def __init__(self, fib: FibSection) -> None:
        self._manage = fib.manage_sysctls
        self._interval = fib.audit_interval
        self._ids = fib.ids
        self._sysctls = Sysctls(fib)
        self._seed: HashSeed | None = None
        self.unset = ""
        """Why the seed that is wanted was not set, if it was not."""
        self._host = Host()
        self._configured = asyncio.Event()
        self._left: dict[str, str] = {}
        """What stood there at the last look; nothing of what is new."""

    def begin(self) -> None:
        """Make the settings, and log what was found."""
        states = self._apply(self._manage)
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
        return self._apply(manage=False)

    def _apply(self, manage: bool) -> list[SysctlState]:
        seed = [] if self._seed is None else [self._seed.apply(manage)]
        return [*self._sysctls.apply(manage), *seed]

    def host(self, interfaces: Collection[Interface], now: float, nodes: Collection[int] = ()) -> HostState:
        """Return what else decides whether packets get through on these interfaces, of which `nodes` lead there."""
        return self._host.read(interfaces, now, nodes)

    def follow(self, settings: dict[str, str]) -> None:
        """From now on these are the settings of the interfaces in use."""
        self._sysctls.follow(settings)
        self._left = {name: value for name, value in self._left.items() if name not in settings}
        self.verify()

    def want_seed(self, seed: int) -> None:
        """From now on the kernel's hash is to have this seed, or any if it is 0. It is set at once if the kernel has
        no group of routerd's, and kept; else that is for `set_seed`. Raises OSError if netlink fails."""
        from routerd.kernel.hash_seed import HashSeed  # which no router needs that is alone

        if self._seed is not None and self._seed.wanted == seed:
            return
        self._seed = HashSeed(seed) if seed else None
        if self._seed is not None:
            _, groups = nexthops()
            why = "" if self._manage else UNMANAGED
            if own_nexthops((), groups, self._ids):
                why = why or ROUTED
            self._note_seed(self._seed.apply(manage=False) if why else self._seed.set(), why)

    def set_seed(self) -> SysctlState | None:
        """Set the seed that is wanted, which moves every flow once, and return how it is; None if any will do."""
        state = None if self._seed is None else self._seed.set()
        if state is not None:
            self._note_seed(state)
        return state

    def _note_seed(self, state: SysctlState, why: str = "") -> None:
        self.unset = "" if state.ok else state.problem or why
        self._left[state.name] = state.current
        log.info("sysctl", **view.sysctl(state))

    async def keep(self) -> None:
        """Verify the settings at each audit, and when the kernel tells that one of an interface has changed."""
        changes = SettingChanges()
        try:
            while True:
                await self._due(changes)
                self.verify()
                await asyncio.sleep(PAUSE)
                try:
                    self.host((), time.monotonic())  # so that it knows which counters rise
                except OSError as error:
                    log.warning("the host's counters could not be read", reason=str(error))
        finally:
            changes.close()
            self._sysctls.close()

    def verify(self) -> None:
        """Make anew what is not as wanted, and log what somebody has changed."""
        before, found = self._left, self.read()
        made = found if all(state.ok for state in found) else self._apply(self._manage)
        self._left = {state.name: state.current for state in made}
        for was, state in zip(found, made, strict=True):
            changed = was.current and was.current != before.get(was.name, was.current)
            if self._manage and changed and not was.ok:
                log.warning("sysctl was changed by someone else", was=was.current, **view.sysctl(state))

    def _moved(self) -> bool:
        """Tell whether flows are spread otherwise than when that was waited for first."""
        return not self._sysctls.stands() or (self._seed is not None and self._reseeded(self._seed))

    def _reseeded(self, seed: HashSeed) -> bool:
        now = seed.current
        return self._left.get(seed.name, now) != now

    async def _due(self, changes: SettingChanges) -> None:
        """Wait until something is said to have changed, the time of an audit has come, or flows move."""
        self._configured.clear()
        if self._sysctls.rehashed(self._left):
            return
        waits = changes.heard(), self._configured.wait(), looks.until(HASH_LOOK, self._moved)
        tasks = [asyncio.ensure_future(each) for each in waits]
        try:
            done, _ = await asyncio.wait(tasks, timeout=self._interval, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                await each
        finally:
            for each in tasks:
                each.cancel()
