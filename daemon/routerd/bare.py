"""A part of a package without the rest of it, and without what it imports and nobody uses."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def bare(package: str) -> Iterator[ModuleType]:
    """Have imports from within `package` not run its own `__init__`, which may import all that the package can do.

    Yields the package, which has nothing but what is put into it. Elsewhere it is imported as ever, later too.
    """
    if package in sys.modules:
        yield sys.modules[package]
        return
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    sys.modules[package] = importlib.util.module_from_spec(spec)
    try:
        yield sys.modules[package]
    finally:
        del sys.modules[package]


def without(module: str, **needed: object) -> None:
    """Have `module` imported as one that has nothing but what is `needed` of it, unless it is loaded already."""
    hollow = ModuleType(module)
    vars(hollow).update(needed)
    sys.modules.setdefault(module, hollow)
