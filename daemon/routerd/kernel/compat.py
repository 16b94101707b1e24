"""net.ipv4.nexthop_compat_mode, off for the moment of a change.

With the mode on, `ip route` shows the legs of a route, as operators expect. But then the kernel
tells its listeners of every route whose group was replaced, which takes 0.1 s at 100,000 routes. Nobody needs that:
what changed is the group, and they are told of it in any case.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from routerd.kernel.requests import Refusals, Requests

PATH = Path("/proc/sys/net/ipv4/nexthop_compat_mode")


class CompatMode:
    """The setting of the network namespace in which it is made. Without permission to write it stays as it is."""

    def __init__(self, path: Path = PATH) -> None:
        try:
            self._file: int | None = os.open(path, os.O_RDWR)
        except OSError:
            # Read-only /proc/sys, or a kernel without the setting: replacing takes longer, and does the same.
            self._file = None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)

    @contextmanager
    def off(self) -> Iterator[None]:
        """Switch the mode off, and back to what it was."""
        if self._file is None or os.pread(self._file, 2, 0)[:1] != b"1":
            yield
            return
        os.pwrite(self._file, b"0\n", 0)
        try:
            yield
        finally:
            os.pwrite(self._file, b"1\n", 0)

    def transmit(self, requests: Requests, messages: Sequence[bytes]) -> Refusals:
        """Send messages with the mode off."""
        with self.off():
            return requests.transmit(messages)
