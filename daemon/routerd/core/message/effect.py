"""What comes out of the core, to be carried out by the composition root."""

from __future__ import annotations

from dataclasses import dataclass

from routerd.core.message.operation import Gateway, Operation
from routerd.core.message.pair import ReadBuckets, TellPartner
from routerd.core.route import Attributes, Family, Prefix


@dataclass(frozen=True, slots=True)
class Program:
    """Write these operations to the kernel, in order, after all earlier ones. `urgent` ones go before whatever is not
    written yet: they only delete nexthop objects, and what waits must forget those."""

    operations: tuple[Operation, ...]
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Advertise:
    """Tell a peer: withdraw, then announce, then mark the end of the RIB of these families.

    Attributes are complete, as the peer shall see them: next hop, AS path, MED.
    """

    peer: str
    withdrawn: tuple[Prefix, ...] = ()
    announced: tuple[tuple[Attributes, tuple[Prefix, ...]], ...] = ()
    end_of_rib: tuple[Family, ...] = ()


@dataclass(frozen=True, slots=True)
class Refresh:
    """Ask a peer to announce these families again (RFC 2918)."""

    peer: str
    families: tuple[Family, ...]


@dataclass(frozen=True, slots=True)
class CloseSession:
    """End a session with a NOTIFICATION of this code and subcode (RFC 4486 for Cease)."""

    peer: str
    code: int
    subcode: int
    reason: str


@dataclass(frozen=True, slots=True)
class KeepPlace:
    """Keep a peer's place in its range, though it has no session: its paths are stale, and it may return. Or do not
    any more."""

    peer: str
    on: bool


@dataclass(frozen=True, slots=True)
class Resync:
    """Dump the kernel and hand the result back: what routerd believes and what is there may differ."""

    reason: str


@dataclass(frozen=True, slots=True)
class InspectGroups:
    """Look which of these resilient groups carry traffic, and answer with GroupActivity."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FindUnused:
    """Find out which of these groups have carried no packet since they were last written, and answer with
    GroupsUnused."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Identify:
    """Find out the link-layer addresses of these gateways, and answer with Identified as they become known."""

    gateways: tuple[Gateway, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that operators want to see in the log and the event stream."""

    name: str
    fields: dict[str, str | int | float | bool | None]
    level: str = "info"


Effect = (
    Program
    | Advertise
    | Refresh
    | CloseSession
    | KeepPlace
    | Resync
    | InspectGroups
    | FindUnused
    | Identify
    | ReadBuckets
    | TellPartner
    | Event
)
