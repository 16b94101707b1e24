"""A stand-in: a nexthop object for a moment, which holds the buckets of a group that are to be handed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from routerd.core.message import Gateway, Member, SetGroup
from routerd.kernel import messages, wire
from routerd.kernel.compat import CompatMode
from routerd.kernel.requests import Refusals, Requests
from routerd.kernel.spare import Spare


class StandIns:
    """Makes stand-ins, has groups go step by step, and deletes the stand-ins at the end."""

    def __init__(self, requests: Requests, compat: CompatMode, spare: Spare) -> None:
        self._requests = requests
        self._compat = compat
        self._spare = spare

    def make(self, gateway: Gateway) -> int | None:
        """Make a stand-in that leads there, and return its id; None if the kernel refuses it."""
        return self._spare.make(gateway)

    def replace(self, group: SetGroup, *steps: Sequence[Member]) -> Refusals:
        """Give a group that is there these members, one step after the other; return which steps were refused."""
        return self._compat.transmit(
            self._requests,
            [messages.set_group(replace(group, members=tuple(each)), wire.NLM_F_REPLACE) for each in steps],
        )

    def dismiss(self, stand_in: int, group: SetGroup) -> None:
        """Delete a stand-in. InterruptedError if somebody has deleted it, perhaps with all that is routerd's: then
        the group goes, too, and what is known of its layout stays until it can be made again."""
        if self._requests.transmit([messages.delete_nexthop(stand_in)]):
            self._requests.transmit([messages.delete_nexthop(group.id)])
            raise InterruptedError("somebody deletes nexthop objects at the same time")
