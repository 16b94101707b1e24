"""The kernel settings that forwarding over nexthop groups needs: read, set, read back, explained.

`net.ipv4.fib_multipath_use_neigh` is left alone: it speaks of routes without nexthop objects only. A
hash-threshold group always skips a failed neighbour, a resilient one never (kernel: net/ipv4/nexthop.c).

`net.ipv6.conf.all.forwarding=1` makes every interface ignore router advertisements: a router that has its own
IPv6 default route from one needs `accept_ra=2` on that interface.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Mapping
from pathlib import Path

from routerd.config.model import FibSection
from routerd.core.message import SysctlState
from routerd.kernel import wire

PROC_SYS = Path("/proc/sys")

_POLICY = {"l3": "0", "l4": "1", "five-tuple": "3"}
_FIVE_TUPLE = str(0x37)
"""FIB_MULTIPATH_HASH_FIELD_: source and destination address, protocol, source and destination port."""
_HASHING = ("net.ipv4.fib_multipath_hash_", "net.ipv6.fib_multipath_hash_")
_LONG = 64
"""Octets: more than such a setting has."""
_RTMGRP_NETCONF = 1 << 23 | 1 << 24
"""RTNLGRP_IPV4_NETCONF and RTNLGRP_IPV6_NETCONF."""


class Sysctls:
    """What `fib` of the configuration asks of /proc/sys, in the network namespace of the caller.

    `root` stands in for /proc/sys in tests.
    """

    def __init__(self, fib: FibSection, root: Path = PROC_SYS) -> None:
        self._wanted = wanted(fib)
        self._root = root
        self._interfaces: dict[str, str] = {}
        self._found: dict[str, str] = {}
        self._hashing: list[tuple[int, bytes]] = []
        """File descriptors of what `stands` reads, and what was there: it is read often, so by few steps."""

    def close(self) -> None:
        """Close what was kept open."""
        hashing, self._hashing = self._hashing, []
        for fd, _ in hashing:
            os.close(fd)

    def configure(self, fib: FibSection) -> None:
        """Take over a changed configuration; what was found at first stays remembered."""
        self._wanted = wanted(fib)

    def follow(self, settings: dict[str, str]) -> None:
        """Ask for these settings of interfaces, name to value, from the next `apply` on, and forget those before."""
        for name in self._interfaces.keys() - settings.keys():
            self._found.pop(name, None)
        self._interfaces = settings

    def rehashed(self, left: Mapping[str, str]) -> bool:
        """Tell whether the hash by which flows are spread is set otherwise than it was `left`, by name; `stands` goes
        by what is there now. The settings may be absent."""
        self.close()
        now: dict[str, str] = {}
        for name in filter(lambda name: name.startswith(_HASHING), self._wanted):
            now[name] = ""
            with contextlib.suppress(OSError):
                fd = os.open(_path(self._root, name), os.O_RDONLY | os.O_CLOEXEC)
                self._hashing.append((fd, b""))
                said = os.pread(fd, _LONG, 0)
                self._hashing[-1] = fd, said
                now[name] = said.decode(errors="replace").strip()
        return any(left.get(name, value) != value for name, value in now.items())

    def stands(self) -> bool:
        """Tell whether that hash is as `rehashed` found it. May be called in another thread."""
        try:
            for fd, said in self._hashing:
                if os.pread(fd, _LONG, 0) != said:
                    return False
        except OSError:
            return False
        return True

    def apply(self, manage: bool) -> list[SysctlState]:
        """Set what differs if `manage`, read all back and return it, with what was in the way.

        Nothing is raised: /proc/sys may be read-only (containers, ProtectKernelTunables) or lack a setting.
        """
        return [self._apply(name, value, manage) for name, value in (self._wanted | self._interfaces).items()]

    def _apply(self, name: str, value: str, manage: bool) -> SysctlState:
        path = _path(self._root, name)
        current, problem = _read(path)
        found = self._found.setdefault(name, current)
        if manage and not problem and current != value:
            problem = _write(path, value)
            current, _ = _read(path)
        return SysctlState(name, value, found, current, problem)


class SettingChanges:
    """Hears that a setting of an interface, or of all, was changed, or an interface made (RTM_NEWNETCONF)."""

    def __init__(self) -> None:
        self._socket = wire.open_socket(groups=_RTMGRP_NETCONF)
        self._socket.setblocking(False)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    async def heard(self) -> None:
        """Wait for a change."""
        try:
            await asyncio.get_running_loop().sock_recv(self._socket, 65536)
            while self._socket.recv(65536):
                pass
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # more changes than the buffer holds
                raise


def wanted(fib: FibSection) -> dict[str, str]:
    """Return the settings, dotted name to value, that a configuration asks for."""
    settings = {
        "net.ipv4.ip_forward": "1",
        "net.ipv6.conf.all.forwarding": "1",
        "net.ipv4.fib_multipath_hash_policy": _POLICY[fib.hash_policy],
        "net.ipv6.fib_multipath_hash_policy": _POLICY[fib.hash_policy],
        "net.ipv4.nexthop_compat_mode": str(int(fib.compat_mode)),
    }
    if fib.hash_policy == "five-tuple":
        settings["net.ipv4.fib_multipath_hash_fields"] = _FIVE_TUPLE
        settings["net.ipv6.fib_multipath_hash_fields"] = _FIVE_TUPLE
    return settings


def hash_policy(root: Path = PROC_SYS) -> str:
    """Return the kernel's hash policy by the name that `[fib]` has for it, or by its number; of both families, where
    these differ. Empty if none can be read."""
    names: dict[str, None] = {}
    for family in ("ipv4", "ipv6"):
        policy, unread = _read(root / "net" / family / "fib_multipath_hash_policy")
        fields, _ = _read(root / "net" / family / "fib_multipath_hash_fields")
        name = next((name for name, number in _POLICY.items() if number == policy), policy)
        if name == "five-tuple" and fields != _FIVE_TUPLE:
            name = f"{policy} of fields {fields}"
        if not unread:  # as where there is no IPv6
            names[name] = None
    return " and ".join(names)


def _path(root: Path, name: str) -> Path:
    # As sysctl(8) has it: with slashes, a dot is part of a name, such as that of a VLAN's interface.
    return root.joinpath(*name.split("/" if "/" in name else "."))


def _read(path: Path) -> tuple[str, str]:
    """Return the value, or an empty one and why it cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:  # without what text needs: this is read often
            return file.read(4096).decode(errors="replace").strip(), ""
    except OSError as error:
        return "", f"cannot read it: {error.strerror}"


def _write(path: Path, value: str) -> str:
    """Return why the value cannot be written, or nothing."""
    try:
        path.write_text(f"{value}\n")
    except OSError as error:
        return f"cannot write it: {error.strerror}"
    return ""
