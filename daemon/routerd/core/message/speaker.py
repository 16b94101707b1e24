"""What the BGP speaker says: sessions that come and go, and decoded UPDATEs."""

from __future__ import annotations

from dataclasses import dataclass, field

from routerd.core.route import Address, Attributes, Family, Prefix


@dataclass(frozen=True, slots=True)
class GracefulRestart:
    """The Graceful Restart capability of an OPEN (RFC 4724 section 3, RFC 8538 for the N bit).

    `time` is in seconds; `families` maps each listed family to its F bit (forwarding state preserved).
    """

    restarting: bool
    notification: bool
    time: int
    families: dict[Family, bool]


@dataclass(frozen=True, slots=True)
class Open:
    """What one side's OPEN said (RFC 4271 section 4.2, capabilities after RFC 5492)."""

    asn: int
    hold_time: int
    router_id: Address
    families: frozenset[Family]
    four_octet_as: bool
    route_refresh: bool
    extended_message: bool
    graceful_restart: GracefulRestart | None
    others: tuple[int, ...] = ()
    """Codes of capabilities that routerd does not use."""


@dataclass(frozen=True, slots=True)
class SessionUp:
    """A session reached ESTABLISHED. `peer` and `local` are addresses as text; `generation` numbers the session.

    A later message of an older generation is stale and must be ignored.
    """

    peer: str
    generation: int
    local: str
    received: Open
    sent: Open
    dynamic: bool = False


@dataclass(frozen=True, slots=True)
class Notification:
    """A NOTIFICATION (RFC 4271 section 4.5): who sent it, its code, subcode and data."""

    sent: bool
    code: int
    subcode: int
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class SessionDown:
    """A session ended, or failed to come up (generation of a session that never was up: no SessionUp came).

    `notification` is None when the TCP connection was lost without one; `reason` is a line for people.
    """

    peer: str
    generation: int
    reason: str
    notification: Notification | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A malformed part of an UPDATE and what was done about it (RFC 7606 section 2).

    `outcome` is "treat-as-withdraw", "attribute-discard" or "session-reset".
    """

    outcome: str
    attribute: int
    text: str


@dataclass(frozen=True, slots=True)
class Update:
    """A decoded UPDATE. Withdrawals apply before announcements.

    `announced` pairs attributes with prefixes: IPv4 NLRI and MP_REACH_NLRI of one UPDATE have different next
    hops. `end_of_rib` names the families whose End-of-RIB marker this UPDATE is (RFC 4724 section 2).
    """

    peer: str
    generation: int
    withdrawn: list[Prefix] = field(default_factory=list)
    announced: list[tuple[Attributes, list[Prefix]]] = field(default_factory=list)
    end_of_rib: Family | None = None
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteRefresh:
    """A peer asks to hear a family again (RFC 2918)."""

    peer: str
    generation: int
    family: Family


@dataclass(frozen=True, slots=True)
class SpeakerUp:
    """The ExaBGP child listens on all its places: from now on nodes can dial in."""


@dataclass(frozen=True, slots=True)
class SpeakerDown:
    """The ExaBGP child ended: every session is gone without a NOTIFICATION. It is restarted with back-off."""

    reason: str
