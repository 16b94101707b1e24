"""The last ids of routerd's range: for objects that the writer makes and deletes within one operation.

A process that is killed meanwhile leaves them there: they are routerd's by id and protocol, and go at the next start,
once the buckets that they hold are back where they lead (`left_behind.py`).
What is somebody else's stays, and its id is not used.
"""

from __future__ import annotations

import errno

from routerd.core.message import RTPROT_BGP, Gateway, KernelGroup, KernelNexthop
from routerd.kernel import dump, messages, wire
from routerd.kernel.requests import Requests

CREATE = wire.NLM_F_CREATE | wire.NLM_F_EXCL


class Spare:
    """Those of the ids `spare` that nobody uses. OSError if there are too few, or if netlink fails."""

    def __init__(self, requests: Requests, spare: range) -> None:
        self._requests = requests
        nexthops, groups = dump.nexthops()
        entries: list[KernelNexthop | KernelGroup] = [*groups, *nexthops]
        there = {entry.id: entry.protocol for entry in entries if entry.id in spare}
        left = [id for id, protocol in there.items() if protocol == RTPROT_BGP]
        if any(member.id in left for group in groups for member in group.members):
            from routerd.kernel.left_behind import give_back  # after a crash alone

            give_back(requests, left, nexthops, groups)
        requests.transmit([messages.delete_nexthop(id) for id in left])
        self._free = [id for id in spare if id not in there or id in left]
        if len(self._free) < 2:
            raise OSError(
                errno.EEXIST,
                f"nexthop ids {spare[0]} to {spare[-1]} are in use by another program; write another nexthop_id_base",
            )

    def pair(self) -> tuple[int, int]:
        """Return two free ids."""
        return self._free[0], self._free[1]

    def make(self, gateway: Gateway) -> int | None:
        """Make a nexthop object and return its id; None if the kernel refuses it."""
        while self._free:
            # Where the objects that it stands in for may lead, with a connected network or without, it may.
            request = messages.set_nexthop(self._free[-1], gateway, CREATE, onlink=True)
            refused = self._requests.transmit([request])
            if not refused:
                return self._free[-1]
            if refused[0][0] != errno.EEXIST:
                return None
            self._free.pop()  # somebody has taken it meanwhile
        return None
