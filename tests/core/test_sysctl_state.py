"""When a kernel setting is as wanted."""

from __future__ import annotations

from routerd.core.message import SysctlState


def test_what_counts_is_what_stands_there_now() -> None:
    assert SysctlState("net.ipv4.ip_forward", wanted="1", found="0", current="1", problem="").ok
    assert not SysctlState("net.ipv4.ip_forward", wanted="1", found="1", current="0", problem="Permission denied").ok
