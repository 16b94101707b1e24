"""What two routers of a pair tell each other of the buckets of their groups, and what the core asks for that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from routerd.core.route import Address


class Hello(NamedTuple):
    """Who a router is, said first, and again when it changes.

    `boot` is another one after each start. `policy` is the kernel's hash policy by name, `seed` a fingerprint of its
    hash seed (`kernel.hash_seed`), `kernel` its release, `version` routerd's. `age` is for how many seconds its
    groups have been there, as far as it knows: who has the older ones leads. `idle_timer` is that of its groups in
    seconds, 0 if it does not say.
    """

    router: str
    boot: str
    version: str
    kernel: str
    policy: str
    seed: str
    age: float
    idle_timer: float = 0.0


class GroupLayout(NamedTuple):
    """Where the buckets of a group lead on one router.

    `key` is the group's name on both: its prefix, or for a shared one `shared:` and a digest of its members.
    `members` are all legs of the group, `owners` has, by bucket, the index of one; `busy` is a mask (bit n for bucket
    n) of the buckets in which flows are, or may be. `settled` is false while flows have yet to show themselves.
    `answers` is the number of the Ask to which this is the answer, 0 if nobody asked. `drained` are the members that
    are to get no new flow, legs or not. `fresh` is true if all this was read a moment before it was said.
    """

    key: str
    members: tuple[Address, ...]
    owners: tuple[int, ...]
    busy: int
    settled: bool = True
    answers: int = 0
    drained: tuple[Address, ...] = ()
    fresh: bool = False


class GroupGone(NamedTuple):
    """A group of this key is no more."""

    key: str


class Ask(NamedTuple):
    """Read these groups now, and say how they are: whoever asks is about to move buckets."""

    keys: tuple[str, ...]
    number: int


class AllSaid(NamedTuple):
    """After a Hello: every group was told."""


PartnerMessage = Hello | GroupLayout | GroupGone | Ask | AllSaid


@dataclass(frozen=True, slots=True)
class Introduce:
    """This router is one of a pair, and says this of itself: before the first dump, and again when it changes."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class PartnerUp:
    """The channel to the partner is there; it has proved to know the key. Nothing of before counts."""


@dataclass(frozen=True, slots=True)
class PartnerDown:
    """The channel to the partner is lost, or there is none, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class PartnerSaid:
    """The partner has said this."""

    message: PartnerMessage


@dataclass(frozen=True, slots=True)
class BucketsRead:
    """The buckets of a group as the kernel has them: the nexthop id of each, and a mask of those that carry flows.
    `members` are all nexthop objects in the group. All is empty if the kernel has no such group."""

    id: int
    owners: tuple[int, ...] = ()
    busy: int = 0
    members: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadBuckets:
    """Read these groups, and answer with a BucketsRead each."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TellPartner:
    """Say this to the partner, in order."""

    message: PartnerMessage
