"""What a writer that was killed has left in the kernel: its stand-ins hold buckets to which flows come meanwhile."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from routerd.core.message import Arrange, DeleteNexthop, Gateway, SetNexthop
from routerd.kernel import lookup
from routerd.kernel.memory import runs_of
from routerd.kernel.stand_in import StandIns
from routerd.kernel.writer import KernelWriter
from tests.kernel.scenario import FIB, gateway
from tests.kernel.test_arranging import NODES, Traffic, family, forwarding, made
from tests.kernel.test_memory import read
from tests.support.netns import Namespace, needs_root

__all__ = ["family", "forwarding"]
pytestmark = needs_root

FLOWS = range(1000, 1200)


class KilledError(BaseException):
    """Nothing of the process comes after this."""


def killed(monkeypatch: pytest.MonkeyPatch, write: Callable[[], object]) -> None:
    """Write something, and be killed once stand-ins have buckets."""

    def replaced(self: StandIns, group: object, *steps: object) -> None:
        real(self, group, *steps)  # type: ignore[arg-type]
        raise KilledError

    real = StandIns.replace
    with monkeypatch.context() as patched:
        patched.setattr(StandIns, "replace", replaced)
        patched.setattr(StandIns, "dismiss", lambda *_: None)
        with pytest.raises(KilledError):
            write()


def settle(traffic: Traffic) -> dict[int, Gateway]:
    """Have flows begin, and tell where each goes."""
    return {port: traffic.send(port) for port in FLOWS}


def test_flows_that_began_in_a_layout_half_made_stay_where_they_are(
    router: Namespace, writer: KernelWriter, family: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, traffic = made(writer, family)
    mixed = [member.id for member in group.members for _ in range(group.buckets // 3)] + [1, 1]
    random.Random(1).shuffle(mixed)
    killed(monkeypatch, lambda: writer.write([Arrange(100, tuple(runs_of(mixed)))]))
    stood_in = [id for id in lookup.owners(100) if id > 100]
    assert len(stood_in) > 10
    before = settle(traffic)
    KernelWriter(FIB).close()
    assert {port: traffic.send(port) for port in before} == before
    assert [entry["id"] for entry in router.ip_json("nexthop", "show")] == [1, 2, 3, 100]


def test_flows_that_began_while_nodes_were_given_their_buckets_back_stay_where_they_are(
    router: Namespace, writer: KernelWriter, family: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in leads to a node that has none yet."""
    group, traffic = made(writer, family)
    read(writer)
    assert writer.write([DeleteNexthop(1)]) == []
    read(writer)
    assert writer.write([replace(group, members=group.members[1:], known=True)]) == []
    read(writer)
    back = SetNexthop(1, gateway(NODES[family].format(2)))
    killed(monkeypatch, lambda: writer.write([back, replace(group, like=100, known=True)]))
    assert len({id for id in lookup.owners(100) if id > 100}) == 1
    before = settle(traffic)
    KernelWriter(FIB).close()
    assert {port: traffic.send(port) for port in before} == before
    assert {entry["id"] for entry in router.ip_json("nexthop", "show")} == {1, 2, 3, 100}
