"""The kernel in memory behaves as the real one: the same operations leave the same state and refusals."""

from collections.abc import Callable, Sequence
from contextlib import closing

import pytest

from routerd.core.message import (
    DeleteNexthop,
    DeleteRoutes,
    Gateway,
    GroupLost,
    KernelDump,
    Member,
    Operation,
    SetGroup,
    SetNexthop,
    SetRoutes,
    WriteFailed,
)
from routerd.core.route import parse_address
from routerd.kernel.dump import dump
from routerd.kernel.writer import KernelWriter
from tests.kernel.scenario import FIB, gateway, many, prefixes
from tests.support.kernel import FakeKernel
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root

Steps = Sequence[Callable[[], Operation]]
ROUTES4, ROUTES6 = many(4), prefixes("2001:db8::1/128", "2001:db8::2/128")

NODES: Steps = (
    lambda: SetNexthop(1, gateway("10.0.0.2")),
    lambda: SetNexthop(2, gateway("10.0.1.2", "eth1")),
    lambda: SetNexthop(3, gateway("fd00::2")),
    lambda: SetNexthop(4, gateway("fe80::2", "eth1")),
    lambda: SetGroup(10, (Member(1), Member(2)), 64, 1.5),
    lambda: SetGroup(11, (Member(3), Member(4, 7))),
    lambda: SetGroup(12, (Member(2),)),
    lambda: SetGroup(13, (Member(1), Member(3))),
    lambda: SetRoutes(10, ROUTES4[:2]),
    lambda: SetRoutes(12, ROUTES4[2:3]),
    lambda: SetRoutes(11, ROUTES6 + ROUTES4[3:]),
)

SCENARIOS: dict[str, Steps] = {
    "nodes": NODES,
    "replaced in place": (
        *NODES,
        lambda: SetNexthop(1, gateway("10.0.0.3")),
        lambda: SetGroup(10, (Member(2),), 64, 3.0),
        lambda: SetRoutes(12, ROUTES4),
    ),
    "member deleted": (*NODES, lambda: DeleteNexthop(2)),
    "group deleted": (*NODES, lambda: DeleteNexthop(11), lambda: DeleteRoutes(ROUTES4[:1])),
    "everything deleted": (*NODES, *((lambda id_=id_: DeleteNexthop(id_)) for id_ in (1, 2, 3, 4))),
    "a group that went with its last member": (
        *NODES,
        lambda: DeleteNexthop(2),
        lambda: SetNexthop(2, gateway("10.0.1.2", "eth1")),
        lambda: SetGroup(12, (Member(2),), known=True),
        lambda: SetRoutes(12, ROUTES4),
        lambda: SetGroup(12, (Member(2), Member(1)), known=True),
        lambda: DeleteNexthop(2),
        lambda: DeleteNexthop(1),
        lambda: SetNexthop(1, gateway("10.0.0.2")),
        lambda: SetGroup(12, (Member(1),)),
        lambda: DeleteNexthop(12),
        lambda: SetGroup(12, (Member(1),), known=True),
    ),
    "gone already": (lambda: DeleteNexthop(1), lambda: DeleteRoutes(ROUTES4 + ROUTES6)),
    "bad nexthops": (
        *NODES,
        lambda: SetNexthop(20, gateway("192.168.77.1")),
        lambda: SetNexthop(21, gateway("2001:db8:77::1")),
        lambda: SetNexthop(22, gateway("10.0.0.1")),
        lambda: SetNexthop(23, gateway("fd00::1")),
        lambda: SetNexthop(10, gateway("10.0.0.2")),
    ),
    "bad groups": (
        *NODES,
        lambda: SetGroup(20, (Member(1), Member(1))),
        lambda: SetGroup(21, (Member(1), Member(99))),
        lambda: SetGroup(22, (Member(10),)),
        lambda: SetGroup(23, ()),
        lambda: SetGroup(10, (Member(1),), 128, 1.5),
        lambda: SetGroup(10, (Member(1),)),
        lambda: SetGroup(1, (Member(2),)),
        lambda: SetGroup(11, (Member(1), Member(3))),
    ),
    "bad routes": (
        *NODES,
        lambda: SetRoutes(99, ROUTES4),
        lambda: SetRoutes(10, (ROUTES6[0], *ROUTES4)),
        lambda: SetRoutes(13, (ROUTES6[1], *ROUTES4)),
        lambda: SetRoutes(1, ROUTES4 + ROUTES6),
        lambda: SetRoutes(11, prefixes("172.31.0.1/32", "172.31.0.2/32")),
    ),
    "foreign id": (lambda: SetNexthop(70, gateway("10.0.0.2")), lambda: DeleteNexthop(70)),
}


def twins(router: Namespace) -> tuple[KernelWriter, FakeKernel]:
    """Return the real kernel's writer and a fake one with the same interfaces, foreign routes and nexthops."""
    router.ip("route", "add", "172.31.0.2", "via", "10.0.0.9", "metric", "20", "proto", "static")
    router.ip("nexthop", "add", "id", "70", "via", "10.0.0.9", "dev", "eth0")
    found = dump(FIB)
    fake = FakeKernel(found.interfaces, found.foreign, FIB)
    fake.nexthops = {nexthop.id: nexthop for nexthop in found.nexthops}
    return KernelWriter(FIB), fake


def brief(failures: list[WriteFailed | GroupLost]) -> list[GroupLost | tuple[Operation, int]]:
    return [told if isinstance(told, GroupLost) else (told.operation, told.errno) for told in failures]


def ordered(state: KernelDump) -> tuple[object, ...]:
    return (state.interfaces, state.nexthops, state.groups, state.routes, state.foreign)


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_operations_same_state(router: Namespace, name: str) -> None:
    with router.enter():
        writer, fake = twins(router)
        with closing(writer):
            for step in SCENARIOS[name]:
                operation = step()
                assert brief(fake.write([operation])) == brief(writer.write([operation])), operation
                assert ordered(fake.dump()) == ordered(dump(FIB)), operation


def test_link_down(router: Namespace) -> None:
    with router.enter():
        writer, fake = twins(router)
        with closing(writer):
            operations = [step() for step in NODES]
            assert (writer.write(operations), fake.write(operations)) == ([], [])
            index = gateway("10.0.1.2", "eth1").ifindex
            router.ip("link", "set", "eth1", "down")
            fake.link_down(index)
            real, ours = dump(FIB), fake.dump()
            assert (real.nexthops, real.groups, real.routes) == (ours.nexthops, ours.groups, ours.routes)
            again = [SetNexthop(2, Gateway(parse_address("10.0.1.2"), index))]
            assert brief(writer.write(again)) == brief(fake.write(again)) != []
