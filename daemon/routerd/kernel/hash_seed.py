"""The seed of the hash by which the kernel chooses among next hops (net.ipv4.fib_multipath_hash_seed, Linux 6.11)."""

from __future__ import annotations

import hashlib
from pathlib import Path

_SEED = Path("/proc/sys/net/ipv4/fib_multipath_hash_seed")


def hash_seed() -> str:
    """Return a fingerprint of the seed; `random` if the kernel has made its own, empty if it has no such setting.

    Four digits tell two seeds apart, and tell nobody which one it is: who knows it can make all flows meet in a node.
    """
    try:
        seed = int(_SEED.read_text())
    except (OSError, ValueError):
        return ""
    return hashlib.sha256(str(seed).encode()).hexdigest()[:4] if seed else "random"
