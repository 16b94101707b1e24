"""The other router of a pair, and how far the two agree: what `GET /v1/pair` answers. Loaded when somebody asks."""

from __future__ import annotations

from typing import TypedDict


class PairRouterView(TypedDict):
    """A router of the pair: all that decides into which bucket a packet falls, and who leads."""

    router: str
    version: str
    kernel: str
    """Its release."""
    hash_policy: str
    hash_seed: str
    """A fingerprint; `random` if the kernel has made its own, empty if it has no such setting."""
    age_seconds: float
    """For how long its groups have been there, as it said last."""


class PairGroupView(TypedDict):
    """A nexthop group, as both have it."""

    key: str
    """Its name on both: its prefix, or `shared:` and a digest of its members."""
    state: str
    """`equal`, `differs`, `other nodes`, `only here`, `only there`, `other size` or `not told`."""
    nexthop_id: int | None
    """Of the group here; None if it is there alone."""
    prefix: str
    """The first one that it serves here; empty if none does."""
    prefixes: int
    buckets: int
    differing: int
    """Buckets that lead to another node on the partner."""
    conflicts: int
    """Those of them that carry flows on both."""
    off: int
    """Buckets that are not where the weights want them, because flows hold them."""


class PairView(TypedDict):
    """`GET /v1/pair`."""

    ok: bool
    """Whether the partner could take over every flow now, as far as this router knows."""
    partner: str
    up: bool
    """Whether the two hear each other."""
    since_seconds: float
    """For how long that has been so."""
    reason: str
    """Why they do not; empty if they do."""
    complete: bool
    """Whether the partner has told all its groups since then."""
    leads: str
    """The router that decides; this one, alone, while they do not hear each other."""
    here: PairRouterView
    there: PairRouterView | None
    """As it said last; None if it was never heard."""
    differences: list[str]
    """What of that makes both choose other buckets for the same packet, a sentence each."""
    agreed_seconds: float | None
    """Since all groups were last equal; 0 while they are, None if they never were."""
    groups: dict[str, int]
    """How many there are, by state."""
    differing: int
    conflicts: int
    off: int
    """Of all groups together."""
    total: int
    """How many groups were asked for: those that are not equal, or all."""
    first: list[PairGroupView]
    """They, or the first of them."""


class SeedView(TypedDict):
    """`POST /v1/pair/seed`: the seed of the kernel's hash, by its fingerprint."""

    changed: bool
    before: str
    after: str
