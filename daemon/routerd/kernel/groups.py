"""Writes groups, each as it is to be made: anew, in place, held, or as one that continues another."""

from __future__ import annotations

import errno
import time
from collections.abc import Sequence
from dataclasses import replace

from routerd.core.layout import made
from routerd.core.message import GroupLost, Member, SetGroup, WriteFailed
from routerd.kernel import messages
from routerd.kernel.compat import CompatMode
from routerd.kernel.continuing import Continuation
from routerd.kernel.owned import OwnedObjects, not_ours, refusal
from routerd.kernel.requests import Refusals, Requests
from routerd.kernel.spare import CREATE


class GroupWriter:
    """No group gets a member that is not ours. `wide`: weights may have 16 bits."""

    def __init__(
        self, requests: Requests, compat: CompatMode, objects: OwnedObjects, continuation: Continuation, *, wide: bool
    ) -> None:
        self._requests = requests
        self._compat = compat
        self._objects = objects
        self._continuation = continuation
        self._wide = wide

    def write(self, groups: Sequence[SetGroup], *, afresh: bool = False) -> list[WriteFailed | GroupLost]:
        """Write groups; `afresh`: whatever they are like."""
        told: list[WriteFailed | GroupLost] = []
        sent, requests, remade = list[SetGroup](), list[bytes](), set[int]()
        for group in groups:
            if foreign := [member.id for member in group.members if member.id not in self._objects]:
                told.append(WriteFailed(group, errno.EINVAL, not_ours(foreign[0])))
                continue
            if group.hold:
                self._objects.weights[group.id] = group.members
            else:
                self._objects.weights.pop(group.id, None)
            order: tuple[Member, ...] = ()
            try:
                if group.like and not afresh and not self._continuation.give_back(group):
                    order = self._continuation.order(group)
                    if not order and self._continuation.begin(group):
                        told += _gone(group)
                        continue
            except InterruptedError as error:
                told.append(WriteFailed(group, errno.EINTR, str(error)))
                continue
            if order:
                weighed, flags = replace(group, members=order), CREATE
                remade.add(group.id)
            else:
                weighed = self._continuation.held(group) if group.hold else group
                flags = self._objects.flags(group)
            weighed = self._narrowed(weighed)
            sent.append(weighed)
            requests.append(messages.set_group(weighed, flags))
        began = time.monotonic()
        refused = self._compat.transmit(self._requests, requests)
        for index, group in enumerate(sent):
            if group.hold:
                self._objects.buckets.written(group.id, began)
            told += self._sent(group, refused.get(index), remade=group.id in remade)
        return told

    def is_new(self, group: SetGroup) -> bool:
        """Tell whether a group is like no other, is not known to be there, and has members of ours alone."""
        afresh = not (group.like or group.hold or group.known or group.id in self._objects)
        return afresh and self._objects.have(group.members)

    def encode(self, groups: Sequence[SetGroup]) -> list[bytes]:
        """Return what makes groups that are new, numbered. It may be sent in a thread; what came of it is told to
        `made`."""
        set_group, narrowed = messages.set_group, self._narrowed
        return [set_group(narrowed(each), CREATE, index) for index, each in enumerate(groups)]

    def made(self, groups: Sequence[SetGroup], refused: Refusals) -> list[WriteFailed]:
        """Note that what `encode` returned was sent; return what was refused."""
        self._objects.writes += 1
        for index, group in enumerate(groups):
            if index not in refused:
                self._objects.group_made(group)
        return [refusal(groups[index], *why) for index, why in refused.items()]

    def _narrowed(self, group: SetGroup) -> SetGroup:
        return group if self._wide else replace(group, members=messages.narrow(group.members))

    def _sent(
        self, group: SetGroup, refused: tuple[int, str] | None, *, remade: bool
    ) -> Sequence[WriteFailed | GroupLost]:
        """Note what came of a group that was sent; `remade`: at once as it was before it was lost."""
        there = group.id in self._objects
        if remade:
            if refused is not None:
                return self.write([group], afresh=True)
            self._objects.group_continued(group, made(group.buckets, group.members), range(group.buckets))
            return _gone(group)
        if refused is None:
            self._objects.group_made(group)
            return [] if there else _gone(group)
        if refused[0] == errno.ENOENT and there:
            self._objects.vanished(group.id)
            return self.write([group])
        return [refusal(group, *refused)]


def _gone(group: SetGroup) -> list[GroupLost]:
    """Return what is to be said of a group that was made: if it was there before, its routes went with it."""
    return [GroupLost(group.id)] if group.known else []
