"""Problems of the process itself: its log, its files."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from routerd.api.models import ProblemView
from routerd.detached import PATIENCE

_RECENT = 120.0
"""Seconds after which a watcher that goes on again is no problem any more."""


def unwritten_log(lines: int, reason: str) -> Iterator[ProblemView]:
    """Lines of the log were lost, and the last of them for this reason; none while it is empty."""
    if reason:
        yield ProblemView(
            where="log",
            what=f"{lines} lines could not be written to standard error: {reason}",
            remedy="see to where that leads (a full disk, a program that has ended); routing goes on",
        )


def unkept_drains(unread: str, unstored: str) -> Iterator[ProblemView]:
    """The file of drains could not be read at start, or cannot be written now; nothing for what is empty."""
    lost = "nothing is drained by the operator"
    again = "routerd drain NODE for each node that shall be; if there is none, routerd undrain any NODE"
    return _unkept("drains", lost, again, unread, unstored)


def unkept_shutdowns(unread: str, unstored: str) -> Iterator[ProblemView]:
    """As `unkept_drains`, of the peers that the operator has shut down."""
    again = "routerd shutdown PEER for each that shall be; if there is none, routerd enable any PEER"
    return _unkept("shutdowns", "no peer is shut down", again, unread, unstored)


def unkept_own_drain(unread: str, unstored: str) -> Iterator[ProblemView]:
    """As `unkept_drains`, of the router's own drain."""
    again = "routerd drain --self if it shall be drained; if not, routerd undrain --self"
    return _unkept("drain of this router", "this router is not drained", again, unread, unstored, they="it")


def _unkept(
    where: str, lost: str, again: str, unread: str, unstored: str, *, they: str = "they"
) -> Iterator[ProblemView]:
    if unread:
        yield ProblemView(where=where, what=f"{lost}, whatever was before the start: {unread}", remedy=again)
    if unstored:
        yield ProblemView(
            where=where,
            what=f"{they} will not outlive a restart of routerd: {unstored}",
            remedy="make room there, or let routerd's user write it; it is tried again every second",
        )


def ended_record(reason: str) -> Iterator[ProblemView]:
    """What `--record` asked for could not be written, for this reason; none while it is empty."""
    if reason:
        yield ProblemView(
            where="record",
            what=f"it has ended: {reason}",
            remedy="make room, and restart routerd with another file; what is there replays; routing goes on",
        )


def unconfirmed(seconds: float | None) -> Iterator[ProblemView]:
    """The configuration waits to be confirmed for so many seconds more; none if that is None."""
    if seconds is not None:
        yield ProblemView(
            where="configuration",
            what=f"it is taken back in {seconds:.0f} s unless it is confirmed",
            remedy="routerd confirm, or routerd rollback",
        )


def not_the_file(why: str) -> Iterator[ProblemView]:
    """What runs is not what the daemon's file says, for this reason; none while it is empty."""
    if why:
        yield ProblemView(
            where="configuration",
            what=why,
            remedy="routerd diff shows what the file would change, routerd reload takes it; or put the file right",
        )


def lost_history(unread: str, unstored: str) -> Iterator[ProblemView]:
    """The journal could not be read at the start, or cannot be written now; nothing for what is empty."""
    if unstored:
        yield ProblemView(
            where="configuration",
            what=f"a restart of routerd would not know what is in force, and may begin with an older one: {unstored}",
            remedy="make room there, or let routerd's user write it; it is tried again every second",
        )
    if unread:
        yield ProblemView(
            where="configuration",
            what=f"what was taken back, or never confirmed, before the start is not known: {unread}",
            remedy="see whether the file says what shall run; the next reload of another file begins a history",
        )


def unread_host(reason: str) -> Iterator[ProblemView]:
    """What else of the host decides whether packets get through could not be read."""
    yield ProblemView(
        where="host",
        what=f"whether its settings and tables let packets through could not be read: {reason}",
        remedy="if the machine is short of memory or files, mend that; all else is as it is shown",
    )


def unanswered(seconds: float) -> Iterator[ProblemView]:
    """A file, or the name of a user, has been waited for so many seconds; nothing before that is long."""
    if seconds >= PATIENCE:
        yield ProblemView(
            where="files",
            what=f"a disk, or the user database, has not answered for {seconds:.0f} s: what was asked of routerd may "
            "wait for that, too",
            remedy="see which disk, or which directory server of /etc/nsswitch.conf, hangs; routing goes on",
        )


def deaf(wanted: Iterable[str], listening: Collection[str]) -> Iterator[ProblemView]:
    """Places (`address port`) where nodes should be able to dial in, and where they are."""
    # A kernel without IPv6 has no wildcard of it, and all are gone while the speaker restarts.
    missing = [place for place in wanted if listening and place not in listening and not place.startswith(":: ")]
    if missing:
        yield ProblemView(
            where="speaker",
            what=f"nodes cannot dial in at {', '.join(missing)}",
            remedy="see the log; bring the address up, or end what has the port: it is tried again every few seconds",
        )


def failed_watcher(what: str, count: int, ago: float, error: str) -> Iterator[ProblemView]:
    """What watches the host met an error that nobody thought of, so many seconds ago; none once that is long past."""
    if ago <= _RECENT:
        often = "once" if count == 1 else f"{count} times"
        yield ProblemView(
            where=what,
            what=f"failed {often}, the last {ago:.0f} s ago, and was begun anew: {error}",
            remedy="if the machine is short of memory or files, mend that; else report it, with the log's traceback",
        )
