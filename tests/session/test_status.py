"""What is known about the child, and what is forgotten with it."""

from __future__ import annotations

from structlog.testing import CapturingLogger

from routerd.session.frames import Dialling, Kind, pack_dialling
from routerd.session.status import Status

PEER = "192.0.2.1"


def test_what_has_failed_is_forgotten_with_the_child() -> None:
    log = CapturingLogger()
    status = Status(log)  # type: ignore[arg-type]
    away = pack_dialling(Dialling(PEER, "nobody listens there", 1.0, True))
    for _ in range(2):
        status.take(Kind.DIALLING, away)
    assert [call.args for call in log.calls] == [("dialling failed",)]
    status.end()
    status.begin()
    status.take(Kind.DIALLING, pack_dialling(Dialling(PEER, "connecting")))
    assert status.dialled[PEER].state == "connecting"
    status.take(Kind.DIALLING, away)
    assert len(log.calls) == 2
