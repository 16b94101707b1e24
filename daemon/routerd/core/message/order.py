"""What the operator and the daemon itself tell the core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routerd.config.model import Config  # with pydantic, which the BGP child has no use for


@dataclass(frozen=True, slots=True)
class Drain:
    """The operator drains a peer (by address), or ends it: no new flows go there, established ones live on."""

    peer: str
    on: bool


@dataclass(frozen=True, slots=True)
class DrainSelf:
    """The operator drains the router itself, or ends it: peers are told to prefer other ways (GRACEFUL_SHUTDOWN, RFC
    8326), and what still comes is forwarded as before.

    For people: who asked for it, and when (seconds since 1970).
    """

    on: bool
    by: str = ""
    time: float = 0.0


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The operator shuts a peer down (by address): its session ends, what it announced goes, and it gets no session.

    For people: who asked for it, when (seconds since 1970), and what the peer was told, fit to be shown.
    """

    peer: str
    by: str
    time: float
    text: str = ""


@dataclass(frozen=True, slots=True)
class Enable:
    """The operator ends the shutdown of a peer (by address): it may have a session again."""

    peer: str


@dataclass(frozen=True, slots=True)
class SoftReset:
    """The operator wants what is exchanged with a peer (by address) anew, without a reset of the session: what the
    peer announces (`incoming`), or what it hears."""

    peer: str
    incoming: bool


@dataclass(frozen=True, slots=True)
class Settle:
    """The end of a batch of messages: bring the FIB in line.

    `quiet` tells that no more input waits; only then do prefixes move between groups, so that a set of prefixes
    that changes its members together is seen as one and its group is replaced in place. What has become `due` by the
    clock is looked for as well, unless that is said not to be of now.
    """

    quiet: bool = True
    due: bool = True


@dataclass(frozen=True, slots=True)
class Work:
    """Do a bounded part of what can wait: purges after a lost session, in slices of a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """The configuration is another one from now on. Sessions go on; those whose parameters differ are about to be
    reset by the speaker, which is told the same."""

    config: Config
