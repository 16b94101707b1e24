"""The counters of what the kernel drops before anybody hears of it."""

from __future__ import annotations

import pytest

from routerd.kernel import drops
from routerd.kernel.drops import COUNTERS, Dropped, Drops, parse


def test_the_counters_are_found_by_name() -> None:
    text = "TcpExt: SyncookiesSent TCPMD5NotFound TCPMinTTLDrop\nTcpExt: 1 2 3\nIpExt: A\nIpExt: 9\n"
    assert parse(text.splitlines()) == {
        "TCPMD5NotFound": 2,
        "TCPMD5Unexpected": 0,
        "TCPMD5Failure": 0,
        "TCPMinTTLDrop": 3,
    }
    assert set(parse([]).values()) == {0}


def test_this_kernel_has_them() -> None:
    assert all(name in drops._NETSTAT.read_text() for name in COUNTERS)


def test_what_has_risen_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = dict.fromkeys(COUNTERS, 5)
    monkeypatch.setattr(drops, "read", lambda: dict(found))
    seen = Drops()
    found["TCPMD5Failure"] = 7
    assert seen.look(10.0) == {"TCPMD5Failure": 2}
    assert seen.look(11.0) == {}
    found["TCPMD5Failure"] = 8
    assert seen.look(12.0) == {"TCPMD5Failure": 1}
    assert seen.seen == {"TCPMD5Failure": Dropped(3, 12.0)}
