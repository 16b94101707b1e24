"""What the router knows of one peer."""

from __future__ import annotations

from routerd.config.model import PeerGroup
from routerd.core.memo import Memo
from routerd.core.message import SessionDown, SessionUp
from routerd.core.rib.adj_rib_in import AdjRibIn
from routerd.core.rib.import_policy import Source
from routerd.core.rib.policy import Reject
from routerd.core.route import Address, Attributes, Family, Path, parse_address

_PATHS_LIMIT = 1 << 20
"""Octets of paths that are remembered, in use or not; a node's take a thousandth of it."""
SILENCE = 2.0
"""Seconds without an UPDATE after which a node that sends no End-of-RIB has said all."""


class Peer:
    """A peer's session and announcements. Times are monotonic seconds, `heard` that of its last UPDATE.

    What is stale goes at `deadline`, `patience` seconds after its clock began; infinity while the clock stands,
    because no node can dial in. `addresses` are that of the session and those that the operator named besides.
    `lost_with` names the interface that went down with the peer behind it, until one of the two is back: the
    interface in time, or else the peer.
    """

    def __init__(self, address: str, name: str, group_name: str, group: PeerGroup, now: float) -> None:
        self.address = address
        self.packed: Address = parse_address(address)
        self.addresses = frozenset((self.packed,))
        self.name = name
        self.group_name = group_name
        self.group = group
        self.session: SessionUp | None = None
        self.last: SessionUp | None = None
        self.since = now
        self.heard: float | None = None
        self.sessions = 0
        self.place: float | None = None
        self.reason = ""
        self.last_end: tuple[SessionDown, float] | None = None
        """How its last session ended, and when."""
        self.faults = 0
        self.last_fault = ""
        self.adj_rib_in = AdjRibIn()
        self.unadvertisable: frozenset[Family] = frozenset()
        self.pending_eor: frozenset[Family] = frozenset()
        self.deadline: float | None = None
        self.patience = 0.0
        self.lost_with = ""
        self.known: Memo[Attributes, tuple[Path, Reject]] = Memo(_PATHS_LIMIT)
        """The shared path for attributes that were heard before, and the verdict on it."""

    @property
    def external(self) -> bool:
        """Whether the session is eBGP; only meaningful once a session was up."""
        assert self.last is not None, "no session has said yet"
        return self.last.received.asn != self.last.sent.asn

    @property
    def source(self) -> Source:
        """What import policy asks of a peer; only meaningful once a session was up."""
        assert self.last is not None, "only a peer that had a session has announced"
        asn = self.last.received.asn
        return Source(self.address, self.packed, self.addresses, self.group_name, self.group, asn, self.external)

    @property
    def returns(self) -> bool:
        """Whether a node that was in the FIB before the router's restart is about to say what it announces: that is
        as old as the restart, `place`."""
        return self.place is not None and self.sessions == 1 and bool(self.pending_eor)

    def remember(self, attributes: Attributes, verdict: Reject, now: float) -> tuple[Path, Reject]:
        """Make the path that all prefixes of this peer with these attributes share."""
        session = self.session
        assert session is not None, "only a peer with a session announces"
        path = Path(self.address, attributes, now, session.received.router_id, self.external)
        return self.known.remember(attributes, (path, verdict), path.weight)

    def begin(self, up: SessionUp, now: float) -> None:
        """A session is established. A path that graceful restart has kept in use keeps its place."""
        last = self.last
        if last is None or (last.received.asn, last.received.router_id) != (
            up.received.asn,
            up.received.router_id,
        ):
            self.known.clear()
        self.session = self.last = up
        self.since, self.reason, self.heard, self.lost_with = now, "", None, ""
        self.sessions += 1
        self.pending_eor = up.received.families & up.sent.families

    @property
    def silence_ends(self) -> float | None:
        """When a node that has not said all, and sends no End-of-RIB, will have; None if it sends one.

        GoBGP and FRR send the marker only where graceful restart was negotiated (RFC 4724 section 2 asks for it
        in every case).
        """
        up = self.session
        assert up is not None, "only a peer with a session introduces itself"
        if up.received.graceful_restart is not None and up.sent.graceful_restart is not None:
            return None
        return (self.since if self.heard is None else self.heard) + SILENCE

    def end(self, reason: str, now: float, *, again: bool) -> None:
        """The session is over: all that it announced is stale. See `AdjRibIn.mark_stale` for `again`."""
        self.session, self.since, self.reason = None, now, reason
        self.adj_rib_in.mark_stale(again=again)
        self.pending_eor = frozenset()

    def forget_paths(self) -> None:
        """Forget what was heard, and the verdicts on it: the session is over, or the router's addresses changed."""
        self.known.clear()

    def rejudge(self, path: Path, verdict: Reject) -> None:
        """Enter the new verdict on a path."""
        self.known.remember(path.attributes, (path, verdict), path.weight)
