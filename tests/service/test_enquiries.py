"""What the core asks of groups is answered by the kernel, a little at a time."""

from __future__ import annotations

import time
from dataclasses import replace

from routerd.core.message import BucketsRead, Member, ReadBuckets, SetGroup, SetNexthop
from routerd.kernel import lookup
from routerd.kernel.writer import KernelWriter
from routerd.service import enquiries
from routerd.service.enquiries import Enquiries
from tests.kernel.conftest import writer
from tests.kernel.scenario import gateway
from tests.kernel.test_arranging import forwarding, made
from tests.support.netns import Namespace, needs_root, router

__all__ = ["forwarding", "router", "writer"]

pytestmark = needs_root


def test_each_bucket_is_told_with_those_that_flows_use(router: Namespace, writer: KernelWriter) -> None:
    _, traffic = made(writer, 4)
    time.sleep(0.05)  # what is used within 30 ms of when its group was made counts as never used
    for port in range(1000, 1020):
        traffic.send(port)
    asked = Enquiries(writer.buckets, writer.memory, 60.0)
    asked.ask(ReadBuckets((100, 7)))
    assert asked.waiting
    found, gone = asked.answers()
    assert isinstance(found, BucketsRead)
    assert found.owners == tuple(lookup.owners(100))
    assert {index for index in range(128) if found.busy >> index & 1} == {
        index for index, _, _ in writer.buckets.flows(100, 60.0)
    }
    assert 5 < found.busy.bit_count() <= 20
    assert gone == BucketsRead(7)
    assert not asked.waiting


def test_many_groups_are_read_in_turns_and_each_once(router: Namespace, writer: KernelWriter) -> None:
    ids = range(10, 20)
    groups = [SetGroup(id, (Member(1),), buckets=8, idle_timer=60.0) for id in ids]
    assert writer.write([SetNexthop(1, gateway("10.0.0.2")), *groups]) == []
    asked = Enquiries(writer.buckets, writer.memory, 60.0)
    asked.ask(ReadBuckets(tuple(ids)))
    asked.ask(ReadBuckets((11, 12)))
    turns = []
    while asked.waiting:
        turns.append([answer.id for answer in asked.answers() if isinstance(answer, BucketsRead)])
    assert [id for turn in turns for id in turn] == list(ids)
    assert max(map(len, turns)) == enquiries.READ_AT_ONCE


def test_buckets_of_who_has_left_are_idle_until_they_are_used(router: Namespace, writer: KernelWriter) -> None:
    """The kernel says that they are idle since it has moved them, and not whether a flow has used them since."""
    group, traffic = made(writer, 4)
    time.sleep(0.05)  # what is used within 30 ms of when its group was made counts as never used
    asked = Enquiries(writer.buckets, writer.memory, 60.0)
    asked.ask(ReadBuckets((100,)))
    list(asked.answers())
    left = replace(group, members=group.members[1:], hold=True, known=True)
    assert writer.write([left]) == []
    time.sleep(0.05)
    before = {traffic.send(port) for port in range(1000, 1010)}
    assert before
    asked.ask(ReadBuckets((100,)))
    (found,) = asked.answers()
    assert isinstance(found, BucketsRead)
    assert set(found.owners) == {2, 3}
    assert 3 < found.busy.bit_count() <= 10
