"""What `routerd fleet --json` prints."""

from __future__ import annotations

from typing import TypedDict


class RouterView(TypedDict):
    """A router, as it has told its broker. What it has not told is 0, or empty."""

    name: str
    state: str
    since: float | None
    """When that began, in seconds of the epoch."""
    said_goodbye: bool
    """It is down because it was stopped."""
    peers_up: int
    peers: int
    vips: int
    vips_left_out: int
    routes: int
    problems: int
    drift_mended: int
    version: str
    configuration: str
    hash_seed: str
    kernel: str
    boot: str
    partner: str
    """The other router of its pair; empty without one."""
    pair: str
    """`agrees`, `differs` or `down`; empty without a pair."""


class SiteDifferenceView(TypedDict):
    """What is to be seen of all routers together alone."""

    kind: str
    what: str
    routers: list[str]


class SiteView(TypedDict):
    """`routerd fleet`."""

    ok: bool
    site: str
    routers: list[RouterView]
    differences: list[SiteDifferenceView]


class DrainedView(TypedDict):
    """What became of a drain on a router."""

    name: str
    state: str
    buckets: int | None
    sole: int
    empty: bool
    error: str
    note: str


class FleetDrainView(TypedDict):
    """`routerd fleet drain` and `undrain`."""

    ok: bool
    node: str
    verdict: str
    routers: list[DrainedView]
