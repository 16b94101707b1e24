"""Network namespaces for tests: made with unique names, entered, wired together, and always removed.

    with namespace() as router, namespace() as node:
        veth(router, "eth0", node, "eth0")
        router.address("eth0", "10.0.0.1/24")
        with router.enter():          # this thread's sockets and /proc/sys/net are the namespace's
            ...

Needs root, iproute2 and a kernel with namespaces; `needs_root` skips a test without them.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count()

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and iproute2 for network namespaces"
)
"""Mark for tests (or `pytestmark` for modules) that make namespaces."""


class Namespace:
    """A network namespace, by its name under /run/netns. Made by `namespace`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command inside and return its output; AssertionError with what it said if it fails."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.name, *command], capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}: {done.stderr or done.stdout}")
        return done.stdout

    def spawn(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command inside and return it running; `options` go to Popen. The caller ends it."""
        return subprocess.Popen(["ip", "netns", "exec", self.name, *command], text=True, **options)

    def ip(self, *arguments: str) -> str:
        """Run `ip` inside."""
        return self.run("ip", *arguments)

    def ip_json(self, *arguments: str) -> Any:
        """Run `ip -j -d` inside and return what it printed, parsed (an empty list for nothing)."""
        return json.loads(self.run("ip", "-j", "-d", *arguments) or "[]")

    def address(self, interface: str, *addresses: str) -> None:
        """Add addresses (`10.0.0.1/24`, `fd00::1/64`) and set the interface up; IPv6 ones are usable at once."""
        self.ip("link", "set", interface, "up")
        for address in addresses:
            self.ip("address", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))

    def bridge(self, name: str, *addresses: str) -> None:
        """Add a bridge and set it up, with addresses."""
        self.ip("link", "add", name, "type", "bridge")
        self.address(name, *addresses)

    def sysctl(self, **settings: int | str) -> None:
        """Write settings, a double underscore for the dot: `sysctl(net__ipv4__ip_forward=1)`."""
        for name, value in settings.items():
            self.run("sysctl", "-qw", f"{name.replace('__', '.')}={value}")

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Move the calling thread into the namespace, and back at the end. Its new threads and children inherit."""
        with open("/proc/thread-self/ns/net", "rb") as before, Path("/run/netns", self.name).open("rb") as inside:
            _setns(inside.fileno())
            try:
                yield
            finally:
                _setns(before.fileno())


@contextmanager
def namespace(role: str = "") -> Iterator[Namespace]:
    """Make a namespace with its loopback up; remove it, and the processes left in it, at the end."""
    name = f"rd-{os.getpid()}-{next(_numbers)}{'-' + role if role else ''}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        made = Namespace(name)
        made.ip("link", "set", "lo", "up")
        yield made
    finally:
        pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
        if left := [pid for pid in pids.stdout.split() if int(pid) != os.getpid()]:
            subprocess.run(["kill", "-9", *left], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "delete", name], check=True)


def veth(near: Namespace, near_name: str, far: Namespace, far_name: str) -> None:
    """Join two namespaces with a veth pair, both ends up."""
    near.ip("link", "add", near_name, "type", "veth", "peer", "name", far_name, "netns", far.name)
    near.ip("link", "set", near_name, "up")
    far.ip("link", "set", far_name, "up")


@contextmanager
def routing() -> Iterator[Namespace]:
    """Make a namespace with `eth0` (10.0.0.1/24, fd00::1/64) and `eth1` (10.0.1.1/24, fd01::1/64), both with carrier.

    The far ends are inside too (`far0`, `far1`), so that a test can take the carrier away.
    """
    with namespace("router") as made:
        for index in range(2):
            veth(made, f"eth{index}", made, f"far{index}")
            made.address(f"eth{index}", f"10.0.{index}.1/24", f"fd0{index}::1/64")
        yield made


@pytest.fixture
def router() -> Iterator[Namespace]:
    """The namespace of `routing`. The test runs outside: `with router.enter()`."""
    with routing() as made:
        yield made


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}")
