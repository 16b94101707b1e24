"""The seed of the hash by which the kernel chooses among next hops (net.ipv4.fib_multipath_hash_seed, Linux 6.11).

It is that of IPv6, too, and of a network namespace. Another seed moves every flow, once: so it is set while there is
nothing to move, and kept from then on.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from routerd.core.message import SysctlState

NAME = "net.ipv4.fib_multipath_hash_seed"
PATH = Path("/proc/sys", *NAME.split("."))

_LABEL = b"routerd hash seed "


def derived(secret: bytes) -> int:
    """Return the seed of all who share a secret: 32 bits, never 0, for that has the kernel make its own."""
    for number in range(256):
        digest = hmac.digest(secret, _LABEL + bytes([number]), "sha256")
        if seed := int.from_bytes(digest[:4], "big"):
            return seed
    raise AssertionError("256 digests in a row begin with 32 zero bits")


def hash_seed() -> str:
    """Return a fingerprint of the seed; `random` if the kernel has made its own, empty if it has no such setting."""
    try:
        return fingerprint(int(PATH.read_text()))
    except (OSError, ValueError):
        return ""


def fingerprint(seed: int) -> str:
    """Return four digits that tell two seeds apart, and tell nobody which one it is: who knows it can make all flows
    meet in a node. `random` for 0."""
    return hashlib.sha256(str(seed).encode()).hexdigest()[:4] if seed else "random"


class HashSeed:
    """The seed that the kernel is to have, as a setting that shows only fingerprints. `kept`: it was there, and is
    set again if somebody sets another one, which moves flows back to where they were. `path` is a stand-in in tests.
    """

    name = NAME

    def __init__(self, wanted: int, path: Path = PATH) -> None:
        self.wanted = wanted
        self.kept = False
        self._path = path
        self._found: str | None = None

    @property
    def current(self) -> str:
        """A fingerprint of what is there, empty if it cannot be read."""
        return self._read()[0]

    def apply(self, manage: bool) -> SysctlState:
        """Set it if `manage` and it was there before; return it as it is, with what was in the way."""
        return self.set() if manage and self.kept else self._state()

    def set(self) -> SysctlState:
        """Set it, whatever flows there are."""
        before = self._state()
        if before.ok or before.problem:
            return before
        try:
            self._path.write_text(f"{self.wanted}\n")
        except OSError as error:
            return self._state(f"cannot write it: {error.strerror}")
        return self._state()

    def _state(self, problem: str = "") -> SysctlState:
        current, unread = self._read()
        self._found = current if self._found is None else self._found
        state = SysctlState(NAME, fingerprint(self.wanted), self._found, current, problem or unread)
        self.kept = self.kept or state.ok
        return state

    def _read(self) -> tuple[str, str]:
        """Return a fingerprint of what is there, or an empty one and why it cannot be read."""
        try:
            with self._path.open("rb", buffering=0) as file:  # as it is read several times a second
                return fingerprint(int(file.read())), ""
        except FileNotFoundError:
            return "", "this kernel has no such setting: Linux 6.11 has"
        except OSError as error:
            return "", f"cannot read it: {error.strerror}"
